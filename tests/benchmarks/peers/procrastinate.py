"""Procrastinate: jobs are rows in PostgreSQL. It keeps how they ended, and no results."""

from __future__ import annotations

import os
from time import sleep

import psycopg
from procrastinate import App, PsycopgConnector

app = App(connector=PsycopgConnector(conninfo=os.environ["BENCH_POSTGRES"]))


@app.task(name="noop")
async def noop() -> None:
    pass


def prepare() -> None:
    """Its tables."""
    with app.open():
        app.schema_manager.apply_schema()


def run(count: int) -> list[int]:
    with app.open():
        keys = noop.batch_defer(*[{}] * count)
    with psycopg.connect(os.environ["BENCH_POSTGRES"], autocommit=True) as connection:
        ask = (
            "SELECT count(*) FROM procrastinate_jobs"
            " WHERE status = 'succeeded' AND id BETWEEN %s AND %s"
        )
        while connection.execute(ask, (min(keys), max(keys))).fetchone() != (count,):
            sleep(0.02)
    return []
