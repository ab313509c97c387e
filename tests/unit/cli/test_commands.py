"""The command without a service: its options, its words, what it imports."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from service.cli import COMMANDS, main
from service.cli.sources import format_of, quick_jobs
from service.client import Client, Result, StreamCut


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, list(arguments))
    return done.exit_code, done.output


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_every_command_has_help(command: str) -> None:
    code, text = run(command, "--help")
    assert code == 0
    assert f"Usage: main {command}" in text


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["submit"], "Give either a FILE"),
        (["submit", "a.txt", "--numbers", "3"], "Give either a FILE"),
        (["submit", "a.txt", "--delay", "3"], "--delay and --jobs go with"),
        (["submit", "--numbers", "3", "--timeout", "5"], "--timeout goes with --wait"),
        (["submit", "--numbers", "3", "--label", "x"], "'x' is not NAME=VALUE"),
        (["submit", "/nowhere/urls.txt"], "/nowhere/urls.txt can't be read: No such file"),
        (["results", "x", "-o", "out.txt"], "none of the suffixes .ndjson, .jsonl, .csv, .json"),
        (["ls", "--server", "localhost:8000"], "base_url must be like"),
        (["show", ""], "jobspool: the id is empty"),
        (["submit", "--numbers", "1", "--idempotency-key", "é"], "printable ASCII"),
        (["watch"], "Missing argument 'ID'"),
        (["nonsense"], "No such command"),
    ],
)
def test_a_misuse_is_explained_with_exit_code_2(arguments: list[str], why: str) -> None:
    code, text = run(*arguments)
    assert code == 2
    assert why in text


def test_a_document_that_is_no_batch_is_refused_before_it_is_sent() -> None:
    for text, why in (
        ("[1]", "must hold a JSON object"),
        ('{"jobs": {}}', "must hold a JSON object"),
        ('{"jobs": [], "defaults": 5}', "defaults must be a JSON object"),
        ("{", "is not JSON"),
    ):
        done = CliRunner().invoke(main, ["submit", "-", "--format", "json"], input=text)
        assert done.exit_code == 2
        assert why in done.output


def test_a_service_that_is_not_there_is_exit_code_1_and_one_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("service.cli.connection.FIRST_PAUSE_S", 0.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        code, text = run("ls", "--server", url)
    assert code == 1
    notice, error = text.splitlines()
    assert notice == f"jobspool: {url} does not answer; trying again"
    assert error == (
        f"jobspool: {url} can't be reached: Connection refused. Is the service running?"
    )


def test_results_that_are_cut_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object, **__: object) -> Iterator[Result]:
        raw = {"seq": 1, "index": 0, "custom_id": None, "job_id": "b.0", "type": "letters"}
        yield Result.of({**raw, "status": "succeeded", "error": None, "result": None})
        raise StreamCut("the last line of the stream is not whole")

    monkeypatch.setattr(Client, "results", cut)
    code, text = run("results", "b", "-o", str(tmp_path / "out.csv"))
    assert (code, text) == (1, "jobspool: cut off: the last line of the stream is not whole\n")
    assert list(tmp_path.iterdir()) == []


def test_the_suffix_tells_what_a_file_holds() -> None:
    names = ("urls.txt", "urls", "a.NDJSON", "a.jsonl", "a.json", "-")
    formats = ["urls", "urls", "ndjson", "ndjson", "json", "urls"]
    assert [format_of(name) for name in names] == formats


def test_quick_jobs_have_names_by_which_to_tell_their_lines() -> None:
    jobs = quick_jobs(numbers=3, letters="AB", delay_s=0.5, each=2)
    assert [job["custom_id"] for job in jobs] == [
        "Numbers-1", "Letters-1", "Numbers-2", "Letters-2",
    ]  # fmt: skip
    assert jobs[0]["params"] == {"name": "Numbers-1", "count": 3, "delay_s": 0.5}
    assert jobs[1]["params"] == {"name": "Letters-1", "letters": "AB", "delay_s": 0.5}
    (alone,) = quick_jobs(numbers=3, letters=None, delay_s=0.0, each=1)
    assert alone["params"]["name"] == "Numbers"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_the_completion_of_a_shell_is_printed(shell: str) -> None:
    code, text = run("completion", shell)
    assert code == 0
    assert "_JOBSPOOL_COMPLETE" in text


HEAVY = {"flask", "sqlalchemy", "alembic", "gunicorn", "pycurl", "lxml", "pydantic"}


@pytest.mark.parametrize(
    ("arguments", "lean"),
    [(["--help"], HEAVY | {"requests", "rich"}), (["ls"], HEAVY | {"rich"})],
)
def test_a_command_imports_no_more_than_it_needs(arguments: list[str], lean: set[str]) -> None:
    program = (
        "import sys; sys.argv[0] = 'jobspool'\n"
        "from service.cli import main, connection\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('imported', *{name.partition('.')[0] for name in sys.modules})"
    )
    environment = {**os.environ, "JOBSPOOL_SERVER": "http://127.0.0.1:1"}
    program = program.replace("try:", "connection.FIRST_PAUSE_S = 0.0\ntry:")
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True, text=True, timeout=60, env=environment, check=True,
    )  # fmt: skip
    imported = set(done.stdout.splitlines()[-1].split()[1:])
    assert "click" in imported
    assert not imported & lean
