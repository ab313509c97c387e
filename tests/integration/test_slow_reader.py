"""Someone reads for a long time while much is written: the WAL grows, and shrinks again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing

from service.composition import Service
from service.model import BatchOptions, JobSpec
from tests.support.api import Api, job
from tests.support.waiting import eventually

JOBS = 50_000
MOST = 64 << 20
"""Bytes of the WAL, soon after."""


def test_the_wal_is_small_again_soon_after_a_slow_reader_has_gone(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(pool_size=1)
    api = Api(service.app.test_client())
    wal = service.settings.database_path.with_name("jobspool.db-wal")
    path = api.submit(job("sleeper"))  # the pool is taken, so that nothing is slow but the reader
    api.until(path, "running")
    with closing(sqlite3.connect(service.settings.database_path)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
        spec = JobSpec("numbers", json.dumps({"name": "x" * 1_000}), None, None, 1)
        sealed = service.store.submit(
            BatchOptions(), [spec] * JOBS, node=service.engine.node, ttl_s=60, most_queued=JOBS * 2
        )
        service.store.cancel_batch(sealed.batch_key)  # each row is written, and written again
        assert wal.stat().st_size > MOST, "the reader has held nothing up"
        assert reader.execute("SELECT count(*) FROM jobs").fetchone() == (1,)
    eventually(lambda: wal.stat().st_size < MOST, "the WAL is small again", timeout_s=10)
    api.client.post(f"{path}/cancel")
