"""The system's clock is set an hour forward or back, and processes start with what it says then:
nothing expires in mass, nobody is taken for dead, and order is that of sequence."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from service.composition import Service
from tests.support.api import Api, job
from tests.support.clock import SteppedClock

HOUR_MS = 3_600_000
STEPS = [HOUR_MS, -HOUR_MS]
TTL_S = 3_900
"""What an hour's step leaves of it is more than the test takes."""


@pytest.mark.parametrize("step_ms", STEPS)
def test_what_was_there_before_a_step_is_there_after_it_and_in_order(
    make_service: Callable[..., Service], step_ms: int
) -> None:
    first = make_service()
    api = Api(first.app.test_client())
    jobs = [job(count=1)] * 3
    before = [api.submit(*jobs, name=f"before-{n}", ttl_s=TTL_S) for n in range(3)]
    for path in before:
        api.ended(path)
    sequence = seqs(api, before[0])
    first.stop(0.0)
    second = make_service(clock=SteppedClock(step_ms))
    api = Api(second.app.test_client())
    path = api.submit(*[job(count=1)] * 3, name="after")
    api.ended(path)
    assert not second.store.expire_piece()
    names = [batch["name"] for batch in api.get("/v1/batches")["items"]]
    assert names == ["after", "before-2", "before-1", "before-0"]
    assert seqs(api, before[0]) == sequence
    assert api.get(before[0])["elapsed_s"] >= 0


def seqs(api: Api, path: str) -> list[int]:
    response = api.client.get(f"{path}/results?follow=true")
    lines = [line for line in response.text.splitlines() if '"type":"end"' not in line]
    return [int(line.split('"seq":')[1].split(",")[0]) for line in lines]


@pytest.mark.parametrize("step_ms", STEPS)
def test_a_process_that_starts_after_a_step_takes_nobody_for_dead(
    make_service: Callable[..., Service], step_ms: int
) -> None:
    first = make_service(pool_size=1, node_timeout_s=1)
    api = Api(first.app.test_client())
    path = api.submit(job("sleeper", seconds=2.0))
    api.until(path, "running")
    make_service(clock=SteppedClock(step_ms), pool_size=1, node_timeout_s=1)
    assert api.ended(path)["outcome"] == "succeeded"
    (item,) = api.jobs(path)
    assert len(item["attempts"]) == 1
