"""Asks a function to examine a secret: in its own network, with its own role."""

import json
from typing import Any

from botocore.exceptions import ClientError

from console.account import DENIED, NOT_FOUND, Account, asking, code_of
from console.functions import Function
from shared.examination.finding import Examination


class Unanswered(Exception):
    """The function did not examine the secret; the text says why."""


def examine(account: Account, function: Function, secret_arn: str) -> Examination:
    """Return what the function finds.

    Raises:
        Unanswered: It may not be invoked, or answers with something else.
        CouldNotLook: Lambda does not answer.
    """
    payload = json.dumps({"Examine": secret_arn}).encode()
    with asking():
        try:
            answer = account.functions.invoke(FunctionName=function.arn, Payload=payload)
        except ClientError as error:
            if code_of(error) not in DENIED | NOT_FOUND:
                raise
            raise Unanswered(f"lambda:InvokeFunction: {code_of(error)}") from None
    text = answer["Payload"].read()
    try:
        document: Any = json.loads(text)
        if "FunctionError" in answer:
            kind = str(document.get("errorType", "an error"))
            raise Unanswered(f"{function.name} answered with {kind}; is it of an older release?")
        return Examination.from_dict(document)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unanswered(f"{function.name} answered with something else") from None
