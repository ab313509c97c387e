"""``jobspool results``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from service.cli.connection import FAILED, batch_argument, give_up, with_client
from service.cli.export import BY_SUFFIX, FORMATS, overview, whole_file
from service.cli.terminal import drawing_width, is_terminal

if TYPE_CHECKING:
    from service.client import Client

STDOUT = Path("-")


@click.command()
@batch_argument
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write there, by its suffix as .ndjson, .jsonl, .csv or .json. It appears when whole.",
)  # fmt: skip
@click.option("--format", "wanted", type=click.Choice(list(FORMATS)), help="Whatever the suffix.")
@click.option("--follow", is_flag=True, help="In the order of completion, until the batch ends.")
@with_client
def results(
    client: Client, batch_id: str, output: Path | None, wanted: str | None, follow: bool
) -> None:
    """Show or save the results of a batch.

    There is one for every job. On a terminal it is a line, cut to its width; elsewhere whole, as
    NDJSON.
    """
    output = None if output == STDOUT else output
    if output and not wanted:
        wanted = _format_of(output)
    lines = (result.raw for result in client.results(batch_id, follow=follow))
    if output:
        _save(FORMATS[wanted or "ndjson"](lines), output)
    elif wanted or not is_terminal():
        _print(FORMATS[wanted or "ndjson"](lines), at_once=follow)
    else:
        _print(overview(lines, drawing_width()), at_once=follow)


def _format_of(path: Path) -> str:
    if path.suffix.lower() not in BY_SUFFIX:
        known = ", ".join(BY_SUFFIX)
        raise click.UsageError(f"{path} has none of the suffixes {known}: say --format.")
    return BY_SUFFIX[path.suffix.lower()]


def _save(pieces: Iterator[str], path: Path) -> None:
    try:
        with whole_file(path) as file:
            file.writelines(pieces)
    except OSError as error:
        give_up(f"{path} can't be written: {error.strerror}", FAILED)


def _print(pieces: Iterator[str], *, at_once: bool) -> None:
    for piece in pieces:
        sys.stdout.write(piece)
        if at_once:
            sys.stdout.flush()
