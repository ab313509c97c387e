"""One key, many clients at once, several processes: one batch."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from tests.support.api import job
from tests.support.server import Server

CLIENTS = 50


@pytest.mark.parametrize("workers", [1, 4])
def test_fifty_clients_with_one_key_make_one_batch(
    make_server: Callable[..., Server], workers: int
) -> None:
    server = make_server(workers=workers, threads=8).start()
    lines = (
        b'{"type":"numbers","params":{"count":0}}\n' * 2_100
    )  # it is staged, not written at once

    def client(_: int) -> requests.Response:
        while True:
            answer = requests.post(
                f"{server.url}/v1/batches",
                data=lines,
                headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": "one"},
                timeout=60,
            )
            if answer.status_code != 409:
                return answer
            assert answer.json()["code"] == "idempotency-key-in-flight"
            assert answer.headers["Retry-After"]

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(client, range(CLIENTS)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.headers["Location"] for answer in answers}) == 1
    assert len({answer.text for answer in answers}) == 1
    replayed = [answer for answer in answers if "Idempotency-Replayed" in answer.headers]
    assert len(replayed) == CLIENTS - 1
    (batch,) = server.get("/v1/batches")["items"]
    assert batch["counts"]["total"] == 2_100
    other = server.session.post(
        f"{server.url}/v1/batches",
        json={"jobs": [job()]},
        headers={"Idempotency-Key": "one"},
        timeout=30,
    )
    assert other.status_code == 422
