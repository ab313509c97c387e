"""Holds all diaries against the service, once it is quiet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tests.soak.calls import Calls
from tests.soak.diary import Diary
from tests.soak.examine import Tally, examine
from tests.soak.findings import Findings
from tests.soak.freezes import Freezes
from tests.soak.memory import Batch, Memory
from tests.soak.orders import Orders


class Checker:
    """Reads the diaries from their files: it knows only what clients wrote down."""

    def __init__(
        self,
        diaries: Sequence[Diary],
        orders: Orders,
        calls: Calls,
        findings: Findings,
        freezes: Freezes,
    ) -> None:
        self._memories = [Memory.of(orders, diary.entries()) for diary in diaries]
        self._calls = calls
        self._findings = findings
        self._freezes = freezes
        self.tally = Tally()
        self.acknowledged = self.deleted = self.retries = 0
        self.lost_but_there = self.repeats = self.reuses = 0

    def check(self) -> None:
        listed = self._listed()
        for memory in self._memories:
            self._check_orders(memory)
            self._check_list(memory, listed)
            for batch in memory.batches.values():
                self._check_batch(batch)
            self.repeats += memory.repeats
            self.reuses += memory.reuses
        for batch_id, shown in listed.items():
            evidence = f"{batch_id}, named {shown['name']}, retry of {shown['retry_of']}"
            self._findings.add("there is no batch that nobody sent", evidence)

    def _listed(self) -> dict[str, dict[str, object]]:
        shown = self._calls.pages("/v1/batches?limit=1000")
        return {batch["id"]: batch for batch in shown}

    def _check_orders(self, memory: Memory) -> None:
        for sent in memory.sent.values():
            if len(set(sent.ids)) > 1:
                evidence = f"{sent.name} with the key {sent.key!r} made {sorted(set(sent.ids))}"
                self._findings.add("a repeat makes no second batch", evidence)
            if sent.key and not sent.ids:
                evidence = f"{sent.name}: {sent.lost} answers lost, {sent.refused} refusals"
                self._findings.add("an order with a key is taken in the end", evidence)

    def _check_list(self, memory: Memory, listed: dict[str, dict[str, object]]) -> None:
        """Take this client's batches off the list. What it does not know may be there only if
        an answer was lost."""
        for batch_id in memory.batches.keys() & listed.keys():
            del listed[batch_id]
        names = Counter(shown["name"] for shown in listed.values() if shown["name"] in memory.sent)
        for batch_id, shown in list(listed.items()):
            sent = memory.sent.get(str(shown["name"]))
            if not sent:
                continue
            del listed[batch_id]
            if sent.ids or not sent.lost or names[sent.name] > 1 or shown["retry_of"]:
                evidence = f"{batch_id} beside {sent.ids}; {sent}"
                self._findings.add("an order makes at most one batch", evidence)
                continue
            self.lost_but_there += 1
            self._examine(memory.ordered(sent, batch_id))

    def _check_batch(self, batch: Batch) -> None:
        self.acknowledged += 1
        self.retries += batch.retry_of is not None
        if not batch.deleted:
            self._examine(batch)
            return
        self.deleted += 1
        answer = self._calls.get(f"/v1/batches/{batch.id}")
        if answer.status not in (404, 410):
            self._findings.add("what was deleted is gone", f"{batch.id} answers {answer}")

    def _examine(self, batch: Batch) -> None:
        self.tally.add(examine(self._calls, batch, self._freezes, self._findings))
