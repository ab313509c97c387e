"""The image as a container, with a folder of the host as its volume."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.image import client
from tests.image.buildah import buildah

DRAIN_S = 3
"""Short, so that the trial is; set as an operator would, in the environment."""


class Container:
    def __init__(self, image: str, isolation: str, volume: Path) -> None:
        self._isolation = isolation
        self._volume = volume
        self._name = buildah("from", "--pull-never", image)
        self._service: subprocess.Popen[bytes] | None = None
        self._log = volume.with_name(f"{volume.name}.log")
        self.config: dict[str, Any] = json.loads(buildah("inspect", self._name))["Docker"]["config"]
        self.uid = int(self.config["User"].partition(":")[0])
        # as Docker does with a new volume
        os.chown(volume, self.uid, self.uid)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self._run(), *command], capture_output=True, text=True, timeout=60, check=False
        )

    def health_check(self) -> subprocess.CompletedProcess[str]:
        """Runs the command that the image names, as Docker would every ten seconds."""
        _, *command = self.config["Healthcheck"]["Test"]
        return self.run(*command)

    def start(self) -> float:
        """Seconds until it was ready."""
        began = time.monotonic()
        with self._log.open("ab") as log:
            self._service = subprocess.Popen(
                [*self._run(), *self.config["Cmd"]],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        client.until(self._is_ready)
        return time.monotonic() - began

    def stop(self) -> int:
        """SIGTERM to its first process, as ``docker stop`` does. Returns its exit code."""
        assert self._service
        os.kill(self._processes()[0], signal.SIGTERM)
        return self._service.wait(timeout=DRAIN_S + 20)

    def owners(self) -> set[int]:
        """Effective user ids of the service's processes, by the kernel's word."""
        return {effective_uid(pid) for pid in self._processes()}

    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    def remove(self) -> None:
        if self._service and self._service.poll() is None:
            for pid in reversed(descendants(self._service.pid)):
                os.kill(pid, signal.SIGKILL)
            self._service.wait(timeout=20)
        self._log.unlink(missing_ok=True)
        subprocess.run(["buildah", "rm", self._name], capture_output=True, check=False)

    def _run(self) -> list[str]:
        return [
            *("buildah", "run", "--isolation", self._isolation, "--network", "host"),
            *("--volume", f"{self._volume}:/data", "--env", f"JOBSPOOL_DRAIN_S={DRAIN_S}"),
            *(self._name, "--"),
        ]

    def _is_ready(self) -> bool:
        assert self._service
        if self._service.poll() is not None:
            sys.exit(f"WRONG the service ended at once, exit {self._service.returncode}")
        try:
            return client.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def _processes(self) -> list[int]:
        """The service's own, not buildah's around them; the first is gunicorn's master."""
        assert self._service
        return [pid for pid in descendants(self._service.pid) if is_ours(pid)]


def descendants(pid: int) -> list[int]:
    """Parents before their children. The kernel lists the children of each thread apart."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    children = sorted(int(child) for each in lists for child in each.read_text().split())
    return [found for child in children for found in (child, *descendants(child))]


def is_ours(pid: int) -> bool:
    return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"/opt/jobspool/bin/")


def effective_uid(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[2] for line in lines if line.startswith("Uid:")))
