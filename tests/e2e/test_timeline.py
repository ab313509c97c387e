"""The timeline of a batch that several processes ran."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tests.support.api import job
from tests.support.server import Server
from tests.support.traces import check_trace
from tests.support.waiting import eventually


def test_threads_of_one_name_in_two_processes_are_two_rows_and_a_crash_is_seen_on_its_own(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(pool_size=2, workers=2).start()
    quick = [job(count=1, delay_s=0.03)] * 60
    path = server.submit(*quick, *[job(count=25, delay_s=0.1)] * 4)

    def on_both() -> Any:
        running = [
            (row["process"], row["name"])
            for row in server.get(f"{path}/timeline")["threads"]
            if row["spans"][-1]["end_ms"] is None and row["name"].startswith("pool")
        ]
        return len({process for process, _ in running}) == 2 and len(running) == 4

    eventually(on_both, "four long jobs run, on the threads of two processes", timeout_s=30)
    assert server.get(path)["concurrency"]["peak"] == 4
    os.kill(server.workers()[0], signal.SIGKILL)
    batch = server.ended(path)
    assert batch["outcome"] == "succeeded"
    timeline = server.get(f"{path}/timeline")
    names = [row["name"] for row in timeline["threads"]]
    assert len(names) > len(set(names))
    for row in timeline["threads"]:
        for before, after in pairwise(row["spans"]):
            assert before["end_ms"] <= after["start_ms"], row
    crashed = [
        (row["name"], span["error"], span["cpu_ms"])
        for row in timeline["threads"]
        for span in row["spans"]
        if span["status"] == "crashed"
    ]
    assert sorted(crashed) == [("pool_0", "crashed", None), ("pool_1", "crashed", None)]
    assert timeline["statistics"]["attempts"] == 66
    assert len(check_trace(server.get(f"{path}/timeline?format=chrome-trace"))) == 66
