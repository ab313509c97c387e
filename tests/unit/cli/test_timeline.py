from __future__ import annotations

from typing import Any

import pytest

from service.cli.timeline import picture


def span(index: int, start_ms: float, end_ms: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "job_id": f"b.{index}", "index": index, "custom_id": None, "type": "numbers",
        "attempt": 1, "status": "succeeded", "error": None, "queued_ms": 0, "start_ms": start_ms,
        "end_ms": end_ms, "cpu_ms": 1.0, **changes,
    }  # fmt: skip


def document(**threads: list[dict[str, Any]]) -> dict[str, Any]:
    spread = {"mean": 1200.0, "p50": 1000.0, "p95": 5000.0, "max": 5900.0}
    return {
        "batch_id": "b",
        "origin_at": "2026-01-31T12:00:00.000Z",
        "elapsed_s": 10.0,
        "concurrency": {"average": 1.5, "peak": 2, "cpu_parallelism": 0.1},
        "threads": [
            {"name": name, "process": 1, "spans": spans} for name, spans in threads.items()
        ],
        "statistics": {"attempts": 3, "queue_wait_ms": spread, "run_ms": spread, "cpu_ms": None},
        "truncated": False,
        "next": None,
    }


def lines(given: dict[str, Any], width: int = 53, **options: Any) -> list[str]:
    return [text.plain for text in picture(given, width=width, rows=50, **options)]


def test_a_row_a_thread_with_its_jobs_to_scale() -> None:
    drawn = lines(
        document(
            t0=[span(0, 0, 5000), span(1, 5000, 10_000)],
            t1=[span(2, 2000, 4000, custom_id="abc", status="failed")],
        )
    )
    assert drawn[0] == "3 runs on 2 threads in 10.0 s; 1.5 at once on averag…"
    assert drawn[1].split() == ["0", "s", "5", "s"]
    assert drawn[1].index("5 s") == 3 + 25
    assert drawn[2] == "t0 " + "█#0" + "█" * 22 + "▓#1" + "▓" * 22
    assert drawn[3] == "t1 " + " " * 10 + "xabc" + "x" * 6 + " " * 30
    assert drawn[4] == "x failed"
    assert drawn[5].split() == ["mean", "p50", "p95", "max"]
    assert "1.20 s" in drawn[6]
    assert drawn[6].startswith("queue wait")
    assert drawn[8].split() == ["attempts", "3"]
    assert len(drawn) == 9


@pytest.mark.parametrize("width", [1, 40, 80, 300])
def test_no_line_is_wider_than_asked_for(width: int) -> None:
    spans = [span(n, n * 10, n * 10 + 7, custom_id="x" * 30) for n in range(1000)]
    given = document(**{"a-thread-with-a-very-long-name-" * 3: spans})
    assert max(map(len, lines(given, width))) <= max(40, width)


def test_what_ran_shorter_than_a_column_is_still_seen() -> None:
    assert "░" in lines(document(t=[span(0, 4000, 4001)]))[2]


def test_a_name_that_drives_terminals_is_shown_and_not_obeyed() -> None:
    text = "\n".join(lines(document(**{"\x1b[2J": [span(0, 0, 9000, custom_id="\x1b[31m")]})))
    assert "\x1b" not in text
    assert "\\x1b[31m" in text


def test_wide_characters_do_not_move_the_row() -> None:
    drawn = picture(document(漢字=[span(0, 0, 9000, custom_id="漢" * 5)]), width=60, rows=9)
    assert drawn[2].cell_len == 60
    assert "#0" in drawn[2].plain


def test_what_runs_still_reaches_to_now_and_what_has_not_begun_is_empty() -> None:
    running = document(t=[span(0, 5000, None, status="running")])
    assert lines({**running, "elapsed_s": 5.0}, width=42)[2] == "t " + " " * 20 + "█#0" + "█" * 17
    nothing = {"average": None, "peak": 0, "cpu_parallelism": None}
    empty = {**document(), "elapsed_s": None, "statistics": {}, "concurrency": nothing}
    assert lines(empty)[0] == "0 runs on 0 threads in 0.00 s"


def test_what_went_wrong_is_seen_without_colours_and_explained() -> None:
    ways = ("failed", "crashed", "cancelled", "handed_back")
    spans = [span(n, 2000 * n, 2000 * n + 600, status=way) for n, way in enumerate(ways)]
    drawn = lines(document(t=spans), width=52)
    assert drawn[2].split() == ["t", "xxx", "!!!", "---", "<<<"]
    assert drawn[3] == "x failed, ! crashed, - cancelled, < handed back"


def test_a_failure_of_no_length_is_seen_among_a_thousand() -> None:
    spans = [span(n, n * 10, n * 10 + 9) for n in range(1000)]
    spans[500] = span(500, 5000, 5000, status="failed")
    assert lines(document(t=spans))[2].count("x") == 1


def test_threads_of_one_name_in_two_processes_can_be_told_apart() -> None:
    given = document(pool_0=[span(0, 0, 10)])
    given["threads"] += [{**given["threads"][0], "process": 2}]
    assert [text.split()[0] for text in lines(given)[2:4]] == ["1/pool_0", "2/pool_0"]


def test_without_block_characters_it_is_drawn_in_ascii() -> None:
    given = document(t0=[span(0, 0, 5000), span(1, 5000, 5100)])
    assert all(text.isascii() for text in lines(given, width=100, blocks=False))


def test_rows_that_are_not_drawn_are_told_of() -> None:
    many = document(**{f"t{n}": [span(n, 0, 10)] for n in range(5)})
    texts = [text.plain for text in picture(many, width=60, rows=2)]
    assert "… 5 threads in all (--rows)" in texts
    cut = [text.plain for text in picture({**many, "truncated": True}, width=60, rows=9)]
    assert any("more runs than" in text for text in cut)
