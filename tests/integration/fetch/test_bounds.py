"""Whatever a server does, a fetch ends within its bounds and says which one."""

from __future__ import annotations

import gzip
import time
import zlib
from threading import Event, Timer

import pytest

from service.errors import JobCancelled, JobFailed
from service.fetch.client import GuardedClient
from service.fetch.exchange import Wanted
from tests.fetch_support import HTML, Connect, Script, Serve, Visit, answer, redirect

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
SLACK_S = 0.2  # scraping.md: a deadline holds to 200 ms


def refused(client: GuardedClient, url: str, **options: object) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        client.get(url, **options)  # type: ignore[arg-type]
    assert "127.0.0" not in caught.value.detail
    return caught.value


def drip_headers(visit: Visit) -> None:
    visit.send(HEAD)
    visit.drip(b"X: y\r\n")


def drip_one_header_line(visit: Visit) -> None:
    visit.send(HEAD + b"X: ")
    visit.drip(b"y")


def drip_body(visit: Visit) -> None:
    visit.send(HEAD + b"Content-Length: 100000\r\n\r\n")
    visit.drip(b"y")


def drip_informational(visit: Visit) -> None:
    visit.drip(b"HTTP/1.1 103 Early Hints\r\n\r\n")


def drip_chunk_extension(visit: Visit) -> None:
    visit.send(CHUNKED + b"5;a=")
    visit.drip(b"b")


def drip_trailers(visit: Visit) -> None:
    visit.send(CHUNKED + b"2\r\nhi\r\n0\r\n")
    visit.drip(b"X: y\r\n")


def drip_redirect_body(visit: Visit) -> None:
    # The client goes on at once; the second request is never answered.
    if visit.path == "/next":
        visit.hold()
    visit.send(b"HTTP/1.1 302 Found\r\nLocation: /next\r\nTransfer-Encoding: chunked\r\n\r\n")
    visit.drip(b"1\r\ny\r\n")


def silence(visit: Visit) -> None:
    visit.hold()


@pytest.mark.parametrize(
    "script",
    [
        drip_headers,
        drip_one_header_line,
        drip_body,
        drip_informational,
        drip_chunk_extension,
        drip_trailers,
        drip_redirect_body,
        silence,
    ],
)
def test_the_deadline_holds_whatever_drips(serve: Serve, connect: Connect, script: Script) -> None:
    server, client = serve(script), connect(total_s=0.8)
    started = time.monotonic()
    error = refused(client, server.url())
    elapsed = time.monotonic() - started
    assert error.error_code == "timeout"
    assert error.retryable
    assert elapsed < 0.8 + SLACK_S


def test_the_deadline_holds_over_all_redirects(serve: Serve, connect: Connect) -> None:
    def slowly(visit: Visit) -> None:
        Event().wait(0.3)
        visit.send(redirect("/again"))

    server, client = serve(slowly), connect(total_s=0.8)
    started = time.monotonic()
    assert refused(client, server.url()).error_code == "timeout"
    assert time.monotonic() - started < 0.8 + SLACK_S


def test_a_handshake_that_never_ends_is_given_up_at_the_connect_bound(
    serve: Serve, connect: Connect
) -> None:
    server, client = serve(silence), connect(connect_s=0.5)  # it waits for a request in vain
    started = time.monotonic()
    assert refused(client, server.url().replace("http", "https")).error_code == "timeout"
    assert time.monotonic() - started < 0.5 + SLACK_S


def test_the_connect_bound_holds_for_a_host_by_name(serve: Serve, connect: Connect) -> None:
    server, client = serve(silence), connect(connect_s=0.5, dns_s=5.0)
    started = time.monotonic()
    url = server.url(host="localhost").replace("http", "https")
    assert refused(client, url).error_code == "timeout"
    assert time.monotonic() - started < 0.5 + SLACK_S


def test_a_cancelled_transfer_stops_within_1_2_s(serve: Serve, connect: Connect) -> None:
    transferring, cancelled = Event(), Event()
    moment: list[float] = []

    def cancel() -> None:
        moment.append(time.monotonic())
        cancelled.set()

    def script(visit: Visit) -> None:
        visit.send(HEAD + b"Content-Length: 1000\r\n\r\nx")
        transferring.set()
        visit.hold()

    def stop() -> None:
        if transferring.is_set() and not moment:
            Timer(0.05, cancel).start()
            transferring.clear()
        if cancelled.is_set():
            raise JobCancelled

    server, client = serve(script), connect()
    with pytest.raises(JobCancelled):
        client.get(server.url(), stop=stop)
    assert time.monotonic() - moment[0] < 1.2


def test_a_cancelled_handshake_stops_within_1_2_s(serve: Serve, connect: Connect) -> None:
    connecting = Event()

    def stop() -> None:
        if connecting.is_set():
            raise JobCancelled
        connecting.set()  # asked once before the start, then while it waits

    server, client = serve(silence), connect(connect_s=10.0)
    started = time.monotonic()
    with pytest.raises(JobCancelled):
        client.get(server.url().replace("http", "https"), stop=stop)
    assert time.monotonic() - started < 1.2


def test_a_job_that_is_stopped_already_sends_nothing(serve: Serve, connect: Connect) -> None:
    server, client = serve(silence), connect()

    def stop() -> None:
        raise JobCancelled

    with pytest.raises(JobCancelled):
        client.get(server.url(), stop=stop)
    assert server.connections == 0


def test_an_end_by_the_jobs_own_deadline_is_the_jobs_to_name(
    serve: Serve, connect: Connect
) -> None:
    server, client = serve(silence), connect()
    deadline = time.monotonic() + 0.4

    def stop() -> None:
        if time.monotonic() > deadline - 0.1:
            raise JobCancelled

    with pytest.raises(JobCancelled):
        client.get(server.url(), stop=stop, deadline=deadline)


def test_headers_up_to_the_bound_are_read_and_no_more(serve: Serve, connect: Connect) -> None:
    def with_header_bytes(total: int) -> Script:
        def script(visit: Visit) -> None:
            fixed = HEAD + b"Content-Length: 2\r\n"
            lines = [b"X: " + b"y" * 995 + b"\r\n"] * ((total - len(fixed) - 2) // 1000)
            head = fixed + b"".join(lines)
            head += b"Z:" + b"z" * (total - len(head) - 6) + b"\r\n\r\n"
            assert len(head) == total
            visit.send(head + b"hi")

        return script

    client = connect()
    assert client.get(serve(with_header_bytes(65536)).url()).body == b"hi"
    error = refused(client, serve(with_header_bytes(65537)).url())
    assert error.error_code == "too_large"
    assert "65536" in error.detail


def test_endless_headers_are_refused_at_the_bound(serve: Serve, connect: Connect) -> None:
    def flood(visit: Visit) -> None:
        visit.send(HEAD)
        while True:
            visit.send(b"X: " + b"y" * 1000 + b"\r\n")

    assert refused(connect(), serve(flood).url()).error_code == "too_large"


def test_endless_informational_responses_are_refused_at_the_bound(
    serve: Serve, connect: Connect
) -> None:
    def flood(visit: Visit) -> None:
        while True:
            visit.send(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100)

    assert refused(connect(), serve(flood).url()).error_code in {"too_large", "bad_response"}


@pytest.mark.parametrize("chunked", [False, True])
def test_content_up_to_the_bound_is_read_and_no_more(
    serve: Serve, connect: Connect, chunked: bool
) -> None:
    def script(visit: Visit) -> None:
        body = b"x" * int(visit.path[1:])
        if chunked:
            visit.send(CHUNKED + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        else:
            visit.send(answer(body))

    server = serve(script)
    client = connect(max_body_bytes=100_000, max_wire_bytes=200_000)
    assert len(client.get(server.url("/100000")).body) == 100_000
    assert refused(client, server.url("/100001")).error_code == "too_large"


@pytest.mark.parametrize("chunked", [False, True])
def test_the_wire_has_a_bound_of_its_own(serve: Serve, connect: Connect, chunked: bool) -> None:
    def script(visit: Visit) -> None:
        body = b"x" * int(visit.path[1:])
        if chunked:
            visit.send(CHUNKED + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")
        else:
            visit.send(answer(body))

    server = serve(script)
    client = connect(max_body_bytes=500_000, max_wire_bytes=100_000)
    assert client.get(server.url("/100000")).wire_bytes == 100_000
    error = refused(client, server.url("/100001"))
    assert error.error_code == "too_large"
    assert "as it is sent" in error.detail


def test_an_announced_size_over_the_bound_is_refused_unread(serve: Serve, connect: Connect) -> None:
    def script(visit: Visit) -> None:
        visit.send(HEAD + b"Content-Length: 9999999999\r\n\r\n")
        visit.hold()

    assert refused(connect(), serve(script).url()).error_code == "too_large"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compression_bomb_stops_at_the_bound(serve: Serve, connect: Connect, coding: str) -> None:
    plain = b"\0" * (64 * 1024 * 1024)
    bomb = gzip.compress(plain, 9) if coding == "gzip" else zlib.compress(plain, 9)
    server = serve(lambda visit: visit.send(answer(bomb, "200 OK", f"Content-Encoding: {coding}")))
    error = refused(connect(), server.url())
    assert error.error_code == "too_large"
    assert "2097152" in error.detail


def test_a_bomb_in_a_bomb_stops_at_the_bound(serve: Serve, connect: Connect) -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * (64 * 1024 * 1024), 9), 9)
    server = serve(lambda visit: visit.send(answer(bomb, "200 OK", "Content-Encoding: gzip, gzip")))
    assert refused(connect(), server.url()).error_code == "too_large"


def test_content_is_cut_for_those_who_want_the_beginning(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.send(answer(b"0123456789")))
    wanted = Wanted(max_body_bytes=4, cut=True)
    assert connect().get(server.url(), wanted=wanted).body == b"0123"


def test_content_that_ends_early_is_truncated(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.send(HEAD + b"Content-Length: 100\r\n\r\n" + HTML[:20]))
    error = refused(connect(), server.url())
    assert error.error_code == "truncated"
    assert error.retryable


def test_chunks_that_end_early_are_truncated(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.send(CHUNKED + b"5\r\nhello\r\n"))
    assert refused(connect(), server.url()).error_code == "truncated"
