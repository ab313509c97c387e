"""A real service: ``jobspool serve`` in processes of its own, on a real port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tests.support.waiting import eventually

COMMAND = Path(sysconfig.get_path("scripts")) / "jobspool"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """Started by ``start``; ``kill`` is kill -9 of all its processes at once."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **{n: v for n, v in os.environ.items() if not n.startswith("JOBSPOOL_")},
            "JOBSPOOL_PORT": str(self.port),
            "JOBSPOOL_DATA_DIR": str(folder / "data"),
            "PYTHONWARNINGS": "error",
            **{f"JOBSPOOL_{name.upper()}": str(value) for name, value in settings.items()},
        }
        self.command = [str(COMMAND)]
        self._orders = folder / "orders"
        self.log = folder / "server.log"
        self.session = requests.Session()
        # a worker that is killed resets its connections: a GET may be asked again
        again = Retry(8, backoff_factor=0.05, allowed_methods=["GET"])
        self.session.mount("http://", HTTPAdapter(max_retries=again))
        self._process: subprocess.Popen[bytes] | None = None

    def launch(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, "serve", *arguments],
                env=self.environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
            )
        return self._process

    def start(self, *arguments: str) -> Server:
        process = self.launch(*arguments)

        def ready() -> bool:
            assert process.poll() is None, self.log.read_text()
            try:
                return requests.get(f"{self.url}/readyz", timeout=2).status_code == 200
            except (requests.ConnectionError, requests.Timeout):
                return False

        eventually(ready, f"the service is ready; it said {self.log.read_text()}", timeout_s=30)
        return self

    # --- faults: see tests/support/faulty.py ------------------------------------------------

    def faulty(self) -> Server:
        """Let it go wrong where ``order`` says. To be called before the launch."""
        self._orders.mkdir()
        self.command = [sys.executable, str(Path(__file__).with_name("faulty.py"))]
        self.environment["FAULTS"] = str(self._orders)
        self.environment["PYTHONPATH"] = str(Path(__file__).parents[2])
        return self

    def order(self, point: str) -> None:
        (self._orders / point).touch()

    def has_met(self, point: str) -> bool:
        return (self._orders / f"{point}.done").exists()

    def let_go_on(self, point: str) -> None:
        (self._orders / f"{point}.go").touch()

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process
        return self._process

    def workers(self) -> list[int]:
        """The worker processes' ids."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def terminate(self, timeout_s: float = 30) -> int:
        """SIGTERM to the master; its exit code."""
        self.process.terminate()
        return self.process.wait(timeout_s)

    def close(self) -> None:
        self.session.close()
        if self._process:
            self._end(signal.SIGKILL)

    def _end(self, sign: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, sign)
        except ProcessLookupError:
            pass
        self.process.wait(30)
        eventually(lambda: not self.is_there(), "the whole group is gone")

    def is_there(self) -> bool:
        """Whether any of its processes is."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def connect(self) -> socket.socket:
        """A client's connection, on which nothing was said."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    # --- the API ----------------------------------------------------------------------------

    def get(self, path: str, **options: Any) -> Any:
        try:
            response = self.session.get(f"{self.url}{path}", timeout=90, **options)
        except requests.exceptions.ChunkedEncodingError:  # killed between its head and its body
            return self.get(path, **options)
        assert response.status_code == 200, (path, response.status_code, response.text)
        return response.json()

    def post(self, jobs: Iterable[Any], query: str = "", **options: Any) -> requests.Response:
        body = {"jobs": list(jobs), **options}
        return self.session.post(f"{self.url}/v1/batches{query}", json=body, timeout=90)

    def stream(self, lines: bytes | Iterable[bytes]) -> requests.Response:
        """A batch as NDJSON."""
        kind = {"Content-Type": "application/x-ndjson"}
        return self.session.post(f"{self.url}/v1/batches", data=lines, headers=kind, timeout=110)

    def submit(self, *jobs: Any, **options: Any) -> str:
        response = self.post(jobs, **options)
        assert response.status_code == 202, response.text
        return str(response.headers["Location"])

    def ended(self, path: str, timeout_s: float = 60) -> Any:
        def probe() -> Any:
            batch = self.get(path)
            return batch if batch["status"] in ("completed", "cancelled") else None

        return eventually(probe, f"{path} ends", timeout_s=timeout_s, every_s=0.05)

    def run(self, *jobs: Any, **options: Any) -> Any:
        return self.ended(self.submit(*jobs, **options))

    def console(self, path: str) -> list[str]:
        return self.session.get(f"{self.url}{path}/console", timeout=30).text.splitlines()

    def results(self, path: str) -> list[Any]:
        response = self.session.get(f"{self.url}{path}/results?format=ndjson", timeout=90)
        return [json.loads(line) for line in response.text.splitlines()]

    def jobs(self, path: str) -> list[Any]:
        items: list[Any] = []
        page: str | None = f"{path}/jobs?limit=1000"
        while page:
            answer = self.get(page)
            items += answer["items"]
            page = answer["next"]
        return items
