"""What the services of an account tell whoever asks, each thing asked for once.

Many secrets share a key, a function and a database: an answer is kept, and so is a refusal.
"""

import json
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from console.account import Account, asking, code_of
from console.outcome import Stop

Answer = Mapping[str, Any]


class Unseen(Exception):
    """What was asked for may not be seen, or did not answer; the text says why."""


@dataclass
class _Slot:
    """One question and, once it is asked, its answer."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Answer | Unseen | None = None


class View:
    """An account, as far as its services tell.

    Args:
        account: Whom to ask.
    """

    def __init__(self, account: Account) -> None:
        self.account = account
        self._lock = threading.Lock()
        self._slots: dict[tuple[str, str, str], _Slot] = {}

    @property
    def partition(self) -> str:
        """What ARNs begin with here, after ``arn:``."""
        return str(self.account.secrets.meta.partition)

    @property
    def suffix(self) -> str:
        """What the names of services' endpoints end with here."""
        return "amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com"

    def ask(
        self,
        service: str,
        operation: str,
        *,
        missing: Collection[str] = (),
        pages: str = "",
        **parameters: object,
    ) -> Answer:
        """Return a service's answer.

        Args:
            service: As boto3 names it.
            operation: Likewise, such as ``describe_key``.
            missing: Codes of errors that only say that there is none: the answer is empty then.
            pages: The list that goes on over several pages; all of them are read.
            **parameters: Of the operation.

        Raises:
            Unseen: The service refuses, cannot be reached, or answers with another error.
        """
        question = (service, operation, json.dumps(parameters, sort_keys=True))
        with self._lock:
            slot = self._slots.setdefault(question, _Slot())
        with slot.lock:
            if slot.answer is None:
                slot.answer = self._fetch(service, operation, missing, pages, parameters)
            answer = slot.answer
        if isinstance(answer, Unseen):
            raise Unseen(str(answer))
        return answer

    def _fetch(
        self,
        service: str,
        operation: str,
        missing: Collection[str],
        pages: str,
        parameters: Mapping[str, object],
    ) -> Answer | Unseen:
        try:
            with asking():
                try:
                    return self.request(service, operation, pages, parameters)
                except ClientError as error:
                    if code_of(error) in missing:
                        return {}
                    raise
        except Stop as stop:
            # One answer that does not come must not end the look at everything else.
            return Unseen(stop.message)

    def request(
        self, service: str, operation: str, pages: str, parameters: Mapping[str, object]
    ) -> Answer:
        """Make the request.

        Raises:
            ClientError, BotoCoreError: As boto3 does.
        """
        client = self.account.client(service)
        if not pages:
            answer: Answer = getattr(client, operation)(**parameters)
            return answer
        found = client.get_paginator(operation).paginate(**parameters).build_full_result()
        return {pages: found.get(pages, [])}
