from __future__ import annotations

import fcntl
import json
import os
import resource
import shutil
import sqlite3
from collections import namedtuple
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from service.cli import main
from service.cli.checks import data, machine, versions
from service.cli.checks.check import Check
from service.settings import load_settings
from service.store.database import Database


def doctor(folder: Path, *arguments: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit code, and the checks by name."""
    options = ["doctor", "--json", "--data-dir", str(folder), *arguments]
    done = CliRunner().invoke(main, options, env={"JOBSPOOL_SERVER": None})
    return done.exit_code, {check["name"]: check for check in json.loads(done.output)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    database = Database(tmp_path / "jobspool.db")
    database.upgrade()
    database.close()
    return tmp_path


@pytest.fixture(autouse=True)
def _no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.cli.doctor._server_checks", lambda *_, **__: [])


def test_a_sound_directory_passes_and_is_left_as_it_was(folder: Path) -> None:
    def state() -> list[tuple[str, bytes]]:
        return [(path.name, path.read_bytes()) for path in sorted(folder.glob("*.db"))]

    before = state()
    code, checks = doctor(folder)
    assert {check["verdict"] for check in checks.values()} <= {"ok", "warn"}
    assert code == 0
    assert checks["schema"]["found"].endswith("the newest")
    assert checks["database"]["found"] == "sound"
    assert state() == before


def test_a_directory_to_be_made_is_no_fault(tmp_path: Path) -> None:
    code, checks = doctor(tmp_path / "not" / "yet")
    assert code == 0
    assert "serve` makes it" in checks["directory"]["found"]
    assert not (tmp_path / "not").exists()


def test_a_file_in_place_of_the_directory_fails(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    code, checks = doctor(tmp_path / "data")
    assert (code, checks["directory"]["verdict"]) == (1, "fail")


def test_a_damaged_database_fails(folder: Path) -> None:
    database = folder / "jobspool.db"
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 40_000)
    code, checks = doctor(folder)
    assert code == 1
    failed = [check for check in checks.values() if check["verdict"] == "fail"]
    assert "backup" in failed[0]["advice"]


def test_a_file_that_is_no_database_fails(folder: Path) -> None:
    (folder / "jobspool.db").write_text("hello" * 1000)
    code, checks = doctor(folder)
    assert code == 1
    assert "not a database" in checks["database"]["found"]


def test_a_database_of_another_user_fails(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, _: Path(path).name != "jobspool.db")
    code, checks = doctor(folder)
    assert (code, checks["database"]["verdict"]) == (1, "fail")
    assert "own it" in checks["database"]["advice"]


def test_a_newer_jobspools_database_fails(folder: Path) -> None:
    with sqlite3.connect(folder / "jobspool.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    code, checks = doctor(folder)
    assert code == 1
    assert "9999 is not known" in checks["schema"]["found"]


def test_a_database_too_big_to_read_in_time_is_a_warning(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data, "EXAMINE_S", -1.0)
    monkeypatch.setattr("service.store.examination.STEPS", 1)
    code, checks = doctor(folder)
    assert (code, checks["database"]["verdict"]) == (0, "warn")
    assert "integrity_check" in checks["database"]["advice"]


def test_who_holds_the_directory_is_told_and_not_disturbed(folder: Path) -> None:
    lock = folder / "service.lock"
    (folder / "service.pid").write_text("4711\n")
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert "process 4711" in doctor(folder)[1]["service"]["found"]
    assert "none runs" in doctor(folder)[1]["service"]["found"]
    with lock.open("w") as free:
        fcntl.flock(free, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(("kind", "verdict"), [("nfs4", "fail"), ("tmpfs", "warn"), ("ext4", "ok")])
def test_the_file_system_is_judged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: str
) -> None:
    monkeypatch.setattr(data, "file_system_of", lambda _: kind)
    assert doctor(folder)[1]["file system"]["verdict"] == verdict


@pytest.mark.parametrize(("mib", "verdict"), [(63, "fail"), (64, "warn"), (1024, "ok")])
def test_room_on_the_disk_is_judged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, mib: int, verdict: str
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, mib * data.MIB))
    assert doctor(folder)[1]["disk space"]["verdict"] == verdict


@pytest.mark.parametrize(("files", "verdict"), [(255, "fail"), (655, "warn"), (656, "ok")])
def test_open_files_are_judged_by_what_may_be_needed(
    monkeypatch: pytest.MonkeyPatch, files: int, verdict: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    found = {check.name: check for check in machine.check_limits(load_settings())}
    assert found["open files"].verdict == verdict
    assert found["threads"].verdict == ("warn" if files < 296 else "ok")


def test_a_clock_in_the_past_fails_and_one_that_jumps_is_a_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine, "sleep", lambda _: None)
    now = datetime(2026, 6, 1, tzinfo=UTC).timestamp()

    def clock(*moments: float) -> Check:
        times = iter(moments)
        monkeypatch.setattr(machine, "time", lambda: next(times))
        monkeypatch.setattr(machine, "monotonic", lambda: 5.0)
        return machine.check_clock()

    assert clock(0.0, 0.0).verdict == "fail"
    assert clock(now, now + 1).verdict == "warn"
    assert clock(now, now + 0.01).verdict == "ok"


def test_wrong_settings_are_all_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSPOOL_WORKERS", "0")
    monkeypatch.setenv("JOBSPOOL_DRAIN_S", "-1")
    code, checks = doctor(tmp_path)
    assert code == 1
    assert "JOBSPOOL_WORKERS" in checks["settings"]["found"]
    assert "JOBSPOOL_DRAIN_S" in checks["settings"]["found"]


def test_a_misspelt_setting_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSPOOL_POOLSIZE", "3")
    code, checks = doctor(tmp_path)
    assert (code, checks["settings"]["verdict"]) == (0, "warn")


def test_what_is_too_old_or_missing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def checks() -> dict[str, Any]:
        return {check.name: check for check in versions.check_versions()}

    assert {check.verdict for check in checks().values()} == {"ok"}
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    monkeypatch.setattr(versions, "requires", lambda _: ["click>=99", "no-such-package>=1"])
    found = checks()
    assert found["SQLite"].verdict == "fail"
    assert "no-such-package is missing" in found["packages"].found
    assert "click 8" in found["packages"].found
