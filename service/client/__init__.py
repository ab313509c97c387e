"""The Python client. It imports nothing of the server, and needs only ``requests``."""

from __future__ import annotations

from service.client.client import Client
from service.client.errors import (
    Conflict,
    ConnectionFailed,
    Expired,
    Flaw,
    Invalid,
    JobspoolClientError,
    NotFound,
    ProblemError,
    QuotaExceeded,
    StreamCut,
    TooLarge,
    Unauthorized,
    Unavailable,
    WaitTimeout,
)
from service.client.shapes import (
    Attempt,
    Batch,
    Cancelled,
    Concurrency,
    Counts,
    Job,
    JobError,
    Result,
)

__all__ = [
    "Attempt",
    "Batch",
    "Cancelled",
    "Client",
    "Concurrency",
    "Conflict",
    "ConnectionFailed",
    "Counts",
    "Expired",
    "Flaw",
    "Invalid",
    "Job",
    "JobError",
    "JobspoolClientError",
    "NotFound",
    "ProblemError",
    "QuotaExceeded",
    "Result",
    "StreamCut",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "WaitTimeout",
]
