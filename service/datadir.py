"""The data directory: one service at a time, on a disk that this machine really owns."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from time import monotonic, sleep

from service.errors import StartRefused

# SQLite's WAL needs shared memory and working locks between all its users: a network file
# system gives neither, and says so by corrupting the database.
NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cephfs", "cifs", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs"}
    | {"gfs2", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2"}
    | {"smb2", "smb3", "smbfs"}
)

ORPHANS_S = 12.0
"""How long a start waits for the workers of a killed master to notice and leave."""


class DataDirectory:
    """Holds the directory for this service. Its workers inherit the hold across their fork,
    so nobody else gets the directory before the last of them has left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    def claim(self) -> None:
        """Raises StartRefused with a sentence that helps."""
        self.hold()
        try:
            (self._path / "service.pid").write_text(f"{os.getpid()}\n")
        except OSError as error:
            raise self._unusable(error) from error

    def hold(self) -> None:
        """As ``claim``, for a moment and not as the service: one that starts now waits for it."""
        self._wait_for_lock(self._opened())

    def _opened(self) -> int:
        try:
            self._path.mkdir(parents=True, exist_ok=True)
            kind = file_system_of(self._path)
            if kind in NETWORK:
                raise StartRefused(
                    f"the data directory {self._path} is on a network file system ({kind}), where "
                    "SQLite can't keep its promises; set JOBSPOOL_DATA_DIR to a local disk"
                )
            self._lock = os.open(self._path / "service.lock", os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._unusable(error) from error
        return self._lock

    def _unusable(self, error: OSError) -> StartRefused:
        return StartRefused(f"the data directory {self._path} can't be used: {error.strerror}")

    def release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _wait_for_lock(self, lock: int) -> None:
        until = monotonic() + ORPHANS_S
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if monotonic() > until or _holder_lives(self._path):
                    raise StartRefused(
                        f"the data directory {self._path} is in use by another service "
                        f"(process {_holder(self._path)}); stop that one, or choose another "
                        "directory with JOBSPOOL_DATA_DIR"
                    ) from None
                sleep(0.1)
            else:
                return


def holder_of(path: Path) -> int | None:
    """The process of the service that has the directory, 0 if it can't be told; None if nobody
    has it. Only looks. Raises OSError."""
    try:
        lock = os.open(path / "service.lock", os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(path)
    finally:
        os.close(lock)
    return None


def _holder(path: Path) -> int:
    try:
        return int((path / "service.pid").read_text())
    except (OSError, ValueError):
        return 0


def _holder_lives(path: Path) -> bool:
    """Whether the master that took the lock is there, or only workers that it left behind."""
    holder = _holder(path)
    if not holder:
        return False
    try:
        os.kill(holder, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return not _is_zombie(holder)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return False


def file_system_of(path: Path) -> str:
    """The type of the file system that holds the path, by the kernel's mount table."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    target = str(path.resolve())
    best, kind = "", "unknown"
    for line in mounts:
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].replace("\\040", " ")
        inside = target == point or target.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, rest.split()[0]
    return kind
