"""What strangers wrote, on a terminal; numbers in words."""

from __future__ import annotations

import pytest

from service.cli.terminal import in_a_line, printable, shortened
from service.cli.wording import age, duration, ending
from tests.support.client_batches import a_batch


def test_control_characters_are_shown_and_not_obeyed() -> None:
    hostile = "\x1b[2J\x9b31m\x07\r\x00 \u202eevil\u2066 é\n\tend"
    assert printable(hostile) == ("\\x1b[2J\\x9b31m\\x07\\x0d\\x00 \\u202eevil\\u2066 é\n\tend")
    assert in_a_line("a\nb\tc\x1b") == "a\\nb\\tc\\x1b"
    assert in_a_line(None) == ""


def test_what_is_too_long_says_that_it_was_cut() -> None:
    assert shortened("abcdef", 6) == "abcdef"
    assert shortened("abcdefg", 6) == "abcde…"
    assert shortened("漢字漢字", 6) == "漢字 …"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0.254, "0.25 s"),
        (9.996, "10.0 s"),
        (119.9, "119.9 s"),
        (119.97, "2 min 0 s"),
        (4, "4 s"),
        (7199.9, "2 h 0 min"),
        (90061.0, "25 h 1 min"),
    ],
)
def test_durations_in_words(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_ages_have_one_unit() -> None:
    assert [age(s) for s in (-3, 59.9, 60, 3599, 7200, 200_000)] == [
        "0 s", "59 s", "1 min", "59 min", "2 h", "2 d",
    ]  # fmt: skip


def test_the_end_tells_how_it_went() -> None:
    concurrency = {"average": 1.5, "peak": 2, "cpu_parallelism": 0.1}
    batch = a_batch(
        "completed", "partial", succeeded=8, failed=2, elapsed_s=12.25, concurrency=concurrency
    )
    told = "partial: 8 succeeded, 2 failed in 12.2 s; 1.5 at once on average, 2 at most"
    assert ending(batch) == told
