"""The operations of the application that serves this request."""

from __future__ import annotations

from typing import cast

from flask import current_app

from service.operations.operations import Operations

EXTENSION = "jobspool"


def operations() -> Operations:
    return cast(Operations, current_app.extensions[EXTENSION])
