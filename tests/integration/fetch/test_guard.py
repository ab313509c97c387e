"""Every spelling and record of an internal address, through every way in.

Each parametrized case is one distinct guard case: (where it points) x (how it gets there). The
spy sees every socket that libcurl is given; a forbidden one fails the test whatever the answer.

The spellings hold those of the published tests of smokescreen, GitLab's UrlBlocker,
requests-hardened and ssrf_filter, as far as they are about HTTP.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pycurl
import pytest

from service.errors import JobFailed
from service.fetch.address import AddressPolicy
from service.fetch.address_text import parse_cidrs, parse_ports
from service.fetch.client import GuardedClient
from service.fetch.exchange import Exchange
from service.fetch.policy import FetchPolicy
from service.fetch.robots import RobotsCache
from service.fetch.url import parse_url
from service.fetch.wire import Wire
from tests.fetch_support import HTML, Connect, HostileServer, Serve, Visit, answer, redirect

STATUSES = ("301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent")

# Hosts as they can stand in a URL. None may be dialled, some are no hosts at all.
SPELLINGS = (
    # 127.0.0.1, but for the last byte: the tests' own server must stay the only one allowed.
    "127.0.0.2", "2130706434", "0x7f000002", "0x7F000002", "017700000002", "0x7f.2", "0177.2",
    "0x7f.0.0.2", "0x7f.0.2", "127.2", "127.0.2", "127.000.000.002", "0177.0.0.02",
    "0x7f.0x0.0x0.0x2", "00000177.0.0.2", "127.0.0.2.", "127.65533", "127.255.255.255",
    "127。0。0。2", "127．0．0．2", "127｡0｡0｡2", "１２７.0.0.2", "①②⑦.0.0.②", "%31%32%37.0.0.2",  # noqa: RUF001
    "127%2e0%2e0%2e2", "127.0.0.%32", "[::ffff:127.0.0.2]", "[::ffff:7f00:2]",
    "[0:0:0:0:0:ffff:127.0.0.2]", "[0000:0000:0000:0000:0000:ffff:7f00:0002]",
    # This host, loopback of IPv6, IPv4 in IPv6.
    "0", "0.0.0.0", "0x0", "00", "0.0.0.0.", "[::]", "[0:0:0:0:0:0:0:0]", "[::1]",
    "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::0.0.0.1]",
    "[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:0]", "[::ffff:0.0.0.0]", "[::1%25lo]", "[::1%lo]",
    "[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    # Metadata of clouds.
    "169.254.169.254", "2852039166", "0xa9fea9fe", "0xA9.0xFE.0xA9.0xFE", "0251.0376.0251.0376",
    "025177524776", "169.254.43518", "169.16689662", "169.254.169.254.", "169。254。169。254",
    "169.254.168.100", "[::ffff:169.254.169.254]", "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:169.254.169.254]", "[::ffff:a9fe:a864]", "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]", "[fe80::c800:eff:fe74:8]", "[fe80::a9fe:a9fe]", "168.63.129.16",
    "100.100.100.200", "192.0.0.192",
    # Private and shared networks.
    "10.0.0.1", "167772161", "0xa.1", "012.1", "10.255.255.255", "[::ffff:10.0.0.2]",
    "[::ffff:a00:2]", "172.16.0.1", "172.31.255.255", "[::ffff:ac10:20]", "192.168.0.1",
    "3232235521", "0xc0a80001", "[::ffff:c0a8:102]", "[0:0:0:0:0:ffff:192.168.1.2]", "100.64.0.0",
    "100.127.255.255", "[fc00:bf8b:e62c:abcd:abcd:aaaa:aaaa:aaaa]", "[fd00::1]", "[feef::1]",
    "[fee2::]", "[64:ff9b::ac1c:5]", "[64:ff9b::a00:1]", "[2002:a00:1::1]", "[2002:c000:201::1]",
    # Broadcast, multicast, reserved, documentation, benchmarks.
    "255.255.255.255", "4294967295", "0xffffffff", "0xff.0xff.0xff.0xff", "0377.0377.0377.0377",
    "0377.00000000377.00377.0000377", "[::ffff:ffff:ffff]",
    "[0000:0000:0000:0000:0000:ffff:ffff:ffff]", "[64:ff9b::ffff:ffff]", "224.0.0.1",
    "239.255.255.250", "[ff02:0:0:0:0:0:0:2]", "[ff02::1]", "240.0.0.1", "192.0.2.0",
    "198.18.0.1", "198.51.100.1", "203.0.113.1", "[2001:db8::1]",
    "[2001:0db8:85a3:0000:0000:8a2e:0370:7334]", "[3fff::1]", "[2001:20::1]", "[100::1]",
    # No hosts: what two parsers could read in two ways.
    "127.0.0.2#@example.com", "example.com@127.0.0.2", "foo:bar@127.0.0.2",
    "127.0.0.2 .example.com", "127.0.0.2%00.example.com", "127.0.0.2%0d%0a", "1.1.1.1.1",
    "256.256.256.256", "0x100000000",
    "4294967296", "127.0.0.0x", "127..0.2", "[::1", "::1", "[127.0.0.2]", "[::1]]", "[[::1]]",
    "[v1.127]", "-127.0.0.2",
)  # fmt: skip

# Addresses as DNS could answer them: one of each kind.
RECORDS = (
    "0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.2", "127.255.255.255", "168.63.129.16",
    "169.254.169.254", "172.16.0.1", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1",
    "192.88.99.1", "192.168.0.1", "192.175.48.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "::", "::1", "::ffff:127.0.0.2",
    "::ffff:169.254.169.254", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::1",
    "2620:4f:8000::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1",
    "ff02::1",
)  # fmt: skip

REFUSED = {"blocked_target", "bad_url"}
Resolver = dict[str, Iterator[str]]


@pytest.fixture(autouse=True)
def forbidden(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was dialled without being allowed: it must stay empty."""
    dialled: list[str] = []
    real = Exchange.open_socket

    def spy(self: Exchange, purpose: int, address: Any) -> socket.socket | int:
        opened = real(self, purpose, address)
        if opened != pycurl.SOCKET_BAD and str(address[3][0]) != "127.0.0.1":
            dialled.append(str(address[3][0]))
        return opened

    monkeypatch.setattr(Exchange, "open_socket", spy)
    yield dialled
    assert dialled == []


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """A resolver that can rebind: the answers of a name, one for each time it is asked."""
    names: Resolver = {}
    real = Wire._aim

    def aim(self: Wire, url: Any, headers: Any, deadline: float) -> None:
        real(self, url, headers, deadline)
        if url.host in names:
            place = f"{url.host}:{url.port}"
            self._curl.setopt(pycurl.RESOLVE, [f"-{place}", f"{place}:{next(names[url.host])}"])

    monkeypatch.setattr(Wire, "_aim", aim)
    return names


def refused(client: GuardedClient, url: str) -> str:
    with pytest.raises(JobFailed) as caught:
        client.get(url)
    assert "127" not in caught.value.detail
    assert "169" not in caught.value.detail
    return caught.value.error_code


def leading_to(location: str, status: str = STATUSES[1]) -> Callable[[Visit], None]:
    return lambda visit: visit.send(redirect(location, status))


def answered(address: str) -> str:
    """An address as CURLOPT_RESOLVE wants it."""
    return f"[{address}]" if ":" in address else address


@pytest.mark.parametrize("host", SPELLINGS)
def test_in_the_url(connect: Connect, host: str) -> None:
    assert refused(connect(), f"http://{host}:8080/") in REFUSED


@pytest.mark.parametrize("host", SPELLINGS)
def test_in_the_url_without_the_static_check(
    connect: Connect, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.fetch.client.check_target", lambda url, addresses: None)
    assert refused(connect(), f"http://{host}:8080/") in REFUSED


@pytest.mark.parametrize("host", SPELLINGS)
@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status[:3])
def test_in_an_absolute_redirect(serve: Serve, connect: Connect, status: str, host: str) -> None:
    server = serve(leading_to(f"http://{host}:8080/", status))
    assert refused(connect(), server.url()) in REFUSED
    assert len(server.visits) == 1


@pytest.mark.parametrize("host", SPELLINGS)
def test_in_a_protocol_relative_redirect(serve: Serve, connect: Connect, host: str) -> None:
    server = serve(leading_to(f"//{host}:8080/"))
    assert refused(connect(), server.url()) in REFUSED
    assert len(server.visits) == 1


@pytest.mark.parametrize("host", SPELLINGS)
def test_in_a_redirect_of_robots_txt(serve: Serve, connect: Connect, host: str) -> None:
    server = serve(leading_to(f"http://{host}:8080/robots.txt"))
    with pytest.raises(JobFailed) as caught:
        RobotsCache(connect()).check(parse_url(server.url("/page")))
    assert caught.value.error_code in REFUSED
    assert len(server.visits) == 1


@pytest.mark.parametrize(
    "location",
    [
        "\\\\127.0.0.2:8080/", "/\\127.0.0.2:8080/", "///127.0.0.2:8080/", "http:127.0.0.2:8080",
        "http:/127.0.0.2:8080/", "http:///127.0.0.2:8080/", "http:\\\\127.0.0.2:8080\\",
        "HTTP://127.0.0.2:8080/", "\thttp://127.0.0.2:8080/", "//127.0.0.2:8080\\@example.com/",
        "//example.com:80@127.0.0.2:8080/", "//127.0.0.2:8080?@example.com/",
        "http://127.0.0.2\\.example.com/", "http://127.0.0.2:8080@127.0.0.1/",
        "gopher://127.0.0.2:8080/_", "file:///etc/passwd", "dict://127.0.0.2:8080/", "ftp://127.0.0.2/",
        "ldap://127.0.0.2/", "javascript:alert(1)", "data:text/html,x", "jar:http://127.0.0.2!/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status[:3])
def test_a_location_that_parsers_read_in_several_ways(
    serve: Serve, connect: Connect, status: str, location: str
) -> None:
    internal = serve(lambda visit: visit.send(answer()), host="127.0.0.2")
    server = serve(leading_to(location.replace("8080", str(internal.port)), status))
    with pytest.raises(JobFailed):  # some stay on the server, and go round in circles
        connect().get(server.url())
    assert internal.connections == 0


@pytest.mark.parametrize("record", RECORDS)
def test_in_an_answer_of_dns(connect: Connect, dns: Resolver, record: str) -> None:
    dns["evil.example"] = iter([answered(record)])
    assert refused(connect(), "http://evil.example:8080/") == "blocked_target"


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_in_an_answer_among_good_ones(
    serve: Serve, connect: Connect, dns: Resolver, record: str, first: bool
) -> None:
    server = serve(lambda visit: visit.send(answer()))
    both = [answered(record), "127.0.0.1"] if first else ["127.0.0.1", answered(record)]
    dns["mixed.example"] = iter([",".join(both)])
    assert connect().get(server.url(host="mixed.example")).body == HTML


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("status", STATUSES, ids=lambda status: status[:3])
def test_in_the_answer_for_a_redirects_host(
    serve: Serve, connect: Connect, dns: Resolver, status: str, record: str
) -> None:
    server = serve(leading_to("http://evil.example:8080/", status))
    dns["evil.example"] = iter([answered(record)])
    assert refused(connect(), server.url()) == "blocked_target"


@pytest.mark.parametrize("record", RECORDS)
def test_in_the_answer_for_a_robots_txt_redirects_host(
    serve: Serve, connect: Connect, dns: Resolver, record: str
) -> None:
    server = serve(leading_to("http://evil.example:8080/robots.txt"))
    dns["evil.example"] = iter([answered(record)])
    with pytest.raises(JobFailed) as caught:
        RobotsCache(connect()).check(parse_url(server.url("/page")))
    assert caught.value.error_code == "blocked_target"


@pytest.mark.parametrize("record", RECORDS)
def test_a_name_that_rebinds_between_two_hops(
    serve: Serve, connect: Connect, dns: Resolver, record: str
) -> None:
    server = serve(leading_to("/second"))
    dns["rebind.example"] = iter(["127.0.0.1", answered(record)])
    assert refused(connect(), server.url(host="rebind.example")) == "blocked_target"
    assert [visit.path for visit in server.visits] == ["/"]


@pytest.mark.parametrize("record", RECORDS)
def test_a_name_that_rebinds_between_robots_txt_and_the_page(
    serve: Serve, connect: Connect, dns: Resolver, record: str
) -> None:
    server, client = serve(lambda visit: visit.send(answer(b""))), connect()
    dns["rebind.example"] = iter(["127.0.0.1", answered(record)])
    url = server.url("/page", host="rebind.example")
    RobotsCache(client).check(parse_url(url))
    assert refused(client, url) == "blocked_target"
    assert [visit.path for visit in server.visits] == ["/robots.txt"]


def test_the_resolver_of_these_tests_resolves(
    serve: Serve, connect: Connect, dns: Resolver
) -> None:
    server = serve(lambda visit: visit.send(answer()))
    dns["good.example"] = iter(["127.0.0.1"])
    assert connect().get(server.url(host="good.example")).body == HTML
    assert server.visits[0].header("Host") == f"good.example:{server.port}"


def test_the_spy_would_see_a_forbidden_connection(
    serve: Serve, connect: Connect, forbidden: list[str]
) -> None:
    server = serve(lambda visit: visit.send(answer()), host="127.0.0.3")
    policy = AddressPolicy(allow_cidrs=parse_cidrs("127.0.0.3"), ports=parse_ports("1-65535"))
    connect(FetchPolicy(addresses=policy)).get(server.url())
    assert forbidden == ["127.0.0.3"]
    forbidden.clear()


def own(server: HostileServer, allow: str = "0.0.0.0/0, ::/0") -> FetchPolicy:
    return FetchPolicy(
        addresses=AddressPolicy(
            allow_cidrs=parse_cidrs(allow),
            ports=parse_ports("1-65535"),
            own_ports=frozenset({server.port}),
        )
    )


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "127.0.0.9", "2130706433", "0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]",
        "localhost", "[64:ff9b::7f00:1]", "service.example",
    ],
)  # fmt: skip
@pytest.mark.parametrize("way", ["url", "redirect", "robots"])
def test_the_service_itself_is_refused_whatever_is_allowed(
    serve: Serve, connect: Connect, dns: Resolver, host: str, way: str
) -> None:
    service = serve(lambda visit: visit.send(answer()))
    target = f"http://{host}:{service.port}/v1/batches"
    other = serve(leading_to(target))
    dns["service.example"] = iter(["127.0.0.1", "127.0.0.1"])
    client = connect(own(service))
    robots = RobotsCache(client)
    ask = {
        "url": lambda: client.get(target),
        "redirect": lambda: client.get(other.url()),
        "robots": lambda: robots.check(parse_url(other.url("/x"))),
    }
    with pytest.raises(JobFailed) as caught:
        ask[way]()
    assert caught.value.error_code == "blocked_target"
    assert service.connections == 0


def test_other_ports_of_the_machine_stay_the_operators_choice(
    serve: Serve, connect: Connect
) -> None:
    service, neighbour = (serve(lambda visit: visit.send(answer())) for _ in range(2))
    assert connect(own(service)).get(neighbour.url()).body == HTML
    assert not own(service, allow="").addresses.permits_target("127.0.0.1", neighbour.port)


def test_the_own_port_of_another_machine_is_not_ours(serve: Serve) -> None:
    service = serve(lambda visit: visit.send(answer()))
    assert own(service).addresses.permits_target("8.8.8.8", service.port)
    assert own(service).addresses.permits_target("2606:4700::1111", service.port)
