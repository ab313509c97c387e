"""A client at work: it orders, waits, follows, cancels, retries, deletes, and repeats itself."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from threading import Event, Thread
from time import monotonic
from typing import Any

from tests.soak.calls import Answer, Calls, Unanswered
from tests.soak.diary import Diary
from tests.soak.examine import ENDED, Tally, digest_of, examine
from tests.soak.findings import Findings
from tests.soak.freezes import Freezes
from tests.soak.memory import Batch, Memory, Sent
from tests.soak.orders import Order, Orders
from tests.soak.plan import Plan
from tests.support.following import ResultLines
from tests.support.server import Server

PAUSE_S = 0.05
MOST_FOLLOWED = 3
KEPT = 25
"""Ended batches that a client keeps; of more it deletes the oldest, once it has examined them."""


class Client(Thread):
    """Runs until ``over``; while ``working`` is not set it only brings home what it began."""

    def __init__(
        self,
        number: int,
        server: Server,
        folder: Path,
        orders: Orders,
        plan: Plan,
        findings: Findings,
        freezes: Freezes,
        working: Event,
    ) -> None:
        super().__init__(name=f"client {number}", daemon=True)
        self.over = Event()
        self.idle = Event()
        self.acts: Counter[str] = Counter()
        self.tally = Tally()
        self.calls = Calls(server.url, patience_s=plan.patience_s)
        self.diary = Diary(folder / f"client-{number}.jsonl")
        self._number = number
        self._server = server
        self._orders = orders
        self._plan = plan
        self._findings = findings
        self._freezes = freezes
        self._working = working
        self._random = Random(f"{plan.seed}/{number}")
        self._memory = Memory(orders)
        self._count = 0
        self._open: dict[str, Batch] = {}
        self._ended: dict[str, Batch] = {}
        self._followers: dict[str, ResultLines] = {}
        self.cuts = self.resumed = 0

    # --- the day's work ---------------------------------------------------------------------

    def run(self) -> None:
        try:
            while not self.over.is_set():
                if self._working.is_set():
                    self.idle.clear()
                    self._act()
                else:
                    self._bring_home()
                    self.idle.set()
                    self._working.wait(PAUSE_S)
            self._bring_home()
        except Unanswered as error:
            self._findings.add("the service answers", f"{self.name}: {error}")
        except Exception as error:
            self._findings.add("the client works", f"{self.name}: {type(error).__name__}: {error}")
            raise
        finally:
            self.idle.set()
            self.diary.close()

    def _act(self) -> None:
        open_jobs = sum(len(batch.tasks) for batch in self._open.values())
        full = open_jobs > self._plan.most_open_jobs
        acts: dict[Callable[[], None], float] = {
            self._wait: 30 if full else 8,
            self._look: 6,
            self._cancel: 3,
            self._cancel_job: 3,
            self._retry: 3,
            self._delete_early: 1,
            self._repeat: 3,
            self._reuse: 1,
            self._read: 3,
        }
        if not full:
            acts[self._submit] = 25
        act = self._random.choices(list(acts), list(acts.values()))[0]
        act()
        self._see_to_followers()
        while len(self._ended) > KEPT:
            self._let_go(next(iter(self._ended)))

    def _bring_home(self) -> None:
        """All that was begun comes to its end."""
        begun = monotonic()
        for batch_id in list(self._open):
            while batch_id in self._open:
                self._look_at(batch_id, wait="2")
                if monotonic() > begun + self._plan.patience_s:
                    shown = self.calls.get(f"/v1/batches/{batch_id}")
                    self._findings.add("every batch ends", f"{batch_id} has not: {shown}")
                    del self._open[batch_id]
        for follower in self._followers.values():
            follower.join(self._plan.patience_s)
        self._see_to_followers()
        for batch_id, follower in list(self._followers.items()):
            came = f"{len(follower.lines)} lines came, {follower.failures} connections failed"
            self._findings.add("a followed stream ends", f"{batch_id}: {came}")
            follower.over = True
            del self._followers[batch_id]

    def _note(self, act: str, **facts: Any) -> None:
        self.acts[act] += 1
        self._memory.learn(self.diary.note(act, **facts))

    def _wrong(self, what: str, answer: object) -> None:
        self._findings.add("answers are as documented", f"{self.name}: {what}: {answer}")

    # --- orders -----------------------------------------------------------------------------

    def _submit(self) -> None:
        self._count += 1
        name, seed = f"c{self._number}-{self._count}", self._random.getrandbits(32)
        order = self._orders.make(name, seed)
        self._note("sent", name=name, seed=seed, key=order.key)
        query = self._random.choice(("", "", "", "?wait=0.5"))
        answer = self._place(order, query)
        if answer is None:
            return
        self._took(order, answer)

    def _place(self, order: Order, query: str = "") -> Answer | None:
        """Send an order until it is answered; one without a key only once."""
        begun = monotonic()
        while True:
            answer = self.calls.once("POST", f"/v1/batches{query}", **order.request)
            if answer and answer.status in (200, 202):
                return answer
            if answer is None:
                self._note("lost", name=order.name, error=self.calls.last_loss)
            elif answer.not_now:
                self._note("refused", name=order.name, code=answer.code)
            elif answer.code != "idempotency-key-in-flight" or not order.key:
                self._wrong(f"order {order.name}", answer)
                return None
            if not order.key:
                return None
            if monotonic() > begun + self._plan.patience_s:
                raise Unanswered(f"order {order.name}, at last: {answer or self.calls.last_loss}")
            Event().wait(PAUSE_S)

    def _took(self, order: Order, answer: Answer) -> None:
        batch_id = answer.json["id"]
        if answer.headers["Location"] != f"/v1/batches/{batch_id}":
            self._wrong("Location", f"{answer.headers['Location']} of {answer}")
        self._note("accepted", name=order.name, id=batch_id)
        self._began(self._memory.batches[batch_id])
        if answer.status == 200:
            self._take_end(batch_id, answer)

    def _began(self, batch: Batch) -> None:
        self._open[batch.id] = batch
        if len(self._followers) < MOST_FOLLOWED and self._random.random() < 0.2:
            follower = ResultLines(
                self._server,
                f"/v1/batches/{batch.id}",
                seed=self._random.getrandbits(32),
                mean_bytes=2_000,
            )
            self._followers[batch.id] = follower
            follower.start()

    def _repeat(self) -> None:
        """An order with a key, once more: it is the same batch, also if it is gone by now."""
        if not (sent := self._one_with_key()):
            return
        answer = self._place(self._orders.make(sent.name, sent.seed))
        if answer is None:
            return
        self._note("repeated", name=sent.name, id=answer.json["id"])
        if answer.json["id"] != sent.ids[0] or answer.headers.get("Idempotency-Replayed") != "true":
            evidence = f"{sent.name} made {sent.ids[0]}, and repeated {answer} {answer.headers}"
            self._findings.add("a repeat makes no second batch", evidence)

    def _reuse(self) -> None:
        """The key of one order with another."""
        if not (sent := self._one_with_key()):
            return
        other = {"jobs": [{"type": "numbers", "params": {"count": 0}}], "name": "never to be"}
        answer = self.calls.until_answered(
            "POST",
            "/v1/batches",
            data=json.dumps(other),
            headers={"Content-Type": "application/json", "Idempotency-Key": sent.key},
        )
        if (answer.status, answer.code) == (422, "idempotency-key-reused"):
            self._note("reuse-refused", name=sent.name)
        elif answer.code != "idempotency-key-in-flight":
            self._wrong(f"the key of {sent.name} with another order", answer)

    def _one_with_key(self) -> Sent | None:
        known = [sent for sent in self._memory.sent.values() if sent.key and sent.ids]
        return self._random.choice(known[-200:]) if known else None

    # --- what goes on -----------------------------------------------------------------------

    def _some_open(self) -> str | None:
        return self._random.choice(list(self._open)) if self._open else None

    def _wait(self) -> None:
        if batch_id := self._some_open():
            self._look_at(batch_id, wait=self._random.choice(("0.2", "0.5", "1")))

    def _look(self) -> None:
        if batch_id := self._some_open():
            self._look_at(batch_id)

    def _look_at(self, batch_id: str, **query: str) -> None:
        answer = self.calls.get(f"/v1/batches/{batch_id}", **query)
        if answer.status != 200:
            self._findings.add("nothing acknowledged is lost", f"{batch_id} answers {answer}")
            del self._open[batch_id]
            return
        counts = answer.json["counts"]
        if sum(counts.values()) != 2 * counts["total"]:
            self._wrong(f"the counts of {batch_id}", answer)
        if answer.json["status"] in ENDED:
            self._take_end(batch_id, answer)

    def _take_end(self, batch_id: str, answer: Answer) -> None:
        shown = answer.json
        self._note("seen-ended", id=batch_id, status=shown["status"], outcome=shown["outcome"])
        self._ended[batch_id] = self._open.pop(batch_id)

    def _see_to_followers(self) -> None:
        for batch_id, follower in list(self._followers.items()):
            if not follower.over:
                continue
            follower.join(10)
            del self._followers[batch_id]
            self.cuts += follower.cuts
            self.resumed += follower.cuts + follower.failures > 0
            seqs = [line["seq"] for line in follower.lines]
            total = len(self._memory.batches[batch_id].tasks)
            if seqs != list(range(1, total + 1)) or follower.end["total"] != total:
                evidence = f"{batch_id} has {total} jobs; seqs {seqs}, end {follower.end}"
                self._findings.add("a stream is resumed exactly", evidence)
            self._note("followed", id=batch_id, digest=digest_of(follower.lines))

    def _cancel(self) -> None:
        if batch_id := self._some_open():
            self._note("cancel-sent", id=batch_id)
            answer = self.calls.until_answered("POST", f"/v1/batches/{batch_id}/cancel")
            if answer.status not in (200, 202):
                self._wrong(f"the cancel of {batch_id}", answer)
            self._note("cancelled", id=batch_id, status=answer.status)

    def _cancel_job(self) -> None:
        if batch_id := self._some_open():
            index = self._random.randrange(len(self._open[batch_id].tasks))
            self._note("job-cancel-sent", id=batch_id, index=index)
            answer = self.calls.until_answered("POST", f"/v1/jobs/{batch_id}.{index}/cancel")
            if answer.status not in (200, 202):
                self._wrong(f"the cancel of {batch_id}.{index}", answer)
            self._note("job-cancelled", id=batch_id, index=index, status=answer.status)

    # --- what has ended ---------------------------------------------------------------------

    def _retry(self) -> None:
        if not self._ended:
            return
        batch_id = self._random.choice(list(self._ended))
        text = self.calls.get(f"/v1/batches/{batch_id}/results", format="ndjson").text
        lines = [json.loads(line) for line in text.splitlines()]
        indices = [n["index"] for n in lines if n["status"] in ("failed", "cancelled")]
        key = f"retry-{self._number}-{self._count}-{self._random.getrandbits(32)}"
        answer = self.calls.until_answered(
            "POST", f"/v1/batches/{batch_id}/retry", headers={"Idempotency-Key": key}
        )
        while answer.code == "idempotency-key-in-flight":
            Event().wait(PAUSE_S)
            answer = self.calls.until_answered(
                "POST", f"/v1/batches/{batch_id}/retry", headers={"Idempotency-Key": key}
            )
        if not indices and answer.code == "nothing-to-retry":
            return
        if answer.status not in (200, 202) or not indices:
            self._wrong(f"the retry of {indices} of {batch_id}", answer)
            return
        again = answer.json
        if again["id"] == batch_id or again["retry_of"] != batch_id:
            self._findings.add("a retry makes a new batch", f"of {batch_id} it made {answer}")
        self._note("retried", of=batch_id, id=again["id"], indices=indices)
        self._began(self._memory.batches[again["id"]])

    def _delete_early(self) -> None:
        """An active batch can't be deleted; it may end meanwhile, and then it can."""
        if (batch_id := self._some_open()) and batch_id not in self._followers:
            if self._deleted(batch_id):
                del self._open[batch_id]
            else:
                self.acts["delete-refused"] += 1

    def _deleted(self, batch_id: str) -> bool:
        """Delete it; False if it is active."""
        lost = self.calls.lost
        answer = self.calls.until_answered("DELETE", f"/v1/batches/{batch_id}")
        if answer.code == "batch-active":
            return False
        # one that was lost may have done it
        if answer.status != 204 and not (answer.status == 404 and self.calls.lost > lost):
            self._wrong(f"the delete of {batch_id}", answer)
        self._note("deleted", id=batch_id)
        return True

    def _let_go(self, batch_id: str) -> None:
        batch = self._ended.pop(batch_id)
        if batch_id in self._followers:
            self._ended[batch_id] = batch  # later
            return
        if batch.retry_of is None and self._random.random() < 0.1:
            return  # kept for the end
        self.tally.add(examine(self.calls, batch, self._freezes, self._findings))
        self._note("examined", id=batch_id)
        if not self._deleted(batch_id):
            self._wrong(f"the delete of {batch_id}, which has ended", "it is active")

    def _read(self) -> None:
        """What a person would look at."""
        known = [*self._open, *self._ended]
        if not known:
            return
        batch = f"/v1/batches/{self._random.choice(known)}"
        routes = ("/console", "/results?format=csv", "/timeline", "/jobs?limit=5", "/results")
        others = ("/v1/batches?limit=20", "/v1/executor", "/metrics", "/healthz")
        path = self._random.choice([f"{batch}{route}" for route in routes] + list(others))
        answer = self.calls.get(path)
        if answer.status != 200:
            self._wrong(path, answer)
