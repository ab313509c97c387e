"""Answers whose ends can be read in two ways, and connections that carry more than one."""

from __future__ import annotations

import base64
import socket
import time
from pathlib import Path
from threading import Event

import pytest

from service.errors import JobFailed
from service.fetch.client import GuardedClient
from tests.fetch_support import HTML, Connect, Script, Serve, Visit, answer

SLACK_S = 0.2
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
EVIL = answer(b"<title>evil</title>")

# 256 MiB of zeros, and HTML, as brotli packs them.
BROTLI_BOMB = base64.b85decode(
    "&;S2__$L73u|OdA{-6K<|L{)$#9;w|?)^Xi|Nr5i0EojP0Nwk4{{R2OKLHSj1pvDD|NQ^|hkpVf4hsNu"
    "@BjJ#{}2BJKpYkT=-&VH|NkHU34k~(0MNbv=l}md{1X6iSOB1V|Ih#bfA}W=;;;Zf_x_*%|Nrn$0K{Pd"
    "fbRW2|NsBtp8$x%0s!6nfBygf!#@EKhXnw-_y7F=|A&79APx%vbnpN9|NjsF1V9`X0O;QT^Z)-J{t19M"
    "ECA5G|L6bzKl~E_aaaJLd;dQ"
)
BROTLI_HTML = base64.b85decode(
    "8$<vwtPXh7=&F<m98)!0oxbEjLaP_JDoZODw(_BCAGWqPumKl1g!tei-wh-&KgyF2MW(~jJQY;"
)


def code_of(client: GuardedClient, url: str) -> str:
    with pytest.raises(JobFailed) as caught:
        client.get(url)
    assert "127.0.0" not in caught.value.detail
    return caught.value.error_code


@pytest.mark.parametrize(
    ("first", "codes"),
    [
        (OK + b"Content-Length: 2\r\n\r\nhi" + EVIL, {"read"}),
        (OK + b"Content-Length: 2\r\n\r\nhi\r\n\r\n\r\n" + EVIL, {"read"}),
        (OK + b"Content-Length: 0\r\n\r\n" + EVIL, {"read"}),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n" + EVIL, {"read"}),
        (b"HTTP/1.1 204 No\r\n\r\nbody" + EVIL, {"read"}),
        (b"HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n" + EVIL, {"read"}),
        (b"HTTP/1.1 304 No\r\nContent-Length: 9\r\n\r\n" + EVIL, {"http_status"}),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n" + EVIL, {"http_status"}),
        (b"HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno" + EVIL, {"http_status"}),
        (OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + EVIL,
         {"read", "bad_response"}),
        (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi" + EVIL, {"read", "bad_response"}),
        (OK + b"Content-Length: 2, 2\r\n\r\nhi" + EVIL, {"read", "bad_response"}),
    ],
)  # fmt: skip
def test_what_follows_an_answer_is_never_the_answer_to_the_next(
    serve: Serve, connect: Connect, first: bytes, codes: set[str]
) -> None:
    def script(visit: Visit) -> None:
        visit.keep_open = True
        visit.send(first if visit.path == "/first" else answer())

    server, client = serve(script), connect(total_s=2.0)
    try:
        assert b"evil" not in client.get(server.url("/first")).body
        code = "read"
    except JobFailed as failed:
        code = failed.error_code
    assert code in codes
    for _ in range(3):
        assert client.get(server.url("/next")).body == HTML


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 1\r\nContent-Length: 2\r\n",
        b"Content-Length: 2\r\nContent-Length: 1\r\n",
        b"Content-Length: 1, 2\r\n",
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x2\r\n",
        b"Content-Length: 2 2\r\n",
        b"Content-Length: 99999999999999999999999\r\n",
        b"Content-Length : 1\r\nContent-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity, x\r\n",
        b"Transfer-Encoding: gzip, x\r\n",
        b"X: a\x00b\r\n",
        b"no colon\r\n",
        b": no name\r\n",
    ],
)
def test_heads_that_can_be_read_in_two_ways_are_read_as_one_or_not_at_all(
    serve: Serve, connect: Connect, head: bytes
) -> None:
    def script(visit: Visit) -> None:
        visit.send(OK + head + b"\r\nhi")

    client = connect(total_s=2.0)
    try:
        body = client.get(serve(script).url()).body
    except JobFailed as failed:
        assert failed.error_code in {"bad_response", "truncated", "too_large"}  # noqa: PT017
    else:
        assert b"hi".startswith(body)


@pytest.mark.parametrize(
    "body",
    [
        b"-1\r\nhi\r\n0\r\n\r\n",
        b"0x2\r\nhi\r\n0\r\n\r\n",
        b"\r\nhi\r\n0\r\n\r\n",
        b"FFFFFFFFFFFFFFFFF\r\nhi\r\n0\r\n\r\n",
        b"7FFFFFFFFFFFFFFF\r\nhi",
        b"2\r\nhixx\r\n0\r\n\r\n",
        b"g\r\nhi\r\n0\r\n\r\n",
        b"2\r\nhi",
        b"2\r\nhi\r\n",
        b"2;" + b"x" * 100_000 + b"\r\nhi\r\n",
    ],
)
def test_chunks_that_are_none_are_refused(serve: Serve, connect: Connect, body: bytes) -> None:
    raw = OK + b"Transfer-Encoding: chunked\r\n\r\n" + body
    server = serve(lambda visit: visit.send(raw))
    assert code_of(connect(total_s=2.0), server.url()) in {"bad_response", "truncated"}


def slowly(data: bytes) -> Script:
    def script(visit: Visit) -> None:
        for byte in data:
            visit.send(bytes([byte]))
            Event().wait(0.02)
        visit.hold()

    return script


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 " + b"O" * 200,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 9,
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 9,
        b"HTTP/1.1 302 Found\r\nLocation: /" + b"x" * 200,
        OK + b"Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\0" + b"\0\0\0\0\xff" * 40,
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 40,
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 200,
    ],
)
def test_a_byte_at_a_time_ends_with_the_deadline(
    serve: Serve, connect: Connect, data: bytes
) -> None:
    server, client = serve(slowly(data)), connect(total_s=0.6)
    started = time.monotonic()
    assert code_of(client, server.url()) in {"timeout", "bad_response"}
    assert time.monotonic() - started < 0.6 + SLACK_S


@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_a_flood_of_informational_answers_is_bounded(
    serve: Serve, connect: Connect, status: bytes
) -> None:
    def script(visit: Visit) -> None:
        while True:
            visit.send((b"HTTP/1.1 " + status + b"\r\nX: y\r\n\r\n") * 50)

    started = time.monotonic()
    assert code_of(connect(total_s=2.0), serve(script).url()) in {"too_large", "bad_response"}
    assert time.monotonic() - started < 2.0 + SLACK_S


def test_a_connection_that_is_reset_in_the_content_is_truncated(
    serve: Serve, connect: Connect
) -> None:
    def script(visit: Visit) -> None:
        visit.send(OK + b"Content-Length: 1000\r\n\r\nx")
        Event().wait(0.1)
        linger = b"\1\0\0\0\0\0\0\0"  # on, for 0 s: close() resets
        visit._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    assert code_of(connect(), serve(script).url()) in {"truncated", "bad_response"}


def test_brotli_is_decoded_and_a_bomb_of_it_stops_at_the_bound(
    serve: Serve, connect: Connect
) -> None:
    def script(visit: Visit) -> None:
        body = BROTLI_HTML if visit.path == "/page" else BROTLI_BOMB
        visit.send(answer(body, "200 OK", "Content-Encoding: br"))

    server, client = serve(script), connect()
    assert client.get(server.url("/page")).body == HTML
    before_kib = peak_kib()
    assert code_of(client, server.url("/bomb")) == "too_large"
    assert peak_kib() - before_kib < 64 * 1024


def peak_kib() -> int:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def test_connections_are_shared_but_nothing_that_was_said_on_them(
    serve: Serve, connect: Connect
) -> None:
    def script(visit: Visit) -> None:
        visit.keep_open = True
        visit.send(
            answer(HTML, "200 OK", "Set-Cookie: id=secret", "Strict-Transport-Security: max-age=9")
        )

    server, client = serve(script), connect()
    client.get(server.url("/"), {"Authorization": "Bearer s", "Cookie": "a=b", "X-Key": "s"})
    client.get(server.url("/"))
    client.get(server.url(host="localhost"))
    assert server.connections == 2  # one for each name
    for visit in server.visits[1:]:
        for name in ("Authorization", "Cookie", "X-Key", "Referer"):
            assert visit.header(name) is None


def test_a_401_is_not_answered(serve: Serve, connect: Connect) -> None:
    challenge = answer(
        b"", "401 Who", 'WWW-Authenticate: Basic realm="x"', "WWW-Authenticate: NTLM"
    )
    server = serve(lambda visit: visit.send(challenge))
    assert code_of(connect(), server.url()) == "http_status"
    assert len(server.visits) == 1


def test_an_upgrade_or_another_service_is_not_followed(serve: Serve, connect: Connect) -> None:
    other = serve(lambda visit: visit.send(answer()))

    def script(visit: Visit) -> None:
        visit.keep_open = True
        visit.send(answer(HTML, "200 OK", f'Alt-Svc: h2="127.0.0.1:{other.port}"', "Upgrade: h2c"))

    server, client = serve(script), connect()
    for _ in range(2):
        assert client.get(server.url()).body == HTML
    assert other.connections == 0
