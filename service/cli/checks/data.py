"""The data directory and the database in it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryFile

from service.cli.checks.check import Check
from service.datadir import NETWORK, file_system_of, holder_of
from service.errors import StoreUnavailable

MIB = 1 << 20
FREE_FAIL, FREE_WARN = 64 * MIB, 1024 * MIB
EXAMINE_S = 60.0


def check_directory(path: Path) -> list[Check]:
    place = path.absolute()
    if not path.exists():
        return [_to_be_made(place)]
    if not path.is_dir():
        return [Check("directory", "fail", f"{place} is no directory", "Move it away.")]
    return [_usable(place), _file_system(place), _space(place), _holder(place)]


def _to_be_made(place: Path) -> Check:
    parent = next(folder for folder in place.parents if folder.exists())
    if os.access(parent, os.W_OK | os.X_OK):
        return Check("directory", "ok", f"{place} is not there yet: `jobspool serve` makes it")
    return Check(
        "directory", "fail", f"{place} is not there, and {parent} is not yours to write in",
        "Make it, or choose another with JOBSPOOL_DATA_DIR.",
    )  # fmt: skip


def _usable(place: Path) -> Check:
    try:
        with TemporaryFile(dir=place) as probe:
            probe.write(b"x")
    except OSError as error:
        return Check(
            "directory", "fail", f"{place} can't be written: {error.strerror}",
            "Let the user that runs jobspool own it, or choose another with JOBSPOOL_DATA_DIR.",
        )  # fmt: skip
    return Check("directory", "ok", f"{place} can be written")


def _file_system(place: Path) -> Check:
    kind = file_system_of(place)
    if kind in NETWORK:
        return Check(
            "file system", "fail", f"{kind}: a network file system",
            "SQLite can't keep its promises there: set JOBSPOOL_DATA_DIR to a local disk.",
        )  # fmt: skip
    if kind in ("tmpfs", "ramfs"):
        advice = "All is lost at a restart of the machine: set JOBSPOOL_DATA_DIR to a disk."
        return Check("file system", "warn", f"{kind}: memory, no disk", advice)
    return Check("file system", "ok", kind)


def _space(place: Path) -> Check:
    free = shutil.disk_usage(place).free
    found = f"{free // MIB:,} MiB free"
    advice = "Make room: on a full disk nothing is accepted."
    if free < FREE_FAIL:
        return Check("disk space", "fail", found, advice)
    return Check("disk space", "warn" if free < FREE_WARN else "ok", found,
                 advice if free < FREE_WARN else "")  # fmt: skip


def _holder(place: Path) -> Check:
    try:
        holder = holder_of(place)
    except OSError as error:
        return Check(
            "service", "warn", f"can't tell whether one runs on it: {error.strerror}",
            "Run doctor as the user that runs jobspool.",
        )  # fmt: skip
    if holder is None:
        return Check("service", "ok", "none runs on this directory now")
    return Check("service", "ok", f"process {holder or 'unknown'} runs on this directory")


def check_database(path: Path) -> list[Check]:
    """Reads all of it, so that a big one takes a while, but not longer than EXAMINE_S."""
    from service.store.examination import examine

    if not path.exists():
        return [Check("database", "ok", "none yet: `jobspool serve` makes it")]
    if not os.access(path, os.R_OK | os.W_OK):
        advice = "Let the user that runs jobspool own it, and its -wal and -shm beside it."
        return [Check("database", "fail", f"{path} may not be read and written by you", advice)]
    try:
        found = examine(path, most_s=EXAMINE_S)
    except StoreUnavailable as error:
        advice = "Restore it from a backup, or move it away to start with an empty one."
        return [Check("database", "fail", error.detail, advice)]
    return [_schema(found.schema, found.newest, known=found.known), _soundness(found.damage)]


def _schema(schema: str | None, newest: str, *, known: bool) -> Check:
    if schema == newest:
        return Check("schema", "ok", f"{schema}, the newest")
    if known:
        return Check("schema", "ok", f"{schema}; `jobspool serve` brings it to {newest}")
    advice = "Start the newer jobspool that made it, or use another data directory."
    return Check("schema", "fail", f"{schema} is not known to this jobspool", advice)


def _soundness(damage: list[str] | None) -> Check:
    if damage is None:
        return Check(
            "database", "warn", f"too big to be read through in {EXAMINE_S:g} s",
            "Check it at a quiet hour: sqlite3 jobspool.db 'PRAGMA integrity_check'",
        )  # fmt: skip
    if damage:
        advice = "Stop the service and restore it from a backup."
        return Check("database", "fail", f"damaged: {'; '.join(damage)}", advice)
    return Check("database", "ok", "sound")
