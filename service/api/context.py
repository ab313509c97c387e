"""What the application that serves this request holds."""

from __future__ import annotations

from typing import cast

from flask import current_app

from service.api.room import Room
from service.metrics.metrics import Metrics
from service.operations.operations import Operations

EXTENSION = "jobspool"
ROOM = "jobspool-room"
NUMBERS = "jobspool-metrics"


def operations() -> Operations:
    return cast(Operations, current_app.extensions[EXTENSION])


def room() -> Room:
    return cast(Room, current_app.extensions[ROOM])


def numbers() -> Metrics:
    return cast(Metrics, current_app.extensions[NUMBERS])
