"""Politeness: how many of a host's jobs run at once, and how soon after each other.

A host is a width and a clock that jobs of all batches and all processes share. It is asked in
the transaction that claims a job, and given back in the one that finishes it: so it holds over
processes, survives their death with the job, and costs no thread and no commit of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select, text, update
from sqlalchemy.engine import Dialect

from service.model import HostWish
from service.store.prepared import Prepared
from service.store.schema import WAITS_FOR_HOST, hosts, jobs


class HostRules(NamedTuple):
    """What holds for every host: at most so many jobs at once, and so long between starts."""

    concurrency: int
    gap_ms: int


@dataclass(slots=True)
class Host:
    """A host inside a transaction; mutable, written back by ``HostLedger.settle``."""

    name: str
    running: int = 0
    # no start before this
    next_ms: int = 0
    # the next start that nobody has been told to wait for
    reserved_ms: int = 0
    # what the host itself asked for, if that is more than the rule
    gap_ms: int = 0


class Parking(NamedTuple):
    """Why a job has to wait for its host, and until when; None is until another one ends."""

    reason: str
    due_ms: int | None


_COLUMNS = [field.name for field in fields(Host)]


class HostStatements:
    """What a host ledger runs, prepared once for a database."""

    def __init__(self, dialect: Dialect) -> None:
        named = hosts.c.name == bindparam("host")
        read = select(*(hosts.c[name] for name in _COLUMNS)).where(named)
        self.read = Prepared(read.with_for_update(), dialect)
        values: dict[str, Any] = {name: bindparam(name) for name in _COLUMNS}
        self.add = Prepared(hosts.insert().values(values), dialect)
        changes: dict[str, Any] = {name: bindparam(name) for name in _COLUMNS if name != "name"}
        parked = select(jobs.c.key).where(text(WAITS_FOR_HOST), jobs.c.host == bindparam("host"))
        self.parked = Prepared(parked.order_by(jobs.c.key).limit(bindparam("most")), dialect)
        self.write = Prepared(update(hosts).where(named).values(changes), dialect)


class HostLedger:
    """One transaction's view of the hosts it touches."""

    def __init__(
        self, statements: HostStatements, cursor: Any, rules: HostRules, now_ms: int
    ) -> None:
        self._statements = statements
        self._cursor = cursor
        self._rules = rules
        self._now_ms = now_ms
        self._hosts: dict[str, Host] = {}
        self._new: set[str] = set()
        self._freed: dict[str, int] = {}

    def enter(self, name: str) -> Parking | None:
        """Start a job of the host now; or what it has to wait for, and nothing changed but the
        place in the line."""
        host = self._host(name)
        if host.running >= self._rules.concurrency:
            return Parking("host_limit", None)
        gap_ms = max(host.gap_ms, self._rules.gap_ms)
        if self._now_ms < host.next_ms:
            due = max(host.next_ms, host.reserved_ms)
            host.reserved_ms = due + gap_ms
            asked = host.gap_ms > self._rules.gap_ms
            return Parking("robots_delay" if asked else "host_limit", due)
        host.running += 1
        host.next_ms = self._now_ms + gap_ms
        host.reserved_ms = max(host.reserved_ms, host.next_ms)
        return None

    def leave(self, name: str, wish: HostWish | None = None) -> None:
        """A job of the host has ended, and may have learnt what the host wishes."""
        host = self._host(name)
        host.running = max(0, host.running - 1)
        self._freed[name] = self._freed.get(name, 0) + 1
        if wish and wish.gap_ms is not None:
            host.gap_ms = wish.gap_ms
            host.next_ms = max(host.next_ms, self._now_ms + wish.gap_ms)
        if wish and wish.not_before_ms is not None:
            host.next_ms = max(host.next_ms, wish.not_before_ms)

    def forgotten(self, name: str) -> list[int]:
        """Keys of jobs that wait for the host although it has places free."""
        return self.parked(name, max(0, self._rules.concurrency - self._host(name).running))

    def parked(self, name: str, most: int) -> list[int]:
        """Keys of the jobs that have waited longest for a place of the host."""
        binds = {"host": name, "most": most}
        return [key for (key,) in self._statements.parked.run(self._cursor, binds).fetchall()]

    def settle(self) -> dict[str, int]:
        """Write the hosts back; returns how many places each has given back, to be told."""
        for host in self._hosts.values():
            binds = {name: getattr(host, name) for name in _COLUMNS}
            if host.name in self._new:
                self._statements.add.run(self._cursor, binds)
            else:
                self._statements.write.run(self._cursor, {**binds, "host": host.name})
        freed, self._freed = self._freed, {}
        self._hosts.clear()
        self._new.clear()
        return freed

    def _host(self, name: str) -> Host:
        if name not in self._hosts:
            row = self._statements.read.run(self._cursor, {"host": name}).fetchone()
            self._hosts[name] = Host(*row) if row else Host(name)
            if row is None:
                self._new.add(name)
        return self._hosts[name]
