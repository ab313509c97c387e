"""What a batch may choose, as the JSON body and as the query have it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict


class Defaults(TypedDict, total=False):
    """For the jobs that do not say it themselves."""

    timeout_s: float | None
    max_attempts: int | None


class Options(TypedDict, total=False):
    """Each may be left out, or None, for the service's default."""

    name: str | None
    executor: str | None
    """pool, dedicated or sequential."""
    max_workers: int | None
    lock: str | None
    """What its jobs hold while they print: line, job or none."""
    priority: int | None
    labels: Mapping[str, str] | None
    ttl_s: int | None
    """The batch's life after its end."""
    defaults: Defaults | None


def as_json(options: Options) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def as_query(options: Options) -> list[tuple[str, str]]:
    """Raises ValueError for a label that a query can't say."""
    given = as_json(options)
    labels, defaults = given.pop("labels", {}), given.pop("defaults", {})
    given |= {name: value for name, value in defaults.items() if value is not None}
    return [(name, str(value)) for name, value in given.items()] + label_query(labels)


def label_query(labels: Mapping[str, str]) -> list[tuple[str, str]]:
    for name in labels:
        if "=" in name:
            raise ValueError(f"a label's name can't hold '=' here: {name!r}")
    return [("label", f"{name}={value}") for name, value in labels.items()]
