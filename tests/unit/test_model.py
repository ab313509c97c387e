from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import (
    ALLOWED_MOVES,
    ENDED,
    ID_DIGITS,
    MAX_INDEX_BITS,
    JobState,
    batch_of,
    index_of,
    job_key,
    new_batch_id,
)


@given(st.integers(1, 2**38), st.integers(0, 2**MAX_INDEX_BITS - 1))
def test_a_job_key_holds_batch_and_index_and_sorts_by_both(batch: int, index: int) -> None:
    key = job_key(batch, index)
    assert (batch_of(key), index_of(key)) == (batch, index)
    assert key < 2**63
    assert job_key(batch, index) < job_key(batch + 1, 0)


def test_batch_ids_are_20_letters_and_digits_that_never_repeat() -> None:
    ids = [new_batch_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert all(len(one) == 20 and one.isascii() and one.isalnum() for one in ids)


@pytest.mark.parametrize(("stamp_ms", "random"), [(0, 0), (1_795_000_000_123, 2**73 + 5)])
def test_a_batch_id_holds_the_time_and_74_random_bits(
    monkeypatch: pytest.MonkeyPatch, stamp_ms: int, random: int
) -> None:
    monkeypatch.setattr("service.model.time.time_ns", lambda: stamp_ms * 1_000_000)
    monkeypatch.setattr("service.model.os.urandom", lambda n: (random << 6).to_bytes(n))
    number = 0
    for digit in new_batch_id():
        number = number * 62 + ID_DIGITS.index(digit)
    assert (number >> 74, number & (2**74 - 1)) == (stamp_ms, random)


def test_batch_ids_are_ordered_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1_700_000_000_000_000_000, 1_700_000_000_900_000_000, 1_000_000))
    monkeypatch.setattr("service.model.time.time_ns", lambda: next(now))
    ids = [new_batch_id() for _ in range(500)]
    assert ids == sorted(ids)


def test_an_ended_job_moves_no_more() -> None:
    assert set(ALLOWED_MOVES) == set(JobState)
    assert all(ALLOWED_MOVES[state] == frozenset() for state in ENDED)
