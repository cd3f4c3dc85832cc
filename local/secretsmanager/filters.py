"""The filters of ``ListSecrets``, which are moto's.

They follow what was observed of the service: which filters match a prefix, which split words and
how, which mind capitals. Their input is an object with moto's attribute names.
"""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from moto.secretsmanager.list_secrets import filters as by_moto


def matches(
    filters: list[Mapping[str, Any]],
    *,
    name: str,
    description: str | None,
    tags: Mapping[str, str],
    owning_service: str | None,
) -> bool:
    """Tell whether a secret matches all filters."""
    secret = SimpleNamespace(
        name=name,
        description=description,
        tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        owning_service=owning_service,
    )
    tests = {
        "all": by_moto.filter_all,
        "name": by_moto.name_filter,
        "description": by_moto.description_filter,
        "tag-key": by_moto.tag_key,
        "tag-value": by_moto.tag_value,
        "owning-service": by_moto.owning_service_filter,
        # Only replicated secrets have a primary Region, and nothing is replicated here.
        "primary-region": lambda _secret, _values: False,
    }
    return all(tests[each["Key"]](secret, each["Values"]) for each in filters)
