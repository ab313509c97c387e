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

_CONNECTIONS_KEPT: Final = 4
_IDLE_CONNECTION_S: Final = 60

# Each piece of content is a call into Python, for which a thread has to win Python's lock.
_AT_ONCE_BYTES: Final = 128 * 1024

# A cancelled job must notice within 1.2 s.
_LOOK_AROUND_S: Final = 0.5
_NO_SOCKET_S: Final = 0.02


class Wire:
    """Sends one request after another. Used by one thread at a time.

    Nothing of one request is left for the next but open connections: no cookies, no
    credentials, no redirects, no environment.
    """

    def __init__(self, policy: FetchPolicy) -> None:
        self._policy = policy
        self._exchange: Exchange | None = None
        self._lines: list[bytes] = []  # of the heads and trailers of what is received
        self._headers: Mapping[str, str] = {}  # that it is set to send
        self.stuck = False  # DNS has not answered yet: don't use again, and see close
        self._curl = pycurl.Curl()
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAXCONNECTS, _CONNECTIONS_KEPT)
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
        self._lines.clear()
        exchange = Exchange(self._policy, wanted, stop, self._lines)
        self._aim(url, headers, deadline)
        self._exchange = exchange
        try:
            error = self._transfer(exchange)
            wire_bytes = int(self._curl.getinfo(pycurl.SIZE_DOWNLOAD_T))
        finally:
            self._exchange = None
            self.stuck = not exchange.resolved
            exchange.close_sockets()
        if error or exchange.failure:
            self._judge(exchange, error, stop)
        exchange.check_wire(wire_bytes)
        if exchange.head is None or exchange.head.status_code < 200:
            raise JobFailed("bad_response", "the server sent no final answer", retryable=True)
        return exchange, wire_bytes

    def close(self) -> None:
        """Close the connections. Waits for a DNS question that nobody waits for any more.

        That is up to half a minute, and libcurl's way out, CURLMOPT_QUICK_EXIT, is not in pycurl.
        """
        self._multi.close()
        self._curl.close()

    def _transfer(self, exchange: Exchange) -> int:
        """Run the transfer to its end, or away from it. Returns libcurl's error, 0 for none.

        Not ``Curl.perform``: that would not let us look around while it asks DNS or connects.
        """
        self._multi.add_handle(self._curl)
        try:
            while self._multi.perform()[1] and exchange.read_head():
                exchange.look_around(int(self._curl.getinfo(pycurl.SIZE_DOWNLOAD_T)))
                self._wait(exchange.patience_s())
            _, _, failed = self._multi.info_read()
            error = int(failed[0][1]) if failed else 0
            exchange.read_head()  # of an answer without content
            exchange.resolved |= error == pycurl.E_COULDNT_RESOLVE_HOST
            return error
        finally:
            self._multi.remove_handle(self._curl)

    def _wait(self, patience_s: float) -> None:
        """Until a socket is ready, libcurl wants to act, or it is time to look around."""
        wait_s = max(0.0, min(patience_s, _LOOK_AROUND_S))
        wanted_ms = self._multi.timeout()
        if wanted_ms >= 0:
            wait_s = min(wait_s, wanted_ms / 1000)
        if self._multi.select(wait_s) < 0:  # nothing to wait for yet
            time.sleep(min(wait_s, _NO_SOCKET_S))

    @staticmethod
    def _judge(exchange: Exchange, number: int, stop: Callable[[], None]) -> None:
        """Raise what ended the transfer early; return if we ended it with all we wanted."""
        if exchange.failure is not None:
            raise exchange.failure
        if exchange.enough:
            return
        if number == pycurl.E_OPERATION_TIMEDOUT:
            stop()  # a deadline of the job's own is the job's to name
            raise JobFailed("timeout", "the deadline of the fetch has passed", retryable=True)
        if number == pycurl.E_COULDNT_CONNECT and exchange.blocked is not None:
            raise exchange.blocked
        if number == pycurl.E_RECV_ERROR and exchange.body:
            number = pycurl.E_PARTIAL_FILE
        raise failure.of_curl_error(number)

    def _aim(self, url: Url, headers: Mapping[str, str], deadline: float) -> None:
        left_ms = max(1, int((deadline - time.monotonic()) * 1000))
        curl = self._curl
        curl.setopt(pycurl.URL, str(url))
        curl.setopt(pycurl.TIMEOUT_MS, left_ms)
        curl.setopt(pycurl.CONNECTTIMEOUT_MS, left_ms)  # Exchange.patience_s is stricter
        if headers != self._headers:
            self._replace_headers(headers)

    def _replace_headers(self, headers: Mapping[str, str]) -> None:
        self._curl.unsetopt(pycurl.HTTPHEADER)  # an empty list would leave the last ones
        self._headers = {}
        if headers:
            lines = [_line(name, value) for name, value in headers.items()]
            self._curl.setopt(pycurl.HTTPHEADER, lines)
            self._headers = dict(headers)

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
        curl.setopt(pycurl.BUFFERSIZE, _AT_ONCE_BYTES)
        curl.setopt(pycurl.PATH_AS_IS, 1)  # Url has normalised it, and robots.txt judged that

    def _ignore_surroundings(self) -> None:
        curl = self._curl
        curl.setopt(pycurl.NOSIGNAL, 1)
        curl.setopt(pycurl.PROXY, "")
        curl.setopt(pycurl.NOPROXY, "*")
        curl.setopt(pycurl.NETRC, pycurl.NETRC_IGNORED)
        curl.setopt(pycurl.MAXAGE_CONN, _IDLE_CONNECTION_S)
        curl.setopt(pycurl.DNS_CACHE_TIMEOUT, _IDLE_CONNECTION_S)

    def _bind_callbacks(self) -> None:
        """Once, not for each request: they find the exchange that is on."""
        curl = self._curl
        curl.setopt(pycurl.NOPROGRESS, 1)
        curl.setopt(pycurl.OPENSOCKETFUNCTION, lambda *a: self._current().open_socket(*a))
        curl.setopt(pycurl.PREREQFUNCTION, lambda *a: self._current().connected(*a))
        curl.setopt(pycurl.HEADERFUNCTION, self._lines.append)
        curl.setopt(pycurl.WRITEFUNCTION, lambda chunk: self._current().content(chunk))

    def _current(self) -> Exchange:
        if self._exchange is None:
            raise RuntimeError("libcurl called back outside a request")
        return self._exchange


def _line(name: str, value: str) -> bytes:
    """libcurl's syntax: a name with a semicolon sends the field with an empty value."""
    return (f"{name}: {value}" if value else f"{name};").encode("utf-8")
