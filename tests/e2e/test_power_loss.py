"""The power fails at the very moment at which a 202 is sent: the batch is on the disk."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
import requests

from service.model import job_key
from service.store.store import STAGE
from tests.support.api import job
from tests.support.disk import Asked, Disk, needs_compiler
from tests.support.evidence import submit_until_answered
from tests.support.faulty import WEAK_SYNC
from tests.support.server import Server

SUBMITS = 5
LOCATION = re.compile(rb"location: /v1/batches/(\w+)", re.IGNORECASE)


class Moment(NamedTuple):
    """A 202 is sent: what batch it is for, and the files as a power loss would leave them."""

    batch_id: str
    left: dict[str, bytearray]


def moments(asked: Iterable[Asked]) -> Iterator[Moment]:
    """What is left is only what a sync that had returned was called after."""
    written: dict[str, list[Asked]] = {}
    begun: dict[str, list[int]] = {}
    left: dict[str, bytearray] = {}
    for one in asked:
        changes = written.setdefault(one.name, [])
        if one.kind in "WT":
            changes.append(one)
        elif one.kind == "B":
            begun.setdefault(one.name, []).append(len(changes))
        elif one.kind == "E":
            upto = begun[one.name].pop(0)
            for change in changes[:upto]:
                apply(change, left.setdefault(one.name, bytearray()))
            del changes[:upto]
            begun[one.name] = [max(0, mark - upto) for mark in begun[one.name]]
        elif match := LOCATION.search(one.data):
            yield Moment(match[1].decode(), left)


def apply(change: Asked, content: bytearray) -> None:
    end = change.size if change.kind == "T" else change.offset + change.size
    content.extend(bytes(max(0, end - len(content))))
    if change.kind == "T":
        del content[end:]
    else:
        content[change.offset : end] = change.data


def is_kept(moment: Moment, folder: Path) -> bool:
    """Whether the batch is found when the machine starts again."""
    for name in ("jobspool.db", "jobspool.db-wal"):
        (folder / name).unlink(missing_ok=True)
        if content := moment.left.get(name):
            (folder / name).write_bytes(content)
    with closing(sqlite3.connect(folder / "jobspool.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        found = "SELECT key, total FROM batches WHERE id = ? AND status != 'staging'"
        batch = connection.execute(found, (moment.batch_id,)).fetchone()
        return batch is not None and jobs_of(connection, batch[0]) == batch[1]


def jobs_of(connection: sqlite3.Connection, batch_key: int) -> int:
    within = job_key(batch_key, 0), job_key(batch_key + 1, 0) - 1
    counted = connection.execute("SELECT count(*) FROM jobs WHERE key BETWEEN ? AND ?", within)
    return int(counted.fetchone()[0])


def acknowledged(server: Server) -> set[str]:
    """Submit in every way, from several clients at once; the ids that the 202s said."""
    stopped = server.submit(job(count=1, delay_s=60))
    server.session.post(f"{server.url}{stopped}/cancel", timeout=90)
    server.ended(stopped)

    def small(n: int) -> requests.Response:
        return server.post([job(count=1)], name=f"n{n}")

    def staged(n: int) -> requests.Response:
        return server.stream(line() * (STAGE + n))

    def repeated(n: int) -> requests.Response:
        first, again = (submit_until_answered(server, f"key-{n}", job(count=1)) for _ in range(2))
        assert first[0].headers["Location"] == again[0].headers["Location"]
        return again[0]

    def retried(_: int) -> requests.Response:
        return server.session.post(f"{server.url}{stopped}/retry", timeout=90)

    with ThreadPoolExecutor(4) as clients:
        asked = [
            clients.submit(way, n)
            for n in range(1, SUBMITS)
            for way in (small, staged, repeated, retried)
        ]
        answers = [one.result() for one in asked]
    assert {answer.status_code for answer in answers} == {202}
    return {path.rsplit("/", 1)[1] for path in [stopped, *(a.headers["Location"] for a in answers)]}


def line(**params: object) -> bytes:
    return json.dumps(job(count=1, **params)).encode() + b"\n"


@needs_compiler
@pytest.mark.parametrize("synced", [True, False])
def test_each_202_is_sent_after_the_sync_that_keeps_its_batch(
    make_server: Callable[..., Server], tmp_path: Path, synced: bool
) -> None:
    """And a service that does not sync its commits is found out."""
    server = make_server().faulty()
    if not synced:
        server.order(WEAK_SYNC)
    disk = Disk(tmp_path, server)
    disk.record()
    ids = acknowledged(server.start())
    server.kill()
    kept = [(one.batch_id, is_kept(one, tmp_path)) for one in moments(disk.asked())]
    assert {batch_id for batch_id, _ in kept} == ids
    assert all(is_there for _, is_there in kept) == synced


@needs_compiler
def test_a_power_loss_after_a_checkpoint_finds_what_was_acknowledged_before_and_after_it(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    """Pages move from the log to the database, and the log begins anew."""
    server = make_server()
    disk = Disk(tmp_path, server)
    disk.record()
    server.start()
    before = server.submit(job(count=1))
    assert server.stream(line(name="x" * 100) * 90_000).status_code == 202
    after = server.submit(job(count=1))
    server.kill()
    asked = list(disk.asked())
    answers = [n for n, one in enumerate(asked) if one.kind == "S" and LOCATION.search(one.data)]
    between = asked[answers[0] : answers[-1]]
    assert any(one.kind == "W" and one.name == "jobspool.db" for one in between)
    assert any(one.kind == "W" and one.offset == 0 for one in between if "-wal" in one.name)
    (*_, last) = moments(asked)
    for path in (before, after):
        assert is_kept(last._replace(batch_id=path.rsplit("/", 1)[1]), tmp_path)
