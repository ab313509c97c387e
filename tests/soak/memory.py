"""What a client knows, by its diary: read from the file it is the same as the client's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.soak.orders import Orders, Task

Entry = dict[str, Any]


@dataclass
class Sent:
    """An order that was sent, perhaps several times."""

    name: str
    seed: int
    key: str | None
    lost: int = 0
    refused: int = 0
    ids: list[str] = field(default_factory=list)
    """What it was answered; all the same if it has a key."""


@dataclass
class Batch:
    """A batch that was acknowledged to a client, or may be there without its knowing."""

    id: str
    tasks: Sequence[Task]
    lock: str
    retry_of: str | None = None
    cancel_sent: bool = False
    cancelled_at: float | None = None
    """When a cancel was answered with 202: it had not ended."""
    job_cancels: dict[int, float | None] = field(default_factory=dict)
    """By index; when it was answered with 202."""
    seen: tuple[str, str | None] | None = None
    """Status and outcome, once it was seen ended."""
    digest: str | None = None
    """Of the results, as they were followed to the end."""
    deleted: bool = False
    """It was told that it is; or it was asked for, and nobody knows."""
    examined: bool = False


class Memory:
    """Learns from a diary's entries, one after the other."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self.sent: dict[str, Sent] = {}
        self.batches: dict[str, Batch] = {}
        self.deleted: set[str] = set()
        self.repeats = self.reuses = 0

    @classmethod
    def of(cls, orders: Orders, entries: Iterable[Entry]) -> Memory:
        memory = cls(orders)
        for entry in entries:
            memory.learn(entry)
        return memory

    def learn(self, entry: Entry) -> None:
        learn = getattr(self, f"_{entry['act'].replace('-', '_')}", None)
        if learn:
            learn(entry)

    # --- what the acts say ------------------------------------------------------------------

    def _sent(self, entry: Entry) -> None:
        name = entry["name"]
        self.sent.setdefault(name, Sent(name, entry["seed"], entry["key"]))

    def _lost(self, entry: Entry) -> None:
        self.sent[entry["name"]].lost += 1

    def _refused(self, entry: Entry) -> None:
        self.sent[entry["name"]].refused += 1

    def _accepted(self, entry: Entry) -> None:
        sent = self.sent[entry["name"]]
        sent.ids.append(entry["id"])
        if entry["id"] not in self.batches:
            self.batches[entry["id"]] = self.ordered(sent, entry["id"])

    def _repeated(self, entry: Entry) -> None:
        self.repeats += 1
        self.sent[entry["name"]].ids.append(entry["id"])

    def _reuse_refused(self, entry: Entry) -> None:
        self.reuses += 1

    def _retried(self, entry: Entry) -> None:
        before = self.batches[entry["of"]]
        tasks = [before.tasks[index] for index in entry["indices"]]
        again = Batch(entry["id"], tasks, before.lock, retry_of=before.id)
        self.batches[again.id] = again

    def _cancel_sent(self, entry: Entry) -> None:
        self.batches[entry["id"]].cancel_sent = True

    def _cancelled(self, entry: Entry) -> None:
        batch = self.batches[entry["id"]]
        if entry["status"] == 202 and batch.cancelled_at is None:
            batch.cancelled_at = entry["at"]

    def _job_cancel_sent(self, entry: Entry) -> None:
        self.batches[entry["id"]].job_cancels.setdefault(entry["index"], None)

    def _job_cancelled(self, entry: Entry) -> None:
        cancels = self.batches[entry["id"]].job_cancels
        if entry["status"] == 202 and cancels[entry["index"]] is None:
            cancels[entry["index"]] = entry["at"]

    def _seen_ended(self, entry: Entry) -> None:
        self.batches[entry["id"]].seen = entry["status"], entry["outcome"]

    def _followed(self, entry: Entry) -> None:
        self.batches[entry["id"]].digest = entry["digest"]

    def _examined(self, entry: Entry) -> None:
        self.batches[entry["id"]].examined = True

    def _deleted(self, entry: Entry) -> None:
        self.batches[entry["id"]].deleted = True

    # --- questions --------------------------------------------------------------------------

    def ordered(self, sent: Sent, batch_id: str) -> Batch:
        order = self._orders.make(sent.name, sent.seed)
        return Batch(batch_id, order.tasks, order.options["lock"])
