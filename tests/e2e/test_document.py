"""The API's description against the running service: schemathesis, and a client made of it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.support.server import COMMAND, Server

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "5")
SEED = os.environ.get("FUZZ_SEED", "1")
CHECKOUT = Path(__file__).parents[2]
SCHEMATHESIS = CHECKOUT / "tests" / "support" / "schemathesis.toml"


@pytest.mark.timeout(0)  # its own is below
def test_schemathesis_finds_nothing_that_the_document_does_not_tell(
    make_server: Callable[..., Server],
) -> None:
    """For more: FUZZ_EXAMPLES=500 FUZZ_SEED=7 make test ARGS="-n 0 -s -k schemathesis"."""
    server = make_server(
        max_wait_s=0.2, retry_base_s=0.01, retry_max_s=0.05, fetch_deny_cidrs="0.0.0.0/0,::/0"
    ).start()
    schemathesis = [COMMAND.with_name("schemathesis"), "--config-file", SCHEMATHESIS, "run"]
    every = ["--include-path-regex", "/"]  # else not /openapi.json itself
    options = ["--max-examples", EXAMPLES, "--seed", SEED, "--no-color", *every]
    done = subprocess.run(
        [*schemathesis, f"{server.url}/openapi.json", *options],
        capture_output=True, text=True, timeout=240 + 10 * int(EXAMPLES), check=False,
        cwd=server.folder, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )  # fmt: skip
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    operations = sum(map(len, server.get("/openapi.json")["paths"].values()))
    assert f"Tested: {operations}\n" in done.stdout
    for phase in ("Examples", "Coverage", "Fuzzing", "Stateful"):
        assert f"✅ {phase}\n" in done.stdout
    assert re.search(r"API Links: +[1-9]\d* covered", done.stdout)
    assert "Traceback" not in server.log.read_text()


@pytest.fixture
def generated(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``generated("api.jobs.show_job")``: modules of a client that was made of the document."""
    done = subprocess.run(
        [COMMAND.with_name("openapi-python-client"), "generate", "--url",
         f"{server.url}/openapi.json", "--meta", "none", "--output-path", "generated_client"],
        capture_output=True, text=True, timeout=90, check=False, cwd=tmp_path,
        env={**os.environ, "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    left_out = re.findall(r"WARNING.*\n+(.*)", done.stderr)
    unsupported = {
        f"Unsupported content type {kind}" for kind in ("application/x-ndjson", "text/plain")
    }
    assert set(left_out) == unsupported, "it makes nothing of the bodies that are not JSON"
    monkeypatch.syspath_prepend(tmp_path)
    yield lambda module: import_module(f"generated_client.{module}")
    for name in [name for name in sys.modules if name.split(".")[0] == "generated_client"]:
        del sys.modules[name]


def test_a_generated_client_submits_a_batch_and_reads_its_results(
    server: Server, generated: Any
) -> None:
    """With a key; and with all that a generated client sends unasked: defaults of parameters."""
    key = subprocess.run(
        [COMMAND, "keys", "create", "me"],
        env=server.environment, capture_output=True, text=True, timeout=30, check=True,
    ).stdout.strip()  # fmt: skip
    models, batches = generated("models"), "api.batches."
    numbers = [
        models.NumbersJob(
            type_="numbers",
            params=models.NumbersParams(name=f"Thread-{n}", count=2),
            custom_id=f"n{n}",
        )
        for n in range(4)
    ]
    letters = models.LettersJob(type_="letters", params=models.LettersParams(letters="AB"))
    wanted = models.NewBatch(jobs=[*numbers, letters], name="generated", max_workers=2)

    with generated("client").AuthenticatedClient(base_url=server.url, token=key) as client:
        submit = generated(batches + "submit_batch").sync
        assert submit(client=client, body=wanted, dry_run=True).total == 5
        batch = submit(client=client, body=wanted, wait=30, idempotency_key="once")
        assert submit(client=client, body=wanted, wait=30, idempotency_key="once").id == batch.id
        assert (batch.outcome, batch.counts.succeeded, batch.name) == ("succeeded", 5, "generated")
        print(batch.id, batch.outcome, batch.counts, batch.concurrency)

        list_results, results, cursor = generated(batches + "list_results").sync, [], {}
        while cursor is not None:
            page = list_results(batch.id, client=client, limit=2, **cursor)
            results += page.items
            query = parse_qs(urlsplit(page.next_ or "").query)
            cursor = {"cursor": query["cursor"][0]} if page.next_ else None
        for line in results:
            print(line.index, line.custom_id, line.status, line.result)
        lines = [f"Thread-{n}: {k}" for n in range(4) for k in (1, 2)] + ["A", "B"]
        assert [text for line in results for text in line.result["lines"]] == lines
        assert list_results(batch.id, client=client) == models.ResultPage(results, next_=None)

        console = generated(batches + "show_console").sync_detailed(batch.id, client=client)
        assert sorted(console.content.decode().splitlines()) == sorted(lines)
        job = generated("api.jobs.show_job").sync(f"{batch.id}.4", client=client)
        assert (job.attempts[0].error, job.result) == (None, {"lines": ["A", "B"]})
        assert job.attempts[0].started_at <= job.attempts[0].finished_at
        timeline = generated("api.timeline.show_timeline").sync(batch.id, client=client)
        assert timeline.statistics.attempts == 5

        negative = models.NumbersJob(type_="numbers", params=models.NumbersParams(count=-1))
        wrong = models.NewBatch(jobs=[negative])
        refused = submit(client=client, body=wrong)
        assert isinstance(refused, models.InvalidProblem)
        assert [flaw.pointer for flaw in refused.errors] == ["/jobs/0/params/count"]
        assert generated(batches + "delete_batch").sync_detailed(batch.id, client=client)
        gone = generated(batches + "show_batch").sync(batch.id, client=client)
        assert (type(gone), gone.code) == (models.Problem, "not-found")
    with generated("client").Client(base_url=server.url) as stranger:
        assert generated(batches + "list_batches").sync(client=stranger).code == "unauthorized"
