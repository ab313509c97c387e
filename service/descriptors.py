"""File descriptors: how many a process may have, and the fewest that it can work with."""

from __future__ import annotations

import resource
import sys

from service.errors import StartRefused

MOST = 65_536
"""No use of more; some kernels hand out a billion, and there are loops over all of them."""

SPARE = 64
"""For the interpreter, the journal, the other threads and the logs."""


def needed(threads: int) -> int:
    """What a process of so many request threads has to be able to open: for each a client and a
    connection to the database, which is two files."""
    return 3 * threads + SPARE


def claim(threads: int) -> None:
    """Take as many as the machine gives; inherited by all processes made from here on. Raises
    StartRefused if they would not do: clients would be kept waiting, and told 503."""
    given = _raised()
    if given < needed(threads):
        raise StartRefused(
            f"a process may open {given} files here, and with {threads} request threads needs "
            f"{needed(threads)}: raise the limit (ulimit -n, LimitNOFILE=), "
            "or lower JOBSPOOL_THREADS"
        )


def _raised() -> int:
    soft, hard = (_number(limit) for limit in resource.getrlimit(resource.RLIMIT_NOFILE))
    most = min(hard, MOST)
    if soft >= most:
        return soft
    try:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (most, hard if hard < sys.maxsize else resource.RLIM_INFINITY)
        )
    except (ValueError, OSError):
        return soft  # a sandbox does not let it
    return most


def _number(limit: int) -> int:
    return sys.maxsize if limit == resource.RLIM_INFINITY else limit
