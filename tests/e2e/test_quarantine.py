"""Suspects in processes of their own: they run, end and stop as all other jobs do."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from time import monotonic
from typing import Any

from tests.soak.peek import Peek
from tests.support.api import job
from tests.support.server import Server
from tests.support.waiting import eventually

BUSY_S = 5
"""What a machine that does much else may add to a time."""


def suspected(server: Server, *jobs: Any, **options: Any) -> str:
    """A batch of jobs of which each has seen its process die twice; the service is stopped."""
    server.start()
    path = server.submit(*jobs, max_workers=1, **options)
    server.terminate()
    with closing(sqlite3.connect(server.folder / "data" / "jobspool.db")) as connection:
        connection.execute("UPDATE jobs SET crashes = 2")
        connection.commit()
    return path


def cell_of(server: Server) -> int:
    """The process in which a suspect runs now."""
    peek = Peek(server)
    pid = eventually(lambda: next(iter(peek.running()), None), "a suspect runs", timeout_s=30)
    assert pid not in server.workers()
    return pid


def finished(server: Server) -> float:
    lines = server.session.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    return sum(float(n.split()[-1]) for n in lines if n.startswith("jobspool_jobs_finished_total{"))


def test_a_suspect_runs_is_cancelled_times_out_and_is_counted(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(drain_s=0)
    slow = job(count=1, delay_s=60, name="slow")
    jobs = [slow, job(count=2, name="quick"), {**slow, "timeout_s": 0.3}]
    path = suspected(server, *jobs, lock="job", executor="dedicated")
    server.start()
    cell_of(server)
    identity = path.rpartition("/")[2]
    eventually(lambda: "slow: 1" in server.console(path), "it prints")
    cancelled = server.session.post(f"{server.url}/v1/jobs/{identity}.0/cancel", timeout=30)
    assert cancelled.json()["status"] == "cancelling"
    server.ended(path)
    lines = server.results(path)
    assert [line["status"] for line in lines] == ["cancelled", "succeeded", "failed"]
    assert lines[2]["error"]["code"] == "timeout"
    assert server.console(path)[-3:] == ["quick: 1", "quick: 2", "slow: 1"]
    eventually(lambda: finished(server) == 3, "the numbers of the quarantine are told")
    assert "Traceback" not in server.log.read_text()


def test_a_suspect_is_handed_back_by_a_stop_and_blamed_for_its_own_process(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(drain_s=0.5)
    path = suspected(server, job(count=1, delay_s=60))
    server.start()
    cell_of(server)
    begun = monotonic()
    assert server.terminate() == 0
    assert monotonic() - begun < 0.5 + 2 + BUSY_S
    server.start()
    worker = server.workers()
    os.kill(cell_of(server), signal.SIGKILL)
    assert server.ended(path)["outcome"] == "failed"
    assert server.workers() == worker, "nothing else was hurt"
    (item,) = server.jobs(path)
    assert [attempt["error"]["code"] for attempt in item["attempts"]][-2:] == [
        "handed_back",
        "crashed",
    ]
    assert item["error"]["crashes"] == 3
    assert "SIGKILL" in item["error"]["detail"]
