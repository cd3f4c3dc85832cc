"""How a measured process is talked to: the same few lines on both sides of every comparison.

The process gets one JSON object a line, an :class:`Order`, and answers with the seconds that each
step took inside, and with what the side has to say besides.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypedDict


class Order(TypedDict):
    """What a process is to do.

    Attributes:
        secret: The secret's ARN.
        token: The id of the version to make.
        steps: The steps of the rotation, by name.
        messages: For the floor: what to send, for each step.
        new_password: For the floor: what is brought into force.
        records: For the function: whether to tell what it has sent.
    """

    secret: str
    token: str
    steps: list[str]
    messages: list[list[Any]]
    new_password: str
    records: bool


Work = Callable[[Order, int], None]
"""Gets the order and the number of the step, and carries the step out."""


def converse(work: Work, told: Callable[[], Any] = list) -> None:
    """Do what each line of the input asks for, until it ends.

    What the work prints goes to the null device, for both sides alike.

    Args:
        work: Carries out one step.
        told: Returns what is to be answered besides.
    """
    answers = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    for line in sys.stdin:
        order: Order = json.loads(line)
        seconds = []
        for number in range(len(order["steps"])):
            began = time.perf_counter()
            work(order, number)
            seconds.append(time.perf_counter() - began)
            # The first answer of a cold start is told at once: the bench looks at its clock.
            answers.write(json.dumps({"seconds": seconds, "told": told()}) + "\n")
            answers.flush()
