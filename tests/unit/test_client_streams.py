"""What the client makes of streams that are cut, late, refused or wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import client as api
from service.client import Client
from service.client.errors import StreamSilent
from service.client.results import NDJSON, json_lines
from service.client.transport import Ask
from tests.support.scripted import (
    Answer,
    Handler,
    Scripted,
    a_batch,
    a_result,
    client_of,
    lose,
    problem,
    reply,
    results,
    stream,
    then_silence,
)

END = {"type": "end", "total": 3, "succeeded": 3}
TAKEN = problem(503, "too-many-streams", {"Retry-After": "0"})


def seqs_of(service: Scripted, **options: Any) -> list[int | None]:
    with client_of(service) as client:
        return [one.seq for one in client.results("b-1", follow=True, **options)]


# --- following --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "first",
    [
        stream(*results([1]), whole=False),
        stream(*results([1])),
        stream(*results([1]), b'{"seq":2,"inde', whole=False),
        stream(*results([1]), b'{"seq":2,"inde'),
        stream(*results([1]), b"\n", b"\n", whole=False),
    ],
    ids=["cut", "ended without an end line", "cut in a line", "ended in a line", "cut at rest"],
)
def test_a_cut_stream_is_taken_up_behind_its_last_line(
    first: Answer, scripted: Callable[..., Scripted]
) -> None:
    service = scripted(first, stream(*results([2, 3]), END))
    assert seqs_of(service) == [1, 2, 3]
    begin = {"follow": "true"}
    assert service.each(lambda one: one.query) == [begin, {**begin, "after": "1"}]


def test_lines_that_come_twice_are_given_once(scripted: Callable[..., Scripted]) -> None:
    service = scripted(stream(*results([1, 2]), whole=False), stream(*results([1, 2, 3]), END))
    assert seqs_of(service) == [1, 2, 3]


def test_following_begins_behind_the_line_that_one_has(
    scripted: Callable[..., Scripted],
) -> None:
    service = scripted(stream(*results([8]), END))
    assert seqs_of(service, after=7) == [8]
    assert service.asked[0].query["after"] == "7"


@pytest.mark.parametrize(
    "failure",
    [lose, TAKEN, problem(503, "draining"), reply(502, "<h1>Bad</h1>", kind="text/html")],
    ids=["lost", "no free stream", "draining", "502 of a proxy"],
)
def test_a_refusal_that_passes_is_sat_out(
    failure: Answer, scripted: Callable[..., Scripted]
) -> None:
    cut = stream(*results([1]), whole=False)
    service = scripted(failure, cut, failure, stream(*results([2]), END))
    assert seqs_of(service) == [1, 2]


def test_pauses_between_attempts_grow_and_begin_anew_after_a_line(
    scripted: Callable[..., Scripted], monkeypatch: pytest.MonkeyPatch
) -> None:
    naps: list[float] = []
    monkeypatch.setattr("time.sleep", naps.append)
    service = scripted(lose, lose, stream(*results([1]), whole=False), stream(END))
    assert seqs_of(service) == [1]
    first, second, anew = naps
    assert 0.05 <= first <= 0.1 <= second <= 0.2
    assert 0.05 <= anew <= 0.1


def test_a_stream_that_falls_silent_is_opened_again(scripted: Callable[..., Scripted]) -> None:
    service = scripted(then_silence(*results([1])), stream(*results([2]), END))
    with client_of(service, timeout_s=0.3) as client:
        assert [one.seq for one in client.results("b-1", follow=True)] == [1, 2]


def test_silence_is_told_from_a_cut(scripted: Callable[..., Scripted]) -> None:
    service = scripted(then_silence(*results([1])))
    with client_of(service, timeout_s=0.5) as client:
        followed = client._transport.chunks(Ask("GET", "/"), NDJSON)
        assert json.loads(next(followed)) == a_result(1)
        with pytest.raises(StreamSilent):
            next(followed)


def test_silence_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends for longer than there is patience: jobs may take that long."""
    opened: list[int] = []

    def chunks(*_: Any, **__: Any) -> Iterator[bytes]:
        opened.append(1)
        if len(opened) < 5:
            raise StreamSilent("silent")
        yield b'{"type":"end"}\n'

    with Client() as client:
        monkeypatch.setattr(client._transport, "chunks", chunks)
        assert list(client.results("b-1", follow=True, reconnect_s=0)) == []


@pytest.mark.parametrize("failure", [lose, stream(), stream(whole=False)])
def test_patience_ends(failure: Answer, scripted: Callable[..., Scripted]) -> None:
    service = scripted(stream(*results([1]), whole=False), *[failure] * 50)
    with client_of(service) as client:
        followed = client.results("b-1", follow=True, reconnect_s=0.2)
        assert next(followed).seq == 1
        with pytest.raises(api.ConnectionFailed):
            next(followed)
    assert 1 < len(service.asked) < 50


def test_a_longer_pause_than_there_is_patience_is_not_begun(
    scripted: Callable[..., Scripted],
) -> None:
    service = scripted(problem(503, "too-many-streams", {"Retry-After": "30"}))
    with client_of(service) as client, pytest.raises(api.Unavailable):
        list(client.results("b-1", follow=True, reconnect_s=10))
    assert len(service.asked) == 1


@pytest.mark.parametrize("status, kind", [(404, api.NotFound), (410, api.Expired)])
def test_a_batch_that_is_gone_ends_the_following(
    status: int, kind: type[Exception], scripted: Callable[..., Scripted]
) -> None:
    service = scripted(stream(*results([1]), whole=False), problem(status, "gone"))
    with client_of(service) as client, pytest.raises(kind):
        list(client.results("b-1", follow=True))


def test_a_job_type_named_end_ends_nothing(scripted: Callable[..., Scripted]) -> None:
    service = scripted(stream(a_result(1, type="end"), a_result(2), END))
    assert seqs_of(service) == [1, 2]


@pytest.mark.parametrize("line", [b"<html>\n", b"[1]\n", b'{"seq":1}\n'])
def test_lines_that_are_no_results_are_told_as_such(
    line: bytes, scripted: Callable[..., Scripted]
) -> None:
    client = client_of(scripted(stream(line, END)))
    with client, pytest.raises(api.ProblemError) as refused:
        list(client.results("b-1", follow=True))
    assert refused.value.code == "not-jobspool"


def test_breaking_off_gives_the_stream_back(scripted: Callable[..., Scripted]) -> None:
    """A stream holds a thread of the service's: it is to be free at once, not some day."""
    left = Event()

    def endless(handler: Handler) -> None:
        stream(*results([1]), whole=False)(handler)
        try:
            while True:
                handler.chunk(b"\n" * 65_536)
        except ConnectionError:
            left.set()

    with client_of(scripted(endless)) as client:
        followed = client.results("b-1", follow=True)
        assert next(followed).seq == 1
        followed.close()
        assert left.wait(30)


@given(st.lists(st.dictionaries(st.text(max_size=3), st.text())), st.integers(1, 9))
def test_lines_are_the_same_however_the_stream_is_cut_in_chunks(lines: Any, size: int) -> None:
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n\n" for line in lines).encode()
    chunks = [text[start : start + size] for start in range(0, len(text), size)]
    assert list(json_lines(chunks)) == lines


def test_a_followed_console_is_taken_up_behind_its_last_byte(
    scripted: Callable[..., Scripted],
) -> None:
    text = "1\nä\n".encode()
    service = scripted(
        stream(text[:3], whole=False, kind="text/plain"),
        TAKEN,
        stream(text[3:], kind="text/plain"),
    )
    with client_of(service) as client:
        assert "".join(client.console("b-1", follow=True)) == "1\nä\n"
    begin = {"follow": "true"}
    behind = {**begin, "after": "3"}
    assert service.each(lambda one: one.query) == [begin, behind, behind]


# --- whole ------------------------------------------------------------------------------------


def test_results_are_read_as_they_come_and_counted(scripted: Callable[..., Scripted]) -> None:
    error = {"code": "http_status", "detail": "404", "retryable": False, "http_status": 404}
    lines = [a_result(1), a_result(2, status="failed", error=error, result=None)]
    service = scripted(reply(200, a_batch(total=2)), stream(*lines))
    with client_of(service) as client:
        good, bad = client.results("b-1")
    assert good.result == {"lines": ["1"]}
    assert bad.error is not None
    assert (bad.error.code, bad.error.raw["http_status"]) == ("http_status", 404)


@pytest.mark.parametrize(
    "answer",
    [
        stream(*results([1, 2]), whole=False),
        stream(*results([1, 2]), b'{"seq":3', whole=False),
        stream(*results([1, 2]), b'{"seq":3'),
        stream(*results([1, 2])),
    ],
    ids=["cut", "cut in a line", "ended in a line", "a proxy made it a good end"],
)
def test_results_that_are_not_whole_are_not_taken_for_all(
    answer: Answer, scripted: Callable[..., Scripted]
) -> None:
    service = scripted(reply(200, a_batch(total=3)), answer)
    with client_of(service) as client:
        lines = client.results("b-1")
        assert [next(lines).seq, next(lines).seq] == [1, 2]
        with pytest.raises(api.StreamCut):
            next(lines)


def test_a_place_to_go_on_from_is_for_following_only(scripted: Callable[..., Scripted]) -> None:
    with client_of(scripted()) as client, pytest.raises(ValueError, match="follow"):
        client.results("b-1", after=1)


def test_a_console_that_is_cut_is_not_taken_for_all(scripted: Callable[..., Scripted]) -> None:
    service = scripted(stream(b"1\n", whole=False, kind="text/plain"))
    with client_of(service) as client, pytest.raises(api.StreamCut):
        list(client.console("b-1"))


def test_a_page_that_is_no_console_is_told_as_such(scripted: Callable[..., Scripted]) -> None:
    client = client_of(scripted(reply(200, "<h1>Log in</h1>", kind="text/html")))
    with client, pytest.raises(api.ProblemError, match="Log in"):
        list(client.console("b-1"))
