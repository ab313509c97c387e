"""Bytes that are no HTTP, or HTTP that two readers might read in two ways: refused, and nothing
that stands behind them on the connection is taken for a request."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator

import pytest
import requests

from tests.support.server import Server

JOBS = b'{"jobs":[{"type":"numbers","params":{"count":0}}]}'
LENGTH = b"Content-Length: %d\r\n" % len(JOBS)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(JOBS), JOBS)
LINE = b"POST /v1/batches HTTP/1.1\r\n"
KIND = b"Content-Type: application/json\r\n"
POST = LINE + b"Host: x\r\n" + KIND
GOOD = POST + LENGTH + b"\r\n" + JOBS
GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("framing"), max_body_bytes=100_000, threads=4)
    yield server.start()
    server.close()


def exchange(server: Server, data: bytes, *, hang_up: bool = False) -> bytes:
    """All that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.settimeout(30)
        whole = b""
        try:
            client.sendall(data)
            if hang_up:
                client.shutdown(socket.SHUT_WR)
            while piece := client.recv(65_536):
                whole += piece
        except ConnectionError:
            pass  # closed while there was more to read
        return whole


def batches(server: Server) -> int:
    return len(server.get("/v1/batches?limit=1000")["items"])


def post(headers: bytes, body: bytes = JOBS) -> bytes:
    return POST + headers + b"\r\n" + body


REFUSED = {
    "two lengths that differ": post(LENGTH + b"Content-Length: 3\r\n"),
    "two lengths that agree": post(LENGTH + LENGTH),
    "a list of lengths": post(b"Content-Length: 50, 50\r\n"),
    "length and chunked": post(LENGTH + CHUNKED, CHUNKS),
    "chunked and length": post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"),
    "chunked twice": post(CHUNKED + CHUNKED, CHUNKS),
    "chunked in chunked": post(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS),
    "xchunked": post(b"Transfer-Encoding: xchunked\r\n", CHUNKS),
    "quoted chunked": post(b'Transfer-Encoding: "chunked"\r\n', CHUNKS),
    "chunked after VT": post(b"Transfer-Encoding: \x0bchunked\r\n", CHUNKS),
    "chunked with a parameter": post(b"Transfer-Encoding: chunked;q=1\r\n", CHUNKS),
    "gzip below chunked": post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS),
    "identity": post(b"Transfer-Encoding: identity\r\n", CHUNKS),
    "chunked in HTTP/1.0": post(CHUNKED, CHUNKS).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "bare LF everywhere": GOOD.replace(b"\r\n", b"\n"),
    "one bare LF": GOOD.replace(b"Host: x\r\n", b"Host: x\n"),
    "a bare CR": post(b"A: b\rContent-Length: 3\r\n"),
    "a folded line": post(b"A: b\r\n c\r\n" + LENGTH),
    "a folded length": post(b"Content-Length:\r\n 50\r\n"),
    "a space before the colon": post(LENGTH.replace(b":", b" :")),
    "a space before the name": post(b" " + LENGTH),
    "a line without a colon": post(b"garbage\r\n" + LENGTH),
    "a nameless line": post(b": x\r\n" + LENGTH),
    "NUL in a header": post(b"A: b\0c\r\n" + LENGTH),
    "two hosts": post(b"Host: y\r\n" + LENGTH),
    "no host": LINE + KIND + LENGTH + b"\r\n" + JOBS,
    "a host that is none": LINE + b"Host: a b/c@d\r\n" + KIND + LENGTH + b"\r\n" + JOBS,
    "length -1": post(b"Content-Length: -1\r\n"),
    "length +50": post(b"Content-Length: +50\r\n"),
    "length 0x32": post(b"Content-Length: 0x32\r\n"),
    "length 5_0": post(b"Content-Length: 5_0\r\n"),
    "length 50.0": post(b"Content-Length: 50.0\r\n"),
    "no number for a length": post(b"Content-Length: \r\n"),
    "a length in other digits": post("Content-Length: \u0665\u0660\r\n".encode()),
    "a length of 5,000 digits": post(b"Content-Length: " + b"9" * 5_000 + b"\r\n"),
    "a header of 9 KB": post(b"A: " + b"b" * 9_000 + b"\r\n" + LENGTH),
    "101 headers": post(b"".join(b"A%d: b\r\n" % n for n in range(99)) + LENGTH),
    "a header without an end": POST + b"A: " + b"b" * 200_000,
    "a target of 9 KB": b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "NUL in the target": b"GET /heal\0thz HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in the target": b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    "a target without a slash": b"GET healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "tabs": b"GET\t/healthz\tHTTP/1.1\r\nHost: x\r\n\r\n",
    "an odd method": b"GE(T /healthz HTTP/1.1\r\nHost: x\r\n\r\n",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/0.9 by name": b"GET /healthz HTTP/0.9\r\n\r\n",
    "HTTP/2 by name": b"GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n",
    "HTTP/2 as it begins": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(40),
    "TLS": bytes.fromhex("16030100a5010000a10303") + os.urandom(64).replace(b"\n", b"") + b"\r\n",
    "an expectation nobody knows": post(b"Expect: 200-ok\r\n" + LENGTH),
    "PROXY": b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + GET + b"\r\n",
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED)
def test_what_is_ambiguous_is_refused_and_ends_the_connection(
    shared: Server, request_bytes: bytes
) -> None:
    before = batches(shared)
    answer = exchange(shared, request_bytes + b"\r\n\r\n" + GOOD)
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert 400 <= status < 500 or status == 501, head
    assert b"content-type: application/problem+json" in head.lower()
    assert b"connection: close" in head.lower()
    assert json.loads(body)["status"] == status  # one answer, and nothing behind it
    assert batches(shared) == before


SIZE = b"%x" % len(JOBS)
REST = b"\r\n" + JOBS + b"\r\n0\r\n\r\n"
BAD_CHUNKS = {
    "larger than any integer": b"1" + b"0" * 16 + SIZE + REST,
    "0x": b"0x" + SIZE + REST,
    "signed": b"+" + SIZE + REST,
    "a space behind the size": SIZE + b" " + REST,
    "an underscore": b"3_2" + REST,
    "a bare LF": SIZE + b"\n" + JOBS + b"\n0\n\n",
    "a bare LF in an extension": SIZE + b";a=\nb" + REST,
    "a huge extension": SIZE + b";a=" + b"b" * 50_000 + REST,
    "more than its size": SIZE + b"\r\n" + JOBS + b"more\r\n0\r\n\r\n",
    "a length as a trailer": CHUNKS[:-2] + b"Content-Length: 3\r\n\r\n",
    "a broken trailer": CHUNKS[:-2] + b"bad\n\r\n\r\n",
    "trailers without end": CHUNKS[:-2] + b"A: b\r\n" * 20_000,
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_badly_chunked_body_ends_the_connection_too(shared: Server, chunks: bytes) -> None:
    before = batches(shared)
    answer = exchange(shared, post(CHUNKED, chunks) + GOOD, hang_up=True)
    assert answer.startswith(b"HTTP/1.1 4"), answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert batches(shared) == before


@pytest.mark.parametrize(
    "request_bytes",
    [
        post(CHUNKED.upper().replace(b"CHUNKED", b"Chunked"), CHUNKS),
        post(CHUNKED, SIZE + b";a=b" + REST),
        post(CHUNKED, CHUNKS[:-2] + b"A: b\r\n\r\n"),
        GOOD.replace(b"POST /", b"POST http://other.example/"),
        GOOD.replace(b"Host: x", b"Host:"),
        GOOD.replace(b"Host: x", b"Host: [::1]:8000"),
        GOOD.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: x\r\n", b""),
        post(b"SCRIPT_NAME: /v1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off\r\n" + LENGTH),
    ],
)
def test_what_is_only_unusual_is_served_once(shared: Server, request_bytes: bytes) -> None:
    before = batches(shared)
    answer = exchange(shared, request_bytes, hang_up=True)
    assert answer.split()[1] == b"202", answer
    assert batches(shared) == before + 1


def test_garbage_behind_a_request_is_refused_after_its_answer(shared: Server) -> None:
    answer = exchange(shared, GET + b"\r\n\0\xff garbage\r\n\r\n" + GOOD)
    assert [int(part.split()[0]) for part in answer.split(b"HTTP/1.1 ")[1:]] == [200, 400]


@pytest.mark.parametrize(
    "opening",
    [GET, POST.replace(KIND, b"Content-Type: a/b\r\n"), POST.replace(b"/v1", b"/none")],
)
def test_a_body_that_nobody_read_is_no_request(shared: Server, opening: bytes) -> None:
    before = batches(shared)
    for framed in (
        b"Content-Length: %d\r\n\r\n%b" % (len(GOOD), GOOD),
        CHUNKED + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(GOOD), GOOD),
    ):
        answer = exchange(shared, opening + framed, hang_up=True)
        assert answer.count(b"HTTP/1.1 ") == 1
    assert batches(shared) == before


# --- Expect: 100-continue -------------------------------------------------------------------

WAITS = b"Expect: 100-continue\r\n"


@pytest.mark.parametrize(("headers", "body"), [(LENGTH, JOBS), (CHUNKED, CHUNKS)])
def test_a_client_is_told_to_go_on_once_its_body_is_wanted(
    shared: Server, headers: bytes, body: bytes
) -> None:
    with socket.create_connection(("127.0.0.1", shared.port)) as client:
        client.settimeout(30)
        client.sendall(POST + WAITS + headers + b"\r\n")
        assert client.recv(1_000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body + GET + b"\r\n")  # and the connection can be used again
        whole = b""
        while b'{"status":"ok"}' not in whole:
            whole += client.recv(65_536)
        assert whole.startswith(b"HTTP/1.1 202 ")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (POST + WAITS + b"Content-Length: 100001\r\n\r\n", b"413"),
        (POST.replace(KIND, b"") + WAITS + LENGTH + b"\r\n", b"415"),
        (POST.replace(b"batches", b"batches?x=1") + WAITS + LENGTH + b"\r\n", b"422"),
        (POST.replace(b"batches", b"none") + WAITS + LENGTH + b"\r\n", b"404"),
    ],
)
def test_a_body_that_is_not_wanted_is_refused_before_it_is_sent(
    shared: Server, request_bytes: bytes, status: bytes
) -> None:
    before = batches(shared)
    answer = exchange(shared, request_bytes)
    assert answer.split()[1] == status, answer
    assert answer.count(b"HTTP/1.1 ") == 1
    assert batches(shared) == before


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
def test_a_chunked_body_over_the_limit_is_413_and_nothing_is_taken(
    shared: Server, kind: str
) -> None:
    before = batches(shared)
    body = iter([JOBS if "json" in kind else b"http://a.example/\n", *[b" " * 10_000] * 20])
    answer = requests.post(
        f"{shared.url}/v1/batches", data=body, headers={"Content-Type": kind}, timeout=30
    )
    assert answer.status_code == 413
    assert "100000 bytes (max_body_bytes)" in answer.json()["detail"]
    assert batches(shared) == before


def test_through_all_of_it_nothing_was_logged_as_an_error(shared: Server) -> None:
    assert requests.get(f"{shared.url}/healthz", timeout=30).status_code == 200
    log = shared.log.read_text()
    assert "Traceback" not in log
    assert "ERROR" not in log
