"""Calling the API the way a client does."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.support.waiting import eventually


def job(type: str = "numbers", **params: Any) -> dict[str, Any]:
    return {"type": type, "params": params}


class Api:
    """A Flask client with the few calls that nearly every test makes."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def post(self, jobs: list[Any], query: str = "", **options: Any) -> TestResponse:
        return self.client.post(f"/v1/batches{query}", json={"jobs": jobs, **options})

    def submit(self, *jobs: Any, **options: Any) -> str:
        """Submit; the batch's path."""
        response = self.post(list(jobs), **options)
        assert response.status_code == 202, response.text
        return str(response.headers["Location"])

    def get(self, path: str, **headers: str) -> Any:
        response = self.client.get(path, headers=headers)
        assert response.status_code == 200, response.text
        return response.json

    def ended(self, path: str, timeout_s: float = 60.0) -> Any:
        """The batch once it has ended."""

        def probe() -> Any:
            batch = self.get(path)
            return batch if batch["status"] in ("completed", "cancelled") else None

        return eventually(probe, f"{path} ends", timeout_s=timeout_s)

    def run(self, *jobs: Any, **options: Any) -> Any:
        return self.ended(self.submit(*jobs, **options))

    def jobs(self, path: str) -> list[Any]:
        return list(self.get(f"{path}/jobs?limit=1000")["items"])

    def console(self, path: str) -> str:
        return self.client.get(f"{path}/console").text

    def until(self, path: str, status: str, count: int = 1) -> Any:
        """The batch once so many of its jobs are counted in a status."""

        def probe() -> Any:
            batch = self.get(path)
            return batch if batch["counts"][status] >= count else None

        return eventually(probe, f"{count} jobs of {path} are {status}")
