"""The settings, read once from the environment (prefix ``JOBSPOOL_``); all problems at once."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from service.errors import SettingsInvalid

CLIENT_VARIABLES = frozenset({"JOBSPOOL_SERVER", "JOBSPOOL_KEY"})
"""What the command line reads when it asks a service. No settings of one."""


class Settings(BaseSettings):
    """Every knob with its default and its bounds. Sizes are bytes, times seconds."""

    model_config = SettingsConfigDict(env_prefix="JOBSPOOL_", frozen=True, extra="forbid")

    # where and how it listens
    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on")
    workers: int = Field(1, ge=1, le=64, description="gunicorn worker processes")
    threads: int = Field(16, ge=2, le=512, description="request threads of each worker")
    insecure_bind: bool = Field(False, description="allow an address other than loopback")
    keepalive_s: int = Field(5, ge=0, le=300, description="how long an idle connection is kept")
    client_timeout_s: float = Field(
        10.0, gt=0, le=300, description="how late a client may be with sending or reading"
    )

    # what it tells of itself
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="how the log is written; auto: readable on a terminal, else JSON"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what is logged, from this level up"
    )
    access_log: bool = Field(True, description="log an event for each request")

    # where state lives
    data_dir: Path = Field(Path("jobspool-data"), description="the database and its locks")

    # how jobs run
    pool_size: int = Field(16, ge=1, le=512, description="threads of the shared pool, each worker")
    dedicated_limit: int = Field(
        256, ge=1, le=4096, description="dedicated and sequential threads of each worker"
    )
    one_core: bool = Field(
        True,
        description="keep a worker's threads on one core (Python's lock lets one run), unless "
        "there are more workers than cores",
    )
    drain_s: float = Field(8.0, ge=0, le=3600, description="time for running jobs after SIGTERM")
    job_timeout_s: float = Field(3600.0, gt=0, le=86400, description="timeout of a job without one")
    stop_grace_s: float = Field(
        5.0, gt=0, le=3600, description="after its timeout, before a thread counts as not returned"
    )
    node_timeout_s: float = Field(
        15.0, ge=1, le=600, description="a process silent for so long is taken for dead"
    )
    max_crashes: int = Field(
        3,
        ge=1,
        le=100,
        description="crashes after which a job is failed, the last in a process of its own",
    )
    retry_base_s: float = Field(1.0, gt=0, le=3600, description="first backoff between attempts")
    retry_max_s: float = Field(300.0, gt=0, le=86400, description="longest backoff")

    host_concurrency: int = Field(4, ge=1, le=10_000, description="jobs at one host at once")
    host_gap_s: float = Field(0.1, ge=0, le=3600, description="between two visits of a host")

    # bounds
    max_body_bytes: int = Field(16 << 20, ge=1024, description="largest JSON or text body")
    max_stream_bytes: int = Field(1 << 30, ge=1024, description="largest NDJSON body")
    max_batch_jobs: int = Field(1_000_000, ge=1, le=10_000_000, description="most jobs of a batch")
    max_queued_jobs: int = Field(5_000_000, ge=1, description="most queued jobs of the service")
    max_result_bytes: int = Field(2 << 20, ge=1024, description="largest result of a job")
    max_console_bytes: int = Field(2 << 20, ge=1024, description="most console text of an attempt")
    max_wait_s: float = Field(60.0, ge=0, le=600, description="longest ?wait= of a request")
    ttl_s: int = Field(86_400, ge=1, le=31_536_000, description="life of a batch after its end")
    idempotency_ttl_s: int = Field(86_400, ge=1, description="memory of an Idempotency-Key")

    # quotas of a key that has none of its own
    key_max_queued_jobs: int = Field(
        1_000_000, ge=0, description="most queued jobs of one API key; 0: no limit"
    )
    key_batches_per_minute: int = Field(
        600, ge=0, description="most batches that one API key submits in a minute; 0: no limit"
    )

    # fetching
    fetch_allow_cidrs: str = Field("", description="addresses allowed although not public")
    fetch_deny_cidrs: str = Field("", description="addresses denied whatever else says")
    fetch_allow_ports: str = Field("80,443,8080,8443", description="ports that may be dialled")
    fetch_timeout_s: float = Field(
        20.0, gt=0, le=3600, description="for a page, redirects included"
    )
    fetch_connect_s: float = Field(3.0, gt=0, le=3600, description="of it to connect, TLS included")
    fetch_dns_s: float = Field(5.0, gt=0, le=3600, description="of it to resolve a name")
    fetch_max_body_bytes: int = Field(
        2 << 20, ge=1024, le=1 << 30, description="largest page, decoded"
    )
    fetch_max_wire_bytes: int = Field(1 << 20, ge=1024, le=1 << 30, description="and as it is sent")
    fetch_max_header_bytes: int = Field(65_536, ge=1024, le=1 << 20, description="and its headers")
    fetch_max_redirects: int = Field(5, ge=0, le=50, description="most redirects of a page")
    fetch_allow_https_downgrade: bool = Field(
        False, description="follow redirects from https to http"
    )
    fetch_ca_file: str = Field("", description="PEM bundle to trust instead of certifi's")
    page_readers: int = Field(
        0, ge=0, le=64, description="processes of each worker that read pages; 0: two for each core"
    )
    fetch_contact: str = Field("", description="operator's contact, put in the User-Agent")

    @property
    def database_path(self) -> Path:
        return self.data_dir / "jobspool.db"


def load_settings(**overrides: Any) -> Settings:
    """Read the environment, then the overrides that are not None.

    Raises SettingsInvalid that names every setting that is wrong, not the first only.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as invalid:
        lines = [_problem(error) for error in invalid.errors()]
        raise SettingsInvalid("settings are not valid:\n  " + "\n  ".join(lines)) from None


def unknown_variables() -> list[str]:
    """Environment variables with our prefix that are no setting: misspelt, most likely."""
    known = {f"JOBSPOOL_{name.upper()}" for name in Settings.model_fields} | CLIENT_VARIABLES
    return sorted(name for name in os.environ if name.startswith("JOBSPOOL_") and name not in known)


def _problem(error: Any) -> str:
    name = "JOBSPOOL_" + "_".join(str(part) for part in error["loc"]).upper()
    return f"{name}: {error['msg']} (got {error['input']!r})"
