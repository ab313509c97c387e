"""Jobs on real threads: what running them promises."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from service.composition import Service
from tests.support.api import Api, job
from tests.support.jobs import Held, Stuck
from tests.support.waiting import eventually


def test_results_are_in_submission_order_whatever_ends_first(api: Api) -> None:
    path = api.submit(
        job(start=0, count=3, delay_s=0.05), job(count=0), job("letters", letters="AB")
    )
    api.ended(path)
    lines = [item["result"]["lines"] for item in api.get(f"{path}/results")["items"]]
    assert lines == [["0", "1", "2"], [], ["A", "B"]]


def test_elapsed_is_the_longest_and_not_the_sum_on_a_pool(api: Api) -> None:
    batch = api.run(*[job(count=2, delay_s=0.4)] * 4)
    assert 0.8 <= batch["elapsed_s"] < 4 * 0.8
    assert batch["concurrency"]["peak"] == 4
    assert batch["concurrency"]["average"] > 1.5


def test_elapsed_is_the_sum_when_sequential(api: Api) -> None:
    batch = api.run(*[job(count=1, delay_s=0.15)] * 3, executor="sequential")
    assert batch["elapsed_s"] >= 0.45
    assert batch["concurrency"]["peak"] == 1


def test_max_workers_is_never_exceeded(api: Api) -> None:
    path = api.submit(*[job(count=1, delay_s=0.05)] * 12, max_workers=2)
    batch = api.ended(path)
    assert batch["concurrency"]["peak"] == 2
    spans = [attempt for item in api.jobs(path) for attempt in item["attempts"]]
    edges = sorted(
        itertools.chain(
            ((span["started_at"], 1) for span in spans),
            ((span["finished_at"], -1) for span in spans),
        )
    )
    assert max(itertools.accumulate(change for _, change in edges)) <= 2


def test_dedicated_jobs_have_threads_of_their_own(api: Api) -> None:
    path = api.submit(*[job(count=1, delay_s=0.1)] * 3, executor="dedicated")
    api.ended(path)
    threads = [item["attempts"][0]["thread"] for item in api.jobs(path)]
    assert threads == ["Thread-1", "Thread-2", "Thread-3"]


def test_sequential_jobs_share_one_thread(api: Api) -> None:
    path = api.submit(*[job(count=1)] * 5, executor="sequential")
    api.ended(path)
    assert len({item["attempts"][0]["thread"] for item in api.jobs(path)}) == 1


def test_under_the_job_lock_the_lines_of_a_job_stay_together(api: Api) -> None:
    jobs = [job(name=name, count=5, delay_s=0.01) for name in ("a", "b", "c")]
    path = api.submit(*jobs, lock="job", executor="dedicated")
    api.ended(path)
    names = [line.split(":")[0] for line in api.console(path).splitlines()]
    assert len(list(itertools.groupby(names))) == 3


def test_under_the_line_lock_lines_are_whole_and_jobs_interleave(api: Api) -> None:
    jobs = [job(name=name, count=10, delay_s=0.01) for name in ("a", "b", "c")]
    path = api.submit(*jobs, executor="dedicated")
    api.ended(path)
    lines = api.console(path).splitlines()
    assert sorted(lines) == sorted(f"{name}: {n}" for name in "abc" for n in range(1, 11))
    assert len(list(itertools.groupby(line[0] for line in lines))) > 3


def test_without_a_lock_the_race_can_be_seen(api: Api) -> None:
    def race() -> bool:
        jobs = [job(name=name, count=200) for name in ("aaaa", "bbbb", "cccc", "dddd")]
        path = api.submit(*jobs, lock="none", executor="dedicated")
        api.ended(path)
        whole = {f"{name}: {n}" for name in ("aaaa", "bbbb", "cccc", "dddd") for n in range(201)}
        return any(line not in whole for line in api.console(path).splitlines())

    assert any(race() for _ in range(20))


def test_a_jobs_own_console_holds_only_its_lines(api: Api) -> None:
    path = api.submit(job(name="a", count=3), job(name="b", count=3))
    api.ended(path)
    batch_id = path.rsplit("/", 1)[1]
    assert api.client.get(f"/v1/jobs/{batch_id}.1/console").text == "b: 1\nb: 2\nb: 3\n"


def test_a_small_batch_behind_a_big_one_does_not_wait_for_it(api: Api) -> None:
    big = api.submit(*[job(count=1, delay_s=0.01)] * 3000)
    small = api.run(*[job(count=1)] * 10)
    assert small["outcome"] == "succeeded"
    counts = api.get(big)["counts"]
    assert counts["queued"] > 1000
    api.client.post(f"{big}/cancel")
    api.ended(big)


# --- failures -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code"),
    [
        ("ValueError", "exception"),
        ("SystemExit", "exception"),
        ("KeyboardInterrupt", "exception"),
        ("BaseException", "exception"),
        ("MemoryError", "exception"),
        ("RecursionError", "exception"),
        ("GeneratorExit", "exception"),
        ("surrogate", "exception"),
        ("JobFailed", "told_to"),
        ("untellable", "exception"),
        ("odd extra", "odd"),
        ("surrogate extra", "odd"),
        ("nan extra", "odd"),
        ("never", "odd"),
    ],
)
def test_whatever_a_job_raises_it_fails_and_its_place_comes_back(
    make_service: Callable[..., Service], error: str, code: str
) -> None:
    api = Api(make_service(pool_size=1).app.test_client())
    path = api.submit(job("raiser", error=error), job(count=1))
    batch = api.ended(path)
    assert batch["outcome"] == "partial"
    failed = api.jobs(path)[0]
    assert (failed["status"], failed["error"]["code"]) == ("failed", code)
    assert "Traceback" not in failed["error"]["detail"]


@pytest.mark.parametrize("executor", ["dedicated", "sequential"])
def test_a_thread_of_its_own_comes_back_too(
    make_service: Callable[..., Service], executor: str
) -> None:
    api = Api(make_service(dedicated_limit=1).app.test_client())
    errors = ["SystemExit", "BaseException", "MemoryError", "RecursionError"]
    path = api.submit(*[job("raiser", error=e) for e in errors], job(count=1), executor=executor)
    assert api.ended(path)["outcome"] == "partial"
    *failed, last = api.jobs(path)
    assert {item["error"]["code"] for item in failed} == {"exception"}
    assert last["status"] == "succeeded"


def test_a_job_that_defers_itself_for_ever_waits_and_can_be_cancelled(api: Api) -> None:
    path = api.submit(job("raiser", error="deferred for ever"), job(count=1))
    api.until(path, "succeeded")
    eventually(lambda: api.jobs(path)[0]["wait_reason"] == "host_limit", "it waits")
    api.client.post(f"{path}/cancel")
    assert api.ended(path)["status"] == "cancelled"


UNKEEPABLE = ["nan", "object", "surrogate", "large", "deep"]
UNKEEPABLE += ["broken json text", "nan in json text", "deep json text"]


@pytest.mark.parametrize("kind", UNKEEPABLE)
def test_a_result_that_can_not_be_kept_is_a_failed_job(api: Api, kind: str) -> None:
    path = api.submit(job("returner", kind=kind))
    api.ended(path)
    assert api.jobs(path)[0]["error"]["code"] in ("bad_result", "result_too_large")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("none", None), ("unicode", "é\u2028\x00"), ("json text", {"a": [1, "é\u2028"]})],
)
def test_odd_results_come_back_as_they_are(api: Api, kind: str, value: Any) -> None:
    path = api.submit(job("returner", kind=kind))
    assert api.ended(path)["outcome"] == "succeeded"
    assert api.jobs(path)[0]["result"] == value


def test_a_retryable_failure_is_tried_again_and_each_attempt_is_shown(api: Api) -> None:
    path = api.submit({**job("flaky", failures=2), "max_attempts": 3})
    assert api.ended(path)["outcome"] == "succeeded"
    (item,) = api.jobs(path)
    assert [attempt["n"] for attempt in item["attempts"]] == [1, 2, 3]
    codes = [attempt["error"] and attempt["error"]["code"] for attempt in item["attempts"]]
    assert codes == ["flaky", "flaky", None]
    assert item["result"] == {"attempt": 3}


def test_attempts_end_at_max_attempts(api: Api) -> None:
    path = api.submit({**job("flaky", failures=5), "max_attempts": 2})
    assert api.ended(path)["outcome"] == "failed"
    assert len(api.jobs(path)[0]["attempts"]) == 2


def test_a_failure_that_is_not_retryable_is_not_tried_again(api: Api) -> None:
    path = api.submit({**job("raiser", error="JobFailed"), "max_attempts": 5})
    api.ended(path)
    (item,) = api.jobs(path)
    assert len(item["attempts"]) == 1
    assert item["error"]["hint"] == "none"


def test_a_job_that_puts_itself_off_is_charged_no_attempt(make_service: Any) -> None:
    api = Api(make_service().app.test_client())
    path = api.submit(job("deferrer", delay_s=0.2))
    assert api.ended(path)["outcome"] == "succeeded"
    assert api.jobs(path)[0]["result"] == {"attempt": 1}


def test_a_waiting_job_tells_why(make_service: Any) -> None:
    service = make_service(retry_base_s=3000.0, retry_max_s=3000.0)
    api = Api(service.app.test_client())
    path = api.submit({**job("flaky", failures=1), "max_attempts": 2})

    def waiting() -> Any:
        (item,) = api.jobs(path)
        return item if item["wait_reason"] == "retry_backoff" else None

    item = eventually(waiting, "the job waits for its retry")
    assert item["status"] == "queued"
    assert api.get(path)["counts"]["queued"] == 1


def test_queued_jobs_tell_what_they_wait_for(make_service: Callable[..., Service]) -> None:
    api = Api(make_service(pool_size=1).app.test_client())
    first = api.submit(job("sleeper"), job("sleeper"), max_workers=1)
    api.until(first, "running")
    second = api.submit(job("sleeper"))
    assert api.jobs(first)[1]["wait_reason"] == "batch_limit"
    assert api.jobs(second)[0]["wait_reason"] == "pool_full"


# --- stopping -------------------------------------------------------------------------------


def test_a_timeout_ends_a_job_that_listens(api: Api) -> None:
    path = api.submit({**job("sleeper"), "timeout_s": 0.1})
    assert api.ended(path)["outcome"] == "failed"
    assert api.jobs(path)[0]["error"]["code"] == "timeout"


def test_a_job_that_does_not_return_is_failed_and_its_thread_replaced(
    make_service: Callable[..., Service],
) -> None:
    stuck = Stuck()
    api = Api(make_service([stuck], pool_size=1).app.test_client())
    path = api.submit({**job("stuck"), "timeout_s": 0.1})
    assert api.ended(path)["outcome"] == "failed"
    detail = api.jobs(path)[0]["error"]["detail"]
    assert "has not returned" in detail
    assert not_returned(api) == 1
    assert api.client.get("/readyz").status_code == 503
    assert api.run(job(count=1))["outcome"] == "succeeded"
    stuck.go.set()
    eventually(lambda: not_returned(api) == 0, "the thread returns")
    assert api.client.get("/readyz").status_code == 200
    assert api.jobs(path)[0]["status"] == "failed"


@pytest.mark.parametrize("executor", ["dedicated", "sequential"])
def test_a_thread_of_its_own_that_does_not_return_keeps_no_other_job_waiting(
    make_service: Callable[..., Service], executor: str
) -> None:
    stuck = Stuck()
    api = Api(make_service([stuck], dedicated_limit=2).app.test_client())
    path = api.submit({**job("stuck"), "timeout_s": 0.1}, job(count=1), executor=executor)
    try:
        assert api.ended(path)["outcome"] == "partial"
        assert [one["status"] for one in api.jobs(path)] == ["failed", "succeeded"]
        assert not_returned(api) == 1
        assert api.run(job(count=1), executor=executor)["outcome"] == "succeeded"
    finally:
        stuck.go.set()
    eventually(lambda: not_returned(api) == 0, "the thread returns")
    together = [job("together", parties=2, name="both")] * 2
    assert api.run(*together, executor="dedicated")["outcome"] == "succeeded", "both places"


def test_jobs_that_ignore_their_cancel_are_replaced_and_past_a_quarter_it_is_not_ready(
    make_service: Callable[..., Service],
) -> None:
    stuck = Stuck()
    api = Api(make_service([stuck], pool_size=8).app.test_client())

    def lose(threads: int) -> str:
        path = api.submit(*[job("stuck")] * threads)
        before = not_returned(api)
        api.until(path, "running", threads)
        api.client.post(f"{path}/cancel")
        eventually(lambda: not_returned(api) == before + threads, "they are given up")
        return path

    try:
        two = lose(2)
        assert api.client.get("/readyz").status_code == 200, "a quarter may be lost"
        together = [job("together", parties=8, name="all")] * 8
        assert api.run(*together)["outcome"] == "succeeded", "all eight places are there"
        one = lose(1)
        assert api.client.get("/readyz").status_code == 503
        assert api.run(*together)["outcome"] == "succeeded"
        assert [api.get(path)["status"] for path in (two, one)] == ["cancelling"] * 2
    finally:
        stuck.go.set()
    for path in (two, one):
        api.ended(path)
    eventually(lambda: not_returned(api) == 0, "they have returned")
    assert api.client.get("/readyz").status_code == 200


def not_returned(api: Api) -> int:
    return int(api.get("/v1/executor")["threads"]["not_returned"])


def test_a_cancelled_batch_stops_what_runs_and_drops_what_waits(
    make_service: Callable[..., Service],
) -> None:
    api = Api(make_service(pool_size=2).app.test_client())
    path = api.submit(*[job("sleeper")] * 5)
    api.until(path, "running", 2)
    response = api.client.post(f"{path}/cancel")
    assert response.status_code == 202
    assert response.json == {"cancelled_queued": 3, "still_running": 2}
    batch = api.ended(path)
    assert (batch["status"], batch["outcome"]) == ("cancelled", "cancelled")
    again = api.client.post(f"{path}/cancel")
    assert (again.status_code, again.json["still_running"]) == (200, 0)


def test_a_job_whose_thread_has_not_returned_is_cancelling_and_never_yet_cancelled(
    make_service: Callable[..., Service],
) -> None:
    stuck = Stuck()
    api = Api(make_service([stuck]).app.test_client())
    path = api.submit(job("stuck"))
    api.until(path, "running")
    api.client.post(f"{path}/cancel")
    assert api.jobs(path)[0]["status"] == "cancelling"
    batch = api.get(path)
    assert (batch["status"], batch["counts"]["running"]) == ("cancelling", 1)
    stuck.go.set()
    # it did its work in the end, so that is what is recorded
    assert api.ended(path)["outcome"] == "succeeded"


def test_one_job_can_be_cancelled(make_service: Callable[..., Service]) -> None:
    api = Api(make_service(pool_size=1).app.test_client())
    path = api.submit(job("sleeper"), job(count=1))
    api.until(path, "running")
    first = api.jobs(path)[0]["id"]
    response = api.client.post(f"/v1/jobs/{first}/cancel")
    assert response.status_code == 202
    assert response.json["status"] in ("cancelling", "cancelled")
    batch = api.ended(path)
    assert (batch["status"], batch["outcome"]) == ("completed", "partial")
    assert api.client.post(f"/v1/jobs/{first}/cancel").status_code == 200


def test_a_job_that_waits_for_its_batchs_lock_can_be_cancelled(api: Api) -> None:
    path = api.submit(job("sleeper"), job("sleeper"), lock="job", executor="dedicated")
    api.until(path, "running", 2)
    api.client.post(f"{path}/cancel")
    assert api.ended(path)["outcome"] == "cancelled"


def test_a_stop_hands_running_jobs_back_and_a_start_finishes_them(
    make_service: Callable[..., Service],
) -> None:
    held = Held()
    first = make_service([held], pool_size=2)
    path = Api(first.app.test_client()).submit(*[job("held")] * 4)
    Api(first.app.test_client()).until(path, "running", 2)
    first.stop(0.0)
    held.go.set()
    api = Api(make_service([held]).app.test_client())
    assert api.ended(path)["counts"]["succeeded"] == 4
    items = api.jobs(path)
    again = [item for item in items if len(item["attempts"]) == 2]
    assert len(again) == 2
    assert {item["attempts"][0]["error"]["code"] for item in again} == {"handed_back"}


def test_a_cancelled_job_that_never_returns_is_cancelled_once_its_process_has_gone(
    make_service: Callable[..., Service],
) -> None:
    stuck = Stuck()
    first = make_service([stuck], pool_size=1)
    api = Api(first.app.test_client())
    path = api.submit(job("stuck"))
    api.until(path, "running")
    api.client.post(f"{path}/cancel")
    eventually(lambda: not_returned(api), "it overstays")
    first.stop(0.0)
    again = Api(make_service([stuck]).app.test_client())
    assert again.ended(path)["status"] == "cancelled"
    stuck.go.set()


def test_waiting_for_a_lock_or_a_turn_does_not_use_up_the_timeout(api: Api) -> None:
    jobs = [job("sleeper", seconds=3.0), *[{**job(count=1), "timeout_s": 2.0}] * 4]
    for executor in ("pool", "dedicated"):
        assert api.run(*jobs, lock="job", executor=executor)["outcome"] == "succeeded"


def test_a_batch_under_one_lock_leaves_the_pool_to_others(
    make_service: Callable[..., Service],
) -> None:
    api = Api(make_service(pool_size=2).app.test_client())
    path = api.submit(*[job("sleeper", seconds=120.0)] * 4, lock="job")
    api.until(path, "running")
    assert api.run(*[job(count=1)] * 4)["outcome"] == "succeeded"
    api.client.post(f"{path}/cancel")


def test_busy_counts_threads_and_not_the_jobs_that_wait_for_them(api: Api) -> None:
    path = api.submit(*[job(count=1)] * 3_000)

    def done() -> bool:
        threads = api.get("/v1/executor")["threads"]
        assert threads["busy"] <= 8
        return bool(api.get(path)["status"] == "completed")

    eventually(done, "it ends")


def test_a_console_keeps_what_stands_behind_a_nul(api: Api) -> None:
    path = api.submit(job("nul"))
    api.ended(path)
    assert api.console(path) == "before\ufffdafter\nsecond\n"


def test_a_stop_lets_running_jobs_end_within_the_drain(
    make_service: Callable[..., Service],
) -> None:
    held = Held()
    first = make_service([held])
    api = Api(first.app.test_client())
    path = api.submit(job("held"))
    api.until(path, "running")
    stop = Thread(target=first.stop, args=(60.0,))
    stop.start()
    eventually(lambda: api.client.get("/readyz").status_code == 503, "it drains")
    held.go.set()
    stop.join()
    api = Api(make_service([held]).app.test_client())
    assert len(api.jobs(path)[0]["attempts"]) == 1
    assert api.get(path)["outcome"] == "succeeded"


def test_while_it_drains_it_takes_no_batch(make_service: Callable[..., Service]) -> None:
    service = make_service()
    service.stop(0.0)
    response = Api(service.app.test_client()).post([job()])
    assert response.status_code == 503
    assert response.json["code"] == "draining"
    assert response.headers["Retry-After"]
    assert service.app.test_client().get("/readyz").status_code == 503
    assert service.app.test_client().get("/healthz").status_code == 200


def test_a_service_stops_twice_and_before_it_started(settings: Any) -> None:
    settings.data_dir.mkdir()
    service = Service(settings)
    service.stop()
    service.stop()


# --- many -----------------------------------------------------------------------------------


def test_twenty_thousand_jobs_end_each_once(api: Api) -> None:
    path = api.submit(*[job(count=1)] * 20_000)
    batch = api.ended(path, timeout_s=60)
    assert batch["counts"]["succeeded"] == 20_000
    seqs = set()
    for line in api.client.get(f"{path}/results?format=ndjson").iter_encoded():
        seqs |= {row.split(b",")[0] for row in line.splitlines()}
    assert len(seqs) == 20_000


def test_short_jobs_in_a_shift_do_not_wait_for_a_long_one(api: Api) -> None:
    """The pace says that jobs are short; then one is long: those behind it move on."""
    short, long = [job(count=1)] * 500, [job("sleeper", seconds=120.0)]
    path = api.submit(*short, *long, *short)
    batch = api.until(path, "succeeded", 1000)
    assert batch["counts"]["running"] == 1
    api.client.post(f"{path}/cancel")
    api.ended(path)
