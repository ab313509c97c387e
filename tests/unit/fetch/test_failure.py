"""Statuses and Retry-After in the words of the service."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from service.fetch import failure
from service.fetch.response import Head


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("120", 120), (" 7 ", 7), ("21600", 21600), ("21601", 21600), ("9" * 5000, 21600),
        (None, None), ("", None), ("-1", None), ("1.5", None), ("soon", None), ("٣", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Fri, 31 Dec 9999 23:59:59 GMT", 21600),
        ("Fri, 99 Foo 9999 99:99:99 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_from_now_within_6_hours(
    value: str | None, seconds: float | None
) -> None:
    assert failure.retry_after_s(value) == seconds


def test_retry_after_may_be_a_date() -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    seconds = failure.retry_after_s(in_an_hour)
    assert seconds is not None
    assert 3500 < seconds <= 3600


@pytest.mark.parametrize(
    ("status", "retryable"),
    [(300, False), (400, False), (404, False), (408, True), (429, True), (500, True), (503, True)],
)
def test_only_statuses_that_may_pass_are_retryable(status: int, retryable: bool) -> None:
    failed = failure.of_status(Head(status, [("retry-after", "9")]))
    assert failed.error_code == "http_status"
    assert failed.extra == {"status_code": status}
    assert failed.retryable is retryable
    assert failed.retry_after_s == (9 if retryable else None)


def test_an_unknown_error_of_libcurl_is_a_bad_response() -> None:
    assert failure.of_curl_error(4711).error_code == "bad_response"
