"""Following results, console and events: order, places, ends; over one process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pytest
from werkzeug.test import TestResponse

from service.api import events as sse
from service.composition import Service
from service.operations import following
from tests.support.api import Api, job
from tests.support.jobs import Held, Stuck
from tests.support.waiting import eventually

UNKNOWN = "01920f00-0000-7000-8000-000000000000"
COUNTS = {"total", "queued", "running", "succeeded", "failed", "cancelled"}


@contextmanager
def streamed(api: Api, path: str, **headers: str) -> Iterator[TestResponse]:
    response = api.client.get(path, headers={n.replace("_", "-"): v for n, v in headers.items()})
    try:
        assert response.status_code == 200, response.text
        yield response
    finally:
        response.close()


def lines(response: TestResponse) -> Iterator[Any]:
    """The lines, each as soon as it is there."""
    rest = b""
    for piece in response.iter_encoded():
        *whole, rest = (rest + piece).split(b"\n")
        yield from map(json.loads, whole)
    assert rest == b""


def told(response: TestResponse) -> Iterator[tuple[str, int, Any]]:
    """Name, id and data of the events."""
    rest = b""
    for piece in response.iter_encoded():
        *whole, rest = (rest + piece).split(b"\n\n")
        for block in whole:
            assert len(block.splitlines()) in (1, 3)
            fields = dict(line.split(": ", 1) for line in block.decode().splitlines())
            if "event" in fields:
                yield fields["event"], int(fields["id"]), json.loads(fields["data"])


def followed(api: Api, path: str, query: str = "") -> list[Any]:
    with streamed(api, f"{path}/results?follow=true{query}") as response:
        assert response.content_type.startswith("application/x-ndjson")
        return list(lines(response))


# --- results --------------------------------------------------------------------------------


def test_results_come_as_jobs_end_and_then_the_end(make_service: Callable[..., Service]) -> None:
    held = Held()
    api = Api(make_service([held]).app.test_client())
    path = api.submit(job("held"), job(count=1), job("raiser", error="JobFailed"))
    with streamed(api, f"{path}/results?follow=true") as response:
        found = lines(response)
        early = [next(found), next(found)]
        assert api.get(path)["status"] == "running", "they came before the batch had ended"
        held.go.set()
        *others, end = [*early, *found]
    assert [line["seq"] for line in others] == [1, 2, 3]
    assert others[-1]["index"] == 0
    plain = {line["index"]: line for line in api.get(f"{path}/results")["items"]}
    assert [plain[line["index"]] for line in others] == others
    counts = api.get(path)["counts"]
    assert end == {"type": "end", "status": "completed", "outcome": "partial", **counts}
    assert set(counts) == COUNTS


def test_they_go_on_behind_any_seq(api: Api) -> None:
    path = api.submit(*[job(count=0)] * 7)
    api.ended(path)
    for after in range(8):
        *found, end = followed(api, path, f"&after={after}")
        assert [line["seq"] for line in found] == list(range(after + 1, 8))
        assert end["type"] == "end"


def test_a_page_that_is_full_is_not_the_end(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PAGE", 3)
    monkeypatch.setattr(following, "POLL_S", 30)
    path = api.submit(*[job(count=0)] * 10)
    api.ended(path)
    assert len(followed(api, path)) == 11


def test_a_cancelled_batch_ends_when_nothing_of_it_runs(
    make_service: Callable[..., Service],
) -> None:
    stuck = Stuck()
    api = Api(make_service([stuck]).app.test_client())
    path = api.submit(job("stuck"), job(count=1), executor="sequential")
    api.until(path, "running")
    with streamed(api, f"{path}/results?follow=true") as response:
        api.client.post(f"{path}/cancel")
        found = lines(response)
        assert next(found)["status"] == "cancelled"
        assert api.get(path)["status"] == "cancelling"
        stuck.go.set()
        *_, end = found
    assert (end["status"], end["outcome"], end["running"]) == ("cancelled", "cancelled", 0)


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("follow=true&format=csv", "/query/format"),
        ("follow=true&format=json", "/query/format"),
        ("follow=true&limit=3", "/query/limit"),
        ("follow=true&after=3", "/query/after"),
        ("follow=true&after=-1", "/query/after"),
        ("follow=true&after=", "/query/after"),
        ("follow=true&after=1&after=1", "/query/after"),
        ("follow=yes", "/query/follow"),
        ("after=1", "/query/after"),
    ],
)
def test_what_can_not_be_followed_is_refused(api: Api, query: str, pointer: str) -> None:
    path = api.submit(job(count=0), job(count=0))
    response = api.client.get(f"{path}/results?{query}")
    assert response.status_code == 422
    assert response.json["errors"][0]["pointer"] == pointer


def test_ndjson_is_followed_by_name_too(api: Api) -> None:
    path = api.submit(job(count=0))
    assert len(followed(api, path, "&format=ndjson")) == 2


@pytest.mark.parametrize("route", ["results?follow=true", "console?follow=true", "events"])
def test_an_unknown_batch_has_no_stream(api: Api, route: str) -> None:
    assert api.client.get(f"/v1/batches/{UNKNOWN}/{route}").status_code == 404


# --- console --------------------------------------------------------------------------------


def texts(api: Api, path: str, after: int) -> set[bytes]:
    """The console from a position, read and followed."""
    found = set()
    for query in ("", "&follow=true"):
        with streamed(api, f"{path}/console?after={after}{query}") as response:
            found.add(response.data)
    return found


def test_a_console_goes_on_behind_any_byte(api: Api) -> None:
    path = api.submit(
        *[job(name=f"é{n}€", count=3, delay_s=0.08) for n in range(2)], job("printer", text="𝄞")
    )
    api.ended(path)
    whole = api.console(path).encode()
    assert len(whole) == 2 * 3 * len("é0€: 1\n".encode()) + len("𝄞\n".encode())
    for after in range(len(whole) + 1):
        assert texts(api, path, after) == {whole[after:]}


def test_a_jobs_console_goes_on_behind_any_byte(api: Api) -> None:
    path = api.submit(*[job(name=f"é{n}€", count=3, delay_s=0.08) for n in range(2)])
    api.ended(path)
    own = "é1€: 1\né1€: 2\né1€: 3\n".encode()
    one = api.jobs(path)[1]["id"]
    for after in range(len(own) + 1):
        assert texts(api, f"/v1/jobs/{one}", after) == {own[after:]}
    for where, size in ((f"/v1/jobs/{one}", len(own)), (path, 2 * len(own))):
        for query in ("", "&follow=true"):
            beyond = api.client.get(f"{where}/console?after={size + 1}{query}")
            assert beyond.status_code == 422
            assert beyond.json["errors"][0]["pointer"] == "/query/after"


def test_a_console_is_followed_until_the_batch_ends_and_a_jobs_until_the_job_does(
    api: Api,
) -> None:
    path = api.submit(job(name="one", count=2, delay_s=0.2), job("sleeper"))
    one = api.jobs(path)[0]["id"]
    with streamed(api, f"/v1/jobs/{one}/console?follow=true") as response:
        assert response.data == b"one: 1\none: 2\n"
    assert api.get(path)["status"] == "running"
    with streamed(api, f"{path}/console?follow=true") as response:
        pieces = filter(None, response.iter_encoded())
        assert next(pieces) == b"one: 1\none: 2\n"
        api.client.post(f"{path}/cancel")
        assert list(pieces) == []


# --- events ---------------------------------------------------------------------------------


def test_events_tell_of_each_job_and_last_of_the_batch(api: Api) -> None:
    path = api.submit(job(count=3), job("raiser", error="JobFailed"), job(count=1, delay_s=0.7))
    with streamed(api, f"{path}/events") as response:
        assert response.mimetype == "text/event-stream"
        found = list(told(response))
    jobs = [(seq, data) for name, seq, data in found if name == "job"]
    assert [seq for seq, _ in jobs] == [data["seq"] for _, data in jobs] == [1, 2, 3]
    plain = {line["index"]: line for line in api.get(f"{path}/results")["items"]}
    for _, data in jobs:
        result = api.get(data.pop("links")["result"])
        assert result == plain[data["index"]] == data | {"result": result["result"]}
    batches = [data for name, _, data in found if name == "batch"]
    assert found[-1] == ("batch", 4, api.get(path))
    assert len(batches) >= 2, "the job that took long was told of before it ended"
    assert [one["status"] for one in batches].count("completed") == 1
    assert [seq for _, seq, _ in found] == sorted(seq for _, seq, _ in found)


def test_batch_events_are_coalesced(api: Api) -> None:
    begun = monotonic()
    path = api.submit(*[job(count=1, delay_s=0.02)] * 60, max_workers=1)
    with streamed(api, f"{path}/events") as response:
        names = [name for name, _, _ in told(response)]
    assert names.count("job") == 60
    assert names.count("batch") <= 2 + (monotonic() - begun) / sse.BATCH_PACE_S


def test_events_go_on_behind_the_last_event_id(api: Api) -> None:
    path = api.submit(*[job(count=0)] * 5)
    api.ended(path)

    def ids(query: str = "", **headers: str) -> list[int]:
        with streamed(api, f"{path}/events{query}", **headers) as response:
            return [seq for _, seq, _ in told(response)]

    for after in range(6):
        rest = list(range(after + 1, 7))
        assert ids(Last_Event_ID=str(after)) == rest
        assert ids(f"?after={after}") == rest
    assert ids("?after=1", Last_Event_ID="4") == [5, 6], "a browser connects to the same address"
    over = api.client.get(f"{path}/events", headers={"Last-Event-ID": "6"})
    assert (over.status_code, over.data) == (204, b"")
    assert api.client.get(f"{path}/events?after=7").status_code == 422
    odd = api.client.get(f"{path}/events", headers={"Last-Event-ID": "x"})
    assert (odd.status_code, odd.json["code"]) == (400, "malformed")


def test_a_batch_that_goes_on_has_no_final_event_yet(api: Api) -> None:
    path = api.submit(job("sleeper"))
    assert api.client.get(f"{path}/events?after=2").status_code == 422
    api.client.post(f"{path}/cancel")


def test_a_silent_stream_of_events_has_comments(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "BEAT_S", 0.1)
    path = api.submit(job("sleeper"))
    with streamed(api, f"{path}/events") as response:
        pieces = response.iter_encoded()
        eventually(lambda: next(pieces).startswith(b":"), "a comment")
    api.client.post(f"{path}/cancel")


# --- ends -----------------------------------------------------------------------------------

ROUTES = ["results?follow=true", "console?follow=true", "events"]


@pytest.mark.parametrize("route", ROUTES)
def test_a_batch_that_is_removed_cuts_its_streams(api: Api, route: str) -> None:
    path = api.submit(job("sleeper"))
    with streamed(api, f"{path}/{route}") as response:
        pieces = response.iter_encoded()
        next(pieces)
        api.client.post(f"{path}/cancel")
        api.ended(path)
        assert api.client.delete(path).status_code == 204
        with pytest.raises(BrokenPipeError):
            list(pieces)
    assert api.client.get(f"{path}/{route}").status_code == 404


@pytest.mark.parametrize("route", ROUTES)
def test_a_service_that_stops_cuts_its_streams(api: Api, service: Service, route: str) -> None:
    path = api.submit(job("sleeper"))
    with streamed(api, f"{path}/{route}") as response:
        pieces = response.iter_encoded()
        next(pieces)
        service.engine.drain()
        with pytest.raises(BrokenPipeError):
            list(pieces)
    refused = api.client.get(f"{path}/{route}")
    assert (refused.status_code, refused.json["code"]) == (503, "draining")


# --- seats ----------------------------------------------------------------------------------


def test_half_of_the_threads_may_be_held(make_service: Callable[..., Service]) -> None:
    api = Api(make_service(threads=4).app.test_client())
    path = api.submit(job("sleeper"))
    held = [api.client.get(f"{path}/{route}") for route in ROUTES[:2]]
    for route in ROUTES:
        refused = api.client.get(f"{path}/{route}")
        assert (refused.status_code, refused.json["code"]) == (503, "too-many-streams")
        assert int(refused.headers["Retry-After"]) >= 1
        assert "2" in refused.json["detail"]
    for answer in (
        api.client.get(f"{path}?wait=30"),
        api.client.get(path, headers={"Prefer": "wait=30"}),
        api.post([job("sleeper")], "?wait=30"),
    ):
        assert answer.headers["Wait-Refused"] == "too-many-streams"
        assert "Preference-Applied" not in answer.headers
        assert int(answer.headers["Retry-After"]) >= 1
    api.client.post(f"{path}/cancel")
    api.ended(path)
    ended = api.client.get(f"{path}?wait=30")
    assert "Wait-Refused" not in ended.headers, "there was nothing to wait for"
    for response in held:
        response.close()
    path = api.submit(job("sleeper"))
    with streamed(api, f"{path}/events"):
        waited = api.client.get(path, headers={"Prefer": "wait=0"})
        assert waited.headers["Preference-Applied"] == "wait=0"
        assert "Wait-Refused" not in waited.headers


@pytest.mark.parametrize("route", ROUTES)
def test_a_seat_is_given_back_whatever_becomes_of_the_request(
    make_service: Callable[..., Service], route: str
) -> None:
    api = Api(make_service(threads=2).app.test_client())
    path = api.submit(job("sleeper"))
    for _ in range(3):
        head = api.client.head(f"{path}/{route}")
        assert (head.status_code, head.data) == (200, b"")
        head.close()
        assert api.client.get(f"/v1/batches/{UNKNOWN}/{route}").status_code == 404
        beyond = f"{path}/{route}{'&' if '?' in route else '?'}after=9"
        assert api.client.get(beyond).status_code == 422
        with streamed(api, f"{path}/{route}") as unread:
            assert unread.status_code == 200
        with streamed(api, f"{path}/{route}") as begun:
            next(begun.iter_encoded())
    api.client.post(f"{path}/cancel")
    whole = api.client.get(f"{path}/{route}")
    assert whole.status_code == 200
    list(whole.iter_encoded())  # to its end, and not closed
    with streamed(api, f"{path}/{route}"):
        pass
    whole.close()


# --- news -----------------------------------------------------------------------------------


def test_news_of_this_process_wakes_a_follower(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "POLL_S", 100)
    path = api.submit(job(count=3, delay_s=0.2))
    with streamed(api, f"{path}/console?follow=true") as response:
        assert [*filter(None, response.iter_encoded())] == [b"1\n", b"2\n", b"3\n"]


def test_what_another_process_writes_is_followed_too(
    make_service: Callable[..., Service],
) -> None:
    here, there = (Api(make_service().app.test_client()) for _ in range(2))
    path = there.submit(job(count=3, delay_s=0.2), executor="dedicated")  # runs there
    assert len(followed(here, path)) == 2


def test_a_busy_batch_is_looked_at_ten_times_a_second(
    api: Api, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    find = following.Following._find

    def counted(*args: Any) -> Any:
        nonlocal looks
        looks += 1
        return find(*args)

    path = api.submit(job(count=300, delay_s=0.005))
    monkeypatch.setattr(following.Following, "_find", counted)
    begun = monotonic()
    with streamed(api, f"{path}/console?follow=true") as response:
        assert len(response.data.splitlines()) == 300
    assert looks <= 3 + (monotonic() - begun) / following.PACE_S


def test_who_listens_is_forgotten_when_gone(api: Api, service: Service) -> None:
    path = api.submit(job("sleeper"))
    with streamed(api, f"{path}/events") as response:
        pieces = response.iter_encoded()
        next(pieces), next(pieces), next(pieces)
        news = service.operations.following._parts.news
        assert len(news._listening) == 1
    assert news._listening == {}
    api.client.post(f"{path}/cancel")
