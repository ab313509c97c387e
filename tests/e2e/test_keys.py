"""``jobspool keys`` beside a service that runs, or does not yet."""

from __future__ import annotations

import re
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from service.operations.keyring import Keyring
from service.settings import Settings
from tests.support.api import job
from tests.support.server import COMMAND, Server
from tests.support.waiting import eventually

README = (Path(__file__).parents[2] / "README.md").read_text()


def keys(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(COMMAND), "keys", *arguments],
        capture_output=True, text=True, timeout=60, env=server.environment, check=False,
    )  # fmt: skip


def new_key(server: Server, *arguments: str) -> str:
    made = keys(server, "create", *arguments)
    assert made.returncode == 0, made.stderr
    assert re.fullmatch(r"jp_[0-9]+_[A-Za-z0-9_-]{43}\n", made.stdout)
    return made.stdout.strip()


def status(server: Server, key: str | None, path: str = "/v1/batches") -> int:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return requests.get(f"{server.url}{path}", headers=headers, timeout=30).status_code


def test_keys_are_made_and_revoked_while_the_service_runs(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(workers=2).start()
    assert status(server, None) == 200
    key = new_key(server, "me")
    assert [status(server, key) for _ in range(8)] == [200] * 8, "it counts at once, everywhere"
    assert [status(server, None) for _ in range(8)] == [401] * 8
    assert status(server, None, "/healthz") == status(server, None, "/readyz") == 200
    assert keys(server, "revoke", "me").returncode == 0
    assert [status(server, key) for _ in range(8)] == [401] * 8
    listed = keys(server, "list").stdout
    assert re.search(r"^1 +me +\d{4}-\S+ \S+Z +\d{4}-\S+ \S+Z", listed, re.MULTILINE)
    assert key.split("_", 2)[2] not in listed + server.log.read_text()


def test_an_address_that_others_reach_is_opened_once_there_is_a_key(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(host="0.0.0.0")
    assert server.launch().wait(60) == 2
    assert "jobspool keys create NAME" in server.log.read_text()
    key = new_key(server, "before-the-first-start")
    server.start()
    assert (status(server, None), status(server, key)) == (401, 200)
    # a mistake in the keys must not keep the queue from running on after a restart
    assert keys(server, "revoke", "1").returncode == 0
    assert server.terminate() == 0
    server.start()
    assert status(server, key) == 401


def test_quotas_are_exact_over_several_processes(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=4)
    server.start()
    keyring = Keyring(Settings(data_dir=server.folder / "data"))
    few = keyring.create("few", batches_per_minute=20).text
    small = keyring.create("small", max_queued_jobs=100, batches_per_minute=0).text
    keyring.close()
    # sequential: one of each batch is claimed, or none yet, and the others stay queued
    body = {"jobs": [job(delay_s=600.0)] * 10, "executor": "sequential", "labels": {"a": "b"}}

    def post(key: str) -> requests.Response:
        # a connection each, so that they spread over the workers
        headers = {"Authorization": f"Bearer {key}"}
        return requests.post(f"{server.url}/v1/batches", json=body, headers=headers, timeout=60)

    with ThreadPoolExecutor(25) as clients:
        answers = list(clients.map(post, [few, small] * 50))
    told = Counter((answer.status_code, answer.json().get("code")) for answer in answers[::2])
    assert told == {(202, None): 20, (429, "quota-batches"): 30}
    left = [answer.headers["RateLimit"] for answer in answers[::2] if answer.status_code == 202]
    assert {int(re.findall(r"r=(\d+)", header)[0]) for header in left} == set(range(20))
    assert {answer.json().get("code") for answer in answers[1::2]} == {None, "quota-queued"}
    # what runs is queued no more, and leaves a place to another batch
    accepted = [answer for answer in answers[1::2] if answer.status_code == 202]
    assert 10 <= len(accepted) <= 11
    eventually(lambda: counted(server, "small") == counted_by_hand(server, 2), "the counts agree")
    assert counted(server, "small") <= 100


def rows(server: Server, sql: str, *binds: Any) -> list[Any]:
    with sqlite3.connect(server.folder / "data" / "jobspool.db") as connection:
        return connection.execute(sql, binds).fetchall()


def counted(server: Server, name: str) -> int:
    return int(rows(server, "SELECT queued FROM keys WHERE name = ?", name)[0][0])


def counted_by_hand(server: Server, owner: int) -> int:
    return int(rows(server, "SELECT sum(queued) FROM batches WHERE owner = ?", owner)[0][0])


def test_the_readmes_session_with_keys_runs_as_pasted(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    server.run(job(count=0), name="before")
    (session,) = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    script = session.replace("localhost:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True, text=True, timeout=90, cwd=server.folder, check=False,
        env={**server.environment, "PATH": f"{COMMAND.parent}:{server.environment['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert '"name":"before"' in done.stdout, "it is adopted"
    assert done.stdout.count('"code":"unauthorized"') == 1
    assert re.search(r"^2 +nightly ", done.stdout, re.MULTILINE)
