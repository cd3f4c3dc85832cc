"""Keeps what the caller has set for AWS and for databases out of a program of ours."""

import os
from collections.abc import Mapping

FOREIGN_PREFIXES = ("AWS_", "ROTATION_TEST_", "PG")
"""Variables of the SDK, of servers to test against, and of libpq."""

LOOPBACK = "127.0.0.1,localhost"


def forget_caller(environment: Mapping[str, str]) -> None:
    """Let nothing lead to the caller's own account or servers, in this process and its children.

    Args:
        environment: What leads an SDK to the local endpoint instead.
    """
    for name in list(os.environ):
        if name.startswith(FOREIGN_PREFIXES):
            del os.environ[name]
    for name in ("no_proxy", "NO_PROXY"):
        os.environ[name] = ",".join(filter(None, (os.environ.get(name), LOOPBACK)))
    os.environ |= {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **environment,
    }
