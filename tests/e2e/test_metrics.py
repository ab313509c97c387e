"""/metrics of several processes, and what a real Prometheus makes of it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.support.api import job
from tests.support.server import Server, free_port
from tests.support.waiting import eventually

FINISHED = "jobspool_jobs_finished_total"


def exposed(server: Server) -> str:
    response = server.session.get(f"{server.url}/metrics", timeout=10)
    assert response.status_code == 200
    return response.text


def samples(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def total(server: Server, name: str, **labels: str) -> float:
    wanted = set(labels.items())
    return sum(
        value
        for (told, its), value in samples(exposed(server)).items()
        if told == name and wanted <= set(its)
    )


def never_backwards(before: dict[Any, float], after: dict[Any, float]) -> None:
    for series, value in before.items():
        name = series[0]
        if name.endswith(("_total", "_count", "_bucket", "_sum")):
            assert after[series] >= value, f"{series} went back"


def test_totals_of_two_workers_add_up_whoever_dies(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=2, pool_size=4).start()
    seen = samples(exposed(server))
    done = 0

    def look() -> None:
        nonlocal seen
        now = samples(exposed(server))
        never_backwards(seen, now)
        seen = now

    for round_ in range(2):
        eventually(
            lambda: total(server, "jobspool_threads", state="idle") == 8, "both workers are there"
        )
        quick = server.submit(*[job(count=0)] * 500)
        look()
        server.ended(quick)
        # more than one worker claims for its threads and ahead of them: there is work for both
        slow = server.submit(*[job(count=1, delay_s=2.0)] * 20)
        eventually(lambda s=slow: server.get(s)["counts"]["running"] >= 8, "all threads are busy")  # type: ignore[misc]
        victim = server.workers()[round_ % 2]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda v=victim: v not in server.workers(), "it is gone")  # type: ignore[misc]
        look()
        server.ended(slow)
        attempts = [attempt for one in server.jobs(slow) for attempt in one["attempts"]]
        assert any(attempt["error"] for attempt in attempts), "no job was running there"
        look()
        done += 520
        assert total(server, FINISHED, status="succeeded", type="numbers") == done
        assert total(server, "jobspool_job_run_seconds_count", type="numbers") == done
    assert total(server, "jobspool_batches_ended_total") == 4
    eventually(lambda: len(server.workers()) == 2, "both are there again")
    eventually(lambda: total(server, "jobspool_threads", state="idle") == 8, "all are counted")
    assert total(server, "jobspool_threads", state="busy") == 0


# --- Prometheus itself ----------------------------------------------------------------------

NO_PROMETHEUS = "needs prometheus and promtool on the PATH (Debian: apt-get install prometheus)"


@pytest.fixture
def prometheus(tmp_path: Path, server: Server) -> Iterator[str]:
    """A Prometheus that scrapes the server; its address."""
    binary, port = shutil.which("prometheus"), free_port()
    assert binary
    config = tmp_path / "prometheus.yml"
    target = f"127.0.0.1:{server.port}"
    config.write_text(
        "global: {scrape_interval: 500ms}\n"
        f"scrape_configs: [{{job_name: jobspool, static_configs: [{{targets: ['{target}']}}]}}]\n"
    )
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "prometheus.log").open("wb") as log:
        process = subprocess.Popen([binary, *options], stdout=log, stderr=log, cwd=tmp_path)
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(30)


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    return make_server(workers=2).start()


def query(address: str, promql: str) -> list[float]:
    try:
        answer = requests.get(f"{address}/api/v1/query", params={"query": promql}, timeout=5)
    except requests.ConnectionError:
        return []
    if answer.status_code != 200:
        return []
    return [float(item["value"][1]) for item in answer.json()["data"]["result"]]


@pytest.mark.skipif(not shutil.which("prometheus"), reason=NO_PROMETHEUS)
def test_prometheus_scrapes_it_and_counts_the_jobs(server: Server, prometheus: str) -> None:
    eventually(lambda: query(prometheus, "up") == [1.0], "the target is up", timeout_s=30)
    server.run(*[job(count=1)] * 300, job("letters", letters="A"))
    finished = f'sum({FINISHED}{{status="succeeded"}})'
    eventually(lambda: query(prometheus, finished) == [301.0], f"{finished} is 301", timeout_s=30)
    for promql, expected in (
        (f'{FINISHED}{{type="letters",status="succeeded"}}', [1.0]),
        ("sum(jobspool_job_run_seconds_count)", [301.0]),
        ("jobspool_processes", [2.0]),
        ("jobspool_queue_depth", [0.0]),
        ("count(jobspool_build_info)", [1.0]),
    ):
        assert query(prometheus, promql) == expected, promql
    quantile = query(
        prometheus, "histogram_quantile(0.9, sum by (le) (jobspool_commit_seconds_bucket))"
    )
    assert 0 < quantile[0] < 5


@pytest.mark.skipif(not shutil.which("promtool"), reason=NO_PROMETHEUS)
def test_promtool_finds_no_fault_with_it(server: Server) -> None:
    server.run(*[job(count=1)] * 10, job("scrape", url="http://nowhere.invalid/"))
    server.get("/v1/executor")
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposed(server),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
