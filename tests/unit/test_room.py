"""Large bodies take turns."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from service.api.room import LIGHT_BYTES, Room
from service.errors import Busy


def test_a_large_body_waits_until_there_is_room_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.room.WAIT_S", 30)
    room, entered = Room(10 * LIGHT_BYTES), Event()

    def second() -> None:
        with room.entered() as take:
            take(5 * LIGHT_BYTES)
            entered.set()

    with room.entered() as take:
        take(6 * LIGHT_BYTES)
        waiting = Thread(target=second)
        waiting.start()
        assert not entered.wait(0.05)
    assert entered.wait(30)
    waiting.join()


def test_one_that_waits_in_vain_is_sent_away_and_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.api.room.WAIT_S", 0.01)
    room = Room(10 * LIGHT_BYTES)
    with room.entered() as take:
        take(6 * LIGHT_BYTES)
        with pytest.raises(Busy), room.entered() as other:
            other(5 * LIGHT_BYTES)
        with room.entered() as other:
            other(LIGHT_BYTES)  # light ones are not asked to wait
            other(4 * LIGHT_BYTES)
    with room.entered() as take:
        take(10 * LIGHT_BYTES)


def test_what_fails_gives_its_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.room.WAIT_S", 0.01)
    room = Room(10 * LIGHT_BYTES)

    def fail() -> None:
        with room.entered() as take:
            take(10 * LIGHT_BYTES)
            raise ZeroDivisionError

    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            fail()
