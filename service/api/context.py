"""The application that serves this request, and who sent it."""

from __future__ import annotations

from typing import cast

from flask import current_app, g, request
from werkzeug.routing import Rule

from service.address import is_loopback
from service.api.room import Room
from service.metrics.metrics import Metrics
from service.operations.operations import Operations
from service.operations.parts import NOBODY

EXTENSION = "jobspool"
ROOM = "jobspool-room"
NUMBERS = "jobspool-metrics"

OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})
"""Routes that need no key. Every other does, also one that does not exist."""

MONITORED = "/metrics"


def admit() -> None:
    """Before each request. Raises Unauthorized for one that needs a key and has none."""
    all_callers = cast(Operations, current_app.extensions[EXTENSION])
    g.operations = all_callers.of(NOBODY)
    if needs_key(request.url_rule) and not _is_own_monitor():
        caller = all_callers.access.caller(request.headers.get("Authorization"))
        g.operations = all_callers.of(caller)


def operations() -> Operations:
    """What the caller of this request can do."""
    return cast(Operations, g.operations)


def needs_key(rule: Rule | None) -> bool:
    """Whether a route does, once there are keys; None is a path that is none."""
    return rule is None or not (rule.rule in OPEN or rule.rule.startswith("/docs/"))


def _is_own_monitor() -> bool:
    """Asks for numbers from this machine: also when the store, and so the keys, can't be read."""
    rule = request.url_rule
    return rule is not None and rule.rule == MONITORED and is_loopback(request.remote_addr or "")


def room() -> Room:
    return cast(Room, current_app.extensions[ROOM])


def numbers() -> Metrics:
    return cast(Metrics, current_app.extensions[NUMBERS])
