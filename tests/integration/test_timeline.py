"""Where and when jobs ran: every attempt, on its thread."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from service.composition import Service
from service.store import pages
from tests.support.api import Api, job
from tests.support.jobs import Held
from tests.support.traces import check_trace
from tests.support.waiting import eventually


def spans_of(timeline: Any) -> list[Any]:
    return [span for thread in timeline["threads"] for span in thread["spans"]]


def test_a_span_says_when_where_and_how_each_job_ran(api: Api) -> None:
    path = api.submit({**job(count=1, delay_s=0.05), "custom_id": "a"}, job("letters", letters="A"))
    batch = api.ended(path)
    assert batch["links"]["timeline"] == f"{path}/timeline"
    timeline = api.get(f"{path}/timeline")
    assert timeline["batch_id"] == batch["id"]
    assert timeline["origin_at"] == batch["created_at"]
    for same in ("elapsed_s", "concurrency"):
        assert timeline[same] == batch[same]
    assert (timeline["truncated"], timeline["next"]) == (False, None)
    spans = {span["index"]: span for span in spans_of(timeline)}
    for item in api.jobs(path):
        (attempt,), span = item["attempts"], spans[item["index"]]
        row = next(row for row in timeline["threads"] if span in row["spans"])
        assert row["name"] == attempt["thread"]
        assert (span["job_id"], span["type"], span["status"]) == (
            item["id"],
            item["type"],
            "succeeded",
        )
        assert (span["custom_id"], span["cpu_ms"]) == (item["custom_id"], attempt["cpu_ms"])
        assert 0 <= span["queued_ms"] <= span["start_ms"] <= span["end_ms"]
    assert spans[0]["end_ms"] - spans[0]["start_ms"] >= 50


def test_the_statistics_are_of_the_spans_and_the_totals_of_the_batch(api: Api) -> None:
    path = api.submit(*[job(count=1, delay_s=0.02 * n) for n in range(1, 5)])
    api.ended(path)
    timeline = api.get(f"{path}/timeline")
    runs = sorted(span["end_ms"] - span["start_ms"] for span in spans_of(timeline))
    found = timeline["statistics"]
    assert found["attempts"] == 4
    assert found["run_ms"] == {
        "mean": pytest.approx(sum(runs) / 4),
        "p50": runs[1],
        "p95": runs[3],
        "max": runs[3],
    }
    waits = [span["start_ms"] - span["queued_ms"] for span in spans_of(timeline)]
    assert found["queue_wait_ms"]["max"] == max(waits)
    assert timeline["totals"]["run_ms"] == sum(runs)
    cpu = sum(span["cpu_ms"] for span in spans_of(timeline))
    assert timeline["totals"]["cpu_ms"] == pytest.approx(cpu)


def test_a_batch_of_which_nothing_has_run_has_an_empty_timeline(
    make_service: Callable[..., Service],
) -> None:
    api = Api(make_service(pool_size=1).app.test_client())
    blocker = api.submit(job("sleeper"))
    api.until(blocker, "running")
    path = api.submit(job(count=1), priority=-1)
    timeline = api.get(f"{path}/timeline")
    assert timeline["threads"] == []
    nothing = {"attempts": 0, "peak": 0, "queue_wait_ms": None, "run_ms": None, "cpu_ms": None}
    assert timeline["statistics"] == nothing
    assert check_trace(api.get(f"{path}/timeline?format=chrome-trace")) == []


def test_a_job_that_runs_has_no_end_and_soon_a_thread(api: Api) -> None:
    path = api.submit(*[job("sleeper")] * 2, executor="dedicated")
    api.until(path, "running", 2)
    first = api.get(f"{path}/timeline")
    assert {span["status"] for span in spans_of(first)} == {"running"}
    assert {span["end_ms"] for span in spans_of(first)} == {None}
    assert all(len(row["spans"]) == 1 for row in first["threads"])
    noted = lambda: [row["name"] for row in api.get(f"{path}/timeline")["threads"]]  # noqa: E731
    eventually(lambda: noted() == ["Thread-1", "Thread-2"], "their threads are written down")
    assert [one["attempts"][0]["thread"] for one in api.jobs(path)] == ["Thread-1", "Thread-2"]
    assert len(check_trace(api.get(f"{path}/timeline?format=chrome-trace"))) == 2
    api.client.post(f"{path}/cancel")
    assert {span["status"] for span in spans_of(api.get(f"{path}/timeline"))} <= {
        "cancelling",
        "cancelled",
    }
    api.ended(path)


def test_a_job_that_was_retried_has_a_span_for_each_attempt(api: Api) -> None:
    path = api.submit({**job("flaky", failures=2), "max_attempts": 3})
    api.ended(path)
    spans = sorted(spans_of(api.get(f"{path}/timeline")), key=lambda span: span["attempt"])
    assert [(span["attempt"], span["status"], span["error"]) for span in spans] == [
        (1, "failed", "flaky"),
        (2, "failed", "flaky"),
        (3, "succeeded", None),
    ]
    for before, after in pairwise(spans):
        assert before["end_ms"] <= after["queued_ms"] <= after["start_ms"]


def test_an_attempt_that_was_handed_back_is_shown_as_that(
    make_service: Callable[..., Service],
) -> None:
    held = Held()
    first = make_service([held])
    api = Api(first.app.test_client())
    path = api.submit(job("held"))
    api.until(path, "running")
    first.stop(0.0)
    held.go.set()
    api = Api(make_service([held]).app.test_client())
    api.ended(path)
    spans = sorted(spans_of(api.get(f"{path}/timeline")), key=lambda span: span["attempt"])
    assert [(span["status"], span["error"]) for span in spans] == [
        ("handed_back", "handed_back"),
        ("succeeded", None),
    ]
    assert len({row["process"] for row in api.get(f"{path}/timeline")["threads"]}) == 2


def test_following_next_shows_each_attempt_once_and_no_page_is_over_its_bound(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_SPANS", 5)
    path = api.submit(*[{**job("flaky", failures=1), "max_attempts": 2}] * 7, job(count=1))
    api.ended(path)
    seen, link, truncated = [], f"{path}/timeline", []
    while link:
        page = api.get(link)
        assert 1 <= len(spans_of(page)) <= 5
        assert page["statistics"]["attempts"] == len(spans_of(page))
        seen += [(span["index"], span["attempt"]) for span in spans_of(page)]
        truncated.append(page["truncated"])
        link = page["next"]
    assert sorted(seen) == sorted([(n, a) for n in range(7) for a in (1, 2)] + [(7, 1)])
    assert truncated == [True] * (len(truncated) - 1) + [False]
    assert len(truncated) == 4


def test_a_page_can_be_asked_for_a_few_jobs_and_says_where_the_next_is(api: Api) -> None:
    path = api.submit(*[job(count=1)] * 3)
    api.ended(path)
    response = api.client.get(f"{path}/timeline?limit=2&format=chrome-trace")
    assert response.json["otherData"]["truncated"] is True
    link = response.headers["Link"].split(">")[0].lstrip("<")
    (last,) = check_trace(api.get(link))
    assert last["args"]["job_id"].endswith(".2")
    assert api.get(link)["otherData"]["truncated"] is False


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ("limit=10001", "from 1 to 10000"),
        ("limit=0", "from 1 to 10000"),
        ("format=svg", "json, chrome-trace"),
        ("cursor=x", "not a cursor"),
        ("page=2", "no such parameter"),
    ],
)
def test_an_odd_query_is_refused(api: Api, asked: str, detail: str) -> None:
    path = api.submit(job(count=1))
    response = api.client.get(f"{path}/timeline?{asked}")
    assert response.status_code == 422
    assert detail in response.json["errors"][0]["detail"]


def test_there_is_no_timeline_of_an_unknown_batch(api: Api) -> None:
    assert api.client.get("/v1/batches/0/timeline").status_code == 404


def test_a_trace_holds_the_attempts_their_waits_and_how_many_ran(api: Api) -> None:
    path = api.submit(
        {**job("together", parties=3, name="trace"), "custom_id": "mine"},
        *[job("together", parties=3, name="trace")] * 2,
        {**job("flaky", failures=1), "max_attempts": 2},
    )
    api.ended(path)
    trace = api.get(f"{path}/timeline?format=chrome-trace")
    slices = check_trace(trace)
    assert len(slices) == 5
    assert [one["name"] for one in slices].count("mine") == 1
    assert {one["args"]["status"] for one in slices} == {"succeeded", "failed"}
    timeline = api.get(f"{path}/timeline")
    assert {(one["ts"] / 1000, one["dur"] / 1000) for one in slices} == {
        (span["start_ms"], span["end_ms"] - span["start_ms"]) for span in spans_of(timeline)
    }
    counted = [e["args"]["jobs"] for e in trace["traceEvents"] if e["ph"] == "C"]
    assert max(counted) == timeline["statistics"]["peak"] >= 3
    assert counted[-1] == 0
