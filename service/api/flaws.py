"""What is wrong with a request: all of it counted, the first of it kept."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from service.errors import Flaw, Invalid

MAX_FLAWS = 100
"""Flaws listed in one answer; how many more there are is said beside them."""

M = TypeVar("M", bound=BaseModel)


class Flaws:
    """Flaws as they are found. Bounded, however many a client sends."""

    def __init__(self) -> None:
        self._listed: list[Flaw] = []
        self.count = 0

    @property
    def left_out(self) -> int:
        return self.count - len(self._listed)

    def add(self, pointer: str, detail: str) -> None:
        self.count += 1
        if len(self._listed) < MAX_FLAWS:
            self._listed.append(Flaw(pointer, detail))

    def extend(self, pointer: str, flaws: Iterable[Flaw]) -> None:
        """Add flaws whose pointers are relative to ``pointer``."""
        for flaw in flaws:
            self.add(pointer + flaw.pointer, flaw.detail)

    def checked(self, model: type[M], raw: Any, *place: int | str) -> M | None:
        """``raw`` as the model; None, and its flaws added, if it is not one. ``place`` is where
        it stands in the request."""
        try:
            # what model_validate calls, which alone costs as much as a small model's validation
            valid: M = model.__pydantic_validator__.validate_python(raw)
        except ValidationError as invalid:
            self._add_invalid(invalid, raw, pointer_of(place))
            return None
        return valid

    def conclude(self, where: str) -> None:
        """Raise Invalid if anything was wrong."""
        if self.count:
            detail = f"{self.count} problems in {where}"
            raise Invalid(self._listed, detail, left_out=self.left_out)

    def _add_invalid(self, invalid: ValidationError, raw: Any, pointer: str) -> None:
        if len(self._listed) == MAX_FLAWS:
            self.count += invalid.error_count()  # telling what they are costs ten times as much
        else:
            self.extend(pointer, flaws_of(invalid, raw))


def flaws_of(invalid: ValidationError, raw: Any) -> list[Flaw]:
    """What is wrong with ``raw``, each flaw where it stands in it."""
    return [
        Flaw(pointer_of(_place_in(raw, error["loc"], error["type"])), error["msg"])
        for error in invalid.errors(include_url=False, include_context=False, include_input=False)
    ]


def _place_in(raw: Any, location: tuple[int | str, ...], kind: str) -> tuple[int | str, ...]:
    """pydantic's location without what is not in the input: the branches of a union."""
    place: list[int | str] = []
    for part in location:
        if isinstance(raw, dict):
            within = part in raw
        else:
            within = isinstance(raw, list) and isinstance(part, int)
        if within:
            raw = raw[part]
        if within or (kind == "missing" and part == location[-1]):
            place.append(part)
    return tuple(place)


def pointer_of(location: tuple[int | str, ...]) -> str:
    """A JSON Pointer (RFC 6901)."""
    parts = (str(part).replace("~", "~0").replace("/", "~1") for part in location)
    return "".join(f"/{part}" for part in parts)
