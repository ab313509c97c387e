"""Which cores a real service uses."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.support.api import job
from tests.support.cores import ALL, needs_cores, tasks_of
from tests.support.server import Server
from tests.support.site import Site
from tests.support.waiting import eventually

pytestmark = needs_cores


def cores_of(pid: int) -> list[set[int]]:
    """Of each thread."""
    return [os.sched_getaffinity(task) for task in tasks_of(pid)]


def children_of(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def test_the_threads_of_a_worker_share_a_core_and_what_reads_pages_has_all(
    make_server: Callable[..., Server],
) -> None:
    with Site() as site:
        site.pages["/"] = "<title>Hello</title>"
        server = make_server(fetch_allow_cidrs="127.0.0.0/8", fetch_allow_ports=site.port).start()
        server.run(job("scrape", url=f"{site.url}/"), *[job(count=1)] * 20)
        (worker,) = server.workers()
        first, *others = cores_of(worker)
        assert len(first) == 1
        assert len(others) > 3
        assert all(cores == first for cores in others)
        (reader,) = children_of(worker)
        assert cores_of(reader) == [ALL]
    assert cores_of(server.process.pid) == [ALL], "the master forks the next workers"


def test_it_can_be_told_not_to(make_server: Callable[..., Server]) -> None:
    server = make_server(one_core="false").start()
    server.run(job(count=1))
    (worker,) = server.workers()
    assert all(cores == ALL for cores in cores_of(worker))


def test_workers_do_not_meet_on_a_core_even_after_one_was_killed(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(workers=2).start()

    def apart() -> bool:
        homes = [os.sched_getaffinity(pid) for pid in server.workers()]
        return len(homes) == 2 and all(len(home) == 1 for home in homes) and homes[0] != homes[1]

    for _ in range(3):
        eventually(apart, "each worker has a core of its own")
        before = server.workers()
        os.kill(before[0], signal.SIGKILL)
        eventually(
            lambda gone=before[0]: gone not in server.workers() and len(server.workers()) == 2,
            "another worker was started",
        )
    eventually(apart, "each worker has a core of its own again")


def test_more_workers_than_cores_are_left_to_the_kernel(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(workers=len(ALL) + 1).start()
    server.run(job(count=1))
    eventually(
        lambda: all(len(cores_of(pid)) > 3 for pid in server.workers()),
        "each worker has started its threads",
    )
    assert all(cores == ALL for pid in server.workers() for cores in cores_of(pid))
