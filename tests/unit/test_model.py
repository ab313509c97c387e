from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model import (
    ALLOWED_MOVES,
    ENDED,
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


def test_batch_ids_are_uuids_of_version_7_that_never_repeat() -> None:
    ids = [new_batch_id() for _ in range(1_000)]
    assert len(set(ids)) == 1_000
    assert {(UUID(one).version, UUID(one).variant) for one in ids} == {(7, "specified in RFC 4122")}


def test_batch_ids_are_ordered_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(1_700_000_000_000_000_000, 1_700_000_000_900_000_000, 1_000_000))
    monkeypatch.setattr("service.model.time.time_ns", lambda: next(now))
    ids = [new_batch_id() for _ in range(500)]
    assert ids == sorted(ids)


def test_an_ended_job_moves_no_more() -> None:
    assert set(ALLOWED_MOVES) == set(JobState)
    assert all(ALLOWED_MOVES[state] == frozenset() for state in ENDED)
