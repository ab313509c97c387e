from __future__ import annotations

import io

from rich.console import Console

from service.cli.bar import drawn
from service.cli.progress import Lines, line
from tests.support.client_batches import a_batch


def test_a_log_gets_a_line_for_a_tenth_and_for_half_a_minute() -> None:
    stream, now = io.StringIO(), [0.0]
    lines = Lines(stream, lambda: now[0])
    for ended in range(1001):
        now[0] += 0.01
        lines.show(a_batch(total=1000, succeeded=ended))
    assert len(stream.getvalue().splitlines()) == 11
    now[0] += 31
    lines.show(a_batch(total=1000, succeeded=1000))
    assert len(stream.getvalue().splitlines()) == 12
    lines.show(a_batch("cancelling", total=1000, succeeded=1000))
    assert "cancelling 1000/1000" in stream.getvalue().splitlines()[-1]


def test_a_line_tells_counts_rate_and_the_time_left() -> None:
    batch = a_batch(total=100, succeeded=29, failed=2, running=8, elapsed_s=12.4, eta_s=28)
    told = "running 31/100: 29 succeeded, 2 failed, 8 running, 61 queued; 2.5/s, 28 s left"
    assert line(batch) == told


def test_the_end_is_left_to_who_waited() -> None:
    stream = io.StringIO()
    Lines(stream).show(a_batch("completed", "succeeded", succeeded=10))
    assert stream.getvalue() == ""


def test_the_bar_keeps_to_two_lines_however_narrow_the_terminal() -> None:
    batch = a_batch(total=100, succeeded=29, failed=2, running=8, elapsed_s=12.4, eta_s=28)
    for width in (30, 60, 200):
        console = Console(file=io.StringIO(), width=width, force_terminal=True, no_color=True)
        shown = console.render_lines(drawn(batch), pad=False)
        texts = ["".join(segment.text for segment in row) for row in shown]
        assert len(texts) == 2
        assert all(len(text) <= width for text in texts)
        assert texts[0].endswith("31/100")
        assert texts[1].startswith("29 succeeded  2 failed")
