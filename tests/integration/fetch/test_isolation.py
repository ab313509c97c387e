"""Nothing forbidden is dialled, nothing of the surroundings is used, nothing is left behind."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.errors import JobFailed
from service.fetch.client import GuardedClient
from service.fetch.exchange import Exchange
from service.fetch.policy import FetchPolicy
from service.fetch.url import Url
from tests.fetch_support import HTML, Connect, HostileServer, Serve, Visit, answer, loopback_policy


@pytest.fixture
def dialled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The address of every socket that libcurl is given."""
    addresses: list[str] = []
    real = Exchange.open_socket

    def spy(self: Exchange, purpose: int, address: Any) -> socket.socket | int:
        opened = real(self, purpose, address)
        if isinstance(opened, socket.socket):
            addresses.append(str(address[3][0]))
        return opened

    monkeypatch.setattr(Exchange, "open_socket", spy)
    return addresses


def resolving_to_loopback(client: GuardedClient, server: HostileServer) -> JobFailed:
    with pytest.raises(JobFailed) as refused:
        client.get(server.url(host="localhost"))
    return refused.value


def test_a_name_that_resolves_to_a_forbidden_address_is_not_dialled(
    serve: Serve, connect: Connect, dialled: list[str]
) -> None:
    server = serve(lambda visit: visit.send(answer()))
    refused = resolving_to_loopback(connect(loopback_policy(allow="")), server)
    assert refused.error_code == "blocked_target"
    assert not refused.retryable
    assert "127" not in refused.detail
    assert "::1" not in refused.detail
    assert dialled == []
    assert server.connections == 0


def test_only_the_permitted_addresses_of_a_name_are_dialled(
    serve: Serve, connect: Connect, dialled: list[str]
) -> None:
    server = serve(lambda visit: visit.send(answer()))
    assert connect().get(server.url(host="localhost")).body == HTML
    assert dialled == ["127.0.0.1"]


def test_the_spy_would_see_a_connection(serve: Serve, connect: Connect, dialled: list[str]) -> None:
    connect().get(serve(lambda visit: visit.send(answer())).url())
    assert dialled == ["127.0.0.1"]


def test_the_dialling_check_does_not_lean_on_the_static_one(
    serve: Serve, connect: Connect, dialled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.fetch.client.check_target", lambda url, addresses: None)
    server = serve(lambda visit: visit.send(answer()), host="127.0.0.2")
    client = connect()
    spellings = ("127.0.0.2", "2130706434", "0x7f.2", "[::ffff:127.0.0.2]", "127。0。0。2")
    for spelling in spellings:
        with pytest.raises(JobFailed) as refused:
            client.get(server.url(host=spelling))
        assert refused.value.error_code == "blocked_target"
    assert dialled == []
    assert server.connections == 0


def test_a_port_is_checked_at_dialling_too(
    serve: Serve, connect: Connect, dialled: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.fetch.address import AddressPolicy
    from service.fetch.address_text import parse_cidrs

    monkeypatch.setattr("service.fetch.client.check_target", lambda url, addresses: None)
    server = serve(lambda visit: visit.send(answer()))
    client = connect(FetchPolicy(addresses=AddressPolicy(allow_cidrs=parse_cidrs("127.0.0.1"))))
    with pytest.raises(JobFailed) as refused:
        client.get(server.url())
    assert refused.value.error_code == "blocked_target"
    assert dialled == []


def test_a_connection_is_checked_again_before_it_is_used_again(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    def script(visit: Visit) -> None:
        visit.keep_open = True
        visit.send(answer())

    server, client = serve(script), connect()
    client.get(server.url(host="localhost"))
    monkeypatch.setattr(Exchange, "_permits", lambda self, address, port: False)
    with pytest.raises(JobFailed):
        client.get(server.url(host="localhost"))
    assert len(server.visits) == 1


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"])
def test_proxies_of_the_environment_are_not_used(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    proxy = serve(lambda visit: visit.send(answer(b"proxied")))
    server = serve(lambda visit: visit.send(answer()))
    monkeypatch.setenv(name, proxy.url())
    monkeypatch.delenv("no_proxy", raising=False)
    assert connect().get(server.url()).body == HTML
    assert proxy.connections == 0


def test_netrc_and_curlrc_are_not_read(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".curlrc").write_text('header = "X-Curlrc: yes"\n')
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CURL_HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    challenge = answer(b"", "401 Who", 'WWW-Authenticate: Basic realm="x"')
    server = serve(lambda visit: visit.send(challenge))
    with pytest.raises(JobFailed):
        connect().get(server.url())
    assert len(server.visits) == 1
    assert server.visits[0].header("Authorization") is None
    assert server.visits[0].header("X-Curlrc") is None


def test_cookies_are_not_sent_back(serve: Serve, connect: Connect) -> None:
    def script(visit: Visit) -> None:
        visit.keep_open = True
        visit.send(answer(HTML, "200 OK", "Set-Cookie: id=1; Path=/"))

    server, client = serve(script), connect()
    client.get(server.url("/a"))
    client.get(server.url("/b"))
    assert server.visits[1].header("Cookie") is None


def test_headers_of_one_fetch_are_not_in_the_next(serve: Serve, connect: Connect) -> None:
    def script(visit: Visit) -> None:
        visit.keep_open = True
        visit.send(answer())

    server, client = serve(script), connect()
    client.get(server.url(), {"Authorization": "Bearer secret"})
    client.get(server.url())
    assert server.visits[1].header("Authorization") is None


def test_a_certificate_that_nobody_trusts_is_a_tls_error(
    serve: Serve, connect: Connect, tls: ssl.SSLContext
) -> None:
    server = serve(lambda visit: visit.send(answer()), tls=tls)
    with pytest.raises(JobFailed) as refused:
        connect().get(server.url())
    assert refused.value.error_code == "tls_error"
    assert not refused.value.retryable
    assert server.visits == []


def test_a_certificate_for_another_name_is_a_tls_error(
    serve: Serve, connect: Connect, tls: ssl.SSLContext, self_signed: str
) -> None:
    server = serve(lambda visit: visit.send(answer()), tls=tls)
    client = connect(ca_file=self_signed)
    assert client.get(server.url()).body == HTML
    with pytest.raises(JobFailed) as refused:
        client.get(server.url(host="ip6-localhost"))
    assert refused.value.error_code in {"tls_error", "dns_error", "blocked_target"}


def test_speaking_tls_to_a_plain_server_is_a_tls_error(serve: Serve, connect: Connect) -> None:
    def script(visit: Visit) -> None:
        visit.send(answer())

    server = serve(script)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        from threading import Thread

        def talk_nonsense() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = Thread(target=talk_nonsense)
        thread.start()
        with pytest.raises(JobFailed) as refused:
            connect().get(f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join(10)
    assert refused.value.error_code == "tls_error"
    assert server.connections == 0


def test_a_callback_that_fails_in_python_is_not_swallowed(serve: Serve, connect: Connect) -> None:
    def stop() -> None:
        if server.visits:
            raise KeyboardInterrupt

    def script(visit: Visit) -> None:
        visit.hold()

    server = serve(script)
    with pytest.raises(KeyboardInterrupt):
        connect().get(server.url(), stop=stop)


SLOW_DNS = """
#include <netdb.h>
#include <unistd.h>
int getaddrinfo(const char *n, const char *s, const struct addrinfo *h, struct addrinfo **r) {
    sleep(30);
    return EAI_AGAIN;
}
"""

ASK = """
import time
from service.errors import JobFailed
from service.fetch.client import GuardedClient
from service.fetch.policy import FetchPolicy
client = GuardedClient(FetchPolicy(dns_s=0.5, total_s=20))
started = time.monotonic()
try:
    client.get("http://slow.example/")
except JobFailed as error:
    print(error.error_code)
client.close()
print(time.monotonic() - started < 0.5 + 0.2 + 1.0)
"""


@pytest.mark.skipif(shutil.which("cc") is None, reason="needs a C compiler for a slow resolver")
def test_a_resolver_that_hangs_holds_up_neither_the_fetch_nor_the_end(tmp_path: Path) -> None:
    source, library = tmp_path / "slow.c", tmp_path / "slow.so"
    source.write_text(SLOW_DNS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    run = subprocess.run(
        [sys.executable, "-c", ASK],
        env={**os.environ, "LD_PRELOAD": str(library)},
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert run.stdout.split() == ["dns_error", "True"]


def test_urls_are_sent_as_they_were_judged(serve: Serve, connect: Connect) -> None:
    server, judged = serve(lambda visit: visit.send(answer())), []

    def remember(url: Url) -> None:
        judged.append(url.target)

    connect().get(server.url("/a/../b/%2e%2e/ü?q=ä b".replace(" ", "+")), before_hop=remember)
    assert [visit.path for visit in server.visits] == judged == ["/%C3%BC?q=%C3%A4+b"]
