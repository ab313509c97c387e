"""The Python client against a service that answers as it is told to."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service import client as api
from service.client import Client
from tests.support.scripted import (
    Answer,
    Scripted,
    a_batch,
    client_of,
    lose,
    problem,
    reply,
    stream,
)
from tests.support.server import free_port

JOB = {"type": "numbers", "params": {"count": 1}}
ACCEPTED = reply(202, a_batch())
BUSY = problem(503, "queue-full", {"Retry-After": "0"})
SERVER_ONLY = (
    "alembic bs4 click flask gunicorn lxml prometheus_client pycurl pydantic rich selectolax "
    "sqlalchemy structlog"
)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client would have slept."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    return slept


# --- what is sent, and what comes back --------------------------------------------------------


def test_a_submit_sends_the_options_that_were_given_and_no_others(
    scripted: Callable[..., Scripted],
) -> None:
    service = scripted(ACCEPTED)
    with client_of(service, key="secret") as client:
        client.submit([JOB], name="n", max_workers=2, executor=None, defaults={"timeout_s": 3})
    asked = service.asked[0]
    assert (asked.method, asked.path) == ("POST", "/v1/batches")
    assert json.loads(asked.body) == {
        "name": "n",
        "max_workers": 2,
        "defaults": {"timeout_s": 3},
        "jobs": [JOB],
    }
    assert asked.headers["Authorization"] == "Bearer secret"


def test_options_of_a_stream_are_in_the_query(scripted: Callable[..., Scripted]) -> None:
    service = scripted(ACCEPTED)
    with client_of(service) as client:
        client.submit_urls(
            ["https://a.example", "https://b.example\n"],
            priority=3,
            labels={"team": "a=b"},
            defaults={"max_attempts": 2, "timeout_s": None},
        )
    asked = service.asked[0]
    assert asked.query == {"priority": "3", "label": "team=a=b", "max_attempts": "2"}
    assert asked.headers["Content-Type"] == "text/plain"
    assert asked.body == b"https://a.example\nhttps://b.example\n"


@pytest.mark.parametrize(
    "source",
    [
        [JOB, JOB],
        (json.dumps(JOB) for _ in range(2)),
        [json.dumps(JOB).encode() + b"\r\n"] * 2,
        io.BytesIO(json.dumps(JOB).encode() + b"\n" + json.dumps(JOB).encode()),
        io.StringIO(f"{json.dumps(JOB)}\n{json.dumps(JOB)}"),
        f"{json.dumps(JOB)}\n{json.dumps(JOB)}\n",
    ],
    ids=["dicts", "generated text", "bytes", "binary file", "text file", "text"],
)
def test_ndjson_is_made_of_many_things(source: Any, scripted: Callable[..., Scripted]) -> None:
    service = scripted(ACCEPTED)
    with client_of(service) as client:
        client.submit_ndjson(source)
    assert [json.loads(line) for line in service.asked[0].body.splitlines()] == [JOB, JOB]


def test_a_line_that_would_become_two_is_refused(scripted: Callable[..., Scripted]) -> None:
    service = scripted()
    with client_of(service) as client, pytest.raises(ValueError, match="line break"):
        client.submit_urls(["https://a.example\nhttps://b.example"])


def test_a_batch_is_typed_and_keeps_what_a_newer_service_adds(
    scripted: Callable[..., Scripted],
) -> None:
    service = scripted(reply(200, a_batch(status="completed", mood="fine")))
    with client_of(service) as client:
        batch = client.batch("b-1")
    assert batch.ended
    assert batch.counts.total == 2
    assert batch.created_at == datetime(2026, 1, 31, 12, 0, 0, 123_000, UTC)
    assert batch.raw["mood"] == "fine"


def test_of_a_link_to_the_next_page_only_the_cursor_is_taken(
    scripted: Callable[..., Scripted],
) -> None:
    stranger = "http://stranger.example/v1/batches?cursor=C1&status=queued"
    service = scripted(
        reply(200, {"items": [a_batch(id="b-2")], "next": stranger}),
        reply(200, {"items": [a_batch(id="b-1")], "next": None}),
    )
    with client_of(service, key="secret") as client:
        found = [one.id for one in client.batches(status="queued", label={"a": "b"})]
    assert found == ["b-2", "b-1"]
    asked = {"status": "queued", "label": "a=b", "limit": "1000"}
    assert service.each(lambda one: one.query) == [asked, {**asked, "cursor": "C1"}]


def test_threads_may_share_a_client(scripted: Callable[..., Scripted]) -> None:
    service = scripted(*[reply(200, a_batch(id=f"b-{n}")) for n in range(64)])
    with client_of(service) as client, ThreadPoolExecutor(8) as pool:
        seen = {batch.id for batch in pool.map(client.batch, map(str, range(64)))}
    assert seen == {f"b-{n}" for n in range(64)}


# --- tried again ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "failure",
    [
        lose,
        BUSY,
        problem(429, "quota", {"Retry-After": "0"}),
        reply(502, "<h1>Bad Gateway</h1>", kind="text/html"),
        reply(504, "", kind="text/html"),
        problem(409, "idempotency-key-in-flight"),
    ],
    ids=["lost answer", "503", "429", "502 of a proxy", "504 of a proxy", "key in flight"],
)
def test_a_submit_is_sent_again_with_its_key(
    failure: Answer, scripted: Callable[..., Scripted]
) -> None:
    service = scripted(failure, failure, ACCEPTED)
    with client_of(service) as client:
        assert client.submit([JOB]).id == "b-1"
    keys = service.headers("Idempotency-Key")
    assert len(keys) == 3
    assert len(set(keys)) == 1
    assert len(set(service.each(lambda one: one.body))) == 1


def test_each_call_has_a_key_of_its_own_or_the_callers(scripted: Callable[..., Scripted]) -> None:
    service = scripted(ACCEPTED, ACCEPTED, ACCEPTED)
    with client_of(service) as client:
        client.submit([JOB])
        client.retry("b-1")
        client.submit_ndjson([JOB], idempotency_key="mine")
    first, second, third = service.headers("Idempotency-Key")
    assert first != second
    assert third == '"mine"'


@pytest.mark.parametrize("key", ["", "ä", 'a"b', "a\nb", "x" * 256])
def test_a_key_that_no_header_can_hold_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="idempotency_key"):
        Client().submit([JOB], idempotency_key=key)


def test_attempts_are_bounded(scripted: Callable[..., Scripted]) -> None:
    service = scripted(*[BUSY] * 9)
    with client_of(service, retries=2) as client, pytest.raises(api.Unavailable) as refused:
        client.batch("b-1")
    assert refused.value.code == "queue-full"
    assert len(service.asked) == 3


def test_pauses_grow_unless_the_service_names_one(
    scripted: Callable[..., Scripted], naps: list[float]
) -> None:
    busy, named = problem(503, "busy"), problem(503, "busy", {"Retry-After": "7"})
    service = scripted(busy, busy, busy, named, ACCEPTED)
    with client_of(service, backoff_s=1) as client:
        client.submit([JOB])
    assert naps[0] == 0
    assert 2 <= naps[1] <= 3
    assert 4 <= naps[2] <= 5
    assert naps[3] == 7


def test_more_patience_than_a_minute_is_left_to_the_caller(
    scripted: Callable[..., Scripted],
) -> None:
    service = scripted(problem(429, "quota", {"Retry-After": "3600"}))
    with client_of(service) as client, pytest.raises(api.QuotaExceeded) as refused:
        client.submit([JOB])
    assert refused.value.retry_after_s == 3600
    assert len(service.asked) == 1


@pytest.mark.parametrize("code", ["batch-active", "nothing-to-retry"])
def test_another_conflict_is_told_at_once(code: str, scripted: Callable[..., Scripted]) -> None:
    service = scripted(problem(409, code))
    with client_of(service) as client, pytest.raises(api.Conflict) as refused:
        client.retry("b-1")
    assert refused.value.code == code
    assert len(service.asked) == 1


def test_a_service_that_is_not_there_is_a_failed_connection() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with (
        Client(url, key="secret", retries=1, backoff_s=0) as client,
        pytest.raises(api.ConnectionFailed) as failed,
    ):
        client.executor()
    assert str(failed.value).startswith(f"GET {url}/v1/executor: Failed to establish")
    assert "secret" not in str(failed.value)


@pytest.mark.parametrize(
    "again, make",
    [
        (True, lambda: [JOB] * 3),
        (True, lambda: io.BytesIO(b"passed over\n" + json.dumps(JOB).encode())),
        (False, lambda: (JOB for _ in range(3))),
        (False, lambda: io.StringIO(json.dumps(JOB))),
    ],
    ids=["list", "file", "generator", "text file"],
)
def test_a_stream_is_sent_again_if_it_can_be_had_again(
    again: bool, make: Callable[[], Any], scripted: Callable[..., Scripted]
) -> None:
    service, source = scripted(lose, BUSY, ACCEPTED), make()
    if isinstance(source, io.BytesIO):
        source.readline()
    with client_of(service) as client:
        if again:
            assert client.submit_ndjson(source).id == "b-1"
        else:
            with pytest.raises(api.ConnectionFailed):
                client.submit_ndjson(source)
    assert len(service.asked) == (3 if again else 1)
    assert len(set(service.each(lambda one: one.body))) == 1
    assert b"passed over" not in service.asked[0].body


def test_a_generator_that_nothing_was_taken_from_is_kept_for_the_next_attempt(
    scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service was not there yet when it was first tried."""
    service = scripted(ACCEPTED)
    client = client_of(service)
    there, transport = client._transport._base_url, client._transport
    monkeypatch.setattr(transport, "_base_url", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setattr("time.sleep", lambda _: setattr(transport, "_base_url", there))
    with client:
        client.submit_ndjson(JOB for _ in range(3))
    assert len(service.asked[0].body.splitlines()) == 3


@pytest.mark.parametrize("kind", [OSError, KeyError])
def test_what_the_source_raises_is_passed_on_and_not_tried_again(
    kind: type[Exception], scripted: Callable[..., Scripted]
) -> None:
    calls: list[int] = []

    class Broken:
        def __iter__(self) -> Iterator[dict[str, Any]]:
            calls.append(1)
            yield JOB
            raise kind("the disk is gone")

    with client_of(scripted()) as client, pytest.raises(kind, match="the disk is gone"):
        client.submit_ndjson(Broken())
    assert calls == [1]


def test_a_delete_whose_answer_was_lost_is_done(scripted: Callable[..., Scripted]) -> None:
    service = scripted(lose, problem(404, "not-found"), problem(404, "not-found"))
    with client_of(service) as client:
        client.delete("b-1")
        with pytest.raises(api.NotFound):
            client.delete("b-1")


# --- refusals ---------------------------------------------------------------------------------


def test_a_refusal_carries_its_flaws_and_the_request_id(
    scripted: Callable[..., Scripted],
) -> None:
    flaws = [{"pointer": "/jobs/3/params/url", "detail": "must be a URL"}]
    service = scripted(problem(422, "invalid", errors=flaws, errors_left_out=4))
    with client_of(service) as client, pytest.raises(api.Invalid) as refused:
        client.submit([JOB])
    error = refused.value
    assert error.errors == (api.Flaw("/jobs/3/params/url", "must be a URL"),)
    assert (error.errors_left_out, error.request_id, error.status) == (4, "r-1", 422)
    for told in ("422 invalid", "/jobs/3/params/url: must be a URL", "4 more", "r-1"):
        assert told in str(error)


@pytest.mark.parametrize(
    "status, kind",
    [
        (400, api.Invalid),
        (401, api.Unauthorized),
        (403, api.Unauthorized),
        (404, api.NotFound),
        (409, api.Conflict),
        (410, api.Expired),
        (413, api.TooLarge),
        (415, api.ProblemError),
        (500, api.ProblemError),
    ],
)
def test_each_refusal_has_its_exception(
    status: int, kind: type[api.ProblemError], scripted: Callable[..., Scripted]
) -> None:
    client = client_of(scripted(problem(status, "so")))
    with client, pytest.raises(api.JobspoolClientError) as refused:
        client.batch("b-1")
    assert type(refused.value) is kind


@pytest.mark.parametrize(
    "answer, told",
    [
        (
            reply(404, "<html><b>nginx</b> says no\x1b[31m</html>", kind="text/html"),
            "nginx says no",
        ),
        (reply(500, b"\xff\xfe\x00"), "Internal Server Error"),
        (reply(200, "{", kind="application/json"), "'{'"),
        (reply(200, "<h1>Log in</h1>", kind="text/html"), "Log in"),
        (reply(200, {"id": "b-1"}), "'name'"),
        (reply(200, [1]), "list"),
        (reply(200, a_batch(created_at="soon")), "soon"),
        (reply(404, [1]), "Not Found"),
        (reply(404, {"message": "no route"}), "no route"),
    ],
    ids=[
        "html",
        "bytes",
        "cut json",
        "login page",
        "half",
        "list",
        "odd time",
        "json list",
        "json",
    ],
)
def test_an_answer_that_is_not_the_services_own_is_told_as_such(
    answer: Answer, told: str, scripted: Callable[..., Scripted]
) -> None:
    with client_of(scripted(answer)) as client, pytest.raises(api.ProblemError) as refused:
        client.batch("b-1")
    assert refused.value.code == "not-jobspool"
    assert told in str(refused.value)
    assert "\x1b" not in str(refused.value)


# --- the key goes to the service only ---------------------------------------------------------


def test_a_redirect_is_not_followed(scripted: Callable[..., Scripted]) -> None:
    stranger = scripted(reply(200, a_batch()))
    moved = reply(307, "", headers={"Location": f"{stranger.url}/v1/batches/b-1"})
    with (
        client_of(scripted(moved), key="secret") as client,
        pytest.raises(api.ProblemError, match=stranger.url),
    ):
        client.batch("b-1")
    assert stranger.asked == []


@pytest.mark.parametrize("key, sent", [("secret", "Bearer secret"), (None, None)])
def test_netrc_is_not_read(
    key: str | None,
    sent: str | None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scripted: Callable[..., Scripted],
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    service = scripted(reply(200, a_batch()))
    with client_of(service, key=key) as client:
        client.batch("b-1")
    assert service.headers("Authorization") == [sent]


@pytest.mark.parametrize("key", ["", "secret\n", " secret", "sécret"])
def test_a_key_that_does_not_fit_a_header_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(ValueError, match="key must be") as refused:
        Client(key=key)
    assert "cret" not in str(refused.value)


def test_no_cookie_is_kept(scripted: Callable[..., Scripted]) -> None:
    batch = a_batch()
    service = scripted(reply(200, batch, headers={"Set-Cookie": "a=b"}), reply(200, batch))
    with client_of(service) as client:
        client.batch("b-1")
        client.batch("b-1")
    assert service.headers("Cookie") == [None, None]


@pytest.mark.parametrize(
    "url", ["localhost:8000", "ftp://a.example", "http://", "http://u:p@a.example", "http://a/?b"]
)
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base_url"):
        Client(url)


def test_an_id_stays_one_part_of_the_path(scripted: Callable[..., Scripted]) -> None:
    service = scripted(reply(200, a_batch()))
    with client_of(service) as client:
        client.batch("../executor?x")
        with pytest.raises(ValueError, match="empty"):
            client.delete("")
    assert service.asked[0].path == "/v1/batches/..%2Fexecutor%3Fx"


# --- waiting ----------------------------------------------------------------------------------


def test_a_wait_prefers_to_be_answered_at_the_end(scripted: Callable[..., Scripted]) -> None:
    service = scripted(reply(200, a_batch()), reply(200, a_batch(status="completed")))
    with client_of(service) as client:
        assert client.wait("b-1").status == "completed"
    assert service.headers("Prefer") == [None, "wait=30"]


def test_a_wait_that_is_answered_at_once_pauses_as_the_service_says(
    scripted: Callable[..., Scripted], naps: list[float]
) -> None:
    active, ended = reply(200, a_batch(poll_after_s=4)), reply(200, a_batch(status="cancelled"))
    service = scripted(active, active, active, active, ended)
    with client_of(service) as client:
        client.wait("b-1")
    assert naps == [4, 4]


def test_a_wait_shows_the_progress_and_ends_in_time(scripted: Callable[..., Scripted]) -> None:
    service = scripted(*[reply(200, a_batch())] * 20)
    seen: list[api.Batch] = []
    with client_of(service) as client, pytest.raises(api.WaitTimeout) as late:
        client.wait("b-1", timeout_s=1.0, on_progress=seen.append)
    assert late.value.batch == seen[-1]
    assert "0 of 2 jobs" in str(late.value)
    assert len(seen) >= 2


# --- on its own -------------------------------------------------------------------------------


def test_the_client_loads_nothing_of_the_server() -> None:
    script = (
        "import sys, service.client\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        f"print(sorted(loaded & set({SERVER_ONLY.split()!r})))\n"
        "print(sorted(m for m in sys.modules if m.startswith('service.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, text=True
    )
    libraries, rooms = done.stdout.splitlines()
    assert libraries == "[]"
    assert all(room.startswith("service.client") for room in json.loads(rooms.replace("'", '"')))


def test_the_console_is_text_also_where_a_letter_is_cut_in_two(
    scripted: Callable[..., Scripted],
) -> None:
    service = scripted(stream("ä".encode()[:1], "ä\n".encode()[1:], kind="text/plain"))
    with client_of(service) as client:
        assert "".join(client.console("b-1")) == "ä\n"
