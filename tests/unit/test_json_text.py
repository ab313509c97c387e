"""JSON as it is written for what job types return."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest

from service.json_text import strict


@pytest.mark.parametrize(
    "value",
    [None, [None], "null", {"a": 1, "b": [1.5, "ü\u2028🎈", True]}, 2**70, -0.0, [], "", [[]] * 3],
)
def test_what_is_json_comes_back(value: Any) -> None:
    assert json.loads(strict(value)) == value


def test_tuples_and_numbers_as_names_are_taken_as_json_takes_them() -> None:
    assert strict({1: (2, 3)}) == '{"1":[2,3]}'


@pytest.mark.parametrize("value", [math.nan, [math.inf], {"a": {"b": -math.inf}}])
def test_what_is_no_number_is_refused_and_not_made_null(value: Any) -> None:
    with pytest.raises(ValueError, match="JSON"):
        strict(value)


@pytest.mark.parametrize("value", [{1, 2}, object(), b"x", datetime(2026, 1, 1, tzinfo=UTC)])
def test_what_json_has_no_words_for_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        strict(value)


def test_what_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises((ValueError, RecursionError)):
        strict(value)
