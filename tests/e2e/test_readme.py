"""The README's curl lines and its Python, pasted."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.server import COMMAND, Server, free_port
from tests.support.site import Site

README = (Path(__file__).parents[2] / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as site:
        site.pages["/"] = "<title>Home</title>"
        yield site


def test_every_block_runs_as_pasted(make_server: Callable[..., Server], site: Site) -> None:
    pages = free_port()
    ports = f"{site.port},{pages}"
    server = make_server(fetch_allow_cidrs="127.0.0.0/8", fetch_allow_ports=ports).start()
    script = "\n".join(BLOCKS).replace("localhost:8000", f"127.0.0.1:{server.port}")
    script = script.replace("8901", str(pages))
    for stranger in ("https://example.com", "https://www.python.org"):
        script = script.replace(stranger, f"{site.url}/")
    path = f"{COMMAND.parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        capture_output=True, text=True, timeout=90, cwd=server.folder, check=False,
        env={**server.environment, "PATH": path, "JOBSPOOL_SERVER": server.url},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "internal" not in done.stdout
    batches = {batch["name"]: batch for batch in server.get("/v1/batches")["items"]}
    assert batches["stream"]["counts"]["succeeded"] == 1000
    assert batches[None]["outcome"] == "succeeded"
    assert "hello" not in batches, "the README deletes it at the end"
    assert "Letters: C" in done.stdout
    assert batches["pages"]["counts"]["succeeded"] == 12
    assert re.search(r"^Python: module heapq has [1-9]\d* links", done.stdout, re.MULTILINE)
    (anchors,) = server.results(f"/v1/batches/{server.get('/v1/batches')['items'][0]['id']}")
    assert "-dumps" in anchors["result"]["selected"]["anchors"]
    assert batches["nightly"]["outcome"] == "succeeded"
    assert len((server.folder / "results.csv").read_text().splitlines()) == 1001


def test_the_python_of_the_client_runs_as_pasted(server: Server) -> None:
    (block,) = (one for one in PYTHON if "service.client" in one)
    script = block.replace("localhost:8000", f"127.0.0.1:{server.port}")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    ended, first, _, refused = done.stdout.splitlines()
    assert ended.startswith("succeeded 2 ")
    assert first == "0 succeeded {'lines': ['Thread-1: 1', 'Thread-1: 2', 'Thread-1: 3']}"
    assert refused.startswith("/jobs/0/params/count ")


def test_every_request_of_the_lesson_that_is_written_out_is_valid(server: Server) -> None:
    table = README[README.index("## The lesson") : README.index("## The API")]
    requests = re.findall(r"`(\{.*?\})` \|", table)
    assert len(requests) == 12
    for text in requests:
        body = json.loads(text)
        assert server.post(body.pop("jobs"), "?dry_run=true", **body).status_code == 200, text
