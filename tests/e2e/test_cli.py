"""The real command against a real service."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service.cli import main
from tests.support.server import COMMAND, Server
from tests.support.terminal import Seen, on_terminal

NEVER = ("submit", "--numbers", "1", "--delay", "300")


class Shell:
    """``jobspool`` beside a service, in an empty folder.

    ``said`` runs it in this process, which is quicker; ``run`` and ``on_terminal`` as people do.
    """

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        unset = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES")
        self.environment = {
            **{name: value for name, value in server.environment.items() if name not in unset},
            "JOBSPOOL_SERVER": server.url,
            "PATH": f"{COMMAND.parent}:{os.environ['PATH']}",
        }

    def said(self, *arguments: str, code: int = 0, input: str | None = None) -> str:
        done = CliRunner().invoke(main, list(arguments), input=input, env=self.environment)
        assert done.exit_code == code, (done.exit_code, done.output, done.exception)
        return done.stdout.strip()

    def refused(self, *arguments: str, code: int, input: str | None = None) -> str:
        """What it says on stderr."""
        done = CliRunner().invoke(main, list(arguments), input=input, env=self.environment)
        assert done.exit_code == code, (done.exit_code, done.output, done.exception)
        return done.stderr

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [COMMAND, *arguments],
            capture_output=True, text=True, timeout=60, cwd=self.folder, check=False,
            env={**self.environment, **environment},
        )  # fmt: skip

    def on_terminal(self, *arguments: str, **environment: str) -> Seen:
        merged = {**self.environment, **environment}
        return on_terminal(COMMAND, *arguments, environment=merged, cwd=self.folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("cli"), stop_grace_s=0.5)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def shell(server: Server, tmp_path: Path) -> Shell:
    return Shell(server, tmp_path)


@pytest.fixture(scope="module")
def finished(server: Server) -> str:
    """A batch of three that succeeded."""
    jobs = [{"type": "numbers", "custom_id": f"n{n}", "params": {"count": n}} for n in range(3)]
    path: str = server.run(*jobs, name="done", labels={"team": "a"})["links"]["self"]
    return path.rpartition("/")[2]


def test_submit_watch_and_take_the_results_away(shell: Shell) -> None:
    lines = [json.dumps({"type": "numbers", "params": {"count": n}}) for n in range(20)]
    (shell.folder / "jobs.ndjson").write_text("\n".join(lines))
    submitted = shell.run("submit", "jobs.ndjson", "--name", "take away", "--max-workers", "2")
    batch = submitted.stdout.removesuffix("\n")
    assert batch.isalnum(), "piped, it is the id alone"
    watched = shell.run("watch", batch)
    assert watched.returncode == 0
    assert watched.stdout.splitlines()[-1].startswith("succeeded: 20 succeeded in ")
    out = shell.folder / "out"
    out.mkdir()
    for suffix in ("csv", "ndjson", "json"):
        assert shell.said("results", batch, "-o", str(out / f"all.{suffix}")) == ""
    rows = list(csv.DictReader((out / "all.csv").read_text().splitlines()))
    parsed = list(map(json.loads, (out / "all.ndjson").read_text().splitlines()))
    assert json.loads((out / "all.json").read_text()) == parsed
    assert [int(row["index"]) for row in rows] == [line["index"] for line in parsed]
    assert len(parsed) == 20
    assert shell.said("results", batch, "--format", "csv").splitlines()[0].startswith("index,")
    assert len(list(out.iterdir())) == 3, "no temporary file is left"


def test_every_source_of_jobs(shell: Shell) -> None:
    quick = shell.said(
        "submit", "--numbers", "2", "--letters", "AB", "--jobs", "2", "--lock", "job",
        "--executor", "sequential", "--wait",
    )  # fmt: skip
    assert shell.said("console", quick).splitlines() == [
        "Numbers-1: 1", "Numbers-1: 2", "Letters-1: A", "Letters-1: B",
        "Numbers-2: 1", "Numbers-2: 2", "Letters-2: A", "Letters-2: B",
    ]  # fmt: skip
    document = {"name": "file", "priority": 3, "jobs": [{"type": "letters"}]}
    piped = json.dumps(document)
    batch = shell.said("submit", "-", "--format", "json", "--name", "option", input=piped)
    shown = json.loads(shell.said("show", batch, "--json"))
    assert (shown["name"], shown["priority"]) == ("option", 3)
    urls = "http://127.0.0.1/\nnonsense\n"
    told = shell.refused("submit", "-", "--label", "a=b", input=urls, code=2)
    assert "/jobs/0/params/url: " in told
    assert "/jobs/1/params/url: " in told


def test_the_outcome_is_the_exit_code(shell: Shell) -> None:
    job: dict[str, Any] = {"type": "numbers", "params": {"count": 1}}
    late = {"type": "numbers", "params": {"count": 1, "delay_s": 300}, "timeout_s": 0.1}
    mixed = "\n".join(map(json.dumps, (job, late)))
    command = ("submit", "-", "--format", "ndjson", "--wait")
    assert "partial: 1 succeeded, 1 failed" in shell.refused(*command, input=mixed, code=1)
    batch = shell.said("ls", "--limit", "1").split("\t")[0]
    assert "timeout" in shell.said("show", batch)
    again = shell.said("retry", batch, "--wait", code=1)
    assert json.loads(shell.said("show", again, "--json"))["retry_of"] == batch
    assert shell.said("retry", batch, "--status", "succeeded", "--wait") != again


def test_cancelled_or_not_in_time_is_exit_code_3(shell: Shell) -> None:
    waited = shell.run(*NEVER, "--watch", "--timeout", "0.2")
    assert waited.returncode == 3
    batch = waited.stdout.strip()
    assert f"jobspool watch {batch}" in waited.stderr
    assert "cancel it first" in shell.refused("rm", batch, code=1)
    assert "1 told to stop" in shell.said("cancel", batch)
    assert "cancelled: 1 cancelled in " in shell.said("watch", batch, code=3)
    assert shell.said("rm", batch) == ""
    assert "404" in shell.refused("show", batch, code=2)


def test_an_unknown_id_is_exit_code_2_with_a_sentence(shell: Shell) -> None:
    for command in ("show", "watch", "results", "console", "cancel", "retry", "rm"):
        told = shell.refused(command, "unknown", code=2)
        assert told.startswith("jobspool: there is no batch unknown (404 not-found"), command


def test_a_key_makes_a_repeat_the_same_batch(shell: Shell) -> None:
    command = ("submit", "--numbers", "1", "--idempotency-key", "cli-key")
    assert shell.said(*command) == shell.said(*command)
    assert "422" in shell.refused(*command, "--jobs", "2", code=2), "another input, the same key"


def test_an_interrupted_watch_says_that_the_batch_goes_on(shell: Shell) -> None:
    batch = shell.said(*NEVER)
    with subprocess.Popen(
        [str(COMMAND), "watch", batch],
        env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as watch:  # fmt: skip
        assert watch.stdout
        assert "0/1" in watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        _, told = watch.communicate(timeout=30)
    assert watch.returncode == 130
    assert "interrupted; the batch goes on" in told
    assert f"jobspool watch {batch}" in told
    assert json.loads(shell.said("show", batch, "--json"))["outcome"] is None
    shell.said("cancel", batch)


def test_results_and_console_are_followed_as_they_come(shell: Shell) -> None:
    never = {"type": "numbers", "params": {"count": 1, "delay_s": 300}}
    jobs = "\n".join(map(json.dumps, (never, {"type": "letters", "params": {"letters": "A"}})))
    batch = shell.said("submit", "-", "--format", "ndjson", input=jobs)
    with subprocess.Popen(
        [COMMAND, "results", batch, "--follow"],
        env=shell.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as follow:  # fmt: skip
        assert follow.stdout
        assert json.loads(follow.stdout.readline())["index"] == 1, "while the other still runs"
        shell.said("cancel", batch)
        rest, errors = follow.communicate(timeout=30)
    assert (follow.returncode, errors) == (0, "")
    assert [json.loads(line)["status"] for line in rest.splitlines()] == ["cancelled"]
    assert sorted(shell.said("console", batch, "--follow").splitlines()) == ["1", "A"]


def test_lists_for_programs_and_for_people(shell: Shell, finished: str) -> None:
    row = shell.said("ls", "--label", "team=a").split("\t")
    assert row[:4] == [finished, "succeeded", "3/3", "0"]
    assert row[-2:] == ["done", "team=a"]
    (listed,) = json.loads(shell.said("ls", "--name", "done", "--json"))
    assert listed == json.loads(shell.said("show", finished, "--json"))
    assert shell.said("ls", "--name", "no such") == ""
    assert "n2" in shell.said("show", f"{finished}.2")
    seen = shell.on_terminal("ls", "--label", "team=a")
    assert "\x1b[" in seen.raw
    assert all(len(line) <= 60 for line in seen.lines)
    assert finished in seen.lines[1]


def test_a_timeline_is_drawn_of_the_real_thing(shell: Shell) -> None:
    batch = shell.said("submit", "--numbers", "3", "--delay", "0.1", "--jobs", "2", "--wait")
    lines = shell.said("timeline", batch).splitlines()
    assert lines[0].startswith("2 runs on 2 threads in ")
    assert "Numbers-1█" in "".join(lines[2:4])
    assert [line.split()[0] for line in lines[4:7]] == ["mean", "queue", "run"]
    spans = [row["spans"] for row in json.loads(shell.said("timeline", batch, "--json"))["threads"]]
    assert [len(row) for row in spans] == [1, 1]


def test_a_terminal_gets_a_bar_and_no_colours_against_no_color(shell: Shell) -> None:
    command = ("submit", "--numbers", "1", "--delay", "0.2", "--jobs", "20", "--watch")
    seen = shell.on_terminal(*command)
    assert seen.code == 0
    assert "\x1b[32m" in seen.raw
    assert any(line.endswith("20/20") for line in seen.lines)
    assert seen.lines[-1].startswith("succeeded: 20 succeeded in")
    plain = shell.on_terminal(*command, NO_COLOR="1")
    assert "\x1b[3" not in plain.raw
    assert "\x1b[9" not in plain.raw
    piped = shell.run(*command, FORCE_COLOR="1")
    assert "\x1b" not in piped.stdout + piped.stderr


def test_what_a_job_printed_does_not_drive_the_terminal(shell: Shell) -> None:
    job = {"type": "numbers", "params": {"count": 1, "name": "\x1b[31m\x9bevil"}}
    batch = shell.said("submit", "-", "--format", "ndjson", "--wait", input=json.dumps(job))
    assert shell.said("console", batch) == "\x1b[31m\x9bevil: 1", "piped, it is the very text"
    assert "\\x1b[31m\\x9bevil: 1" in shell.on_terminal("console", batch).raw
    assert "\x1b[31m\x9bevil: 1" in shell.on_terminal("console", batch, "--raw").raw
    for command in ("results", "show"):
        raw = shell.on_terminal(command, batch, COLUMNS="300").raw
        assert "\x9b" not in raw
        assert "\x1b[31m" not in raw


def test_a_reader_that_leaves_ends_the_command_quietly(shell: Shell) -> None:
    lines = "\n".join([json.dumps({"type": "numbers", "params": {"count": 50}})] * 2000)
    batch = shell.said("submit", "-", "--format", "ndjson", "--wait", input=lines)
    for command in ("results", "console"):
        done = subprocess.run(
            ["bash", "-c", f"jobspool {command} {batch} | head -1"],
            capture_output=True, text=True, timeout=60, env=shell.environment, check=True,
        )  # fmt: skip
        assert len(done.stdout.splitlines()) == 1
        assert done.stderr == ""


def test_doctor_finds_a_good_service_good(shell: Shell) -> None:
    seen = shell.on_terminal("doctor", NO_COLOR="1")
    assert seen.code == 0, seen.raw
    assert f"process {shell.server.process.pid} runs on this directory" in seen.raw
    assert f"ok    server       ready at {shell.server.url}" in seen.raw
    assert "ok    access       it lets you in" in seen.raw
    assert "\x1b" not in seen.raw


def test_doctor_finds_what_is_broken(shell: Shell) -> None:
    data = shell.folder / "data"
    data.write_text("a file")
    options = ("--data-dir", str(data), "--server", "http://[::1]:9")
    told = shell.said("doctor", *options, code=1)
    assert f"fail  directory    {data} is no directory" in told
    assert "fail  server       none can be reached at http://[::1]:9" in told


def test_shells_complete_ids(shell: Shell, finished: str) -> None:
    words = f"jobspool watch {finished[:18]}"
    done = shell.run(_JOBSPOOL_COMPLETE="zsh_complete", COMP_CWORD="2", COMP_WORDS=words)
    assert finished in done.stdout.splitlines()
