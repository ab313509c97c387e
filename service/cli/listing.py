"""``jobspool ls``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from service.cli.connection import with_client
from service.cli.terminal import drawing, in_a_line, is_terminal
from service.cli.wording import STYLES, age, duration, labels_text, state

if TYPE_CHECKING:
    from rich.table import Table

    from service.client import Batch, Client


@click.command()
@click.option(
    "--status",
    type=click.Choice(["queued", "running", "cancelling", "completed", "cancelled"]),
    help="Only batches with this status.",
)
@click.option(
    "--outcome",
    type=click.Choice(["succeeded", "partial", "failed", "cancelled"]),
    help="Only ended batches with this outcome.",
)
@click.option("--name", help="Only batches of this name.")
@click.option("--label", "labels", multiple=True, metavar="K=V", help="Only those that have it.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="How many.")
@click.option("--json", "as_json", is_flag=True, help="As a JSON array, for scripts.")
@with_client
def ls(client: Client, limit: int, as_json: bool, labels: tuple[str, ...], **wanted: Any) -> None:
    """List batches, the newest first.

    Piped, it is a line a batch, divided by tabs: id, state, ended/all jobs, failed jobs,
    seconds, time of creation, name, labels.
    """
    pairs = dict(name_and_value(text) for text in labels)
    found = list(islice(client.batches(label=pairs, page=min(limit, 1000), **wanted), limit))
    if as_json:
        click.echo(json.dumps([batch.raw for batch in found], indent=2))
    elif is_terminal():
        drawing().print(table(found, datetime.now(UTC)) if found else "There are none.")
    else:
        for batch in found:
            click.echo("\t".join(fields(batch)))


def name_and_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.", param_hint="--label")
    return name, value


def fields(batch: Batch) -> list[str]:
    """For programs: id, state, ended/all jobs, failed jobs, seconds, when made, name, labels."""
    return [
        batch.id,
        state(batch),
        f"{batch.counts.ended}/{batch.counts.total}",
        str(batch.counts.failed),
        "" if batch.elapsed_s is None else f"{batch.elapsed_s:.3f}",
        batch.raw["created_at"],
        in_a_line(batch.name),
        labels_text(batch),
    ]


def table(batches: Sequence[Batch], now: datetime) -> Table:
    """For people. What has no room is cut, names first; an id never."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    drawn.add_column(
        "ID", no_wrap=True, min_width=max((len(batch.id) for batch in batches), default=2)
    )
    drawn.add_column("STATE", no_wrap=True, min_width=9)
    for name in ("DONE", "TOOK", "AGE"):
        drawn.add_column(name, no_wrap=True, justify="right", min_width=4)
    drawn.add_column("NAME, LABELS", no_wrap=True)
    for batch in batches:
        cells = (
            Text(batch.id),
            Text(state(batch), STYLES.get(state(batch), "")),
            Text(f"{batch.counts.ended}/{batch.counts.total}"),
            Text(duration(batch.elapsed_s)),
            Text(age((now - batch.created_at).total_seconds())),
            Text(f"{in_a_line(batch.name)} {labels_text(batch)}".strip()),
        )
        drawn.add_row(*cells)
    return drawn
