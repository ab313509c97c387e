"""robots.txt (RFC 9309): asked before each URL, remembered for a day."""

from __future__ import annotations

import codecs
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock
from typing import Final

from protego import Protego

from service.errors import JobFailed
from service.fetch.client import GuardedClient, never_stop
from service.fetch.exchange import Wanted
from service.fetch.url import Url

ROBOTS_BYTES: Final = 500 * 1024
KEPT_S: Final = 24 * 3600.0
UNREACHABLE_KEPT_S: Final = 30.0
MAX_CRAWL_DELAY_S: Final = 30.0

# Bounds of the memory that the cache may take. A parsed file takes several times its size.
MAX_ORIGINS: Final = 10_000
MAX_CACHED_BYTES: Final = 8 * 1024 * 1024

_ROBOTS: Final = Wanted(max_body_bytes=ROBOTS_BYTES, cut=True)
_ORIGIN_COST: Final = 512
_LOOK_UP_S: Final = 0.1

# The host itself can't be used, and these codes say it better than robots_unreachable does.
_SAME_FOR_THE_PAGE: Final = frozenset(
    {"blocked_target", "bad_url", "bad_scheme", "dns_error", "connect_error", "tls_error"}
)


@dataclass(frozen=True, slots=True)
class _Rules:
    """What an origin's robots.txt says, until ``stale_at``."""

    parsed: Protego | None  # None: everything is allowed
    unreachable: str | None  # why nothing is allowed for now
    stale_at: float
    cost: int


class RobotsCache:
    """Answers whether a URL may be fetched. For use from any number of threads.

    Starts nothing. An origin is asked once, however many jobs want to know at a time.
    """

    def __init__(
        self, client: GuardedClient, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._clock = clock
        self._product = client.policy.user_agent.split("/")[0].split()[0]
        self._lock = Lock()
        # Job threads read and write all three; guarded by _lock. _known is oldest use first.
        self._known: OrderedDict[str, _Rules] = OrderedDict()
        self._cost = 0
        self._asking: dict[str, Event] = {}

    def check(
        self,
        url: Url,
        stop: Callable[[], None] = never_stop,
        *,
        deadline: float | None = None,
    ) -> None:
        """Return if robots.txt allows the URL to us.

        Raises JobFailed: ``robots_disallowed``; ``robots_unreachable`` (retryable) when the
        server failed to say; ``dns_error`` and the like when there is no such server.
        """
        rules = self._rules_of(url, stop, deadline)
        if rules.unreachable is not None:
            raise self._unreachable(rules)
        if rules.parsed is not None and not rules.parsed.can_fetch(str(url), self._product):
            raise JobFailed("robots_disallowed", "the site's robots.txt disallows this URL")

    def crawl_delay_s(
        self,
        url: Url,
        stop: Callable[[], None] = never_stop,
        *,
        deadline: float | None = None,
    ) -> float:
        """The origin's Crawl-delay for us, clamped to 0 to 30 s; 0 without one."""
        rules = self._rules_of(url, stop, deadline)
        delay = rules.parsed.crawl_delay(self._product) if rules.parsed else None
        return min(max(float(delay or 0.0), 0.0), MAX_CRAWL_DELAY_S)

    def _rules_of(self, url: Url, stop: Callable[[], None], deadline: float | None) -> _Rules:
        deadline = self._client.deadline() if deadline is None else deadline
        while True:
            rules, being_asked = self._known_or_turn(url.origin)
            if rules is not None:
                return rules
            if being_asked is None:
                return self._ask(url.origin, stop, deadline)
            being_asked.wait(_LOOK_UP_S)
            stop()
            if time.monotonic() >= deadline:
                raise JobFailed("timeout", "the deadline of the fetch has passed", retryable=True)

    def _known_or_turn(self, origin: str) -> tuple[_Rules | None, Event | None]:
        """The rules, or the end of another thread's asking to wait for, or our turn to ask."""
        with self._lock:
            rules = self._known.get(origin)
            if rules is not None and self._clock() < rules.stale_at:
                self._known.move_to_end(origin)
                return rules, None
            if origin in self._asking:
                return None, self._asking[origin]
            self._asking[origin] = Event()
            return None, None

    def _ask(self, origin: str, stop: Callable[[], None], deadline: float) -> _Rules:
        try:
            rules = self._fetched(origin, stop, deadline)
            self._remember(origin, rules)
            return rules
        finally:
            with self._lock:
                asked = self._asking.pop(origin)
            asked.set()

    def _fetched(self, origin: str, stop: Callable[[], None], deadline: float) -> _Rules:
        try:
            response = self._client.get(
                origin + "/robots.txt", stop=stop, wanted=_ROBOTS, deadline=deadline
            )
        except JobFailed as error:
            return self._without_file(error)
        text = response.body.removeprefix(codecs.BOM_UTF8).decode("utf-8", "replace")
        cost = _ORIGIN_COST + len(response.body)
        return _Rules(Protego.parse(text), None, self._clock() + KEPT_S, cost)

    def _without_file(self, error: JobFailed) -> _Rules:
        """RFC 9309 section 2.3.1: "unavailable" allows all, "unreachable" disallows all."""
        if error.error_code in _SAME_FOR_THE_PAGE:
            raise error
        status = error.extra.get("status_code", 0)
        if error.error_code == "too_many_redirects" or 300 <= status < 500:
            return _Rules(None, None, self._clock() + KEPT_S, _ORIGIN_COST)
        kept_s = max(UNREACHABLE_KEPT_S, error.retry_after_s or 0.0)
        return _Rules(None, error.detail, self._clock() + kept_s, _ORIGIN_COST)

    def _unreachable(self, rules: _Rules) -> JobFailed:
        return JobFailed(
            "robots_unreachable",
            f"robots.txt can't be read, so nothing may be fetched: {rules.unreachable}",
            retryable=True,
            retry_after_s=max(0.0, rules.stale_at - self._clock()),
        )

    def _remember(self, origin: str, rules: _Rules) -> None:
        with self._lock:
            before = self._known.pop(origin, None)
            self._cost += rules.cost - (before.cost if before else 0)
            self._known[origin] = rules
            while len(self._known) > MAX_ORIGINS or self._cost > MAX_CACHED_BYTES:
                _, dropped = self._known.popitem(last=False)
                self._cost -= dropped.cost
