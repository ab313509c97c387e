"""What a key may use: batches a minute, and jobs in the queue."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from service.composition import Service
from service.errors import KeyReused, QueueFull, QuotaUsed
from service.model import BatchOptions, Executor, JobSpec
from service.operations.parts import Caller
from service.operations.submissions import Submissions
from service.store.store import STAGE
from service.store.submits import Remembered
from tests.support.api import Api, job
from tests.support.clock import MovedClock
from tests.support.keys import api_of, api_with, make_key
from tests.support.waiting import eventually

MINUTE_MS = 60_000


def left(answer: Any) -> tuple[int, int]:
    """What ``RateLimit`` tells: batches left, and seconds until there are more."""
    found = re.fullmatch(r'"batches";r=(\d+);t=(\d+)', answer.headers["RateLimit"])
    assert found
    return int(found[1]), int(found[2])


def test_the_batches_of_a_minute_are_counted_and_told(make_service: Callable[..., Service]) -> None:
    clock = MovedClock()
    service = make_service(clock=clock)
    api, other = (api_of(service, name, batches_per_minute=2) for name in ("one", "two"))
    first = api.post([job(count=0)])
    assert first.status_code == 202
    assert first.headers["RateLimit-Policy"] == '"batches";q=2;w=60'
    assert left(first) == (1, 60)
    clock.ahead_ms = 20_000
    second = api.post([job(count=0)])
    assert second.status_code == 202
    assert left(second)[0] == 0
    assert 38 <= left(second)[1] <= 40
    refused = api.post([job(count=0)])
    assert (refused.status_code, refused.json["code"]) == (429, "quota-batches")
    assert "2 batches a minute (key_batches_per_minute)" in refused.json["detail"]
    assert left(refused)[0] == 0
    assert refused.headers["Retry-After"] == str(left(refused)[1])
    assert other.post([job(count=0)]).status_code == 202
    clock.ahead_ms += left(refused)[1] * 1000
    assert left(api.post([job(count=0)])) == (1, 60)


def test_a_clock_that_is_set_back_does_not_lengthen_the_minute(
    make_service: Callable[..., Service],
) -> None:
    clock = MovedClock()
    api = api_of(make_service(clock=clock), batches_per_minute=1)
    assert api.post([job(count=0)]).status_code == 202
    assert api.post([job(count=0)]).status_code == 429
    clock.ahead_ms = -10 * MINUTE_MS
    assert left(api.post([job(count=0)])) == (0, 60)


def test_what_makes_no_batch_is_not_charged(service: Service) -> None:
    api = api_of(service, batches_per_minute=2, max_queued_jobs=20)

    def keyed() -> Any:
        body = {"jobs": [job(count=0)]}
        return api.client.post("/v1/batches", json=body, headers={"Idempotency-Key": "k"})

    assert left(keyed())[0] == 1
    assert api.post([job(count=0)], "?dry_run=true").status_code == 200
    assert api.post([]).status_code == 422
    assert api.post([job(count=0)] * 21).status_code == 429
    for _ in range(3):
        again = keyed()
        assert again.headers["Idempotency-Replayed"] == "true"
        assert left(again)[0] == 1
    path = api.submit(job(count=0))
    api.ended(path)
    assert keyed().status_code == 202, "a replay needs no quota"
    retry = api.client.post(f"{path}/retry", json={"status": ["succeeded"]})
    assert (retry.status_code, retry.json["code"]) == (429, "quota-batches"), "it is a batch too"


def test_the_jobs_of_a_key_in_the_queue_are_bounded(service: Service) -> None:
    api, other = (api_of(service, name, max_queued_jobs=5) for name in ("one", "two"))
    # one runs, one is queued behind it
    path = api.submit(job("sleeper"), job("sleeper"), max_workers=1)
    api.until(path, "running")
    assert api.post([job("sleeper")] * 4, executor="sequential").status_code == 202
    until_queued(api, 4)
    refused = api.post([job(count=0)] * 2)
    assert (refused.status_code, refused.json["code"]) == (429, "quota-queued")
    assert "4 of at most 5 jobs queued (key_max_queued_jobs); 2 more" in refused.json["detail"]
    assert int(refused.headers["Retry-After"]) > 0
    assert other.post([job(count=0)] * 5).status_code == 202
    api.client.post(f"{path}/cancel")
    until_queued(api, 3)
    assert api.post([job("sleeper")] * 2).status_code == 202


def until_queued(api: Api, count: int) -> None:
    def queued() -> int:
        return sum(batch["counts"]["queued"] for batch in api.get("/v1/batches")["items"])

    eventually(lambda: queued() == count, f"{count} jobs are queued")


def test_the_settings_bind_a_key_without_quotas_of_its_own(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(key_max_queued_jobs=1, key_batches_per_minute=1)
    api = api_of(service, "plain")
    assert api.post([job(count=0)] * 2).json["code"] == "quota-queued"
    assert left(api.post([job(count=0)]))[0] == 0
    assert api.post([job(count=0)]).json["code"] == "quota-batches"
    free = api_of(service, "free", max_queued_jobs=0, batches_per_minute=0)
    for _ in range(3):
        answer = free.post([job(count=0)] * 3)
        assert answer.status_code == 202
        assert "RateLimit" not in answer.headers


def test_without_keys_there_are_no_quotas(make_service: Callable[..., Service]) -> None:
    api = api_with(make_service(key_max_queued_jobs=1, key_batches_per_minute=1), None)
    for _ in range(3):
        answer = api.post([job(count=0)] * 3)
        assert answer.status_code == 202
        assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers.keys())


def test_a_long_stream_is_left_once_it_is_over_a_bound(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(max_queued_jobs=3 * STAGE)
    make_key(service, "small", max_queued_jobs=2 * STAGE)
    make_key(service, "large", max_queued_jobs=0, batches_per_minute=1)
    small, large = (service.operations.of(Caller(owner)).submissions for owner in (1, 2))
    spec = JobSpec("sleeper", "{}", None, None, 1)

    def submit(by: Submissions, count: int, fingerprint: str = "f") -> int:
        """How many were read before it was refused."""
        remaining = iter([spec] * count)
        remembered = Remembered("hash", fingerprint)
        options = BatchOptions(executor=Executor.SEQUENTIAL)
        with pytest.raises((QuotaUsed, QueueFull, KeyReused)):
            by.submit(options, remaining, lambda: remembered, "hash")
        return count - sum(1 for _ in remaining)

    assert submit(small, 20 * STAGE) == 3 * STAGE
    assert submit(large, 20 * STAGE) == 4 * STAGE
    large.submit(BatchOptions(), [spec], lambda: Remembered("hash", "f"), "hash")
    assert submit(large, 5 * STAGE, "other") == 5 * STAGE, "it might have been a repeat"
