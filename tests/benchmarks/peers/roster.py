"""Who is measured beside us: how its workers are started, and what it promises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Need = Literal["redis", "postgres", ""]

HERE = "tests.benchmarks.peers"
GUNICORN = (
    "gunicorn --worker-class gthread --workers 1 --threads 16 --bind 127.0.0.1:{port} --log-level"
    " warning"
)


@dataclass(frozen=True)
class Promise:
    """What becomes of a job that was submitted and has not ended."""

    killed: str
    """When a worker is killed (kill -9)."""
    power: str
    """When the machine loses power."""


@dataclass(frozen=True)
class Peer:
    title: str
    module: str
    workers: str
    """The command of its workers; none: it works in the client's process."""
    promise: Promise
    needs: Need = ""
    most: int = 1_000_000
    """A larger size would take minutes."""
    is_queue: bool = True
    """It keeps jobs outside of the process that submits them."""
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: str = ""
    """A function of its module that is called once, before the workers start."""


BY_HAND = "the least by hand over HTTP, 8 threads"

_REDIS = "redis"
_TAKEN = "lost: taken off the queue before it runs"
_EARLY = "lost: acknowledged before it runs (its default)"

PEERS = (
    Peer(
        "Celery, prefork (2)",
        "celery",
        f"celery -A {HERE}.celery worker --pool prefork --concurrency 2 --without-gossip"
        " --without-mingle --loglevel WARNING",
        Promise(_EARLY, _REDIS),
        needs="redis",
        most=5_000,
    ),
    Peer(
        "Celery, threads (16)",
        "celery",
        f"celery -A {HERE}.celery worker --pool threads --concurrency 16 --without-gossip"
        " --without-mingle --loglevel WARNING",
        Promise(_EARLY, _REDIS),
        needs="redis",
        most=5_000,
    ),
    Peer(
        "RQ, 2 workers that fork",
        "rq",
        "rq worker-pool --num-workers 2 --quiet --url {redis} default",
        Promise("failed, not run again", _REDIS),
        needs="redis",
        most=1_000,
    ),
    Peer(
        "RQ, 2 SimpleWorkers",
        "rq",
        "rq worker-pool --num-workers 2 --quiet --worker-class rq.SimpleWorker --url {redis}"
        " default",
        Promise("failed, not run again", _REDIS),
        needs="redis",
        most=2_000,
    ),
    Peer(
        "Huey on Redis, 2 processes",
        "huey_redis",
        f"huey_consumer {HERE}.huey_redis.huey --worker-type process --workers 2 --quiet",
        Promise(_TAKEN, _REDIS),
        needs="redis",
        most=5_000,
    ),
    Peer(
        "Huey on SQLite, 2 threads",
        "huey_sqlite",
        f"huey_consumer {HERE}.huey_sqlite.huey --worker-type thread --workers 2 --quiet",
        Promise(_TAKEN, "kept: each write is synced (fsync=True)"),
        most=2_000,
    ),
    Peer(
        "Dramatiq, 2 processes of 8 threads",
        "dramatiq",
        f"dramatiq {HERE}.dramatiq --processes 2 --threads 8",
        Promise("run again: acknowledged when it has ended", _REDIS),
        needs="redis",
        most=20_000,
    ),
    Peer(
        "Procrastinate, 16 at once",
        "procrastinate",
        f"procrastinate --app {HERE}.procrastinate.app worker --concurrency 16",
        Promise(
            "kept as `doing`; to be retried by code of your own", "kept: each commit is synced"
        ),
        needs="postgres",
        most=2_000,
        prepare="prepare",
    ),
    Peer(
        "Flask-Executor behind gunicorn, 16 threads",
        "flask_executor",
        f"{GUNICORN} {HERE}.flask_executor:app",
        Promise("lost, with all results", "lost"),
        is_queue=False,
    ),
    Peer(
        "a bare ThreadPoolExecutor, 16 threads",
        "thread_pool",
        "",
        Promise("lost, with all results", "lost"),
        is_queue=False,
    ),
    Peer(
        BY_HAND,
        "by_hand",
        f"{GUNICORN} {HERE}.by_hand:service()",
        Promise("kept, to be run again by code of your own", "kept: each commit is synced"),
        is_queue=False,
    ),
    Peer(
        "SQLite by hand, two commits a job",
        "sqlite",
        "",
        Promise("kept as `running`; nobody runs it again", "kept: each commit is synced"),
        most=5_000,
        is_queue=False,
    ),
    Peer(
        "SQLite by hand, two commits for 200 jobs",
        "sqlite",
        "",
        Promise("kept as `running`; nobody runs it again", "kept: each commit is synced"),
        is_queue=False,
        environment={"BENCH_CHUNK": "200"},
    ),
)

REDIS_PROMISES = {
    "always": "kept: Redis syncs each write",
    "everysec": "up to a second is lost: Redis syncs once a second",
    "no": "lost, up to half a minute: Redis never syncs",
}


def on_power_loss(peer: Peer, redis_fsync: str) -> str:
    return REDIS_PROMISES[redis_fsync] if peer.promise.power == _REDIS else peer.promise.power
