"""Rows of the store as clients see them."""

from __future__ import annotations

import errno
import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from math import ceil
from typing import Any, AnyStr

from flask import Response
from sqlalchemy import Row

from service.errors import Allowance, JobspoolError
from service.json_text import compact, one_line
from service.model import BATCH_ENDED, ENDED, BatchStatus, JobState, error_json, index_of
from service.store import queries
from service.store.quotas import MINUTE_MS
from service.store.submitting import Accepted

ETA_AFTER = 5
"""Jobs that must have ended before their rate says anything about the rest."""

UNREADABLE = error_json("unreadable", "the stored result can't be read", retryable=False)

MOST_S = 99_999_999
MOST_AT_ONCE = 999_999
MOST_CPUS = 9_999.99
"""No number takes a status over its 1 KiB, not even after a clock was set wrong."""

log = logging.getLogger(__name__)

# json.dumps makes an encoder at each call with options; this one keeps no state between calls
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode

COUNTS = ("total", "queued", "running", "succeeded", "failed", "cancelled")


def dumps(value: Any) -> str:
    return one_line(_encode(value))


def presented(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    response = Response(dumps(value) + "\n", status, content_type="application/json")
    response.headers.update(dict(headers or {}))
    return response


def streamed(pieces: Iterable[AnyStr], kind: str) -> Response:
    """An answer whose end nobody knows when it begins. It begins once the first piece is there:
    what is raised until then is an answer of its own."""
    headers, rest = {"Cache-Control": "no-store"}, iter(pieces)
    whole = chain(list(islice(rest, 1)), rest)
    return Response(_or_cut(whole), content_type=f"{kind}; charset=utf-8", headers=headers)


def _or_cut(pieces: Iterable[AnyStr]) -> Iterator[AnyStr]:
    """If they can't be gone on with, the connection is cut: a last chunk would say that this was
    all. To the server it is then as if the client had left."""
    try:
        yield from pieces
    except JobspoolError as error:
        log.info("an answer is cut off: %s", error.detail)
        raise BrokenPipeError(errno.EPIPE, error.detail) from None


def timestamp(moment_ms: int | None) -> str | None:
    """RFC 3339, UTC, milliseconds."""
    if moment_ms is None:
        return None
    text = datetime.fromtimestamp(moment_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def rate_headers(allowance: Allowance | None) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers-10; none for a caller without a limit."""
    if allowance is None:
        return {}
    return {
        "RateLimit-Policy": f'"batches";q={allowance.quota};w={MINUTE_MS // 1000}',
        "RateLimit": f'"batches";r={allowance.remaining};t={allowance.reset_s}',
    }


# --- batches --------------------------------------------------------------------------------


def batch_view(batch: Row[Any], now_ms: int) -> dict[str, Any]:
    """The status document: bounded in size, whatever the batch holds."""
    ended = batch.status in BATCH_ENDED
    elapsed_ms = _elapsed_ms(batch, now_ms)
    eta_s = _eta_s(batch, elapsed_ms)
    return {
        **_chosen(batch),
        "status": batch.status,
        "outcome": batch.outcome,
        "counts": {name: getattr(batch, name) for name in COUNTS},
        "concurrency": _concurrency(batch, elapsed_ms, now_ms),
        "elapsed_s": None if elapsed_ms is None else min(MOST_S, round(elapsed_ms / 1000, 3)),
        "created_at": timestamp(batch.created_ms),
        "started_at": timestamp(batch.started_ms),
        "finished_at": timestamp(batch.finished_ms) if ended else None,
        "expires_at": timestamp(batch.expires_ms),
        "eta_s": eta_s,
        "poll_after_s": None if ended else poll_after_s(eta_s),
        "retry_of": batch.retry_of,
        "links": _links(batch, ended=ended),
    }


def created_view(batch: Accepted) -> dict[str, Any]:
    """The batch as it was when it was accepted: the same answer however often it is asked for."""
    return {
        **_chosen(batch),
        "status": BatchStatus.QUEUED,
        "outcome": None,
        "counts": {**dict.fromkeys(COUNTS, 0), "total": batch.total, "queued": batch.total},
        "concurrency": {"average": None, "peak": 0, "cpu_parallelism": None},
        "elapsed_s": None,
        "created_at": timestamp(batch.created_ms),
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "eta_s": None,
        "poll_after_s": poll_after_s(None),
        "retry_of": batch.retry_of,
        "links": _links(batch, ended=False),
    }


def _chosen(batch: Row[Any] | Accepted) -> dict[str, Any]:
    return {
        "id": batch.id,
        "name": batch.name,
        "labels": queries.labels_of(batch),
        "executor": batch.executor,
        "max_workers": batch.max_workers,
        "lock": batch.lock,
        "priority": batch.priority,
    }


def _links(batch: Row[Any] | Accepted, *, ended: bool) -> dict[str, str | None]:
    base = batch_path(batch.id)
    parts = ("jobs", "results", "console", "events", "timeline")
    return {
        "self": base,
        **{part: f"{base}/{part}" for part in parts},
        "cancel": None if ended else f"{base}/cancel",
    }


def batch_path(batch_id: str) -> str:
    return f"/v1/batches/{batch_id}"


def _elapsed_ms(batch: Row[Any], now_ms: int) -> int | None:
    if batch.started_ms is None:
        return None
    end = int(batch.finished_ms or now_ms) if batch.status in BATCH_ENDED else now_ms
    return max(0, end - int(batch.started_ms))


def concurrency_view(batch: Row[Any], now_ms: int) -> dict[str, Any]:
    elapsed_ms = _elapsed_ms(batch, now_ms)
    return {
        "concurrency": _concurrency(batch, elapsed_ms, now_ms),
        "elapsed_s": None if elapsed_ms is None else round(elapsed_ms / 1000, 3),
    }


def _concurrency(batch: Row[Any], elapsed_ms: int | None, now_ms: int) -> dict[str, Any]:
    """Sums of run and CPU time over elapsed time; ``peak`` is of jobs that were on a thread.

    One process knows its peak. Of several the peak is the highest of them, or what was seen of
    jobs that ran for half a second or longer in all of them together.
    """
    if not elapsed_ms:
        return {"average": None, "peak": batch.peak, "cpu_parallelism": None}
    live_ms = batch.live * now_ms - batch.live_claimed_ms
    average = (batch.run_ms + max(0, live_ms)) / elapsed_ms
    return {
        "average": min(MOST_AT_ONCE, round(average, 2)),
        "peak": min(MOST_AT_ONCE, max(batch.peak, 1 if batch.running else 0)),
        "cpu_parallelism": min(MOST_CPUS, round(batch.cpu_us / 1000 / elapsed_ms, 2)),
    }


def _eta_s(batch: Row[Any], elapsed_ms: int | None) -> int | None:
    ended: int = batch.succeeded + batch.failed + batch.cancelled
    if batch.status in BATCH_ENDED or ended < ETA_AFTER or not elapsed_ms:
        return None
    return min(MOST_S, ceil((int(batch.total) - ended) * elapsed_ms / ended / 1000))


def poll_after_s(eta_s: int | None) -> int:
    """A tenth of the rest: between one second and half a minute."""
    return min(30, max(1, (eta_s or 0) // 10))


# --- jobs -----------------------------------------------------------------------------------


def job_id(batch: Row[Any], job: Row[Any]) -> str:
    return f"{batch.id}.{index_of(job.key)}"


def job_status(job: Row[Any]) -> str:
    if job.state == JobState.WAITING:
        return "queued"
    if job.state == JobState.RUNNING and job.cancelling:
        return "cancelling"
    return str(job.state)


def job_view(batch: Row[Any], job: Row[Any], earlier: Sequence[Row[Any]]) -> dict[str, Any]:
    return {
        "id": job_id(batch, job),
        "batch_id": batch.id,
        "index": index_of(job.key),
        "custom_id": job.custom_id,
        "type": job.type,
        "params": _loaded(job.params),
        "status": job_status(job),
        "wait_reason": _wait_reason(batch, job),
        "attempts": [*map(_earlier_attempt, earlier), *_last_attempt(job)],
        **_end(job),
    }


def result_view(batch: Row[Any], job: Row[Any]) -> dict[str, Any]:
    """A line of the results: every job has one, ended or not."""
    return {**_result_head(batch, job), **_end(job)}


def result_lines(jobs: Iterable[Row[Any]]) -> str:
    """Lines that the store rendered, each on one line for whoever splits them."""
    return one_line("".join([job.line + "\n" for job in jobs]))


def end_line(batch: Row[Any]) -> str:
    """The last line of results that were followed: the one that has no ``job_id``."""
    counts = {name: getattr(batch, name) for name in COUNTS}
    return dumps({"type": "end", "status": batch.status, "outcome": batch.outcome, **counts})


def ended_job(batch: Row[Any], job: Row[Any]) -> str:
    """A job's line of the results, with a link to the result in its place."""
    head = _head_text(batch, job)
    links = dumps({"result": f"/v1/jobs/{job_id(batch, job)}/result"})
    return f'{head},"error":{job.error or "null"},"links":{links}}}'


def _result_head(batch: Row[Any], job: Row[Any]) -> dict[str, Any]:
    return {
        "seq": queries.result_seq(job),
        "index": index_of(job.key),
        "custom_id": job.custom_id,
        "job_id": job_id(batch, job),
        "type": job.type,
        "status": job_status(job),
    }


def _head_text(batch: Row[Any], job: Row[Any]) -> str:
    """As JSON, but for the bracket at its end."""
    return one_line(compact(_result_head(batch, job))).removesuffix("}")


def _wait_reason(batch: Row[Any], job: Row[Any]) -> str | None:
    if job.state == JobState.WAITING:
        return str(job.wait_reason)
    if job.state != JobState.QUEUED:
        return None
    return "batch_limit" if batch.running >= batch.width else "pool_full"


def _earlier_attempt(attempt: Row[Any]) -> dict[str, Any]:
    return _attempt_view(attempt.n, attempt)


def _last_attempt(job: Row[Any]) -> list[dict[str, Any]]:
    """The attempt that the job's own row tells of: one that runs, or the one that ended it."""
    runs_or_ran = job.state == JobState.RUNNING or (job.state in ENDED and job.started_ms)
    return [_attempt_view(job.attempt, job)] if runs_or_ran else []


def _attempt_view(n: int, row: Row[Any]) -> dict[str, Any]:
    return {
        "n": n,
        "thread": row.thread or None,
        "queued_at": timestamp(row.queued_ms),
        "started_at": timestamp(row.started_ms),
        "finished_at": timestamp(row.finished_ms),
        "cpu_ms": None if row.cpu_us is None else row.cpu_us / 1000,
        "error": _loaded(row.error),
    }


def _end(job: Row[Any]) -> dict[str, Any]:
    error, result = _loaded(job.error), _loaded(job.result)
    if result is None and job.result not in (None, "null"):
        error = error or UNREADABLE
    return {"error": error, "result": result}


def _loaded(text: str | None) -> Any:
    """None too for what can't be read: one such job must not make its whole page a 500."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
