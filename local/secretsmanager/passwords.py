"""``GetRandomPassword``: which characters, how many, and in no predictable order."""

import string
from collections.abc import Mapping
from random import SystemRandom
from typing import Any, Final

from local.secretsmanager.errors import ServiceError

DEFAULT_LENGTH: Final = 32

# Each class of characters, and the request's parameter that leaves it out.
_CLASSES: Final = (
    ("ExcludeLowercase", string.ascii_lowercase),
    ("ExcludeUppercase", string.ascii_uppercase),
    ("ExcludeNumbers", string.digits),
    ("ExcludePunctuation", string.punctuation),
)


def random_password(request: Mapping[str, Any], randomness: SystemRandom | None = None) -> str:
    """Make a password as the request describes it.

    Args:
        request: The parameters of ``GetRandomPassword``, validated.
        randomness: Where the choices come from; the operating system's when omitted.

    Raises:
        ServiceError: ``InvalidParameterException`` where no character is left, where a class that
            must be in the password has no character left, or where the password is too short to
            have one of each.
    """
    choose = randomness or SystemRandom()
    excluded = set(request.get("ExcludeCharacters", ""))
    included = [letters for switch, letters in _CLASSES if not request.get(switch, False)]
    if request.get("IncludeSpace", False):
        included.append(" ")
    classes = ["".join(each for each in letters if each not in excluded) for letters in included]
    length = request.get("PasswordLength", DEFAULT_LENGTH)
    required: list[str] = []
    if request.get("RequireEachIncludedType", True):
        if not all(classes):
            raise ServiceError(
                "InvalidParameterException",
                "ExcludeCharacters leaves no character of a type that the password must have.",
            )
        if length < len(classes):
            raise ServiceError(
                "InvalidParameterException",
                "Password length is too short based on the required types.",
            )
        required = [choose.choice(letters) for letters in classes]
    alphabet = "".join(classes)
    if not alphabet:
        raise ServiceError(
            "InvalidParameterException", "The password must have at least one type of character."
        )
    characters = [*required, *(choose.choice(alphabet) for _ in range(length - len(required)))]
    # The required ones were drawn first; their places must not tell.
    choose.shuffle(characters)
    return "".join(characters)
