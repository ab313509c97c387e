"""The one way out: every request to a stranger goes through here."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from threading import Lock, Thread
from typing import Final
from urllib.parse import urljoin

from service.errors import JobFailed
from service.fetch import failure
from service.fetch.exchange import Exchange, Wanted
from service.fetch.policy import FetchPolicy
from service.fetch.response import Response
from service.fetch.url import Url, check_target, parse_url
from service.fetch.wire import Wire

IDLE_WIRES: Final = 64
_CLOSE_S: Final = 1.0

# What may follow a redirect to another origin. Anything else that a job sends may be a
# credential, whatever its name.
_HARMLESS: Final = frozenset({"accept", "accept-language", "cache-control", "dnt", "pragma"})

ANYTHING: Final = Wanted()

_HAS_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


def never_stop() -> None:
    """For callers that have nothing that could stop them."""


def any_hop(url: Url) -> None:
    """For callers that mind no hop."""
    del url


class GuardedClient:
    """Fetches URLs within a FetchPolicy. For use from any number of threads.

    Starts nothing. Connections are kept and used again by whichever thread comes next.
    """

    def __init__(self, policy: FetchPolicy) -> None:
        self.policy: Final = policy
        self._lock = Lock()
        self._idle: list[Wire] = []  # taken and given back by job threads; guarded by _lock
        self._closed = False  # set by close, read by job threads; guarded by _lock

    def deadline(self, at_most_s: float = float("inf")) -> float:
        """The moment (``time.monotonic``) at which a fetch that begins now must have ended."""
        return time.monotonic() + max(0.0, min(self.policy.total_s, at_most_s))

    def get(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        stop: Callable[[], None] = never_stop,
        *,
        wanted: Wanted = ANYTHING,
        deadline: float | None = None,
        before_hop: Callable[[Url], None] = any_hop,
    ) -> Response:
        """Fetch a URL, following redirects.

        ``stop`` is asked all the while, at least twice a second; what it raises is raised here.
        ``before_hop`` is called with each URL before it is asked for, and may raise to refuse.
        Raises JobFailed; for a status other than 2xx its code is ``http_status``.
        """
        deadline = self.deadline() if deadline is None else deadline
        hop, headers = parse_url(url), dict(headers or {})
        redirects: list[str] = []
        while True:
            check_target(hop, self.policy.addresses)
            before_hop(hop)
            exchange, wire_bytes = self._exchange(hop, headers, wanted, deadline, stop)
            head = exchange.head
            assert head is not None  # noqa: S101 - Wire.get promises it
            if head.is_success:
                return Response(str(hop), tuple(redirects), head, exchange.body, wire_bytes)
            if not head.is_redirect:
                raise failure.of_status(head)
            if len(redirects) == self.policy.max_redirects:
                bound = self.policy.max_redirects
                raise JobFailed("too_many_redirects", f"more than {bound} redirects")
            redirects.append(str(hop))
            target = self._redirected(hop, head.get("location") or "")
            headers = _headers_for(headers, hop, target)
            hop = target

    def close(self) -> None:
        """Close idle connections; those in use are closed when their fetch ends. Safe twice.

        Returns within a second.
        """
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        if idle:
            _close_aside(*idle).join(_CLOSE_S)

    def _exchange(
        self,
        url: Url,
        headers: Mapping[str, str],
        wanted: Wanted,
        deadline: float,
        stop: Callable[[], None],
    ) -> tuple[Exchange, int]:
        stop()
        if time.monotonic() >= deadline:
            raise JobFailed("timeout", "the deadline of the fetch has passed", retryable=True)
        wire = self._take()
        try:
            return wire.get(url, headers, wanted, deadline, stop)
        finally:
            self._give_back(wire)

    def _redirected(self, origin: Url, location: str) -> Url:
        """Where a redirect leads (RFC 9110 section 10.2.2)."""
        try:
            location = location.replace(" ", "%20")
            absolute = _HAS_SCHEME.match(location) is not None
            target = parse_url(location if absolute else urljoin(str(origin), location))
        except ValueError:  # urljoin: brackets that are no IPv6 address
            raise JobFailed("bad_url", "the redirect's target is not a valid URL") from None
        downgraded = origin.scheme == "https" and target.scheme == "http"
        if downgraded and not self.policy.allow_https_downgrade:
            raise JobFailed("bad_scheme", "a redirect from https to http is not followed")
        return target

    def _take(self) -> Wire:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return Wire(self.policy)

    def _give_back(self, wire: Wire) -> None:
        with self._lock:
            keep = not (wire.stuck or self._closed or len(self._idle) == IDLE_WIRES)
            if keep:
                self._idle.append(wire)
        if not keep:
            _close_aside(wire)


def _close_aside(*wires: Wire) -> Thread:
    """Close wires on a thread of their own, which a DNS server that says nothing may hold up."""

    def close() -> None:
        for wire in wires:
            wire.close()

    thread = Thread(target=close, name="fetch-close", daemon=True)
    thread.start()
    return thread


def _headers_for(headers: Mapping[str, str], origin: Url, target: Url) -> dict[str, str]:
    """The headers that go with a redirect. What is dropped stays dropped on the way back."""
    if origin.origin == target.origin:
        return dict(headers)
    return {name: value for name, value in headers.items() if name.lower() in _HARMLESS}
