"""A status is polled: it stays within 1 KiB for every batch that can be."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from service.api.present import batch_path, batch_view, created_view, dumps
from service.api.submission import MAX_SHOWN, MAX_WORKERS, OptionsIn
from service.model import new_batch_id
from service.settings import Settings
from service.store.submits import Accepted

NOW_MS = 4_102_444_800_000
MOST_JOBS = 10_000_000
LINKS = ("self", "jobs", "results", "console", "events", "timeline", "cancel")


def most_allowed(name: str) -> Any:
    return next(one.le for one in Settings.model_fields[name].metadata if hasattr(one, "le"))


def longest_batch(**changes: Any) -> SimpleNamespace:
    labels = {"team": "a"}
    name = "x" * (MAX_SHOWN - len(dumps(["", labels])))
    longest = {
        "id": new_batch_id(), "name": name, "labels": json.dumps(labels),
        "executor": "sequential", "max_workers": MAX_WORKERS, "lock": "line", "priority": -100,
        "status": "running", "outcome": None, "retry_of": new_batch_id(),
        "total": MOST_JOBS, "queued": 1_000_000, "running": 1_000_000, "succeeded": 6_000_000,
        "failed": 1_000_000, "cancelled": 1_000_000,
        "created_ms": NOW_MS - 10**11, "started_ms": NOW_MS - 10**11 + 1, "finished_ms": None,
        "expires_ms": None, "peak": 2**62, "run_ms": 2**62, "live": 1, "live_claimed_ms": -(2**62),
        "cpu_us": 2**62,
    }  # fmt: skip
    return SimpleNamespace(**{**longest, **changes})


ENDED = {
    "queued": 0, "running": 0, "succeeded": 8_000_000, "live": 0, "live_claimed_ms": 0,
    "finished_ms": NOW_MS, "expires_ms": NOW_MS + 10**10,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"status": "cancelling"},
        {"succeeded": 1, "queued": 6_999_999},
        {"started_ms": 0},
        {"status": "completed", "outcome": "succeeded", **ENDED},
        {"status": "cancelled", "outcome": "cancelled", **ENDED},
        {"status": "cancelled", "outcome": "cancelled", **ENDED, "started_ms": NOW_MS - 1},
    ],
)
def test_a_status_is_within_a_kibibyte_whatever_its_batch_holds(changes: dict[str, Any]) -> None:
    assert most_allowed("max_batch_jobs") == MOST_JOBS
    row: Any = longest_batch(**changes)
    view = batch_view(row, NOW_MS)
    base = batch_path(row.id)
    view["links"] = {name: f"{base}/{name}" for name in LINKS} | view["links"]
    assert len((dumps(view) + "\n").encode()) <= 1024, dumps(view)


def test_an_answer_to_a_submit_is_within_it_too() -> None:
    longest = vars(longest_batch())
    accepted = Accepted(**{n: longest.get(n, 0) for n in Accepted._fields})
    view = created_view(accepted)
    view["links"] = {name: f"{batch_path(accepted.id)}/{name}" for name in LINKS}
    assert len((dumps(view) + "\n").encode()) <= 1024


def test_the_longest_name_is_one_that_is_taken() -> None:
    longest = longest_batch()
    OptionsIn(name=longest.name, labels=json.loads(longest.labels))
    with pytest.raises(ValueError, match="bytes of JSON"):
        OptionsIn(name=longest.name + "x", labels=json.loads(longest.labels))
