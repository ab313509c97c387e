"""The least that keeps what was submitted, in one Python process behind HTTP.

A batch is one commit. Jobs run on a thread pool, 32 a call; a thread of its own writes down what
they came to, all that waits in one commit. No limits, no retries, no cancelling, no counts, no
console, no logs, no second process: what is left is what a service with this promise can't do
without, so its rate is the most that ours could have.
"""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from threading import Event, Thread
from time import monotonic_ns
from typing import Any

from flask import Flask, Response, request

SHIFT = 32
THREADS = 8

Ended = tuple[int, int, str, int]

app = Flask(__name__)
pool = ThreadPoolExecutor(THREADS)
ended: SimpleQueue[list[Ended]] = SimpleQueue()
left: dict[int, int] = {}
done: dict[int, Event] = {}

INSERT = (
    "INSERT INTO jobs (batch, n, params) SELECT ?, key, json_extract(value, '$.params')"
    " FROM json_each(?)"
)
FINISH = (
    "UPDATE jobs SET result = json_extract(v.value, '$[2]'), ended = json_extract(v.value, '$[3]')"
    " FROM json_each(?) AS v WHERE batch = json_extract(v.value, '$[0]')"
    " AND n = json_extract(v.value, '$[1]')"
)
LINES = (
    "SELECT group_concat(json_object('index', n, 'ended', ended, 'result', result), char(10))"
    " FROM (SELECT * FROM jobs WHERE batch = ? AND n >= ? ORDER BY n LIMIT 1000)"
)


def database() -> sqlite3.Connection:
    path = Path(os.environ["BENCH_FOLDER"]) / "jobs.db"
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def service() -> Flask:
    """For gunicorn, in its worker."""
    database().execute(
        "CREATE TABLE jobs (batch INTEGER, n INTEGER, params TEXT, result TEXT, ended INTEGER,"
        " PRIMARY KEY (batch, n)) WITHOUT ROWID"
    )
    Thread(target=write, daemon=True).start()
    return app


def noop(params: Any) -> list[Any]:
    return [params] * 0


def work(batch: int, first: int, jobs: list[Any]) -> None:
    ended.put(
        [
            (batch, n, json.dumps(noop(job["params"])), monotonic_ns())
            for n, job in enumerate(jobs, first)
        ]
    )


def write() -> None:
    connection = database()
    while True:
        rows = ended.get()
        while not ended.empty():
            rows += ended.get()
        connection.execute(FINISH, [json.dumps(rows)])
        for batch in {row[0] for row in rows}:
            left[batch] -= sum(row[0] == batch for row in rows)
            if not left[batch]:
                done[batch].set()


@app.post("/batches")
def submit() -> Any:
    jobs = json.loads(request.data)["jobs"]
    if not all(isinstance(job.get("params"), dict) for job in jobs):
        return {"error": "a job has params"}, 422
    batch = len(left) + 1
    left[batch], done[batch] = len(jobs), Event()
    connection = database()
    connection.execute(INSERT, [batch, json.dumps(jobs)])
    connection.close()
    for first in range(0, len(jobs), SHIFT):
        pool.submit(work, batch, first, jobs[first : first + SHIFT])
    return {"id": batch}, 202


@app.get("/batches/<int:batch>")
def status(batch: int) -> Any:
    return {"done": done[batch].wait(30)}


@app.get("/batches/<int:batch>/results")
def results(batch: int) -> Any:
    def pages() -> Any:
        connection, first = database(), 0
        while text := connection.execute(LINES, [batch, first]).fetchone()[0]:
            yield text + "\n"
            first += 1000

    return Response(pages(), content_type="application/x-ndjson")


def run(count: int) -> list[int]:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["BENCH_PORT"]))

    def ask(method: str, path: str, body: str | None = None) -> bytes:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return connection.getresponse().read()

    batch = json.dumps({"jobs": [{"type": "numbers", "params": {"count": 0}}] * count})
    key = json.loads(ask("POST", "/batches", batch))["id"]
    while not json.loads(ask("GET", f"/batches/{key}"))["done"]:
        pass
    lines = ask("GET", f"/batches/{key}/results").splitlines()
    return [json.loads(line)["ended"] for line in lines]
