"""The bounds of the client can't be set to what does not work."""

from __future__ import annotations

from typing import Any

import pytest

from service.fetch.policy import FetchPolicy, user_agent


def test_the_defaults_are_those_that_are_documented() -> None:
    policy = FetchPolicy()
    assert (policy.total_s, policy.connect_s, policy.dns_s) == (20, 3, 5)
    assert policy.max_body_bytes == 2 * policy.max_wire_bytes == 2 * 1024 * 1024
    assert policy.max_header_bytes == 64 * 1024
    assert policy.max_redirects == 5
    assert policy.allow_https_downgrade is False


@pytest.mark.parametrize(
    "bounds",
    [
        {"total_s": 0},
        {"connect_s": -1},
        {"dns_s": float("nan")},
        {"total_s": float("inf")},
        {"max_body_bytes": 0},
        {"max_wire_bytes": -1},
        {"max_header_bytes": 0},
        {"max_redirects": -1},
        {"user_agent": ""},
        {"user_agent": "a\r\nb"},
        {"user_agent": "jobspööl"},
    ],
)
def test_a_bound_that_cannot_work_is_named(bounds: dict[str, Any]) -> None:
    [name] = bounds
    with pytest.raises(ValueError, match=name):
        FetchPolicy(**bounds)


def test_the_user_agent_names_the_operator_if_there_is_one() -> None:
    assert user_agent("1.2") == "jobspool/1.2"
    assert user_agent("1.2", "ops@example.com") == "jobspool/1.2 (+ops@example.com)"
