"""What a bare Flask does under the same gunicorn: nothing, or one commit."""

from __future__ import annotations

import json
import os
import sqlite3
from threading import Lock
from typing import Any

from flask import Flask, request

app = Flask(__name__)

STATUS = {
    "id": "01920f3c-5b1e-7a2b-8c3d-4e5f60718293",
    "name": None,
    "status": "running",
    "counts": {"total": 100, "queued": 61, "running": 8, "succeeded": 29, "failed": 2},
    "links": {name: f"/v1/batches/01920f3c/{name}" for name in ("self", "jobs", "results")},
}


def _opened() -> sqlite3.Connection:
    file = os.environ.get("BENCH_DATABASE", ":memory:")
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS jobs (id INTEGER PRIMARY KEY, job TEXT)")
    return connection


connection = _opened()
# one writer at a time without SQLite's own waiting, which sleeps: the best that this can do
writing = Lock()


@app.post("/plain")
def plain() -> Any:
    """Parse the body, answer 202."""
    return {**STATUS, "jobs": len(request.json["jobs"])}, 202


@app.post("/commit")
def commit() -> Any:
    """Parse the body, write its jobs in one synced commit, answer 202."""
    rows = [(json.dumps(job),) for job in request.json["jobs"]]
    with writing:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("INSERT INTO jobs (job) VALUES (?)", rows)
        connection.execute("COMMIT")
    return {**STATUS, "jobs": len(rows)}, 202


@app.get("/status")
def status() -> Any:
    return STATUS
