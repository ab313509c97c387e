"""Where things are."""

from __future__ import annotations

from urllib.parse import quote

BATCHES = "/v1/batches"


def batch_path(batch_id: str) -> str:
    return f"{BATCHES}/{_segment(batch_id)}"


def job_path(job_id: str) -> str:
    return f"/v1/jobs/{_segment(job_id)}"


def _segment(identifier: str) -> str:
    """One part of a path, whatever the id holds. Raises ValueError for an empty one."""
    if not identifier:
        raise ValueError("the id is empty")
    return quote(identifier, safe="")
