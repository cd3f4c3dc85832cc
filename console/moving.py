"""Moves a secret over from another function's rotation, and back.

The same keys, and the same second user: one of AWS's own functions that lets two users take turns
has made ``<name>_clone``. That user is adopted by tags on the secret, which its administrator acts
on (docs/settings.md). The way back is a tag, too: no file of the command's own remembers it.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from console.account import Account, asking
from console.attempts import rotate_later, wait_for_test
from console.changes import CAME_FROM, Planned, own_rules
from console.fleet import Secret
from console.functions import unqualified
from console.here import username_of
from shared.options import Tag
from shared.plan import SECOND_USER_SUFFIX

TAGS = (CAME_FROM, Tag.ADOPT, Tag.FIRST_USER)
"""What moving over may put on a secret."""

OWNED: Mapping[str, Sequence[str]] = {
    "postgres": (
        'REASSIGN OWNED BY "<second user>" TO "<first user>";  -- in each database',
        "SELECT * FROM information_schema.role_table_grants WHERE grantee = '<second user>';",
    ),
    "mysql": ("SHOW GRANTS FOR '<second user>'@'%';",),
}
"""By the rotator's folder: what a DBA types about what the second user owns or was granted."""


def pair_of(username: str) -> tuple[str, str]:
    """Return the pair that one of AWS's own functions has made, by the user in use."""
    first = username.removesuffix(SECOND_USER_SUFFIX)
    return first, first + SECOND_USER_SUFFIX


def remember(account: Account, planned: Planned) -> None:
    """Write on the secret which function rotates it now, and whom its administrator may adopt.

    Raises:
        Unanswered: The secret's value does not tell the user.
    """
    secret = planned.secret
    tags = {CAME_FROM: unqualified(secret.function)}
    if planned.adopts:
        username = username_of(account, secret.arn)
        first, second = pair_of(username)
        tags |= {Tag.ADOPT.value: second}
        # Where the second user is in use, nothing else would tell that there is a first one.
        tags |= {Tag.FIRST_USER.value: first} if username == second else {}
    with asking():
        account.secrets.tag_resource(
            SecretId=secret.arn, Tags=[{"Key": key, "Value": tags[key]} for key in tags]
        )


def forget(account: Account, secret: Secret) -> None:
    """Take what :func:`remember` has written off again, and nothing that was there before it."""
    gone = [each for each in TAGS if CAME_FROM in secret.tags or each not in secret.tags]
    with asking():
        account.secrets.untag_resource(SecretId=secret.arn, TagKeys=gone)


def give_back(
    account: Account,
    secret: Secret,
    function: str,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Attach a secret to the function that rotated it before, with the schedule that it has.

    Raises:
        Stop: Refused.
    """
    token = rotate_later(account, secret, function, own_rules(secret.rules))
    forget(account, secret)
    wait_for_test(account, secret.arn, token, sleep)
