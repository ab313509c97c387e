"""Results as NDJSON and CSV: streamed, every job, in submission order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from service import csv_text
from service.api.present import result_lines, result_view
from service.operations.jobs import JobPage


def ndjson(pages: Iterable[JobPage]) -> Iterator[str]:
    for page in pages:
        yield result_lines(page.jobs)


def csv_rows(pages: Iterable[JobPage]) -> Iterator[str]:
    """The header comes with the first page: without that there is nothing to begin."""
    head = csv_text.csv_header()
    for page in pages:
        yield head + csv_text.csv_rows(result_view(page.batch, job) for job in page.jobs)
        head = ""
