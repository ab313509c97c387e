"""Parameters and headers: declared once, for the parser and for the document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """What a request may say in its query or headers. ``bound`` is the setting that is the
    most it may be; one that may be given several ``times`` is a list."""

    name: str
    description: str
    schema: Mapping[str, Any]
    example: Any
    bound: str | None = None
    times: int = 1

    @property
    def choices(self) -> list[str]:
        return list(self.schema["enum"])


@dataclass(frozen=True)
class Header:
    """What an answer says in a header. Only a ``required`` one is always there."""

    name: str
    description: str
    schema: Mapping[str, Any]
    example: Any
    required: bool = False
