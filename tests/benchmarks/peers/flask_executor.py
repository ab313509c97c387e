"""Flask-Executor behind gunicorn: futures in the memory of the web server's one worker."""

from __future__ import annotations

import http.client
import json
import os
from time import monotonic_ns, sleep
from typing import Any
from uuid import uuid4

from flask import Flask, request
from flask_executor import Executor

app = Flask(__name__)
app.config["EXECUTOR_MAX_WORKERS"] = 16
executor = Executor(app)
batches: dict[str, list[Any]] = {}


def noop() -> int:
    return monotonic_ns()


@app.post("/batches")
def submit() -> Any:
    key = uuid4().hex
    batches[key] = [executor.submit(noop) for _ in request.json["jobs"]]
    return {"id": key}, 202


@app.get("/batches/<key>")
def status(key: str) -> Any:
    return {"done": all(future.done() for future in batches[key])}


@app.get("/batches/<key>/results")
def results(key: str) -> Any:
    return [future.result() for future in batches[key]]


def run(count: int) -> list[int]:
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ["BENCH_PORT"]))

    def ask(method: str, path: str, body: str | None = None) -> Any:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())

    key = ask("POST", "/batches", json.dumps({"jobs": [{}] * count}))["id"]
    while not ask("GET", f"/batches/{key}")["done"]:
        sleep(0.01)
    return list(ask("GET", f"/batches/{key}/results"))
