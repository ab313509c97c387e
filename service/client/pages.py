"""Lists, page after page."""

from __future__ import annotations

from collections.abc import Iterator
from operator import itemgetter
from typing import Any
from urllib.parse import parse_qs, urlsplit

from service.client.problem import shaped
from service.client.transport import Ask, Transport

PAGE = 1_000


def items(
    transport: Transport, path: str, query: list[tuple[str, str]], limit: int = PAGE
) -> Iterator[Any]:
    """The items of all pages, as JSON. Each page holds at most ``limit``.

    Of ``next`` only the cursor is taken: a link could name another host than ours, or lack the
    prefix under which a proxy shows the service.
    """
    query = [*query, ("limit", str(limit))]
    more: list[tuple[str, str]] = []
    while True:
        page = transport.json(Ask("GET", path, query + more))
        yield from shaped(itemgetter("items"), page)
        following = shaped(itemgetter("next"), page)
        if following is None:
            return
        more = [("cursor", shaped(_cursor, following))]


def _cursor(link: str) -> str:
    return parse_qs(urlsplit(link).query)["cursor"][0]
