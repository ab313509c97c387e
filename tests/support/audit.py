"""Every sum that the store keeps, held against a count of its rows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, func, select

from service.model import BATCH_ENDED, BatchStatus, JobState, batch_of
from service.store.database import Database
from service.store.schema import (
    SEQ_BITS,
    SUSPECT_CRASHES,
    attempts,
    batches,
    console,
    gauges,
    hosts,
    jobs,
    keys,
    nodes,
)

COUNTED = ("queued", "waiting", "running", "succeeded", "failed", "cancelled")


def flaws(connection: Connection, now_ms: int) -> list[str]:
    """What does not add up, in words; nothing if the store is in order. Reads all of it."""
    found = Found(connection, now_ms)
    return [
        *(f"batch {one.key}: {flaw}" for one in found.batches for flaw in _of_batch(found, one)),
        *(f"job {one.key:#x}: {flaw}" for one in found.jobs for flaw in _of_job(found, one)),
        *_of_the_whole(found),
    ]


def flaws_of_file(path: Path) -> list[str]:
    """As ``flaws``, of a database at rest, and what SQLite itself finds wrong with its file."""
    database = Database(path)
    try:
        with database.snapshot() as connection:
            (checked,) = connection.exec_driver_sql("PRAGMA integrity_check").one()
            now_ms = time.time_ns() // 1_000_000
            return [*([] if checked == "ok" else [checked]), *flaws(connection, now_ms)]
    finally:
        database.close()


class Found:
    """The rows of a store, from one snapshot. Without what has expired: it goes in pieces."""

    def __init__(self, connection: Connection, now_ms: int) -> None:
        self._connection = connection
        self.batches = [
            batch
            for batch in self._rows(batches)
            if batch.expires_ms is None or batch.expires_ms > now_ms
        ]
        self.of_batch: dict[int, list[Row[Any]]] = {batch.key: [] for batch in self.batches}
        self.jobs = [
            job
            for job in self._rows(*(c for c in jobs.c if c.name not in ("params", "result")))
            if batch_of(job.key) in self.of_batch
        ]
        for job in self.jobs:
            self.of_batch[batch_of(job.key)].append(job)
        self.running = [job for job in self.jobs if job.state == JobState.RUNNING]
        self.hosts = {host.name: host.running for host in self._rows(hosts)}
        self.nodes = {node.key for node in self._rows(nodes.c.key)}
        self.keys = {key.id: key.queued for key in self._rows(keys)}
        self.gauges = {gauge.name: gauge.value for gauge in self._rows(gauges)}
        numbered = func.count(), func.max(attempts.c.n)
        self.earlier = {
            key: (count, last)
            for key, count, last in connection.execute(
                select(attempts.c.job_key, *numbered).group_by(attempts.c.job_key)
            )
        }
        self.printed: Counter[int] = Counter()
        for piece in self._rows(console.c.key, console.c.text):
            self.printed[piece.key >> SEQ_BITS] += len(piece.text.encode())

    def _rows(self, *columns: Any) -> list[Row[Any]]:
        return list(self._connection.execute(select(*columns)))


def _of_batch(found: Found, batch: Row[Any]) -> Iterator[str]:
    mine = found.of_batch[batch.key]
    states = Counter(job.state for job in mine)
    if batch.status == BatchStatus.STAGING:
        if set(states) - {"queued"}:
            yield f"is still being received, and its jobs are {dict(states)}"
        return
    states["queued"] += states["waiting"]
    for name in COUNTED:
        if getattr(batch, name) != states[name]:
            yield f"counts {getattr(batch, name)} {name}, and {states[name]} are"
    if batch.total != len(mine):
        yield f"has {len(mine)} jobs, and says {batch.total}"
    active = states["queued"] + states["running"] > 0
    if active == (batch.status in BATCH_ENDED) or active != (batch.outcome is None):
        yield f"is {batch.status} with {dict(states)}"
    if (batch.expires_ms is None) != active:
        yield f"expires at {batch.expires_ms} with {dict(states)}"
    seqs = sorted(job.finish_key for job in mine if job.finish_key is not None)
    first = (batch.key << SEQ_BITS) + 1
    if seqs != list(range(first, first + batch.finish_seq)):
        yield f"numbered its {batch.finish_seq} ends {[seq - first + 1 for seq in seqs]}"
    live = [job for job in mine if job.state == JobState.RUNNING and job.claimed_ms is not None]
    if (batch.live, batch.live_claimed_ms) != (len(live), sum(job.claimed_ms for job in live)):
        yield f"counts {batch.live} live since {batch.live_claimed_ms}, and {len(live)} are"
    if batch.running > batch.width:
        yield f"runs {batch.running} jobs, and {batch.width} may"
    if batch.pinned and any(job.owner != batch.home for job in mine if job.state == "running"):
        yield "runs outside of its home"
    if found.printed[batch.key] != batch.console_bytes:
        yield f"has printed {found.printed[batch.key]} bytes, and counts {batch.console_bytes}"


def _of_job(found: Found, job: Row[Any]) -> Iterator[str]:
    count, last = found.earlier.get(job.key, (0, 0))
    # the last attempt stands in the job's own row, if it has one: a job may be cancelled before
    own = {"running": {1}, "succeeded": {1}, "failed": {1}, "cancelled": {0, 1}}.get(job.state, {0})
    if count != last or job.attempt - count not in own:
        yield f"is {job.state} at attempt {job.attempt}, with {count} before, the last {last}"
    if (job.state in COUNTED[3:]) != (job.finish_key is not None):
        yield f"is {job.state} with the seq {job.finish_key}"
    if job.state == JobState.RUNNING and job.owner not in found.nodes:
        yield f"runs on {job.owner}, which is no node"
    if job.state in ("queued", "waiting") and job.cancelling:
        yield f"is {job.state}, and was told to stop"


def _of_the_whole(found: Found) -> Iterator[str]:
    queued: Counter[int] = Counter()
    for batch in found.batches:
        if batch.status != BatchStatus.STAGING:
            queued[batch.owner] += batch.queued
    if found.gauges["queued"] != queued.total():
        yield f"the queue holds {queued.total()}, and its gauge says {found.gauges['queued']}"
    for key, count in found.keys.items():
        if count != queued[key]:
            yield f"key {key} has {queued[key]} queued, and counts {count}"
    visiting = Counter(job.host for job in found.running if job.host is not None)
    for host in visiting | found.hosts:
        if found.hosts.get(host, 0) != visiting[host]:
            yield f"{visiting[host]} jobs visit {host}, and it counts {found.hosts.get(host, 0)}"
    busy = Counter(job.owner for job in found.running)
    for job in found.running:
        if job.crashes >= SUSPECT_CRASHES and busy[job.owner] > 1:
            yield f"the suspect {job.key:#x} runs beside {busy[job.owner] - 1} others"
