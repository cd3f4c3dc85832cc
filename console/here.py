"""The examination from this machine: for a secret that no function may read yet.

It takes the rights of whoever asks (GetSecretValue on the secret, and on its administrator's), a
route to the database, and the engine's driver, which comes with the command's extra of that name.
Values stay in this process's memory: what is said is scrubbed of them, as in the function.
"""

import importlib
import json
import os
from typing import TYPE_CHECKING

import boto3

from console.account import Account, asking
from console.engines import declared, folders
from console.examine import Unanswered
from shared.deadline import Deadline
from shared.errors import RotationError
from shared.examination.finding import Examination
from shared.model import Login, RotationEvent, Step
from shared.redaction import Redactor
from shared.rotation import Rotation
from shared.settings import Settings
from shared.store import SecretStore
from shared.tls import Trust

if TYPE_CHECKING:
    from shared.rotator import Rotator

SECONDS = 60.0
"""For one secret, as a function has."""
NO_VERSION = "examined-from-here"
"""In place of a token: no version has this id."""


def examine_here(account: Account, secret_arn: str, folder: str = "") -> Examination:
    """Return what is found from this machine.

    Args:
        account: Where the secret is.
        secret_arn: The secret.
        folder: Of the engine's rotator; found by the secret's ``engine`` when empty.

    Raises:
        Unanswered: The secret's value does not tell its engine, or the driver is missing.
    """
    # Not at the top: only here it is needed, and it loads much.
    from shared.examination import answer  # noqa: PLC0415

    store, redactor = SecretStore(account.secrets), Redactor()
    kind = _rotator(folder or _folder_of(store, secret_arn))

    def prepare() -> "tuple[Rotator, Rotation]":
        settings = Settings.from_environment(os.environ, kind.profile)
        trust = Trust(settings.ca_file)
        event = RotationEvent(Step.TEST, secret_arn, NO_VERSION)
        rotation = Rotation(event, store, settings, Deadline(SECONDS), redactor)
        return kind(store, settings, trust, lambda: boto3.client("rds")), rotation

    with asking():
        found = answer(prepare, secret_arn, None).to_dict()
    return Examination.from_dict(json.loads(redactor.scrub(json.dumps(found))))


def username_of(account: Account, secret_arn: str) -> str:
    """Return the user that a secret names.

    Raises:
        Unanswered: Its value cannot be read, or names none.
    """
    return _login(SecretStore(account.secrets), secret_arn).username


def _login(store: SecretStore, secret_arn: str) -> Login:
    try:
        return store.current(secret_arn).login("AWSCURRENT")
    except RotationError as error:
        raise Unanswered(error.message) from None


def _folder_of(store: SecretStore, secret_arn: str) -> str:
    login = _login(store, secret_arn)
    found = [
        folder
        for folder in folders()
        for engine in declared(folder)
        if login.engine in engine.names
    ]
    if not found:
        raise Unanswered("its value does not tell the engine: name its function with --function")
    return found[0]


def _rotator(folder: str) -> "type[Rotator]":
    from shared.rotator import Rotator  # noqa: PLC0415 (likewise)

    try:
        module = importlib.import_module(f"rotators.{folder}.rotator")
    except ImportError as error:
        extra = f"'secret-rotation[{folder}]'"
        raise Unanswered(f"{error.name} is missing here: install {extra}") from None
    (found,) = (
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Rotator) and each is not Rotator
    )
    return found
