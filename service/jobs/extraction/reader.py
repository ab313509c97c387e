"""A process that reads strangers' pages: ``python -m service.jobs.extraction.reader FD``.

Parsers are C code, which no thread can stop: lexbor takes minutes for 100,000 nested tags and
gigabytes for formatting that is never closed. In a process of its own the kernel stops it, at a
limit of CPU time that is set for each page, and at one of memory; and whatever a page does to a
parser, the service goes on.

A request is JSON and the page's bytes; the answer is what became of it and what was read, both
JSON. No pickles: what a reader says a page may have put into its mouth.
"""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
from codecs import BOM_UTF8
from typing import Any

import orjson

from service.fetch.decode import decode
from service.jobs.extraction import channel
from service.jobs.extraction.extract import Request, document_of, extract
from service.jobs.extraction.selection import Pick

MOST_MEMORY = 512 << 20
"""Bytes of address space. Pages of 2 MiB that stay within their CPU time take half of it."""

MOST_KEPT = 256 << 20
"""A reader that holds more bytes after a page is replaced."""

NICENESS = 5
"""Requests come first, and the jobs that bring the next pages: a reader that has a core to itself
for its turn of milliseconds would keep them all waiting."""

GENTLE_SHARE = 0.9
"""Of the limit: from there Python code is interrupted, which saves the reader's life."""


class OverBudgetError(BaseException):
    """Raised by the clock. No library's ``except Exception`` may catch it."""


def main() -> None:
    """Answer until the service hangs up."""
    _confine()
    connection = socket.socket(fileno=int(sys.argv[1]))
    while True:
        try:
            asked, body = channel.receive(connection)
            answer, page = _answer(orjson.loads(asked), body)
            answer["leaving"] = _held() > MOST_KEPT
            channel.send(connection, orjson.dumps(answer), page)
        except (EOFError, OSError):
            return


def _held() -> int:
    """Bytes of memory. Not ru_maxrss, in which a process begins with what its parent had."""
    try:
        with open("/proc/self/statm", "rb", buffering=0) as statm:  # noqa: PTH123 - each page asks
            return int(statm.read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return 0


def _confine() -> None:
    # the service says when it is over, by hanging up; a terminal or systemd tells everyone
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, signal.SIG_IGN)
    signal.signal(signal.SIGVTALRM, _over_budget)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # ends the process, in C code too
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _over_budget(*_: object) -> None:
    raise OverBudgetError


def _answer(asked: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    # the thread's time: while a clock runs, Linux counts the process's in steps of milliseconds
    started = time.thread_time()
    document_of(asked["parser"])  # to import it is not the page's cost
    page = b""
    try:
        try:
            _set_clock(asked["cpu_s"])
            answer, page = _read(asked, body)
        finally:
            _set_clock(0.0)
    except (OverBudgetError, MemoryError):
        answer = {"over_budget": True}
    except Exception as error:  # noqa: BLE001 - the service is told, and decides
        answer = {"raised": f"{type(error).__name__}: {error}"[:500]}
    return {**answer, "cpu_s": time.thread_time() - started}, page


def _set_clock(cpu_s: float) -> None:
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s * GENTLE_SHARE)
    signal.setitimer(signal.ITIMER_PROF, cpu_s)


def _read(asked: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
    html, charset = decode(body, asked["content_type"])
    lossless = charset == "utf-8" and "\ufffd" not in html and not body.startswith(BOM_UTF8)
    select = {name: Pick(*pick) for name, pick in asked["select"].items()}
    request = Request(asked["include"], asked["parser"], select)
    # what is UTF-8 already need not be encoded once more
    page = extract(body if lossless else html, asked["url"], request)
    return {"charset": charset, "title": page["title"]}, orjson.dumps(page)


if __name__ == "__main__":
    main()
