"""What the service survives: real processes, really killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count, takewhile
from pathlib import Path
from threading import Event
from time import monotonic
from typing import Any

import pytest
import requests

from tests.soak.peek import Peek
from tests.support.api import job
from tests.support.audit import flaws_of_file
from tests.support.evidence import (
    all_batches,
    database_of,
    each_ended_once,
    ended_at_least,
    looking_into,
    rerun,
    running,
    submit_until_answered,
)
from tests.support.server import COMMAND, Server
from tests.support.waiting import eventually

STOPS_S = 2
"""How long a stop may take after its drain."""
BUSY_S = 5
"""The machine may have more to do than this."""


def states(server: Server) -> Counter[str]:
    """How many jobs are in each state, by its file: nobody is there to be asked."""
    with looking_into(server) as database:
        return Counter(dict(database.execute("SELECT state, count(*) FROM jobs GROUP BY state")))


def codes(item: Any) -> list[str | None]:
    """How the attempts of a job ended: None for one that runs or succeeded."""
    return [attempt["error"] and attempt["error"]["code"] for attempt in item["attempts"]]


def test_kill_9_of_everything_loses_nothing(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    path = server.submit(*[job(count=1, delay_s=0.01)] * 2_000)
    ended_at_least(server, path, 200)
    server.kill()
    assert flaws_of_file(database_of(server)) == []
    server.start()
    batch = server.ended(path)
    assert batch["counts"]["succeeded"] == 2_000
    each_ended_once(server, path, 2_000)
    again = rerun(server, path)
    assert again, "no job was running when the service was killed: nothing was proved"
    assert {item["attempts"][0]["error"]["code"] for item in again} == {"crashed"}


def test_a_killed_workers_jobs_run_again_within_a_second_or_so(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(workers=2, pool_size=2).start()
    path = server.submit(*[job(count=1, delay_s=30.0)] * 4)
    running(server, path, 4)
    os.kill(server.workers()[0], signal.SIGKILL)
    killed_at = monotonic()
    eventually(lambda: rerun(server, path), "a job of the dead worker runs again", timeout_s=10)
    assert monotonic() - killed_at < 5.0, "long before the heartbeat could have told"
    server.session.post(f"{server.url}{path}/cancel", timeout=10)


def test_kill_9_of_the_master_alone(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=2).start()
    # four seconds' work: its workers notice within one that they are alone
    path = server.submit(*[job(count=1, delay_s=0.2)] * 640)
    ended_at_least(server, path, 50)
    orphans = server.workers()
    os.kill(server.process.pid, signal.SIGKILL)
    server.process.wait()
    server.start()
    eventually(lambda: not any(map(is_there, orphans)), "the old workers are gone")
    assert states(server)["queued"], "they had done it all: nothing was proved"
    server.ended(path)
    each_ended_once(server, path, 640)
    again = rerun(server, path)
    assert again, "no job was running when they left: nothing was proved"
    assert {tuple(codes(item)) for item in again} == {("handed_back", None)}
    server.kill()
    assert flaws_of_file(database_of(server)) == []


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_a_frozen_worker_loses_its_jobs_and_its_late_result_is_refused(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(workers=2, pool_size=1, node_timeout_s=2, log_level="debug").start()
    peek = Peek(server)
    path = server.submit(*[job(count=1, delay_s=3.0)] * 2)
    running(server, path, 2)
    frozen, other = server.workers()
    os.kill(frozen, signal.SIGSTOP)
    late_at = monotonic() + 3.0
    again = "SELECT count(*) FROM jobs WHERE attempt > 1 AND state = 'running'"
    # gunicorn may hand a request to the frozen worker too
    with looking_into(server) as database:
        eventually(
            lambda: monotonic() > late_at and database.execute(again).fetchone()[0],
            "its job runs again, and has a result here as soon as it is let",
            timeout_s=30,
        )
    assert frozen not in peek.nodes(), "it was taken for dead"
    os.kill(frozen, signal.SIGCONT)
    eventually(lambda: frozen in peek.nodes(), "it takes part again")
    # The other is busy: this too runs on its only thread, and what it writes it writes in order.
    assert server.run(job(count=1))["outcome"] == "succeeded"
    late_and_next = jobs_run_by(server, frozen)
    assert [(ran["attempt"], ran["ending"]) for ran in late_and_next] == [(1, "succeeded")] * 2
    assert peek.running() == {other: 1}, "the late result ended what runs again"
    server.ended(path)
    each_ended_once(server, path, 2)
    (twice,) = rerun(server, path)
    assert [attempt["n"] for attempt in twice["attempts"]] == [1, 2]
    assert codes(twice) == ["crashed", None]
    server.kill()
    assert flaws_of_file(database_of(server)) == []


def jobs_run_by(server: Server, pid: int) -> list[Any]:
    """What a worker has to tell of each job that it ran to an end, by its debug log."""
    lines = [line for line in server.log.read_text().splitlines() if '"event":"job ran"' in line]
    return [ran for ran in map(json.loads, lines) if ran["pid"] == pid]


def test_sigterm_drains_and_leaves_the_queue(make_server: Callable[..., Server]) -> None:
    server = make_server(pool_size=2, drain_s=3).start()
    path = server.submit(*[job(count=1, delay_s=1.5)] * 2, *[job(count=1, delay_s=0.01)] * 50)
    running(server, path, 2)
    begun = monotonic()
    assert server.terminate() == 0
    assert monotonic() - begun < 3 + STOPS_S + BUSY_S
    assert states(server) == {"succeeded": 2, "queued": 50}
    assert flaws_of_file(database_of(server)) == []
    server.start()
    server.ended(path)
    each_ended_once(server, path, 52)
    assert rerun(server, path) == [], "what ran had time to end"


def test_sigterm_hands_back_what_outlasts_the_drain(make_server: Callable[..., Server]) -> None:
    server = make_server(drain_s=0.5).start()
    path = server.submit(job(count=1, delay_s=60.0))
    running(server, path)
    begun = monotonic()
    assert server.terminate() == 0
    assert monotonic() - begun < 0.5 + STOPS_S + BUSY_S
    server.start()
    running(server, path)
    (item,) = server.jobs(path)
    assert codes(item) == ["handed_back", None]


@pytest.mark.parametrize(
    ("signals", "left", "attempts"),
    [
        # it waits for nothing
        ([signal.SIGINT], {"queued": 40}, ["handed_back", None]),
        # what runs has its time to end all the same
        ([signal.SIGTERM, signal.SIGTERM], {"succeeded": 16, "queued": 24}, [None]),
    ],
)
def test_other_ways_to_stop_lose_nothing(
    make_server: Callable[..., Server],
    signals: list[signal.Signals],
    left: dict[str, int],
    attempts: list[str | None],
) -> None:
    server = make_server(pool_size=16, drain_s=3).start()
    path = server.submit(*[job(count=1, delay_s=1.5)] * 40)
    running(server, path, 16)
    begun = monotonic()
    with requests.Session() as kept:  # a service that stops answers no new connection

        def status() -> int:
            return kept.get(f"{server.url}/readyz", timeout=10).status_code

        assert status() == 200
        server.process.send_signal(signals[0])
        for one in signals[1:]:
            eventually(lambda: status() == 503, "the first is noticed")
            os.killpg(server.process.pid, one)  # its workers too
    assert server.process.wait(20) == 0
    assert monotonic() - begun < 3 + STOPS_S + BUSY_S
    assert states(server) == left
    assert flaws_of_file(database_of(server)) == []
    server.start()
    server.ended(path)
    each_ended_once(server, path, 40)
    assert [codes(item) for item in server.jobs(path)] == [attempts] * 16 + [[None]] * 24


def test_sighup_changes_the_workers_under_load(make_server: Callable[..., Server]) -> None:
    server = make_server(drain_s=2).start()
    path = server.submit(*[job(count=1, delay_s=0.05)] * 600)
    ended_at_least(server, path, 20)
    before = server.workers()
    answers: list[requests.Response] = []
    enough = Event()

    def client(name: int) -> None:
        with requests.Session() as kept:
            for n in takewhile(lambda _: not enough.is_set(), count()):
                key = f"{name}-{n}"
                answer, _ = submit_until_answered(server, key, job(count=1), session=kept)
                answers.append(answer)

    with ThreadPoolExecutor(4) as clients:
        load = [clients.submit(client, name) for name in range(4)]
        try:
            eventually(lambda: len(answers) > 20, "some are answered")
            server.process.send_signal(signal.SIGHUP)
            asked = len(answers)
            eventually(lambda: not set(before) & set(server.workers()), "new workers", timeout_s=20)
            during = answers[asked:]
        finally:
            enough.set()
        for one in load:
            one.result(30)
    assert 202 in {answer.status_code for answer in during}
    refused = [answer for answer in answers if answer.status_code != 202]
    told = {(answer.status_code, answer.json()["code"]) for answer in refused}
    assert told == {(503, "draining")}, "by a worker that was leaving"
    server.ended(path)
    each_ended_once(server, path, 600)
    assert rerun(server, path) == [], "what ran had time to end"
    eventually(lambda: all(batch["outcome"] for batch in all_batches(server)), "all have ended")
    batches = list(all_batches(server))
    assert {batch["outcome"] for batch in batches} == {"succeeded"}
    accepted = {answer.json()["id"] for answer in answers if answer.status_code == 202}
    assert accepted <= {batch["id"] for batch in batches}
    names = Counter(batch["name"] for batch in batches)
    assert set(names.values()) == {1}, "a submit that was repeated made two"
    server.kill()
    assert flaws_of_file(database_of(server)) == []


def test_a_job_that_kills_its_worker_three_times_is_failed_and_harms_no_other(
    make_server: Callable[..., Server], example_package: Path, tmp_path: Path
) -> None:
    server = make_server(PYTHONPATH="")
    server.environment["PYTHONPATH"] = str(example_package)
    server.start()
    harmless = [job(count=1, delay_s=0.3)] * 30
    # it may take the answer down as well
    answer, _ = submit_until_answered(server, "three", *harmless[:10], job("crash"), *harmless)
    path = answer.headers["Location"]
    server.ended(path)
    lines = server.results(path)
    failed = [line for line in lines if line["status"] == "failed"]
    assert [line["index"] for line in failed] == [10]
    assert (failed[0]["error"]["code"], failed[0]["error"]["crashes"]) == ("crashed", 3)
    assert "it was alone there, and the process ended with SIGKILL" in failed[0]["error"]["detail"]
    assert server.log.read_text().count("Booting worker") == 3, "it took a worker down twice"
    assert Counter(line["status"] for line in lines)["succeeded"] == 40
    answer, _ = submit_until_answered(
        server, "once", job("crash", marker=str(tmp_path / "crashed"))
    )
    assert server.ended(answer.headers["Location"])["outcome"] == "succeeded"


def test_a_job_whose_process_is_killed_by_others_is_not_failed(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(workers=2).start()
    peek = Peek(server)
    path = server.submit(job(count=1, delay_s=8.0))
    pid: int | None = None

    def runs_elsewhere() -> int | None:
        return next((now for now in peek.running() if now != pid), None)

    for _ in range(2):
        pid = eventually(runs_elsewhere, "it runs on a worker")
        os.kill(pid, signal.SIGKILL)
    pid = eventually(runs_elsewhere, "it runs in quarantine", timeout_s=30)
    assert pid not in server.workers()
    os.kill(parent_of(pid), signal.SIGKILL)
    assert server.ended(path)["outcome"] == "succeeded"
    (item,) = server.jobs(path)
    assert codes(item) == ["crashed", "crashed", "handed_back", None]


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


# --- starts that are refused ----------------------------------------------------------------


def refused(server: Server, *arguments: str) -> str:
    server.log.write_text("")
    code = server.launch(*arguments).wait(30)
    said = server.log.read_text()
    assert code != 0, said
    return said


def test_a_second_service_on_the_same_directory_is_refused(
    make_server: Callable[..., Server],
) -> None:
    make_server().start()
    assert "in use by another service" in refused(make_server())


def test_an_open_address_without_keys_is_refused(make_server: Callable[..., Server]) -> None:
    said = refused(make_server(), "--host", "0.0.0.0")
    assert "--insecure-bind" in said


@pytest.mark.parametrize(
    ("option", "reason"),
    [("--preload", "preload_app"), ("--max-requests 10", "max_requests")],
)
def test_gunicorn_options_that_split_state_are_refused(
    make_server: Callable[..., Server], option: str, reason: str
) -> None:
    server = make_server()
    config = Path(__file__).parents[2] / "deploy" / "gunicorn.conf.py"
    command = [str(COMMAND.with_name("gunicorn")), "-c", str(config), *option.split()]
    done = subprocess.run(
        command, env=server.environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode != 0
    assert reason in done.stderr


def test_all_wrong_settings_are_named_at_once(make_server: Callable[..., Server]) -> None:
    said = refused(make_server(workers=0, pool_size="many", drain_s=-1))
    assert all(name in said for name in ("JOBSPOOL_WORKERS", "JOBSPOOL_POOL_SIZE", "_DRAIN_S"))


def test_a_damaged_database_is_refused_with_a_sentence(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    server.run(*[job(count=1)] * 50)
    server.terminate()
    database = server.folder / "data" / "jobspool.db"
    database.write_bytes(b"this is not a database, whatever its name says. " * 200)
    said = refused(server)
    assert "jobspool.db can't be opened" in said
    assert "Traceback" not in said


def test_a_newer_database_is_refused_with_a_sentence(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    server.terminate()
    with sqlite3.connect(server.folder / "data" / "jobspool.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "newer jobspool" in refused(server)


def test_a_directory_that_can_not_be_written_is_refused(make_server: Callable[..., Server]) -> None:
    server = make_server(data_dir="/proc/nowhere")
    assert "/proc/nowhere can't be used" in refused(server)


# --- many clients ---------------------------------------------------------------------------


@pytest.mark.parametrize(("workers", "rounds"), [(1, 1_000), (4, 200)])
def test_a_location_is_never_404(
    make_server: Callable[..., Server], workers: int, rounds: int
) -> None:
    server = make_server(workers=workers).start()
    for _ in range(rounds):
        # a connection of its own each, so that any worker may answer
        with requests.Session() as session:
            created = session.post(f"{server.url}/v1/batches", json={"jobs": [job(count=0)]})
            assert created.status_code == 202
        seen = requests.get(server.url + created.headers["Location"], timeout=10)
        assert seen.status_code == 200


def test_workers_share_the_work_and_the_state(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=4, pool_size=2).start()
    path = server.submit(*[job(count=1, delay_s=0.05)] * 100)
    statuses = []
    for _ in range(200):
        response = requests.get(server.url + path, timeout=10)
        assert response.status_code == 200
        counts = response.json()["counts"]
        assert counts["total"] == 100 == sum(counts.values()) - counts["total"]
        statuses.append(response.json()["status"])
    batch = server.ended(path)
    assert batch["elapsed_s"] < 0.05 * 100 / 2, "more than one process took part"


def test_slow_clients_do_not_keep_others_waiting(make_server: Callable[..., Server]) -> None:
    server = make_server(threads=4, client_timeout_s=2).start()
    slow = []
    for _ in range(16):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        slow.append(client)

    def answered_quickly() -> bool:
        try:
            return requests.get(f"{server.url}/healthz", timeout=1).status_code == 200
        except requests.Timeout:
            return False

    eventually(answered_quickly, "others are answered again", timeout_s=15)
    for client in slow:
        client.close()


# --- large ----------------------------------------------------------------------------------


def resident_mib(server: Server) -> float:
    status = Path(f"/proc/{server.workers()[0]}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_a_hundred_thousand_jobs_and_ten_behind_them(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    big = server.submit(*[job(count=0)] * 100_000)
    accepted = resident_mib(server)
    begun = monotonic()
    small = server.run(*[job(count=1)] * 10)
    assert small["outcome"] == "succeeded"
    assert monotonic() - begun < 5.0
    assert server.get(big)["counts"]["queued"] > 0, "the big one had ended already"
    batch = server.ended(big, timeout_s=110)
    assert batch["counts"]["succeeded"] == 100_000
    assert resident_mib(server) < max(250, accepted + 50)


# --- other packages' job types --------------------------------------------------------------


def test_a_job_type_of_an_installed_package_is_found_and_run(
    make_server: Callable[..., Server], example_package: Path
) -> None:
    server = make_server()
    server.environment["PYTHONPATH"] = str(example_package)
    server.start()
    names = {item["name"] for item in server.get("/v1/job-types")["items"]}
    assert {"numbers", "letters", "scrape", "checksum"} <= names
    path = server.submit(job("checksum", text="hello", rounds=2))
    assert server.ended(path)["outcome"] == "succeeded"
    digest = server.results(path)[0]["result"]["digest"]
    assert server.console(path) == [f"sha256: {digest}"]
    refused_job = server.post([job("checksum", text="x", algorithm="md5")])
    assert refused_job.json()["errors"][0]["pointer"] == "/jobs/0/params/algorithm"
