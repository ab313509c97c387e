"""The status against batches of which it is known how concurrent they were."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from service.composition import Service
from tests.support.api import Api, job
from tests.support.jobs import Held
from tests.support.waiting import eventually


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def attempts_of(api: Api, path: str) -> list[Any]:
    return [attempt for item in api.jobs(path) for attempt in item["attempts"]]


def run_s(attempts: list[Any]) -> float:
    return sum(moment(one["finished_at"]) - moment(one["started_at"]) for one in attempts)


@pytest.mark.parametrize("executor", ["pool", "dedicated"])
@pytest.mark.parametrize("width", [1, 3, 8])
def test_the_peak_is_exactly_as_many_as_ran_together(api: Api, width: int, executor: str) -> None:
    jobs = [job("together", parties=width, name=f"{executor} {width}")] * (3 * width)
    batch = api.run(*jobs, max_workers=width, executor=executor)
    assert batch["outcome"] == "succeeded"
    assert batch["concurrency"]["peak"] == width


def test_the_average_is_the_sum_of_the_spans_over_the_elapsed_time(api: Api) -> None:
    jobs = [job("together", parties=4, name="average")] * 8
    path = api.submit(*jobs, job("sleeper", seconds=0.3), max_workers=4)
    batch = api.ended(path)
    attempts = attempts_of(api, path)
    first = min(moment(one["started_at"]) for one in attempts)
    last = max(moment(one["finished_at"]) for one in attempts)
    assert moment(batch["finished_at"]) == last
    assert moment(batch["started_at"]) <= first
    elapsed_s = moment(batch["finished_at"]) - moment(batch["started_at"])
    assert batch["elapsed_s"] == pytest.approx(elapsed_s, abs=0.001)
    assert batch["concurrency"]["average"] == pytest.approx(run_s(attempts) / elapsed_s, abs=0.01)
    assert 1 < batch["concurrency"]["average"] <= batch["concurrency"]["peak"] == 4


def test_jobs_put_back_from_behind_a_long_one_have_not_run_meanwhile(
    make_service: Callable[..., Service],
) -> None:
    api = Api(make_service(pool_size=1).app.test_client())
    jobs = [*[job(count=0)] * 200, job("sleeper", seconds=0.3), *[job(count=0)] * 200]
    path = api.submit(*jobs)
    batch = api.ended(path)
    assert api.get(f"{path}/timeline")["totals"]["run_ms"] == pytest.approx(
        run_s(attempts_of(api, path)) * 1000, abs=1
    )
    assert batch["concurrency"]["average"] <= 1
    assert batch["concurrency"]["peak"] == 1


def test_while_long_jobs_run_the_peak_is_seen_before_any_of_them_ends(api: Api) -> None:
    path = api.submit(*[job("sleeper")] * 5)

    def seen() -> Any:
        batch = api.get(path)
        found = batch["concurrency"]
        return batch if found["peak"] > 4 and found["average"] >= 4.5 else None

    batch = eventually(seen, "the peak is written down")
    assert batch["concurrency"]["peak"] == batch["counts"]["running"] == 5
    assert batch["concurrency"]["average"] <= 5
    api.client.post(f"{path}/cancel")
    api.ended(path)


def test_the_cpu_of_burning_jobs_is_what_they_burnt_and_no_more_than_one_core(api: Api) -> None:
    path = api.submit(*[job("burner", cpu_s=0.1)] * 6, max_workers=3)
    batch = api.ended(path)
    burnt_ms = [one["cpu_ms"] for one in attempts_of(api, path)]
    assert all(100 <= one < 200 for one in burnt_ms)
    parallelism = batch["concurrency"]["cpu_parallelism"]
    assert parallelism == pytest.approx(sum(burnt_ms) / 1000 / batch["elapsed_s"], abs=0.01)
    assert 0 < parallelism <= 1.05  # one at a time holds Python's lock
    assert batch["concurrency"]["average"] > parallelism


def test_sleeping_jobs_use_no_cpu_to_speak_of_however_many_run(
    make_service: Callable[..., Service],
) -> None:
    held = Held()
    api = Api(make_service([held]).app.test_client())
    path = api.submit(*[job("held")] * 8)
    eventually(lambda: api.get(path)["concurrency"]["peak"] >= 8, "all of them run")
    held.go.set()
    batch = api.ended(path)
    assert batch["concurrency"]["peak"] == 8
    assert batch["concurrency"]["cpu_parallelism"] <= 0.2


def test_a_batch_that_was_cancelled_before_it_began_took_no_time(
    make_service: Callable[..., Service],
) -> None:
    api = Api(make_service(pool_size=1).app.test_client())
    blocker = api.submit(job("sleeper"))
    api.until(blocker, "running")
    path = api.submit(job(count=1), priority=-1)
    api.client.post(f"{path}/cancel")
    batch = api.ended(path)
    assert (batch["started_at"], batch["elapsed_s"]) == (None, None)
    assert batch["concurrency"] == {"average": None, "peak": 0, "cpu_parallelism": None}
    assert batch["finished_at"] is not None
