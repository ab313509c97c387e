"""What a soak is to do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """All choices of clients and faults follow from ``seed``; what is timing does not."""

    seed: int
    kills: int
    """Processes, or all of them at once, to kill -9 while jobs run on them."""
    storm_s: float = 0.0
    """The kills are spread over so long, or take longer."""
    calm_s: float = 0.0
    """Then for so long the same work without faults, for what grows with time."""
    workers: int = 3
    pool_size: int = 8
    clients: int = 4
    most_open_jobs: int = 150
    """Of each client: what it has submitted and has not ended."""
    rough: bool = False
    """Not only workers are killed, but everything at once, and there are stops, frozen workers,
    a full disk, slow and dead hosts, and jobs that kill their process."""
    disk: str = "limit"
    """How the disk gets full: ``tmpfs`` (needs root) or ``limit`` (RLIMIT_FSIZE)."""
    node_timeout_s: float = 4.0
    patience_s: float = 180.0
    """How long anything may take that is only waited for."""

    @property
    def settings(self) -> dict[str, object]:
        """Those of the service: short times, so that much happens."""
        return {
            "workers": self.workers,
            "pool_size": self.pool_size,
            "threads": 16,
            "drain_s": 2,
            "node_timeout_s": self.node_timeout_s,
            "retry_base_s": 0.05,
            "retry_max_s": 0.5,
            "host_gap_s": 0.005,
            "host_concurrency": 8,
            "fetch_allow_cidrs": "127.0.0.0/8",
        }
