from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from service.cli import export
from service.cli.export import whole_file

LINES: list[dict[str, Any]] = [
    {
        "seq": 1, "index": 0, "custom_id": "=1+1", "job_id": "b.0", "type": "scrape",
        "status": "succeeded", "error": None, "result": {"title": "\u2028a\x1b"},
    },
    {
        "seq": None, "index": 1, "custom_id": None, "job_id": "b.1", "type": "scrape",
        "status": "failed", "error": {"code": "dns", "detail": "no"}, "result": None,
    },
]  # fmt: skip


def test_each_format_reads_back() -> None:
    assert json.loads("".join(export.json_array(LINES))) == LINES
    assert json.loads("".join(export.json_array([]))) == []
    text = "".join(export.ndjson(LINES))
    assert [json.loads(line) for line in text.splitlines()] == LINES
    rows = list(csv.DictReader("".join(export.csv(LINES)).splitlines()))
    assert [row["custom_id"] for row in rows] == ["'=1+1", ""]
    assert rows[1]["error_code"] == "dns"


def test_the_overview_is_a_line_a_job_within_the_width() -> None:
    texts = list(export.overview(LINES, 40))
    assert len(texts) == 2
    assert all(len(text) <= 41 for text in texts)
    assert "\x1b" not in "".join(export.overview(LINES, 200))
    assert "dns: no" in texts[1]


def write_half_of(path: Path) -> None:
    with whole_file(path) as file:
        file.write("half")
        file.flush()
        raise RuntimeError("cut")


def test_a_file_that_was_cut_is_not_there_and_an_older_one_stays(tmp_path: Path) -> None:
    old, new = tmp_path / "old.csv", tmp_path / "new.csv"
    old.write_text("as it was")
    for path in (old, new):
        with pytest.raises(RuntimeError):
            write_half_of(path)
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    assert old.read_text() == "as it was"


def test_a_file_is_replaced_behind_its_link_and_keeps_its_mode(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    with whole_file(link) as file:
        file.write("new")
    assert link.is_symlink()
    assert real.read_text() == "new"
    assert real.stat().st_mode & 0o777 == 0o640


def test_a_device_is_written_and_not_replaced() -> None:
    with whole_file(Path("/dev/null")) as file:
        file.write("gone")
    assert Path("/dev/null").is_char_device()
