"""The filters of ``ListSecrets``, which are moto's.

They follow what was observed of the service: which filters match a prefix, which split words and
how, which mind capitals. Their input is an object with moto's attribute names.
"""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Final

from moto.secretsmanager.list_secrets import filters as by_moto

from local.secretsmanager.operations import Secret

Filter = Callable[[Any, list[str]], bool]

_FILTERS: Final[Mapping[str, Filter]] = {
    "all": by_moto.filter_all,
    "name": by_moto.name_filter,
    "description": by_moto.description_filter,
    "tag-key": by_moto.tag_key,
    "tag-value": by_moto.tag_value,
    "owning-service": by_moto.owning_service_filter,
    # Only replicated secrets have a primary Region, and nothing is replicated here.
    "primary-region": lambda _secret, _values: False,
}


def matches(filters: list[Mapping[str, Any]], secret: Secret) -> bool:
    """Tell whether a secret matches all filters."""
    as_in_moto = SimpleNamespace(
        name=secret.name,
        description=secret.description,
        tags=[{"Key": key, "Value": value} for key, value in secret.tags.items()],
        owning_service=secret.owning_service,
    )
    return all(_FILTERS[each["Key"]](as_in_moto, each["Values"]) for each in filters)
