"""How a measured process is talked to: the same few lines on both sides of every comparison.

The process gets one JSON object a line: the secret, the version to make, and whether to make all
four steps or only createSecret. It answers with the seconds that this took inside, and the highest
resident size so far in bytes.
"""

import json
import os
import sys
import time
from collections.abc import Callable

Work = Callable[[str, str, bool], None]
"""Gets the secret's ARN, the version's id, and whether it is a whole rotation."""


def converse(work: Work) -> None:
    """Do what each line of the input asks for, until it ends.

    What the work prints goes to the null device, for both sides alike.
    """
    answers = os.fdopen(os.dup(1), "w")
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    for line in sys.stdin:
        command = json.loads(line)
        began = time.perf_counter()
        work(command["secret"], command["token"], command["whole"])
        seconds = time.perf_counter() - began
        answers.write(json.dumps({"seconds": seconds, "memory": highest_resident_bytes()}) + "\n")
        answers.flush()


def highest_resident_bytes() -> int:
    """Return the process's high-water mark.

    Read from /proc where there is one: `getrusage` counts what the process was before exec, too.
    """
    try:
        with open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123 - no import
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    import resource  # noqa: PLC0415 - only where there is no /proc

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
