"""What servers answer, well and badly, and the words for it."""

from __future__ import annotations

import gzip
import socket
import zlib

import pytest

from service.errors import JobFailed
from service.fetch.exchange import Wanted
from tests.fetch_support import HTML, Connect, Serve, Visit, answer

PAGES = Wanted(media_types=frozenset({"text/html"}))


@pytest.mark.parametrize(
    ("coding", "encoded"),
    [
        ("gzip", gzip.compress(HTML, mtime=0)),
        ("x-gzip", gzip.compress(HTML, mtime=0)),
        ("deflate", zlib.compress(HTML)),
        ("identity", HTML),
        ("GZIP", gzip.compress(HTML, mtime=0)),
    ],
)
def test_content_is_decoded(serve: Serve, connect: Connect, coding: str, encoded: bytes) -> None:
    server = serve(lambda visit: visit.send(answer(encoded, "200", f"Content-Encoding: {coding}")))
    response = connect().get(server.url())
    assert response.body == HTML
    assert response.wire_bytes == len(encoded)
    assert server.visits[0].header("Accept-Encoding") == "gzip, deflate, br"


def test_the_service_says_who_it_is(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.send(answer()))
    connect(user_agent="jobspool/9 (+mailto:ops@example.com)").get(server.url(), {"X-A": "b"})
    assert server.visits[0].header("User-Agent") == "jobspool/9 (+mailto:ops@example.com)"
    assert server.visits[0].header("X-A") == "b"


def test_an_empty_header_is_sent_empty(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.send(answer()))
    connect().get(server.url(), {"X-A": ""})
    assert b"\r\nX-A:\r\n" in server.visits[0].request


@pytest.mark.parametrize("coding", ["zstd", "compress", "gzip, zstd", "aes128gcm", "\xff"])
def test_an_encoding_that_was_not_asked_for_is_named(
    serve: Serve, connect: Connect, coding: str
) -> None:
    server = serve(lambda visit: visit.send(answer(HTML, "200", f"Content-Encoding: {coding}")))
    with pytest.raises(JobFailed) as refused:
        connect().get(server.url())
    assert refused.value.error_code == "unsupported_encoding"


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>HTTP/0.9 has no head</html>",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
        b"",
    ],
)
def test_what_is_no_good_http_is_a_bad_response(serve: Serve, connect: Connect, raw: bytes) -> None:
    server = serve(lambda visit: visit.send(raw))
    with pytest.raises(JobFailed) as refused:
        connect(total_s=3.0).get(server.url())
    assert refused.value.error_code == "bad_response"


@pytest.mark.parametrize("status", [204, 299])
def test_every_2xx_is_a_success(serve: Serve, connect: Connect, status: int) -> None:
    server = serve(lambda visit: visit.send(answer(b"", f"{status} Fine")))
    assert connect().get(server.url()).head.status_code == status


@pytest.mark.parametrize("status", [300, 304, 400, 403, 404, 408, 410, 429, 500, 503, 599, 999])
def test_any_other_status_is_a_failure_with_the_code(
    serve: Serve, connect: Connect, status: int
) -> None:
    server = serve(lambda visit: visit.send(answer(HTML, f"{status} No", "Retry-After: 7")))
    with pytest.raises(JobFailed) as refused:
        connect().get(server.url())
    assert refused.value.error_code == "http_status"
    assert refused.value.extra["status_code"] == status
    assert refused.value.retry_after_s == (7 if refused.value.retryable else None)


def test_the_body_of_an_error_is_not_waited_for(serve: Serve, connect: Connect) -> None:
    def script(visit: Visit) -> None:
        visit.send(b"HTTP/1.1 404 No\r\nContent-Length: 99\r\n\r\n")
        visit.hold()

    with pytest.raises(JobFailed) as refused:
        connect(total_s=60.0).get(serve(script).url())
    assert refused.value.extra["status_code"] == 404


@pytest.mark.parametrize("content_type", ["application/pdf", "image/png", "text/plain", "x\x01y"])
def test_a_type_that_is_not_wanted_is_refused_unread(
    serve: Serve, connect: Connect, content_type: str
) -> None:
    def script(visit: Visit) -> None:
        visit.send(f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\n\r\n".encode("latin-1"))
        visit.hold()

    with pytest.raises(JobFailed) as refused:
        connect(total_s=60.0).get(serve(script).url(), wanted=PAGES)
    assert refused.value.error_code == "unsupported_type"
    assert refused.value.detail.isprintable()


def test_a_type_that_is_not_given_is_taken(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.send(b"HTTP/1.0 200 OK\r\n\r\n" + HTML))
    assert connect().get(server.url(), wanted=PAGES).body == HTML


def test_early_hints_are_passed_over(serve: Serve, connect: Connect) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nContent-Type: image/png\r\n\r\n"
    server = serve(lambda visit: visit.send(hints + answer()))
    response = connect().get(server.url(), wanted=PAGES)
    assert response.head.get("content-type") == "text/html"


def test_trailers_change_nothing(serve: Serve, connect: Connect) -> None:
    raw = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nhi\r\n0\r\nContent-Type: image/png\r\n\r\n"
    )
    server = serve(lambda visit: visit.send(raw))
    response = connect().get(server.url(), wanted=PAGES)
    assert response.body == b"hi"
    assert response.head.get("content-type") is None


def test_nobody_listening_is_a_connect_error(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(JobFailed) as refused:
        connect().get(f"http://127.0.0.1:{port}/")
    assert refused.value.error_code == "connect_error"
    assert refused.value.retryable


def test_a_name_that_cannot_be_resolved_is_a_dns_error(connect: Connect) -> None:
    with pytest.raises(JobFailed) as refused:
        connect(total_s=10.0).get("http://no-such-host.invalid:8080/")
    assert refused.value.error_code in {"dns_error", "timeout"}


def test_connections_are_used_again(serve: Serve, connect: Connect) -> None:
    def script(visit: Visit) -> None:
        visit.keep_open = True
        visit.send(answer())

    server, client = serve(script), connect()
    for _ in range(5):
        client.get(server.url())
    assert len(server.visits) == 5
    assert server.connections == 1


def test_a_closed_client_still_answers_and_keeps_nothing(serve: Serve, connect: Connect) -> None:
    server, client = serve(lambda visit: visit.send(answer())), connect()
    client.get(server.url())
    client.close()
    client.close()
    assert client.get(server.url()).body == HTML
