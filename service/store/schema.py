"""The tables. Migrations make them; this is what statements are written against.

``*_ms`` are milliseconds since the epoch, JSON is kept as text. A job's ``key`` is
``batch key << 24 | index``, so the primary key is already the order of every page, and a
``finish_key`` is ``batch key << 32 | seq``, so that results can be followed by one index.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Float,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)

SEQ_BITS = 32

# SQLite makes only a column of the literal type INTEGER its rowid.
Key = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData()


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _owner(*, primary_key: bool = False) -> Column[int]:
    """The API key that made it; 0 without one. Nobody else sees it."""
    return Column(
        "owner",
        Key,
        primary_key=primary_key,
        nullable=False,
        server_default=text("0"),
        autoincrement=False,
    )


batches = Table(
    "batches",
    metadata,
    Column("key", Key, primary_key=True),
    Column("id", String(36), nullable=False, unique=True),
    _owner(),
    Column("status", String(12), nullable=False),
    Column("outcome", String(12)),
    Column("name", Text),
    Column("labels", Text, nullable=False),
    Column("executor", String(12), nullable=False),
    Column("max_workers", Integer),
    Column("lock", String(4), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("ttl_s", Integer, nullable=False),
    Column("retry_of", String(36)),
    # how many of its jobs may run at once, whatever the reason
    Column("width", Integer, nullable=False),
    # a pinned batch shares something inside one process (a lock, a thread): only its home claims
    Column("pinned", SmallInteger, nullable=False),
    Column("home", Key),
    Column("cancel_requested", SmallInteger, nullable=False, server_default=text("0")),
    _count("total"),
    _count("queued"),
    # those of the queued that are not due yet
    _count("waiting"),
    _count("running"),
    _count("succeeded"),
    _count("failed"),
    _count("cancelled"),
    _count("finish_seq"),
    _count("console_seq"),
    _count("console_bytes"),
    _count("version"),
    # numbers its last turn among all batches' turns: the smallest is next
    _count("turn"),
    _count("run_ms"),
    _count("cpu_us"),
    # the running jobs that do not share a shift, and the sum of their claim times: their run time
    # so far is live * now - live_claimed_ms
    _count("live"),
    _count("live_claimed_ms"),
    _count("peak"),
    Column("created_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    # the latest end of a job so far; the batch's own end once its status says so
    Column("finished_ms", BigInteger),
    Column("expires_ms", BigInteger),
    CheckConstraint(
        "queued + running + succeeded + failed + cancelled = total", name="counts_sum_to_total"
    ),
    CheckConstraint("waiting BETWEEN 0 AND queued AND running >= 0", name="counts_are_counts"),
    sqlite_autoincrement=True,
)

# a statement has to say it in these words for the index to serve it
CLAIMABLE = "queued > waiting AND cancel_requested = 0"
# jobs that were running at two crashes: one of them may be what brings the process down
SUSPECT_CRASHES = 2
SUSPECT = f"crashes >= {SUSPECT_CRASHES}"
QUEUED = "state = 'queued'"
WAITING = "state = 'waiting'"
RUNNING = "state = 'running'"
UNHAPPY = "state IN ('failed', 'cancelled')"
AT_HOME = "home IS NOT NULL"
# jobs that wait for a moment; those that wait for another job of their host to end, or (they are
# suspects) for a process of their own
DUE = "state = 'waiting' AND due_ms IS NOT NULL"
PARKED = "state = 'waiting' AND due_ms IS NULL"
WAITS_FOR_HOST = f"{PARKED} AND NOT ({SUSPECT})"
FINISHED = "finish_key IS NOT NULL"


def _partial(name: str, *columns: ColumnElement[Any], where: str) -> None:
    Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


_partial(
    "batches_claimable",
    batches.c.executor,
    batches.c.priority.desc(),
    batches.c.turn,
    where=CLAIMABLE,
)
_partial("batches_at_home", batches.c.home, where=AT_HOME)
_partial("batches_expiring", batches.c.expires_ms, where="expires_ms IS NOT NULL")
Index("batches_by_status", batches.c.status, batches.c.key)
# those of a list: one for each filter, and each caller's own batches lie together
Index("batches_of_owner", batches.c.owner, batches.c.key)
Index("batches_of_owner_by_status", batches.c.owner, batches.c.status, batches.c.key)
Index("batches_of_owner_by_creation", batches.c.owner, batches.c.created_ms, batches.c.key)
for _name in ("name", "outcome"):
    _partial(
        f"batches_of_owner_by_{_name}",
        batches.c.owner,
        batches.c[_name],
        batches.c.key,
        where=f"{_name} IS NOT NULL",
    )

labels = Table(
    "labels",
    metadata,
    _owner(primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Text, primary_key=True),
    Column("batch_key", Key, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
Index("labels_of_batch", labels.c.batch_key)

jobs = Table(
    "jobs",
    metadata,
    Column("key", Key, primary_key=True, autoincrement=False),
    Column("state", String(9), nullable=False),
    Column("type", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("custom_id", Text),
    Column("timeout_s", Float),
    Column("max_attempts", Integer, nullable=False),
    # whom the job visits: jobs of one host are kept apart
    Column("host", Text),
    Column("attempt", Integer, nullable=False, server_default=text("0")),
    # attempts that count against max_attempts: not those that crashed or were handed back
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("crashes", Integer, nullable=False, server_default=text("0")),
    Column("owner", Key),
    Column("cancelling", SmallInteger, nullable=False, server_default=text("0")),
    Column("wait_reason", String(16)),
    Column("due_ms", BigInteger),
    # when it was claimed, if its batch counts it as live
    Column("claimed_ms", BigInteger),
    Column("queued_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("finished_ms", BigInteger),
    Column("cpu_us", BigInteger),
    Column("thread", Text),
    Column("result", Text),
    Column("error", Text),
    Column("finish_key", BigInteger),
)

_partial("jobs_queued", jobs.c.key, where=QUEUED)
_partial("jobs_waiting", jobs.c.key, where=WAITING)
_partial("jobs_due", jobs.c.due_ms, where=DUE)
_partial("jobs_parked", jobs.c.host, jobs.c.key, where=PARKED)
_partial("jobs_running", jobs.c.owner, jobs.c.key, where=RUNNING)
_partial("jobs_suspect", jobs.c.state, jobs.c.key, where=SUSPECT)
_partial("jobs_unhappy", jobs.c.state, jobs.c.key, where=UNHAPPY)
_partial("jobs_finished", jobs.c.finish_key, where=FINISHED)

attempts = Table(
    "attempts",
    metadata,
    Column("job_key", Key, primary_key=True, autoincrement=False),
    Column("n", Integer, primary_key=True),
    # the node that made it: thread names are a process's own
    Column("owner", Key),
    Column("thread", Text),
    Column("queued_ms", BigInteger, nullable=False),
    Column("started_ms", BigInteger),
    Column("finished_ms", BigInteger),
    Column("cpu_us", BigInteger),
    Column("error", Text),
    sqlite_with_rowid=False,
)

console = Table(
    "console",
    metadata,
    # batch key << 32 | place in the batch's console
    Column("key", Key, primary_key=True, autoincrement=False),
    Column("job_key", BigInteger, nullable=False),
    # how many bytes (UTF-8) of the batch's console stand before this piece
    Column("start", BigInteger, nullable=False),
    Column("text", Text, nullable=False),
)
Index("console_of_job", console.c.job_key, console.c.key)

hosts = Table(
    "hosts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("running", Integer, nullable=False),
    Column("next_ms", BigInteger, nullable=False),
    Column("reserved_ms", BigInteger, nullable=False),
    Column("gap_ms", Integer, nullable=False),
    sqlite_with_rowid=False,
)

nodes = Table(
    "nodes",
    metadata,
    Column("key", Key, primary_key=True),
    Column("pid", Integer, nullable=False),
    Column("boot_id", Text, nullable=False),
    # name of the file that the process keeps locked while it lives
    Column("lock", Text, nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    # seconds since the machine started: steady, and the same for all its processes
    Column("heartbeat_s", Float, nullable=False),
    sqlite_autoincrement=True,
)

idempotency = Table(
    "idempotency",
    metadata,
    _owner(primary_key=True),
    Column("key_hash", String(64), primary_key=True),
    Column("fingerprint", String(64), nullable=False),
    # the answer, as JSON: a key is remembered its time, also when its batch is gone by then
    Column("accepted", Text, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
)
Index("idempotency_expiring", idempotency.c.expires_ms)

# ids of expired batches: 410 is a better answer than 404 for as long as anyone may still ask
tombstones = Table(
    "tombstones",
    metadata,
    Column("batch_id", String(36), primary_key=True),
    _owner(),
    Column("expired_ms", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("tombstones_by_age", tombstones.c.expired_ms)

# API keys. A revoked one stays: once there has been a key, no request goes without.
keys = Table(
    "keys",
    metadata,
    Column("id", Key, primary_key=True),
    Column("name", Text, nullable=False),
    # SHA-256 of the secret, which is kept nowhere
    Column("hash", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("revoked_ms", BigInteger),
    # quotas: 0 is none, null is what the settings say
    Column("max_queued_jobs", BigInteger),
    Column("batches_per_minute", BigInteger),
    # what is used of them: jobs queued now, and the batches of the minute that began then
    _count("queued"),
    _count("minute_ms"),
    _count("minute_batches"),
    sqlite_autoincrement=True,
)
Index(
    "keys_by_name",
    keys.c.name,
    unique=True,
    sqlite_where=text("revoked_ms IS NULL"),
    postgresql_where=text("revoked_ms IS NULL"),
)

# sums over the whole store that would cost a scan; and the latest of the batches' turns
gauges = Table(
    "gauges",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
