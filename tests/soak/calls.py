"""Asking a service that may be killed at any moment."""

from __future__ import annotations

import json
from collections import Counter
from threading import Event
from time import monotonic
from typing import Any, NamedTuple

import requests

PAUSE_S = 0.05
TIMEOUT = (5, 30)

NOT_NOW = frozenset({"store-unavailable", "draining", "too-many-streams", "busy", "not-ready"})
"""Refusals that a client is to expect of a service in trouble, each with a 503."""


class Answer(NamedTuple):
    status: int
    headers: Any
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)

    @property
    def code(self) -> str | None:
        """Of a problem."""
        try:
            return str(self.json["code"]) if self.status >= 400 else None
        except (ValueError, KeyError):
            return None

    @property
    def not_now(self) -> bool:
        return self.status == 503 and self.code in NOT_NOW

    def __str__(self) -> str:
        return f"{self.status} {self.text[:500]}"


class Unanswered(Exception):
    """The service has given no answer for longer than anyone should wait."""


class Calls:
    """One client's connection. Not for two threads at once."""

    def __init__(self, url: str, *, patience_s: float) -> None:
        self._url = url
        self._patience_s = patience_s
        self._session = requests.Session()
        self.longest_silence_s = 0.0
        self.lost = 0
        self.refusals: Counter[str] = Counter()
        self.last_loss = ""

    def once(self, method: str, path: str, **options: Any) -> Answer | None:
        """The answer; None if it was lost, and the request perhaps too."""
        try:
            with self._session.request(
                method, f"{self._url}{path}", **{"timeout": TIMEOUT, **options}
            ) as response:
                answer = Answer(response.status_code, response.headers, response.content.decode())
        except requests.RequestException as error:
            self.lost += 1
            self.last_loss = f"{type(error).__name__}: {error}"[:300]
            return None
        if answer.not_now:
            self.refusals[str(answer.code)] += 1
        return answer

    def until_answered(self, method: str, path: str, **options: Any) -> Answer:
        """Of requests that may be sent again: asks until something answers that is not a 503.

        Raises Unanswered.
        """
        begun = monotonic()
        while True:
            answer = self.once(method, path, **options)
            if answer and not answer.not_now:
                self.longest_silence_s = max(self.longest_silence_s, monotonic() - begun)
                return answer
            if monotonic() > begun + self._patience_s:
                said = answer or f"no answer ({self.last_loss})"
                raise Unanswered(f"{method} {path} for {self._patience_s:g} s, at last: {said}")
            Event().wait(PAUSE_S)

    def get(self, path: str, **params: Any) -> Answer:
        return self.until_answered("GET", path, params=params)

    def pages(self, path: str) -> list[Any]:
        """All items of a paged list."""
        items: list[Any] = []
        page: str | None = path
        while page:
            answer = self.get(page)
            if answer.status != 200:
                raise Unanswered(f"GET {page}: {answer}")
            items += answer.json["items"]
            page = answer.json["next"]
        return items

    def close(self) -> None:
        self._session.close()
