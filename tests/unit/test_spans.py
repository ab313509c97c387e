"""Spans on threads, and what is counted of them."""

from __future__ import annotations

from typing import Any

from service.operations.spans import Span, levels, peak, rows_of, spread


def span(start: int, end: int | None, **more: Any) -> Span:
    given: dict[str, Any] = {
        "index": 0,
        "custom_id": None,
        "type": "numbers",
        "attempt": 1,
        "status": "succeeded",
        "error": None,
        "process": 1,
        "thread": "pool_0",
        "queued_ms": 0,
        "cpu_us": 0,
    }
    return Span(**{**given, **more}, started_ms=start, finished_ms=end)


def test_threads_of_one_name_in_two_processes_have_a_row_each() -> None:
    rows = rows_of([span(5, 9), span(0, 5), span(0, 9, process=2)])
    assert [(row.process, row.name) for row in rows] == [(1, "pool_0"), (2, "pool_0")]
    assert [one.started_ms for one in rows[0].spans] == [0, 5]


def test_rows_are_in_the_order_of_numbers() -> None:
    names = ["pool_10", "pool_2", "Thread-1", "pool_1"]
    rows = rows_of([span(0, 1, thread=name) for name in names])
    assert [row.name for row in rows] == ["Thread-1", "pool_1", "pool_2", "pool_10"]


def test_spans_of_unknown_threads_get_as_many_rows_as_it_takes_for_none_to_overlap() -> None:
    times = [(0, 4), (1, 3), (3, None), (4, 6)]
    strays = [span(*one, thread=None) for one in times]
    rows = rows_of([*strays, span(2, 2, thread=None, process=2)])
    assert [(row.process, row.name) for row in rows] == [
        (1, "unknown_0"),
        (1, "unknown_1"),
        (2, "unknown_0"),
    ]
    shown = [[(one.started_ms, one.finished_ms) for one in row.spans] for row in rows]
    assert shown == [[(0, 4), (4, 6)], [(1, 3), (3, None)], [(2, 2)]]


def test_a_span_that_ends_as_another_begins_is_not_counted_with_it() -> None:
    assert peak([span(0, 5), span(5, 9)]) == 1
    assert peak([span(0, 6), span(5, 9), span(6, None)]) == 2
    assert levels([span(0, 6), span(5, 9)]) == [(0, 1), (5, 2), (6, 1), (9, 0)]


def test_jobs_shorter_than_a_millisecond_are_one_at_a_time_as_far_as_is_known() -> None:
    assert peak([]) == 0
    assert peak([span(3, 3), span(3, 3)]) == 1


def test_percentiles_are_values_that_occurred() -> None:
    found = spread(range(1, 101))
    assert found == (50.5, 50, 95, 100)
    assert spread([7]) == (7, 7, 7, 7)
    assert spread([]) is None


def test_a_wait_is_never_negative_though_clocks_of_processes_may_differ() -> None:
    assert span(5, 6, queued_ms=9).wait_ms == 0
