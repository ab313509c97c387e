"""Results as NDJSON and CSV: streamed, every job, in submission order."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from typing import Any

from service.api.present import dumps, result_line, result_view
from service.operations.jobs import JobPage

CSV_COLUMNS = (
    "index",
    "custom_id",
    "job_id",
    "type",
    "status",
    "error_code",
    "error_detail",
    "result",
)

_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def ndjson(pages: Iterable[JobPage]) -> Iterator[str]:
    for page in pages:
        yield "".join(result_line(page.batch, job) + "\n" for job in page.jobs)


def csv_rows(pages: Iterable[JobPage]) -> Iterator[str]:
    """RFC 4180. A cell that a spreadsheet would take for a formula is quoted with ``'``."""
    yield _csv([CSV_COLUMNS])
    for page in pages:
        yield _csv(_cells(result_view(page.batch, job)) for job in page.jobs)


def _csv(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


def _cells(line: dict[str, Any]) -> list[Any]:
    error = line["error"] or {}
    result = "" if line["result"] is None else dumps(line["result"])
    values = {
        **line,
        "error_code": error.get("code"),
        "error_detail": error.get("detail"),
        "result": result,
    }
    return [_safe(values[column]) for column in CSV_COLUMNS]


def _safe(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value
