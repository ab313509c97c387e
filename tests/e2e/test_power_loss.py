"""The power fails at the very moment at which a 202 is sent: the batch is on the disk."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.api import job
from tests.support.disk import Asked, Disk, needs_compiler
from tests.support.faulty import WEAK_SYNC
from tests.support.server import Server

SUBMITS = 16
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
        found = "SELECT count(*) FROM batches WHERE id = ? AND status != 'staging'"
        return bool(connection.execute(found, (moment.batch_id,)).fetchone()[0])


def acknowledged(server: Server) -> list[str]:
    """Submit from several clients at once; what the 202s said."""

    def submit(n: int) -> str:
        return server.submit(job(count=1), name=f"n{n}").rsplit("/", 1)[1]

    with ThreadPoolExecutor(4) as clients:
        return list(clients.map(submit, range(SUBMITS)))


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
    kept = {moment.batch_id: is_kept(moment, tmp_path) for moment in moments(disk.asked())}
    assert sorted(kept) == sorted(ids)
    assert all(kept.values()) == synced
