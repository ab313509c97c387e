"""The service at its address."""

from __future__ import annotations

import requests

from service import __version__
from service.cli.checks.check import Check, Verdict
from service.client import Client, ProblemError
from service.client.errors import JobspoolClientError

TIMEOUT_S = 5


def check_server(url: str, key: str | None, *, expected: bool) -> list[Check]:
    """``expected``: there should be one, so that it fails if there is none."""
    try:
        ready = requests.get(f"{url.rstrip('/')}/readyz", timeout=TIMEOUT_S, allow_redirects=False)
    except (requests.RequestException, ValueError):
        verdict: Verdict = "fail" if expected else "warn"
        advice = "Start it with `jobspool serve`, or say where it is: JOBSPOOL_SERVER."
        return [Check("server", verdict, f"none can be reached at {url}", advice)]
    if ready.status_code == 200:
        return [Check("server", "ok", f"ready at {url}"), _answers(url, key)]
    if ready.status_code == 503:
        advice = "Look into its log; if it is stopping, wait."
        return [Check("server", "fail", f"not ready at {url}: {_detail(ready)}", advice)]
    advice = "Is JOBSPOOL_SERVER right? Something else may be listening there."
    return [Check("server", "fail", f"{url} answers {ready.status_code} to /readyz", advice)]


def _detail(response: requests.Response) -> str:
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return "it does not say why"


def _answers(url: str, key: str | None) -> Check:
    """Whether it lets us in, and is of our version."""
    try:
        with Client(url, key, timeout_s=TIMEOUT_S, retries=0) as client:
            version = client.executor().get("version", "unknown")
    except ProblemError as problem:
        advice = "Set JOBSPOOL_KEY." if problem.status in (401, 403) else "Look into its log."
        return Check("access", "fail", f"{problem.detail} ({problem.status})", advice)
    except JobspoolClientError as error:
        return Check("access", "fail", str(error), "Look into its log.")
    if version == __version__:
        return Check("access", "ok", f"it lets you in, and is jobspool {version} as this")
    advice = "Restart it, if it was to be upgraded."
    return Check("access", "warn", f"it is jobspool {version}, this is {__version__}", advice)
