"""Redirects: each hop meets every check, and takes nothing along that is not its business."""

from __future__ import annotations

import ssl

import pytest

from service.errors import JobFailed
from service.fetch.client import GuardedClient
from service.fetch.url import Url
from tests.fetch_support import HTML, Connect, Serve, Visit, answer, loopback_policy, redirect


def code_of(client: GuardedClient, url: str) -> str:
    with pytest.raises(JobFailed) as refused:
        client.get(url)
    assert "127.0.0" not in refused.value.detail
    return refused.value.error_code


def countdown(visit: Visit) -> None:
    """/5 redirects to /4 and so on; /0 is a page."""
    n = int(visit.path[1:])
    visit.send(redirect(f"/{n - 1}") if n else answer())


@pytest.mark.parametrize(
    "status", ["301 M", "302 F", "303 S", "307 T", "308 P", "302"], ids=lambda s: s[:3]
)
def test_a_redirect_is_followed(serve: Serve, connect: Connect, status: str) -> None:
    def script(visit: Visit) -> None:
        visit.send(answer() if visit.path == "/b?c" else redirect("b?c#d", status))

    server = serve(script)
    response = connect().get(server.url("/a"))
    assert response.body == HTML
    assert response.final_url == server.url("/b?c")
    assert response.redirects == (server.url("/a"),)


def test_five_redirects_are_followed_and_no_more(serve: Serve, connect: Connect) -> None:
    server, client = serve(countdown), connect()
    response = client.get(server.url("/5"))
    assert response.final_url == server.url("/0")
    assert response.redirects == tuple(server.url(f"/{n}") for n in (5, 4, 3, 2, 1))
    assert code_of(client, server.url("/6")) == "too_many_redirects"


def test_a_loop_ends(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.send(redirect("/")))
    assert code_of(connect(), server.url()) == "too_many_redirects"
    assert len(server.visits) == 6


def test_a_redirect_without_a_target_is_a_status(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.send(answer(b"", "302 Found")))
    assert code_of(connect(), server.url()) == "http_status"


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("file:///etc/passwd", "bad_scheme"),
        ("gopher://127.0.0.1:1/_x", "bad_scheme"),
        ("ftp://127.0.0.1/", "bad_scheme"),
        ("http://user:password@127.0.0.1/", "bad_url"),
        ("//user@127.0.0.1/", "bad_url"),
        ("http://[1", "bad_url"),
        ("http:///x", "bad_url"),
        ("/\x01", "bad_url"),
        ("/" + "a" * 9000, "bad_url"),
        ("http://169.254.169.254/latest/meta-data/", "blocked_target"),
        ("http://2852039166/", "blocked_target"),
        ("http://[::ffff:10.0.0.1]/", "blocked_target"),
        ("http://[::1]/", "blocked_target"),
    ],
)
def test_a_redirect_leads_nowhere_that_a_url_may_not(
    serve: Serve, connect: Connect, location: str, code: str
) -> None:
    server = serve(lambda visit: visit.send(redirect(location)))
    assert code_of(connect(), server.url()) == code
    assert server.connections == 1


def test_a_redirect_to_a_forbidden_port_is_refused(serve: Serve, connect: Connect) -> None:
    from service.fetch.address import AddressPolicy
    from service.fetch.address_text import parse_cidrs
    from service.fetch.policy import FetchPolicy

    other = serve(lambda visit: visit.send(answer()))
    server = serve(lambda visit: visit.send(redirect(other.url())))
    addresses = AddressPolicy(
        allow_cidrs=parse_cidrs("127.0.0.1"), ports=((server.port, server.port),)
    )
    assert code_of(connect(FetchPolicy(addresses=addresses)), server.url()) == "blocked_target"
    assert other.connections == 0


def test_https_is_not_left_for_http(
    serve: Serve, connect: Connect, tls: ssl.SSLContext, self_signed: str
) -> None:
    plain = serve(lambda visit: visit.send(answer()))
    server = serve(lambda visit: visit.send(redirect(plain.url())), tls=tls)
    assert code_of(connect(ca_file=self_signed), server.url()) == "bad_scheme"
    assert plain.connections == 0

    told_to = connect(ca_file=self_signed, allow_https_downgrade=True)
    assert told_to.get(server.url()).final_url == plain.url()


def test_what_a_job_sends_stays_with_the_origin(serve: Serve, connect: Connect) -> None:
    def go_back(visit: Visit) -> None:
        visit.send(redirect(server.url("/back")))

    def script(visit: Visit) -> None:
        places = {"/": "/same", "/same": other.url()}
        visit.send(redirect(places[visit.path]) if visit.path in places else answer())

    other, server = serve(go_back), serve(script)
    secrets = {"Authorization": "Bearer s", "Cookie": "a=b", "X-Api-Key": "s"}
    connect().get(server.url(), {**secrets, "Accept-Language": "de"})

    first, same, back = server.visits
    for name, value in secrets.items():
        assert first.header(name) == same.header(name) == value
        assert other.visits[0].header(name) is None
        assert back.header(name) is None
    assert other.visits[0].header("Accept-Language") == "de"
    assert other.visits[0].header("Referer") is None


def test_each_hop_can_be_refused_before_it_is_asked_for(serve: Serve, connect: Connect) -> None:
    server, client = serve(countdown), connect()
    seen: list[str] = []

    def only_two(url: Url) -> None:
        seen.append(str(url))
        if len(seen) > 2:
            raise JobFailed("robots_disallowed", "enough")

    with pytest.raises(JobFailed, match="enough"):
        client.get(server.url("/4"), before_hop=only_two)
    assert [visit.path for visit in server.visits] == ["/4", "/3"]
    assert seen == [server.url(f"/{n}") for n in (4, 3, 2)]


def test_the_loopback_policy_of_these_tests_is_a_real_one() -> None:
    assert not loopback_policy().addresses.permits("127.0.0.2")
