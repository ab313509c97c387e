"""Eight processes on one file: each waits for its turn to write, and no client hears of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from tests.support.api import job
from tests.support.audit import flaws_of_file
from tests.support.evidence import all_batches, database_of
from tests.support.faulty import BUSY
from tests.support.server import Server
from tests.support.waiting import eventually

PROCESSES = 8
CLIENTS = 8
EACH = 18


def test_eight_processes_write_one_file_and_no_client_hears_of_a_lock(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(workers=PROCESSES, pool_size=2, threads=4).faulty()
    server.order(BUSY)
    server.start()

    def client(_: int) -> list[int]:
        statuses = []
        for _ in range(EACH):
            # a connection of its own each time, so that each process gets its share
            body = {"jobs": [job(count=1)] * 20}
            answer = requests.post(f"{server.url}/v1/batches", json=body, timeout=60)
            path = server.url + answer.headers["Location"]
            statuses += [answer.status_code, requests.get(path, timeout=60).status_code]
            statuses.append(requests.post(f"{path}/cancel", timeout=60).status_code)
        return statuses

    with ThreadPoolExecutor(CLIENTS) as clients:
        statuses = {status for some in clients.map(client, range(CLIENTS)) for status in some}
    assert statuses <= {200, 202}
    assert len(server.workers()) == PROCESSES
    eventually(lambda: all(batch["outcome"] for batch in all_batches(server)), "all have ended")
    log = server.log.read_text()
    assert "locked" not in log
    assert log.count(BUSY) >= PROCESSES / 2, "they did not get in each other's way"
    server.terminate()
    assert flaws_of_file(database_of(server)) == []
