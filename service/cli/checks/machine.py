"""What the machine gives to a process: files, threads, time."""

from __future__ import annotations

import resource
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep, time

from service import descriptors
from service.cli.checks.check import Check, Verdict
from service.settings import Settings

LEAST_FILES = 256

RELEASED = datetime(2026, 1, 1, tzinfo=UTC)
LOOK_S = 0.2
DRIFT_S = 0.05


def check_limits(settings: Settings) -> list[Check]:
    return [_files(settings), _threads(settings)]


def _files(settings: Settings) -> Check:
    """A running job may have two sockets open. The service takes all that it may have."""
    needed = 2 * (settings.pool_size + settings.dedicated_limit)
    needed += descriptors.needed(settings.threads)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard >= needed:
        return Check("open files", "ok", f"{_limit(hard)}; up to {needed} may be needed")
    verdict: Verdict = "fail" if hard < LEAST_FILES else "warn"
    advice = "Raise it (ulimit -Hn, LimitNOFILE=)."
    return Check("open files", verdict, f"{hard}; up to {needed} may be needed", advice)


def _threads(settings: Settings) -> Check:
    each = settings.threads + settings.pool_size + settings.dedicated_limit + 8
    needed = settings.workers * each
    allowed = min(_process_limit(), _group_limit())
    found = f"{_limit(allowed)}; up to {needed} may be needed"
    if allowed >= needed:
        return Check("threads", "ok", found)
    advice = "Raise it (ulimit -u, TasksMax=, --pids-limit), or lower JOBSPOOL_DEDICATED_LIMIT."
    return Check("threads", "warn", found, advice)


def _process_limit() -> float:
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def _group_limit() -> float:
    """A container's. Linux only, and where cgroups v2 are mounted as usual."""
    try:
        text = Path("/sys/fs/cgroup/pids.max").read_text().strip()
    except OSError:
        return float("inf")
    return float("inf") if text == "max" else float(text)


def _limit(value: float) -> str:
    return "unlimited" if value in (float("inf"), resource.RLIM_INFINITY) else f"{value:g}"


def check_clock() -> Check:
    """Whether the wall clock tells a year that can be, and goes as the steady one does."""
    wall, steady = time(), monotonic()
    sleep(LOOK_S)
    drift_s = abs((time() - wall) - (monotonic() - steady))
    now = datetime.fromtimestamp(wall, UTC)
    if now < RELEASED:
        advice = "Set it: batches would expire at the wrong time, certificates be refused."
        return Check("clock", "fail", f"it is {now:%Y-%m-%d %H:%M} by the clock", advice)
    if drift_s > DRIFT_S:
        advice = "Something moves the clock. Times in results will be wrong; durations will not."
        return Check("clock", "warn", f"moved by {drift_s:.2f} s in {LOOK_S:g} s", advice)
    return Check("clock", "ok", f"{now:%Y-%m-%d %H:%M:%S} UTC, and steady")
