"""Logs in to a database with what was sealed, and with nothing else: no service of AWS is asked."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import rotators
from shared.deadline import Deadline
from shared.errors import WrongEngine
from shared.model import Login
from shared.options import Variable
from shared.rotator import Rotator
from shared.settings import Settings
from shared.store import SecretStore
from shared.tls import Trust

if TYPE_CHECKING:
    from mypy_boto3_rds import RDSClient
    from mypy_boto3_secretsmanager import SecretsManagerClient

SECONDS = 20.0


def log_in(text: str, where: str, ca_file: str = "") -> Login:
    """Log in once, over verified TLS, as a rotation does, and log out.

    Args:
        text: The secret's value.
        where: What it is called in messages.
        ca_file: The authorities of databases outside RDS.

    Returns:
        As whom and where.

    Raises:
        LoginRefused: The database does not let it in.
        RotationError: Any other reason; no message holds the password.
    """
    login = Login.parse(text, where=where)
    kind = _rotator_of(login, where)
    settings = Settings.from_environment({Variable.CA_FILE: ca_file}, kind.profile)
    rotator = kind(SecretStore(_nobody()), settings, Trust(settings.ca_file), _no_rds)
    rotator.connect(login, Deadline(SECONDS)).close()
    return login


def _rotator_of(login: Login, where: str) -> type[Rotator]:
    """Import the rotator that has declared the engine.

    Raises:
        WrongEngine: None has, or its driver is not installed.
    """
    found = {name: folder for names, folder in _declared() for name in names}
    folder = found.get(login.engine or "")
    if folder is None:
        known = ", ".join(sorted(found))
        msg = f"Field `engine` of {where} is {str(login.engine)[:40]!r}; there are {known}."
        raise WrongEngine(msg)
    try:
        module = importlib.import_module(f"rotators.{folder}.rotator")
    except ImportError as error:
        msg = f"The driver for {login.engine} is not installed here ({error.name})."
        raise WrongEngine(msg, hint="Install what the rotator's requirements.txt names.") from None
    return next(
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Rotator) and each is not Rotator
    )


def _declared() -> Iterator[tuple[frozenset[str], str]]:
    """Yield the names of each engine, and the folder of its rotator."""
    for folder in pkgutil.iter_modules(rotators.__path__):
        module = importlib.import_module(f"rotators.{folder.name}.engine")
        for engine in module.ENGINES:
            yield engine.names, folder.name


def _nobody() -> "SecretsManagerClient":
    """Stand in for Secrets Manager: whatever is asked of it fails."""
    return cast("SecretsManagerClient", object())


def _no_rds() -> "RDSClient":
    raise AssertionError
