"""Batches as the Python client gives them, without a service."""

from __future__ import annotations

from typing import Any

from service.client import Batch

ID = "01920f00-0000-7000-8000-000000000000"


def a_batch(
    status: str = "running", outcome: str | None = None, *, total: int = 10, **changes: Any
) -> Batch:
    """``changes`` are fields, or counts of jobs; what is left of ``total`` is queued."""
    names = ("running", "succeeded", "failed", "cancelled")
    counts = {name: changes.pop(name, 0) for name in names}
    raw: dict[str, Any] = {
        "id": ID,
        "name": None,
        "labels": {},
        "status": status,
        "outcome": outcome,
        "executor": "pool",
        "max_workers": None,
        "lock": "line",
        "priority": 0,
        "counts": {"total": total, "queued": total - sum(counts.values()), **counts},
        "concurrency": {"average": None, "peak": 0, "cpu_parallelism": None},
        "elapsed_s": None,
        "created_at": "2026-01-31T12:00:00.000Z",
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "eta_s": None,
        "poll_after_s": 1,
        "retry_of": None,
        "links": {},
    }
    return Batch.of({**raw, **changes})
