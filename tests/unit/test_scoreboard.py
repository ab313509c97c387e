from __future__ import annotations

import os
import signal
from threading import Thread

import pytest

from service.metrics.exposition import exposition
from service.metrics.metrics import MOST_CODES, Metrics, forget_worker
from service.metrics.scoreboard import MOST_SERIES, Scoreboard, Slot
from service.model import Committed, EndedBatch, EndedJobs, JobState


def text_of(metrics: Metrics) -> str:
    return exposition(metrics.board, {}).decode()


def ended(*jobs: EndedJobs) -> Committed:
    return Committed(list(jobs), [], len(jobs), 0.003)


def test_threads_lose_no_count() -> None:
    board = Scoreboard()
    slot = Slot(board)

    def count() -> None:
        for n in range(2_000):
            slot.add([(("jobs", str(n % 7)), 1)])

    threads = [Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(value for _, value in board.read()) == 16_000


def test_a_killed_workers_counts_stay_and_its_successor_goes_on() -> None:
    board = Scoreboard(slots=3)
    pid = os.fork()
    if not pid:
        Slot(board, 1).add([(("jobs", "a"), 41)])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(pid, 0)
    assert dict(board.read()) == {("jobs", "a"): 41}
    Slot(board, 1).add([(("jobs", "a"), 1), (("jobs", "b"), 1)])
    assert dict(board.read()) == {("jobs", "a"): 42, ("jobs", "b"): 1}


def test_slots_are_used_again_and_never_by_two() -> None:
    board = Scoreboard(slots=2)
    assert board.free_slot([]) == 0
    assert board.free_slot([0]) == 1
    assert board.free_slot([1, None]) == 0
    assert board.free_slot([0, 1]) is None


def test_a_full_slot_goes_on_counting_what_it_knows(caplog: pytest.LogCaptureFixture) -> None:
    board = Scoreboard()
    slot = Slot(board)
    slot.add(((str(n),), 1) for n in range(MOST_SERIES + 10))
    slot.add([(("0",), 1)])
    values = dict(board.read())
    assert len(values) == MOST_SERIES
    assert values["0",] == 2
    assert [r.getMessage() for r in caplog.records] == ["metrics are full, new series are left out"]


def test_a_dead_workers_threads_are_counted_no_more() -> None:
    metrics = Metrics()
    metrics.know(["numbers"])
    metrics.threads(busy=3, idle=13, not_returned=1)
    metrics.committed(ended(EndedJobs("numbers", JobState.SUCCEEDED, 10, 20)))
    assert 'jobspool_threads{state="busy"} 3.0' in text_of(metrics)
    forget_worker(metrics.board, 0)
    text = text_of(metrics)
    assert 'jobspool_threads{state="busy"} 0.0' in text
    assert 'jobspool_jobs_finished_total{status="succeeded",type="numbers"} 1.0' in text


def test_times_fall_into_the_bucket_whose_bound_they_reach() -> None:
    metrics = Metrics()
    metrics.know(["numbers"])
    times = {5: 1, 6: 2, 10: 1, 9_000_000: 1}
    jobs = [EndedJobs("numbers", JobState.SUCCEEDED, run, 0, number=n) for run, n in times.items()]
    metrics.committed(ended(*jobs))
    text = text_of(metrics)
    for bound, count in (("0.005", 1), ("0.01", 4), ("3600.0", 4), ("+Inf", 5)):
        line = f'jobspool_job_run_seconds_bucket{{le="{bound}",type="numbers"}} {count}.0'
        assert line in text
    assert 'jobspool_job_run_seconds_sum{type="numbers"} 9000.027' in text
    assert 'jobspool_job_run_seconds_count{type="numbers"} 5.0' in text


def test_labels_stay_few_whatever_jobs_and_clients_make_up() -> None:
    metrics = Metrics()
    metrics.know(["numbers"])
    errors = [f'{{"code":"code{n}"}}' for n in range(1_000)] + ["not JSON", "[]", "5"]
    jobs = [EndedJobs(f"type{n}", JobState.FAILED, 1, 1, e) for n, e in enumerate(errors)]
    metrics.committed(ended(*jobs, EndedJobs("gone", JobState.CANCELLED)))
    for n in range(100):
        metrics.request("/v1/batches", f"METHOD{n}", 405, 0.1)
    lines = text_of(metrics).splitlines()
    errors_told = [line for line in lines if line.startswith("jobspool_job_errors_total")]
    assert len(errors_told) == MOST_CODES + 1
    assert 'jobspool_job_errors_total{code="other",type="unknown"} 953.0' in errors_told
    requests = [line for line in lines if line.startswith("jobspool_http_requests_total")]
    assert requests == [
        'jobspool_http_requests_total{method="other",route="/v1/batches",status="405"} 100.0'
    ]
    assert 'jobspool_jobs_finished_total{status="cancelled",type="unknown"} 1.0' in lines


def test_a_batch_is_counted_by_its_outcome() -> None:
    metrics = Metrics()
    batch = EndedBatch("id", "partial", 1, 1, 0, 0, 5)
    metrics.committed(Committed([], [batch, batch], 2, 0.3))
    assert 'jobspool_batches_ended_total{outcome="partial"} 2.0' in text_of(metrics)
    assert "jobspool_commit_writes_sum 2.0" in text_of(metrics)
