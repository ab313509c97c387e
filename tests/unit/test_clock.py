from __future__ import annotations

import time

import pytest

from service.clock import Clock

HOUR_MS = 3_600_000


@pytest.mark.parametrize("step_ms", [HOUR_MS, -HOUR_MS])
def test_a_clock_goes_on_when_the_systems_is_stepped(
    monkeypatch: pytest.MonkeyPatch, step_ms: int
) -> None:
    clock = Clock()
    before_ms, before_s = clock.now_ms(), clock.steady_s()
    system_ns = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: system_ns() + step_ms * 1_000_000)
    assert abs(Clock().now_ms() - before_ms - step_ms) < 60_000, "it was not stepped"
    assert 0 <= clock.now_ms() - before_ms < 60_000
    assert 0 <= clock.steady_s() - before_s < 60
