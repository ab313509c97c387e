"""Hosts to be scraped: good, slow and dead ones, on loopback."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from types import TracebackType

from tests.support.server import free_port
from tests.support.site import Site

PAGES = 50


class Hosts:
    """``good`` and ``slow`` have pages; ``dead`` refuses connections, ``silent`` takes them and
    says nothing."""

    def __init__(self, *, slow_s: float = 0.3) -> None:
        self._stack = ExitStack()
        self._good = Site("127.0.0.2")
        self._slow = Site("127.0.0.3", delay_s=slow_s)
        self._silent = socket.create_server(("127.0.0.4", 0), backlog=4096)
        self.good, self.slow = self._good.url, self._slow.url
        self.silent = f"http://127.0.0.4:{self._silent.getsockname()[1]}"
        dead = free_port()
        self.dead = f"http://127.0.0.5:{dead}"
        ports = (self._good.port, self._slow.port, self._silent.getsockname()[1], dead)
        self.ports = ",".join(map(str, ports))

    def __enter__(self) -> Hosts:
        for site in (self._good, self._slow):
            site.pages.update({f"/{n}": _page(site.url, n) for n in range(PAGES)})
            site.pages["/unwell"] = "come back later"
            site.headers["/unwell"] = (503, {})
            self._stack.enter_context(site)
        self._stack.enter_context(self._silent)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def visits(self) -> int:
        return len(self._good.arrivals) + len(self._slow.arrivals)


def title_of(url: str) -> str:
    """What stands in the title of a page."""
    return f"Page {url.rpartition('/')[2]}"


def _page(url: str, n: int) -> str:
    links = "".join(f'<a href="{url}/{n + k}">next</a>' for k in range(5))
    return f"<html><title>{title_of(f'/{n}')}</title><h1>{n}</h1>{links}</html>"
