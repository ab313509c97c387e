"""Waiting for a batch's end by long polls."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.client.errors import WaitTimeout
from service.client.paths import batch_path
from service.client.problem import shaped
from service.client.shapes import Batch
from service.client.transport import Ask, Transport

LONGEST_POLL_S = 30.0
PROGRESS_S = 1.0
"""How long a poll waits when someone wants to see the progress."""


def looked(transport: Transport, batch_id: str, wait_s: int = 0) -> Batch:
    """The batch as it is now, or at its end if that comes within ``wait_s``."""
    # not ?wait=: that is an error above the service's bound, a preference is cut to it
    headers = {"Prefer": f"wait={wait_s}"} if wait_s else {}
    ask = Ask("GET", batch_path(batch_id), headers=headers, more_time_s=wait_s)
    return shaped(Batch.of, transport.json(ask))


def waited(
    transport: Transport,
    batch_id: str,
    timeout_s: float | None,
    on_progress: Callable[[Batch], None] | None,
) -> Batch:
    """The batch once it has ended. Raises WaitTimeout."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    poll_s = PROGRESS_S if on_progress else LONGEST_POLL_S
    batch = looked(transport, batch_id)
    while True:
        if on_progress:
            on_progress(batch)
        if batch.ended:
            return batch
        left_s = poll_s if until is None else until - time.monotonic()
        if timeout_s is not None and left_s <= 0:
            raise WaitTimeout(batch, timeout_s)
        batch = _looked_later(transport, batch, min(poll_s, left_s))


def _looked_later(transport: Transport, batch: Batch, most_s: float) -> Batch:
    """The batch once it has ended, or after so long, or after the pause that the service wants
    when it answers at once because too many wait already."""
    began, asked_s = time.monotonic(), int(most_s)
    if asked_s:
        batch = looked(transport, batch.id, asked_s)
    spent_s = time.monotonic() - began
    if batch.ended or (asked_s and spent_s >= asked_s):
        return batch
    time.sleep(max(0.0, min(most_s - spent_s, batch.poll_after_s or PROGRESS_S)))
    return looked(transport, batch.id)
