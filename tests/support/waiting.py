"""Waiting without sleeping blindly: poll to a deadline."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from time import monotonic
from typing import TypeVar

T = TypeVar("T")


def eventually(
    probe: Callable[[], T], what: str, *, timeout_s: float = 60.0, every_s: float = 0.01
) -> T:
    """The first true value of ``probe``. Fails the test if none comes in time."""
    until, pause = monotonic() + timeout_s, Event()
    while True:
        value = probe()
        if value:
            return value
        assert monotonic() < until, f"waited {timeout_s} s in vain: {what}"
        pause.wait(every_s)
