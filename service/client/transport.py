"""Requests to the service: sent, tried again where that is safe, their failures typed."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from http.cookiejar import DefaultCookiePolicy
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3 import Retry
from urllib3.exceptions import MaxRetryError, ReadTimeoutError

from service import __version__
from service.client.body import Body
from service.client.errors import (
    ConnectionFailed,
    JobspoolClientError,
    ProblemError,
    StreamCut,
    StreamSilent,
)
from service.client.problem import not_jobspool, problem_of

T = TypeVar("T")

AGAIN = (429, 502, 503, 504)
IN_FLIGHT = "idempotency-key-in-flight"
BACKOFF_MAX_S = 30.0
RETRY_AFTER_MAX_S = 60.0
CONNECTIONS = 32
CHUNK = 1 << 16

log = logging.getLogger("jobspool.client")


class Ask(NamedTuple):
    """One request. It must be safe to send twice."""

    method: str
    path: str
    params: Sequence[tuple[str, str]] = ()
    body: bytes | Body | None = None
    headers: Mapping[str, str] = {}
    more_time_s: float = 0.0
    """How much longer than usual the answer may take."""


class Bearer(AuthBase):
    """Puts the key in the header. There is one also without a key: requests would otherwise
    look for a login in ~/.netrc, and send that."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


class Transport:
    """One service, its key, and a pool of connections.

    Threads may share it: nothing in it changes once it is made, and it keeps no cookies.
    """

    def __init__(
        self, base_url: str, *, key: str | None, timeout_s: float, retries: int, backoff_s: float
    ) -> None:
        self._base_url = _checked(base_url)
        self._timeout_s = timeout_s
        self._retry = Retry(
            retries,
            backoff_factor=backoff_s,
            backoff_jitter=backoff_s,
            backoff_max=BACKOFF_MAX_S,
        )
        self._session = requests.Session()
        self._session.auth = Bearer(_header_text(key))
        self._session.headers["User-Agent"] = f"jobspool-python/{__version__}"
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(pool_maxsize=CONNECTIONS, max_retries=0))

    def close(self) -> None:
        self._session.close()

    def json(
        self, ask: Ask, on_retry: Callable[[JobspoolClientError], None] = lambda _: None
    ) -> Any:
        """The answer's JSON, None if it is empty. Raises ProblemError, ConnectionFailed.

        ``on_retry`` is told of each failure after which the request is sent again.
        """

        def attempt() -> Any:
            response = self._open(ask, stream=False)
            return _json_of(response) if response.content else None

        return self._persistently(attempt, ask.body, on_retry)

    def chunks(self, ask: Ask, kind: str, *, once: bool = False) -> Generator[bytes, None, None]:
        """The answer's body as it comes; a normal end means that it was whole.

        Opening it is tried again, unless ``once``; reading is not. Raises StreamCut besides.
        """

        def attempt() -> requests.Response:
            return self._open(ask, stream=True)

        with attempt() if once else self._persistently(attempt) as response:
            if response.headers.get("Content-Type", "").partition(";")[0] != kind:
                raise not_jobspool(response)
            try:
                yield from response.iter_content(CHUNK)
            except requests.RequestException as error:
                silent = error.args and isinstance(error.args[0], ReadTimeoutError)
                raise _cut(ask, silent=bool(silent)) from error

    def _persistently(
        self,
        attempt: Callable[[], T],
        body: bytes | Body | None = None,
        on_retry: Callable[[JobspoolClientError], None] = lambda _: None,
    ) -> T:
        retry = self._retry
        while True:
            try:
                return attempt()
            except (ProblemError, ConnectionFailed) as failure:
                retry = _next(retry, failure, body)
                on_retry(failure)
                pause_s = pause_after(failure, retry.get_backoff_time())
                log.info("trying again in %.1f s: %s", pause_s, failure)
            time.sleep(pause_s)

    def _open(self, ask: Ask, *, stream: bool) -> requests.Response:
        """The answer, if it is a success. Raises ProblemError, ConnectionFailed."""
        body = ask.body.pieces() if isinstance(ask.body, Body) else ask.body
        try:
            response = self._session.request(
                ask.method,
                self._base_url + ask.path,
                params=list(ask.params),
                data=body,
                headers=dict(ask.headers),
                timeout=(self._timeout_s, self._timeout_s + ask.more_time_s),
                allow_redirects=False,
                stream=stream,
            )
            if response.status_code in (200, 202, 204):
                return response
            with response:
                raise problem_of(response)
        except requests.RequestException as error:
            raise _failed(ask, self._base_url, error) from error


def _checked(base_url: str) -> str:
    parts = urlsplit(base_url)
    plain = not (parts.query or parts.fragment or parts.username or parts.password)
    if parts.scheme not in ("http", "https") or not parts.hostname or not plain:
        raise ValueError("base_url must be like https://jobs.example.com[:port][/prefix]")
    return base_url.rstrip("/")


def _header_text(key: str | None) -> str | None:
    """Raises ValueError for a key that no header can hold, without showing it."""
    if key is not None and not (key.isascii() and key.isprintable() and key.strip() == key != ""):
        raise ValueError("key must be printable ASCII; was it read with its line's end?")
    return key


def _next(retry: Retry, failure: JobspoolClientError, body: bytes | Body | None) -> Retry:
    """The retries that are left. Raises the failure if it is to be told instead."""
    if not may_pass(failure) or (isinstance(body, Body) and not body.replayable):
        raise failure
    try:
        return retry.increment(error=failure)
    except MaxRetryError:
        raise failure from failure.__cause__


def may_pass(failure: JobspoolClientError) -> bool:
    """Whether the same request may succeed in a while.

    Not if the service asks for more patience than there is: to come earlier would be rude.
    """
    if isinstance(failure, ProblemError):
        passing = failure.status in AGAIN or failure.code == IN_FLIGHT
        return passing and (failure.retry_after_s or 0) <= RETRY_AFTER_MAX_S
    return not isinstance(failure.__cause__, requests.exceptions.SSLError)


def pause_after(failure: JobspoolClientError, backoff_s: float) -> float:
    """As long as the service asks for, or else as long as we think fit."""
    asked_s = failure.retry_after_s if isinstance(failure, ProblemError) else None
    return asked_s or backoff_s


def _json_of(response: requests.Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise not_jobspool(response) from None


def _failed(ask: Ask, base_url: str, error: requests.RequestException) -> Exception:
    if isinstance(ask.body, Body) and ask.body.failure is not None:
        return ask.body.failure  # it was the caller's source that failed, not the connection
    return ConnectionFailed(f"{ask.method} {base_url}{ask.path}: {_reason(error)}")


def _reason(error: requests.RequestException) -> str:
    """What went wrong, without the pool and the URL that urllib3 puts before it."""
    inner = error.args[0] if error.args else error
    reason = str(getattr(inner, "reason", None) or inner)
    return reason.rpartition("): ")[2] or reason


def _cut(ask: Ask, *, silent: bool) -> StreamCut:
    if silent:
        return StreamSilent(f"{ask.path}: nothing came for a while")
    return StreamCut(f"{ask.path}: the stream was cut before its end")
