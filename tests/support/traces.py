"""The rules of the Trace Event Format (JSON Object Format), as far as the service uses it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

WITH_TIME = {"X": {"ts", "dur"}, "b": {"ts", "id", "cat"}, "e": {"ts", "id", "cat"}, "C": {"ts"}}


def check_trace(trace: Any) -> list[dict[str, Any]]:
    """Fails the test if Perfetto or chrome://tracing could misread it; returns the slices."""
    assert trace["displayTimeUnit"] in ("ms", "ns")
    events = trace["traceEvents"]
    for event in events:
        assert event["ph"] in {"M", *WITH_TIME}, event
        assert {"name", "pid", "tid"} <= event.keys(), event
        assert all(isinstance(event[name], int) for name in ("pid", "tid")), event
        for name in WITH_TIME.get(event["ph"], ()):
            assert name in event, event
            assert name in ("id", "cat") or isinstance(event[name], int), event
    _check_names(events)
    _check_pairs(events)
    return _check_slices(events)


def _check_names(events: list[dict[str, Any]]) -> None:
    """Each process and thread that is used has a name."""
    named = {(e["name"], e["pid"], e["tid"]) for e in events if e["ph"] == "M"}
    for event in events:
        assert ("process_name", event["pid"], 0) in named, event
        if event["ph"] == "X":
            assert ("thread_name", event["pid"], event["tid"]) in named, event


def _check_pairs(events: list[dict[str, Any]]) -> None:
    """Asynchronous slices begin and end once, and not before they began."""
    begun = {(e["cat"], e["id"]): e["ts"] for e in events if e["ph"] == "b"}
    ended = {(e["cat"], e["id"]): e["ts"] for e in events if e["ph"] == "e"}
    assert len(begun) == len(ended) == sum(e["ph"] in "be" for e in events) / 2
    assert all(ended[key] >= ts for key, ts in begun.items())


def _check_slices(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Slices of one thread nest or follow each other; these all follow."""
    slices = [event for event in events if event["ph"] == "X"]
    threads: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for event in slices:
        assert event["dur"] >= 0
        span = (event["ts"], event["ts"] + event["dur"])
        threads.setdefault((event["pid"], event["tid"]), []).append(span)
    for spans in threads.values():
        assert all(one[1] <= next_one[0] for one, next_one in pairwise(sorted(spans)))
    return slices
