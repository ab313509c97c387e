"""One libcurl handle with its own little pool of connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import certifi
import pycurl

from service.errors import JobFailed
from service.fetch import failure
from service.fetch.exchange import CONTENT_CODINGS, Exchange, Wanted
from service.fetch.policy import FetchPolicy
from service.fetch.url import Url

# CURLOPT_QUICK_EXIT, which pycurl does not name: without it closing a handle waits for the
# threads that are still asking DNS, up to half a minute.
_QUICK_EXIT: Final = 322

_CONNECTIONS_KEPT: Final = 8
_IDLE_CONNECTION_S: Final = 60


class Wire:
    """Sends one request after another. Used by one thread at a time.

    Nothing of one request is left for the next but open connections: no cookies, no
    credentials, no redirects, no environment.
    """

    def __init__(self, policy: FetchPolicy) -> None:
        self._policy = policy
        self._exchange: Exchange | None = None
        self._curl = pycurl.Curl()
        self._bind_to_policy()
        self._ignore_surroundings()
        self._bind_callbacks()

    def get(
        self,
        url: Url,
        headers: Mapping[str, str],
        wanted: Wanted,
        deadline: float,
        stop: Callable[[], None],
    ) -> tuple[Exchange, int]:
        """Send one GET. Returns the exchange, its head complete, and the bytes on the wire.

        ``deadline`` is a moment of ``time.monotonic``. Raises JobFailed, and what ``stop`` raises.
        """
        exchange = Exchange(self._policy, wanted, stop)
        self._aim(url, headers, deadline)
        self._exchange = exchange
        try:
            self._curl.perform()
        except pycurl.error as error:
            self._judge(exchange, error.args[0], stop)
        finally:
            self._exchange = None
        wire_bytes = int(self._curl.getinfo(pycurl.SIZE_DOWNLOAD))
        if not exchange.enough:
            exchange.within_wire_bound(wire_bytes)
        if exchange.failure is not None:
            raise exchange.failure
        if exchange.head is None or exchange.head.status_code < 200:
            raise JobFailed("bad_response", "the server sent no final answer", retryable=True)
        return exchange, wire_bytes

    def close(self) -> None:
        """Close the connections."""
        self._curl.close()

    def _judge(self, exchange: Exchange, number: int, stop: Callable[[], None]) -> None:
        """Raise what ended the transfer early; return if we ended it with all we wanted."""
        if exchange.failure is not None:
            raise exchange.failure
        if exchange.enough:
            return
        if number == pycurl.E_OPERATION_TIMEDOUT:
            stop()  # a deadline of the job's own is the job's to name
            raise JobFailed("timeout", "the deadline of the fetch has passed", retryable=True)
        blocked = exchange.unreachable()
        if number == pycurl.E_COULDNT_CONNECT and blocked is not None:
            raise blocked
        if number == pycurl.E_RECV_ERROR and exchange.body:
            number = pycurl.E_PARTIAL_FILE
        raise failure.of_curl_error(number)

    def _aim(self, url: Url, headers: Mapping[str, str], deadline: float) -> None:
        left_ms = max(1, int((deadline - time.monotonic()) * 1000))
        dns_s = 0.0 if url.address is not None else self._policy.dns_s
        connect_ms = int((dns_s + self._policy.connect_s) * 1000)
        curl = self._curl
        curl.setopt(pycurl.URL, str(url))
        curl.setopt(pycurl.HTTPHEADER, [_line(name, value) for name, value in headers.items()])
        curl.setopt(pycurl.TIMEOUT_MS, left_ms)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, max(1, min(left_ms, connect_ms)))

    def _bind_to_policy(self) -> None:
        curl = self._curl
        curl.setopt(pycurl.USERAGENT, self._policy.user_agent)
        curl.setopt(pycurl.CAINFO, self._policy.ca_file or certifi.where())
        curl.setopt(pycurl.SSL_VERIFYPEER, 1)
        curl.setopt(pycurl.SSL_VERIFYHOST, 2)
        curl.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        curl.setopt(pycurl.REDIR_PROTOCOLS, 0)
        curl.setopt(pycurl.FOLLOWLOCATION, 0)  # the client looks at each hop itself
        curl.setopt(pycurl.HTTP09_ALLOWED, 0)
        curl.setopt(pycurl.ACCEPT_ENCODING, CONTENT_CODINGS)
        curl.setopt(pycurl.PATH_AS_IS, 1)  # Url has normalised it, and robots.txt judged that

    def _ignore_surroundings(self) -> None:
        curl = self._curl
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NOPROXY, "*")
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.MAXCONNECTS, _CONNECTIONS_KEPT)
        curl.setopt(pycurl.MAXAGE_CONN, _IDLE_CONNECTION_S)
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, _IDLE_CONNECTION_S)
        curl.setopt(_QUICK_EXIT, 1)

    def _bind_callbacks(self) -> None:
        """Once, not for each request: they find the exchange that is on."""
        curl = self._curl
        curl.setopt(pycurl.NOPROGRESS, 0)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, lambda *a: self._current().open_socket(*a))
        curl.setopt(pycurl.PREREQFUNCTION, lambda *a: self._current().connected(*a))
        curl.setopt(pycurl.HEADERFUNCTION, lambda line: self._current().header(line))
        curl.setopt(pycurl.WRITEFUNCTION, lambda chunk: self._current().content(chunk))
        curl.setopt(pycurl.XFERINFOFUNCTION, lambda *a: self._current().progress(*a))

    def _current(self) -> Exchange:
        if self._exchange is None:
            raise RuntimeError("libcurl called back outside a request")
        return self._exchange


def _line(name: str, value: str) -> bytes:
    """libcurl's syntax: a name with a semicolon sends the field with an empty value."""
    return (f"{name}: {value}" if value else f"{name};").encode("utf-8")
