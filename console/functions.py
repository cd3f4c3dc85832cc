"""The functions that rotate secrets: whose they are, what they rotate, where their log is."""

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from botocore.exceptions import ClientError

from console.account import DENIED, NOT_FOUND, Account, asking, code_of
from console.outcome import Misused
from shared.options import Variable

HANDLER = "rotators.{folder}.rotator.handler"
"""How template.yaml names the handlers of this framework's functions."""
AWS_HANDLER = "lambda_function.lambda_handler"
AWS_NAMES = "SecretsManager"
"""The names of AWS's own rotation functions begin so."""
AWS_DESCRIPTION = "Conducts an AWS SecretsManager secret rotation"


class Maker(StrEnum):
    """Whose function it is."""

    OURS = "ours"
    AWS = "AWS's"
    ANOTHER = "another's"
    MISSING = "missing"
    """There is no such function."""
    UNKNOWN = "unknown"
    """Lambda does not tell."""


@dataclass(frozen=True, slots=True)
class Function:
    """One function.

    Attributes:
        arn: Its ARN, without version or alias.
        maker: Whose it is.
        folder: Of ours, the folder of its rotator, such as ``postgres``; else empty.
        strategy: Of ours, for secrets without a tag; empty where it has none.
        log_group: Where it writes to; empty where Lambda does not tell.
        role: The ARN of its role; likewise.
        timeout_seconds: Its own time.
    """

    arn: str
    maker: Maker
    folder: str = ""
    strategy: str = ""
    log_group: str = ""
    role: str = ""
    timeout_seconds: int = 0

    @classmethod
    def of(cls, configuration: Mapping[str, Any]) -> Self:
        """Read what GetFunctionConfiguration or ListFunctions tells."""
        name, handler = configuration["FunctionName"], configuration.get("Handler", "")
        folder = handler.removeprefix("rotators.").partition(".")[0]
        ours = handler == HANDLER.format(folder=folder)
        described = configuration.get("Description", "").startswith(AWS_DESCRIPTION)
        aws = handler == AWS_HANDLER and (described or name.startswith(AWS_NAMES))
        variables = configuration.get("Environment", {}).get("Variables", {})
        return cls(
            arn=unqualified(configuration["FunctionArn"]),
            maker=Maker.OURS if ours else Maker.AWS if aws else Maker.ANOTHER,
            folder=folder if ours else "",
            strategy=variables.get(Variable.STRATEGY, "") if ours else "",
            log_group=configuration.get("LoggingConfig", {}).get("LogGroup")
            or f"/aws/lambda/{name}",
            role=configuration.get("Role", ""),
            timeout_seconds=configuration.get("Timeout", 0),
        )

    @property
    def name(self) -> str:
        """Its name."""
        return self.arn.rpartition(":")[2]


NONE = Function("", Maker.MISSING)
"""Where a secret never had a function."""


@dataclass
class Functions:
    """The functions of one account, each asked for once."""

    account: Account
    known: dict[str, Function] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, arn: str) -> Function:
        """Return the function of an ARN, which may name a version or an alias; never raises."""
        if not arn:
            return NONE
        arn = unqualified(arn)
        with self._lock:
            if arn not in self.known:
                self.known[arn] = self._ask(arn)
            return self.known[arn]

    def _ask(self, arn: str) -> Function:
        with asking():
            try:
                return Function.of(
                    self.account.functions.get_function_configuration(FunctionName=arn)
                )
            except ClientError as error:
                if code_of(error) in NOT_FOUND:
                    return Function(arn, Maker.MISSING)
                if code_of(error) in DENIED:
                    return Function(arn, Maker.UNKNOWN)
                raise

    def named(self, name: str) -> Function:
        """Return the function of a name or an ARN.

        Raises:
            Misused: There is none, or it is not one of this framework's.
        """
        function = self.of(name)
        if function.maker is Maker.MISSING:
            raise Misused(f"There is no function {name} in {self.account.region}.")
        if function.maker not in {Maker.OURS, Maker.UNKNOWN}:
            raise Misused(f"{name} is not a rotation function of this framework.")
        return function

    def ours(self) -> list[Function]:
        """Return all functions of this framework that the account has."""
        return [each for each in self._all() if each.maker is Maker.OURS]

    def _all(self) -> Iterator[Function]:
        with asking():
            for page in self.account.functions.get_paginator("list_functions").paginate():
                yield from map(Function.of, page["Functions"])


def unqualified(arn: str) -> str:
    """Return a function's ARN without version or alias; a name stays a name."""
    return ":".join(arn.split(":")[:7])


def is_qualified(arn: str) -> bool:
    """Say whether an ARN names a version or an alias, which the function itself is not told."""
    return unqualified(arn) != arn
