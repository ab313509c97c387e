"""``jobspool timeline``."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from service.cli.chart import BAD, BLOCKS, LETTERS, Spans, chart_of, rows_of
from service.cli.connection import batch_argument, with_client
from service.cli.statistics import statistics_lines
from service.cli.terminal import drawing, drawing_width, is_terminal
from service.cli.wording import amount, duration

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from rich.text import Text

    from service.client import Client


@click.command()
@batch_argument
@click.option(
    "--rows", type=click.IntRange(1), default=50, show_default=True, help="Most threads drawn."
)
@click.option("--json", "as_json", is_flag=True, help="As the API has it, for scripts.")
@with_client
def timeline(client: Client, batch_id: str, rows: int, as_json: bool) -> None:
    """Draw what each thread did over time.

    A row is a thread, scaled to the width of the terminal (or COLUMNS). Statistics follow.
    """
    document = client.timeline(batch_id)
    if as_json:
        click.echo(json.dumps(document, indent=2))
        return
    console = drawing()
    width = console.width if is_terminal() else drawing_width()
    for line in picture(document, width=width, rows=rows, blocks=_has_blocks()):
        console.print(line, soft_wrap=True)


def picture(
    document: Mapping[str, Any], *, width: int, rows: int, blocks: bool = True
) -> list[Text]:
    """The lines to print, none wider than ``width``, which is 40 at least."""
    from rich.text import Text

    width, drawn = max(40, width), rows_of(document)
    chart = chart_of(document, width=width, glyphs=BLOCKS if blocks else LETTERS)
    lines = [Text(_head(document)), *chart.lines(drawn[:rows]), *map(Text, _legend(drawn[:rows]))]
    if len(drawn) > rows:
        lines.append(Text(f"… {len(drawn)} threads in all (--rows)"))
    if document["truncated"]:
        lines.append(Text("The batch has more runs than the service puts into one timeline."))
    lines += map(Text, statistics_lines(document["statistics"]))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _head(document: Mapping[str, Any]) -> str:
    spans = sum(len(thread["spans"]) for thread in document["threads"])
    threads = amount(len(document["threads"]), "thread")
    text = f"{amount(spans, 'run')} on {threads} in {duration(document['elapsed_s'] or 0.0)}"
    concurrency = document["concurrency"]
    if concurrency["average"] is not None:
        text += f"; {concurrency['average']:g} at once on average, {concurrency['peak']} at most"
    return text


def _legend(rows: list[tuple[str, Spans]]) -> list[str]:
    """Of what is drawn and does not explain itself."""
    seen = {span["status"] for _, spans in rows for span in spans}
    told = ", ".join(f"{sign} {status}" for status, sign in BAD.items() if status in seen)
    return [told.replace("_", " ")] if told else []


def _has_blocks() -> bool:
    try:
        BLOCKS.sample.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
