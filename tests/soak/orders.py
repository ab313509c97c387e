"""What clients order, and what may come of it. All of an order follows from its name and seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from tests.soak.hosts import PAGES, Hosts, title_of

FETCH_CODES = frozenset({"timeout", "connect_error", "bad_response", "truncated"})
"""How a page may fail that is there: the machine is busy, and its connection was cut with us."""

ROUGH = {"missing": 4, "unwell": 2, "dead": 3, "silent": 2, "doomed": 2, "culprit": 0.3}
GENTLE = {"quick": 30, "short": 40, "letters": 20, "long": 5, "page": 8, "slow": 2}

Job = dict[str, Any]


class Task(NamedTuple):
    """A job, and of which kind it is: by that it is known what may come of it."""

    kind: str
    job: Job


@dataclass(frozen=True)
class Order:
    """A batch as one request."""

    name: str
    form: str
    options: dict[str, Any]
    tasks: Sequence[Task]
    key: str | None

    @property
    def request(self) -> dict[str, Any]:
        """As ``requests`` takes it."""
        jobs = [task.job for task in self.tasks]
        headers = {"Content-Type": self.form}
        if self.key:
            headers["Idempotency-Key"] = self.key
        if self.form == "application/json":
            body = {"name": self.name, "labels": {"soak": "yes"}, "jobs": jobs, **self.options}
            return {"data": json.dumps(body), "headers": headers}
        params = {"name": self.name, "label": "soak=yes", **self.options}
        if self.form == "text/plain":
            lines = [job["params"]["url"] for job in jobs]
        else:
            lines = [json.dumps(job) for job in jobs]
        return {"data": "\n".join(lines), "headers": headers, "params": params}


class Orders:
    """Makes orders; the same name and seed make the same one."""

    def __init__(self, hosts: Hosts, *, rough: bool) -> None:
        self._hosts = hosts
        self._kinds = {**GENTLE, **(ROUGH if rough else {})}

    def make(self, name: str, seed: int) -> Order:
        random = Random(seed)
        form = random.choices(("application/json", "application/x-ndjson", "text/plain"), (6, 3, 1))
        key = f"key-of-{name}" if random.random() < 0.8 else None
        tasks = self._tasks(name, random, form[0])
        return Order(name, form[0], _options(random), tasks, key)

    def _tasks(self, name: str, random: Random, form: str) -> list[Task]:
        if form == "text/plain":
            urls = [self._url(random) for _ in range(random.randint(1, 12))]
            return [Task("page", {"type": "scrape", "params": {"url": url}}) for url in urls]
        if random.random() < 0.04:  # many that take no time
            count = random.randint(100, 500)
            return [Task("quick", _numbers(f"{name}.{n}", random)) for n in range(count)]
        count = random.choice((1, 2, 5, 10, 20, 40))
        kinds = random.choices(list(self._kinds), list(self._kinds.values()), k=count)
        makers = self._makers()
        tasks = []
        for n, kind in enumerate(kinds):
            job = makers[kind](f"{name}.{n}", random)
            if random.random() < 0.5:
                job["custom_id"] = f"{kind}-{n}"
            tasks.append(Task(kind, job))
        return tasks

    def _url(self, random: Random) -> str:
        return f"{self._hosts.good}/{random.randrange(PAGES)}"

    def _makers(self) -> dict[str, Callable[[str, Random], Job]]:
        hosts = self._hosts
        return {
            "quick": _numbers,
            "short": lambda name, random: _numbers(name, random, random.uniform(0.005, 0.1)),
            "long": lambda name, random: _numbers(name, random, random.uniform(0.3, 0.8)),
            "letters": _letters,
            "page": lambda _, random: _scrape(self._url(random)),
            "slow": lambda _, random: _scrape(f"{hosts.slow}/{random.randrange(PAGES)}"),
            "missing": lambda *_: _scrape(f"{hosts.good}/missing"),
            "unwell": lambda *_: _scrape(f"{hosts.good}/unwell", max_attempts=2),
            "dead": lambda *_: _scrape(f"{hosts.dead}/"),
            "silent": lambda *_: _scrape(f"{hosts.silent}/", timeout_s=0.5),
            "doomed": lambda name, random: {**_numbers(name, random, 60.0), "timeout_s": 0.3},
            "culprit": lambda *_: {"type": "crash", "params": {}},
        }


def _options(random: Random) -> dict[str, Any]:
    options: dict[str, Any] = {
        "executor": random.choices(("pool", "dedicated", "sequential"), (6, 3, 1))[0],
        "lock": random.choices(("line", "job", "none"), (6, 1, 2))[0],
    }
    if random.random() < 0.3:
        options["max_workers"] = random.choice((1, 2, 4, 8))
    if random.random() < 0.3:
        options["priority"] = random.choice((-5, 1, 10))
    return options


def _numbers(name: str, random: Random, delay_s: float = 0.0) -> Job:
    params = {"name": name, "start": random.randrange(1000), "count": random.randint(1, 3)}
    return {"type": "numbers", "params": {**params, "delay_s": round(delay_s, 3)}}


def _letters(name: str, random: Random) -> Job:
    letters = "".join(random.choices("ABCDÉ漢", k=random.randint(0, 4)))
    delay_s = round(random.choice((0, random.uniform(0, 0.05))), 3)
    return {"type": "letters", "params": {"name": name, "letters": letters, "delay_s": delay_s}}


def _scrape(url: str, **options: Any) -> Job:
    return {"type": "scrape", "params": {"url": url}, **options}


# --- what may come of it --------------------------------------------------------------------


def flaw_of(task: Task, line: dict[str, Any]) -> str | None:
    """What is wrong with how a job ended; None if it may end so. Not asked of cancelled ones."""
    code = (line["error"] or {}).get("code")
    ending = f"{line['status']} {code or ''}".strip()
    if task.kind in ("page", "slow"):
        if code in FETCH_CODES:
            return None
        title = (line["result"] or {}).get("title")
        wanted = title_of(task.job["params"]["url"])
        return None if title == wanted else f"{ending} with the title {title!r}, not {wanted!r}"
    if task.kind in MUST_FAIL:
        return None if code in MUST_FAIL[task.kind] else ending
    lines = (line["result"] or {}).get("lines")
    return None if lines == lines_of(task.job) else f"{ending} with the lines {lines}"


MUST_FAIL: dict[str, frozenset[str]] = {
    "missing": FETCH_CODES | {"http_status"},
    "unwell": FETCH_CODES | {"http_status"},
    "dead": FETCH_CODES,
    "silent": FETCH_CODES,
    "doomed": frozenset({"timeout"}),
    "culprit": frozenset({"crashed"}),
}


def lines_of(job: Job) -> list[str]:
    """What numbers and letters print."""
    params = job["params"]
    if job["type"] == "letters":
        return [f"{params['name']}: {letter}" for letter in params["letters"]]
    first, count = params["start"], params["count"]
    return [f"{params['name']}: {n}" for n in range(first, first + count)]
