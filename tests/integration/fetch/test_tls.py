"""Servers behind TLS: who is believed, and HTTP/2, well and badly spoken."""

from __future__ import annotations

import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.errors import JobFailed
from service.fetch.client import GuardedClient
from tests.fetch_support import HTML, Connect, HostileServer, Serve, answer

SLACK_S = 0.2

# Certificates by what is wrong with them: (name, first day from now, last day, who signs).
CERTIFICATES = {
    "good": ("DNS:localhost,IP:127.0.0.1", -1, 30, "ca"),
    "wrong_name": ("DNS:example.com,IP:127.0.0.9", -1, 30, "ca"),
    "expired": ("DNS:localhost,IP:127.0.0.1", -30, -1, "ca"),
    "not_yet_valid": ("DNS:localhost,IP:127.0.0.1", 2, 30, "ca"),
    "unknown_ca": ("DNS:localhost,IP:127.0.0.1", -1, 30, "other_ca"),
    "self_signed": ("DNS:localhost,IP:127.0.0.1", -1, 30, "self_signed"),
    "signed_by_a_leaf": ("DNS:localhost,IP:127.0.0.1", -1, 30, "good"),
}


def openssl(*arguments: str, folder: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def make_key(folder: Path, name: str) -> None:
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", name, folder=folder)


def make_ca(folder: Path, name: str) -> None:
    make_key(folder, f"{name}.key")
    subject = f"/CN=Test {name}"
    openssl(
        "req", "-x509", "-new", "-key", f"{name}.key", "-out", f"{name}.pem", "-days", "30",
        "-subj", subject, folder=folder,
    )  # fmt: skip


def make_certificate(folder: Path, name: str) -> None:
    names, first, last, signer = CERTIFICATES[name]
    make_key(folder, f"{name}.key")
    (folder / f"{name}.ext").write_text(f"subjectAltName={names}\nbasicConstraints=CA:FALSE\n")
    subject = f"/CN={name}"
    openssl(
        "req", "-new", "-key", f"{name}.key", "-out", f"{name}.csr", "-subj", subject, folder=folder
    )
    (folder / "index.txt").write_text("")
    now = time.time()
    dates = [
        time.strftime("%y%m%d%H%M%SZ", time.gmtime(now + day * 86400)) for day in (first, last)
    ]
    (folder / "ca.cnf").write_text(
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nnew_certs_dir=.\nrand_serial=yes\n"
        "default_md=sha256\npolicy=p\nunique_subject=no\n[p]\ncommonName=supplied\n"
    )
    by_itself = ["-selfsign"] if signer == name else ["-cert", f"{signer}.pem"]
    openssl(
        "ca", "-batch", "-config", "ca.cnf", "-in", f"{name}.csr", "-out", f"{name}.pem",
        "-notext", "-keyfile", f"{signer}.key", "-startdate", dates[0], "-enddate", dates[1],
        "-extfile", f"{name}.ext", *by_itself, folder=folder,
    )  # fmt: skip


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA that the tests trust, one that they don't, and certificates by both."""
    folder = tmp_path_factory.mktemp("certificates")
    make_ca(folder, "ca")
    make_ca(folder, "other_ca")
    for name in CERTIFICATES:
        make_certificate(folder, name)
    return folder


def context(certificates: Path, name: str, *protocols: str) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    if protocols:
        made.set_alpn_protocols(list(protocols))
    return made


def refused(client: GuardedClient, url: str) -> JobFailed:
    with pytest.raises(JobFailed) as caught:
        client.get(url)
    assert "127.0.0" not in caught.value.detail
    return caught.value


def test_a_certificate_by_a_trusted_authority_is_believed(
    serve: Serve, connect: Connect, certificates: Path
) -> None:
    server = serve(lambda visit: visit.send(answer()), tls=context(certificates, "good"))
    client = connect(ca_file=str(certificates / "ca.pem"))
    assert client.get(server.url()).body == HTML
    assert client.get(server.url(host="localhost")).body == HTML


@pytest.mark.parametrize("name", [name for name in CERTIFICATES if name != "good"])
def test_a_certificate_with_a_flaw_is_a_tls_error(
    serve: Serve, connect: Connect, certificates: Path, name: str
) -> None:
    server = serve(lambda visit: visit.send(answer()), tls=context(certificates, name))
    error = refused(connect(ca_file=str(certificates / "ca.pem")), server.url())
    assert error.error_code == "tls_error"
    assert not error.retryable
    assert server.visits == []


def test_old_versions_of_tls_are_refused(
    serve: Serve, connect: Connect, certificates: Path
) -> None:
    old = context(certificates, "good")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    server = serve(lambda visit: visit.send(answer()), tls=old)
    error = refused(connect(ca_file=str(certificates / "ca.pem")), server.url())
    assert error.error_code == "tls_error"


def test_content_that_ends_without_a_goodbye_is_truncated(
    serve: Serve, connect: Connect, certificates: Path
) -> None:
    """Whoever sits between may cut a connection; only TLS itself can say that it is complete."""
    server = serve(
        lambda visit: visit.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n" + HTML),
        tls=context(certificates, "good"),
    )
    client = connect(ca_file=str(certificates / "ca.pem"))
    assert refused(client, server.url()).error_code == "truncated"


# HTTP/2 (RFC 9113), as little of it as it takes to be hostile.
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS = 1, 4
OK = b"\x88"  # :status 200, from HPACK's static table


def frame(kind: int, payload: bytes = b"", flags: int = 0, stream: int = 1) -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def field(name: str, value: str) -> bytes:
    """A literal field without indexing, as HPACK writes it; for values under 127 bytes."""
    encoded = (name.encode(), value.encode())
    return b"\x00" + b"".join(bytes([len(text)]) + text for text in encoded)


Send = Callable[[bytes], None]
Http2Script = Callable[[Send], None]


class Http2Server(HostileServer):
    """Takes one request on each connection and lets a script answer on stream 1."""

    def __init__(self, script: Http2Script, tls: ssl.SSLContext) -> None:
        super().__init__(lambda visit: None, tls=tls)
        self._answer = script
        self.protocols: list[str | None] = []  # as agreed; appended by the serving threads

    def _visit(self, connection: socket.socket) -> bool:
        assert isinstance(connection, ssl.SSLSocket)
        self.protocols.append(connection.selected_alpn_protocol())
        connection.recv(65536)
        connection.sendall(frame(SETTINGS, stream=0))
        self._answer(connection.sendall)
        while not self._closing.is_set() and connection.recv(65536):
            pass
        return False


def fine(send: Send) -> None:
    send(frame(HEADERS, OK + field("content-type", "text/html"), END_HEADERS))
    send(frame(DATA, HTML, END_STREAM))


def never_ends(piece: bytes, every_s: float = 0.0, before: bytes = b"") -> Http2Script:
    def script(send: Send) -> None:
        send(before)
        while True:
            send(piece)
            time.sleep(every_s)

    return script


HEAD = frame(HEADERS, OK + field("content-type", "text/html"), END_HEADERS)
HOSTILE: dict[str, tuple[Http2Script, set[str]]] = {
    "dripped content": (never_ends(frame(DATA, b"x"), 0.05, HEAD), {"timeout"}),
    "endless content": (never_ends(frame(DATA, b"x" * 16000), 0.0, HEAD), {"too_large"}),
    "empty content": (never_ends(frame(DATA), 0.001, HEAD), {"timeout", "bad_response"}),
    "pings": (never_ends(frame(PING, b"x" * 8, stream=0), 0.001), {"timeout", "bad_response"}),
    "settings": (never_ends(frame(SETTINGS, stream=0), 0.001), {"timeout", "bad_response"}),
    "early hints": (
        never_ends(frame(HEADERS, field(":status", "103"), END_HEADERS), 0.001),
        {"too_large", "timeout", "bad_response"},
    ),
    "continuations": (
        never_ends(frame(CONTINUATION, field("x", "y" * 100)), 0.0, frame(HEADERS, OK)),
        {"too_large", "timeout", "bad_response"},
    ),
    "many fields": (
        never_ends(frame(CONTINUATION, field("x", "y" * 100) * 100), 0.0, frame(HEADERS, OK)),
        {"too_large", "bad_response"},
    ),
    "a reset": (lambda send: send(frame(RST_STREAM, b"\0\0\0\2")), {"bad_response"}),
    "a reset in the content": (
        lambda send: send(HEAD + frame(DATA, b"x") + frame(RST_STREAM, b"\0\0\0\2")),
        {"bad_response", "truncated"},
    ),
    "a goodbye": (
        lambda send: send(frame(GOAWAY, b"\0" * 8, stream=0)), {"bad_response", "timeout"}
    ),
    "silence": (lambda send: None, {"timeout"}),
    "nonsense": (lambda send: send(b"HTTP/1.1 200 OK\r\n\r\n" * 9), {"bad_response"}),
    "a field that unpacks to nothing good": (
        lambda send: send(frame(HEADERS, b"\xff\xff\xff\xff\xff\xff", END_HEADERS)),
        {"bad_response"},
    ),
}  # fmt: skip


def test_http_2_is_spoken_with_servers_that_do(connect: Connect, certificates: Path) -> None:
    with Http2Server(fine, context(certificates, "good", "h2")) as server:
        response = connect(ca_file=str(certificates / "ca.pem")).get(server.url())
    assert server.protocols == ["h2"]
    assert response.body == HTML
    assert response.head.media_type == "text/html"


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_http_2_ends_within_the_bounds(
    connect: Connect, certificates: Path, name: str
) -> None:
    script, codes = HOSTILE[name]
    client = connect(ca_file=str(certificates / "ca.pem"), total_s=0.8)
    with Http2Server(script, context(certificates, "good", "h2")) as server:
        started = time.monotonic()
        error = refused(client, server.url())
        elapsed = time.monotonic() - started
    assert error.error_code in codes
    assert elapsed < 0.8 + SLACK_S
