"""Which operations an id in an answer is for (OpenAPI's links)."""

from __future__ import annotations

from typing import Any, Final

_OF_A_BATCH: Final = (
    "show_batch", "list_jobs", "list_results", "show_console", "follow_events", "show_timeline",
    "cancel_batch", "retry_batch", "delete_batch",
)  # fmt: skip

NEW_BATCH: Final[dict[str, Any]] = {
    name: {"operationId": name, "parameters": {"batch_id": "$response.body#/id"}}
    for name in _OF_A_BATCH
}
