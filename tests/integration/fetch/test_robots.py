"""robots.txt (RFC 9309): who is let in, and how seldom it is asked for."""

from __future__ import annotations

from threading import Barrier, Thread

import pytest

from service.errors import JobCancelled, JobFailed
from service.fetch import robots
from service.fetch.robots import RobotsCache
from service.fetch.url import Url, parse_url
from tests.fetch_support import Connect, HostileServer, Serve, Visit, answer, redirect


def rules(text: str) -> bytes:
    return answer(text.encode(), "200 OK", "Content-Type: text/plain")


def is_let_in(cache: RobotsCache, url: str) -> bool:
    try:
        cache.check(parse_url(url))
    except JobFailed as refused:
        if refused.error_code == "robots_disallowed":
            return False
        raise
    return True


def code_of(cache: RobotsCache, url: str) -> tuple[str, bool]:
    with pytest.raises(JobFailed) as refused:
        cache.check(parse_url(url))
    return refused.value.error_code, refused.value.retryable


class Clock:
    """A clock that a test sets."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_disallowed_is_refused(serve: Serve, connect: Connect) -> None:
    text = "User-agent: *\nDisallow: /private\nAllow: /private/open\n"
    server, cache = serve(lambda visit: visit.send(rules(text))), RobotsCache(connect())
    assert is_let_in(cache, server.url("/"))
    assert is_let_in(cache, server.url("/private/open"))
    assert not is_let_in(cache, server.url("/private/x"))
    assert not is_let_in(cache, server.url("/a/../private/x"))
    assert not is_let_in(cache, server.url("/%70rivate/x"))


def test_a_group_that_names_us_counts_more_than_the_rest(serve: Serve, connect: Connect) -> None:
    text = "User-agent: *\nDisallow: /\n\nUser-agent: JobsPool\nDisallow: /no\n"
    server = serve(lambda visit: visit.send(rules(text)))
    cache = RobotsCache(connect(user_agent="jobspool/1.2 (+mailto:ops@example.com)"))
    assert is_let_in(cache, server.url("/yes"))
    assert not is_let_in(cache, server.url("/no"))


def test_an_origin_is_asked_once_a_day(serve: Serve, connect: Connect) -> None:
    server, clock = serve(lambda visit: visit.send(rules(""))), Clock()
    cache = RobotsCache(connect(), clock=clock)
    for _ in range(3):
        assert is_let_in(cache, server.url("/x"))
    clock.now += robots.KEPT_S - 1
    assert is_let_in(cache, server.url("/y"))
    assert len(server.visits) == 1
    clock.now += 1
    assert is_let_in(cache, server.url("/z"))
    assert [visit.path for visit in server.visits] == ["/robots.txt"] * 2


def test_an_origin_is_asked_once_however_many_want_to_know(serve: Serve, connect: Connect) -> None:
    everyone = Barrier(8)
    results: list[bool] = []

    def ask(cache: RobotsCache, server: HostileServer) -> None:
        everyone.wait(10)
        results.append(is_let_in(cache, server.url("/x")))

    server, cache = serve(lambda visit: visit.send(rules(""))), RobotsCache(connect())
    threads = [Thread(target=ask, args=(cache, server)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert results == [True] * 8
    assert len(server.visits) == 1


@pytest.mark.parametrize("status", ["400 No", "401 No", "403 No", "404 No", "410 No", "429 No"])
def test_no_robots_txt_allows_all(serve: Serve, connect: Connect, status: str) -> None:
    server = serve(lambda visit: visit.send(answer(b"User-agent: *\nDisallow: /", status)))
    assert is_let_in(RobotsCache(connect()), server.url("/x"))


@pytest.mark.parametrize("status", ["500 No", "503 No"])
def test_a_server_error_disallows_all_for_a_while(
    serve: Serve, connect: Connect, status: str
) -> None:
    broken = [True]

    def script(visit: Visit) -> None:
        visit.send(answer(b"", status) if broken else rules(""))

    server, clock = serve(script), Clock()
    cache = RobotsCache(connect(), clock=clock)
    assert code_of(cache, server.url("/x")) == ("robots_unreachable", True)
    broken.clear()
    assert code_of(cache, server.url("/x")) == ("robots_unreachable", True)
    assert len(server.visits) == 1
    clock.now += robots.UNREACHABLE_KEPT_S
    assert is_let_in(cache, server.url("/x"))


def test_the_wait_that_a_server_asks_for_is_handed_on(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.send(answer(b"", "503 No", "Retry-After: 120")))
    with pytest.raises(JobFailed) as refused:
        RobotsCache(connect(), clock=Clock()).check(parse_url(server.url()))
    assert refused.value.retry_after_s == 120


def test_silence_disallows_all(serve: Serve, connect: Connect) -> None:
    server = serve(lambda visit: visit.hold())
    cache = RobotsCache(connect(total_s=0.3))
    assert code_of(cache, server.url("/x")) == ("robots_unreachable", True)


def test_a_host_that_is_not_there_is_named_as_such(connect: Connect) -> None:
    cache = RobotsCache(connect())
    assert code_of(cache, "http://127.0.0.1:1/")[0] == "connect_error"
    assert code_of(cache, "http://127.0.0.9:80/")[0] == "blocked_target"


def test_a_waiting_job_can_be_cancelled(serve: Serve, connect: Connect) -> None:
    def stop() -> None:
        if server.visits:
            raise JobCancelled

    server = serve(lambda visit: visit.hold())
    with pytest.raises(JobCancelled):
        RobotsCache(connect()).check(parse_url(server.url()), stop)


def test_five_redirects_are_followed_and_a_sixth_allows_all(serve: Serve, connect: Connect) -> None:
    def script(visit: Visit) -> None:
        left = hops if visit.path == "/robots.txt" else int(visit.path[1:])
        visit.send(redirect(f"/{left - 1}") if left else rules("User-agent: *\nDisallow: /"))

    hops = 5
    assert not is_let_in(RobotsCache(connect()), serve(script).url("/x"))
    hops = 6
    assert is_let_in(RobotsCache(connect()), serve(script).url("/x"))


def test_the_first_500_kib_count(serve: Serve, connect: Connect) -> None:
    padding = "#" + "x" * (500 * 1024 - 50) + "\n"
    text = f"User-agent: *\nDisallow: /early\n{padding}{'#' * 100}\nDisallow: /late\n"
    server, cache = serve(lambda visit: visit.send(rules(text))), RobotsCache(connect())
    assert not is_let_in(cache, server.url("/early"))
    assert is_let_in(cache, server.url("/late"))


@pytest.mark.parametrize(
    ("text", "delay_s"),
    [("2.5", 2.5), ("31", 30), ("1e9", 30), ("-1", 0), ("nan", 0), ("inf", 0), ("no", 0), ("", 0)],
)
def test_the_crawl_delay_is_clamped(
    serve: Serve, connect: Connect, text: str, delay_s: float
) -> None:
    server = serve(lambda visit: visit.send(rules(f"User-agent: *\nCrawl-delay: {text}\n")))
    assert RobotsCache(connect()).crawl_delay_s(parse_url(server.url())) == delay_s


@pytest.mark.parametrize(
    "body", [b"", b"\x00\xff\xfe", b"\xef\xbb\xbfUser-agent: *\nDisallow:", b"<html>"]
)
def test_nonsense_allows_all(serve: Serve, connect: Connect, body: bytes) -> None:
    server = serve(lambda visit: visit.send(answer(body)))
    assert is_let_in(RobotsCache(connect()), server.url("/x"))


def test_memory_is_bounded(serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(robots, "MAX_ORIGINS", 2)
    servers = [serve(lambda visit: visit.send(rules(""))) for _ in range(3)]
    cache = RobotsCache(connect())
    for server in servers:
        assert is_let_in(cache, server.url())
    assert is_let_in(cache, servers[2].url())
    assert is_let_in(cache, servers[0].url())
    assert [len(server.visits) for server in servers] == [2, 1, 1]


def test_one_large_file_makes_room_for_itself(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(robots, "MAX_CACHED_BYTES", 10_000)
    small = serve(lambda visit: visit.send(rules("")))
    large = serve(lambda visit: visit.send(rules("#" * 9_300)))
    cache = RobotsCache(connect())
    for server in (small, large, small):
        assert is_let_in(cache, server.url())
    assert len(small.visits) == 2


def test_a_url_is_judged_by_its_own_origin(serve: Serve, connect: Connect) -> None:
    closed = serve(lambda visit: visit.send(rules("User-agent: *\nDisallow: /")))
    opened = serve(lambda visit: visit.send(rules("")))
    cache = RobotsCache(connect())
    assert not is_let_in(cache, closed.url("/x"))
    assert is_let_in(cache, opened.url("/x"))


def test_an_origin_is_scheme_host_and_port() -> None:
    assert Url("http", "a.example", 80, "/").origin == "http://a.example"
    assert Url("https", "a.example", 80, "/").origin == "https://a.example:80"
    assert Url("http", "::1", 8080, "/").origin == "http://[::1]:8080"
