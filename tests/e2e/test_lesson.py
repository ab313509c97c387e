"""Every example of the lesson is one request. The delays are a tenth of the lesson's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

import pytest

from tests.support.api import job
from tests.support.server import Server
from tests.support.site import Site

TENTH = 0.1


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.pages["/1"] = "<title>Page One</title>"
        site.pages["/2"] = "<title>Page Two</title>"
        site.pages["/3"] = None
        yield site


def about(seconds: float) -> Any:
    """Not less, and not so much more that jobs could have waited for each other."""
    return pytest.approx(seconds + 0.09, abs=0.1)


def test_numbers_twice_in_a_row(server: Server) -> None:
    path = server.submit(*[job(count=2, delay_s=TENTH)] * 2, executor="sequential")
    assert server.ended(path)["elapsed_s"] == about(4 * TENTH)
    assert server.console(path) == ["1", "2", "1", "2"]


@pytest.mark.parametrize("threads", [1, 2])
def test_one_thread_or_two_take_the_same_time(server: Server, threads: int) -> None:
    batch = server.run(*[job(count=2, delay_s=TENTH)] * threads, executor="dedicated")
    assert batch["elapsed_s"] == about(2 * TENTH)
    assert batch["concurrency"]["peak"] == threads


def test_a_loop_of_three_threads_takes_the_time_of_one(server: Server) -> None:
    batch = server.run(*[job(count=5, delay_s=TENTH)] * 3, executor="dedicated")
    assert batch["elapsed_s"] == about(5 * TENTH)


def test_threads_have_names_and_their_lines_interleave(server: Server) -> None:
    jobs = [job(name=f"Thread-{n}", count=5, delay_s=TENTH) for n in (1, 2, 3)]
    path = server.submit(*jobs, executor="dedicated")
    server.ended(path)
    lines = server.console(path)
    assert sorted(lines) == sorted(f"Thread-{t}: {n}" for t in (1, 2, 3) for n in range(1, 6))
    assert len(list(groupby(line.split(":")[0] for line in lines))) > 3
    threads = [item["attempts"][0]["thread"] for item in server.jobs(path)]
    assert threads == ["Thread-1", "Thread-2", "Thread-3"]


def test_numbers_and_letters_under_one_lock_are_never_mixed(server: Server) -> None:
    path = server.submit(
        job(name="Numbers", count=5, delay_s=TENTH / 5),
        job("letters", name="Letters", letters="ABCDE", delay_s=TENTH / 4),
        executor="dedicated",
        lock="job",
    )
    server.ended(path)
    numbers = [f"Numbers: {n}" for n in range(1, 6)]
    letters = [f"Letters: {x}" for x in "ABCDE"]
    assert server.console(path) in (numbers + letters, letters + numbers)


def test_a_lock_around_each_print_keeps_lines_whole_and_jobs_interleaved(server: Server) -> None:
    path = server.submit(
        job(name="Numbers", count=20, delay_s=0.005),
        job("letters", name="Letters", letters="ABCDEFGHIJKLMNOPQRST", delay_s=0.005),
        executor="dedicated",
        lock="line",
    )
    server.ended(path)
    lines = server.console(path)
    whole = {f"Numbers: {n}" for n in range(1, 21)} | {
        f"Letters: {x}" for x in map(chr, range(65, 85))
    }
    assert set(lines) == whole
    assert len(list(groupby(line[0] for line in lines))) > 2


def test_without_a_lock_the_race_can_be_seen(server: Server) -> None:
    def torn() -> bool:
        jobs = [job(name=name, count=300) for name in ("left", "right", "third")]
        path = server.submit(*jobs, executor="dedicated", lock="none")
        server.ended(path)
        return any(line.count(":") != 1 for line in server.console(path))

    assert any(torn() for _ in range(20))


def test_titles_of_three_pages_a_thread_each_and_one_that_fails(
    make_server: Callable[..., Server], site: Site
) -> None:
    server = make_server(fetch_allow_cidrs="127.0.0.0/8", fetch_allow_ports=str(site.port)).start()
    jobs = [{"type": "scrape", "params": {"url": f"{site.url}/{n}"}} for n in (1, 2, 3)]
    path = server.submit(*jobs, executor="dedicated")
    batch = server.ended(path)
    assert (batch["outcome"], batch["counts"]["failed"]) == ("partial", 1)
    assert set(server.console(path)) == {
        f"Title of {site.url}/1: Page One",
        f"Title of {site.url}/2: Page Two",
        f"Failed to retrieve {site.url}/3",
    }
    error = server.results(path)[2]["error"]
    assert (error["code"], error["status_code"]) == ("http_status", 404)


def test_a_pool_of_two_never_runs_more_than_two(server: Server) -> None:
    path = server.submit(*[job(count=1, delay_s=TENTH)] * 6, max_workers=2)
    batch = server.ended(path)
    assert batch["concurrency"]["peak"] == 2
    assert batch["elapsed_s"] >= 3 * TENTH


def test_one_future_and_a_list_of_futures_with_results_in_order(server: Server) -> None:
    def wait_function(seconds: int) -> Any:
        return job(start=0, count=seconds + 1, delay_s=TENTH)

    path = server.submit(wait_function(3), wait_function(5))
    batch = server.ended(path)
    lines = [line["result"]["lines"] for line in server.results(path)]
    assert lines == [list("0123"), list("012345")]
    assert batch["elapsed_s"] == about(6 * TENTH)
