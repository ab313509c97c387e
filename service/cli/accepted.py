"""What is said of a batch that was just accepted, and the waiting for its end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from service.cli.terminal import is_terminal
from service.cli.watch import watch_to_the_end
from service.cli.wording import amount

if TYPE_CHECKING:
    from service.client import Batch, Client


class Waiting(NamedTuple):
    """Whether and how to wait for the end of what was accepted."""

    wait: bool
    watch: bool
    timeout_s: float | None

    def after(self, client: Client, batch: Batch) -> None:
        """Say the id; then wait if asked to, and exit with the outcome's code."""
        announce(batch)
        if self.wait or self.watch:
            quiet = not self.watch
            sys.exit(watch_to_the_end(client, batch.id, self.timeout_s, sys.stderr, quiet=quiet))


def waiting_options(command: Callable[..., None]) -> Callable[..., None]:
    """--wait, --watch and --timeout, given to the command as ``waiting``."""

    @click.option("--wait", is_flag=True, help="Until it ends; exit with its outcome's code.")
    @click.option("--watch", is_flag=True, help="As --wait, and show on stderr how it goes.")
    @click.option(
        "--timeout",
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="With --wait or --watch: wait no longer. The batch goes on; the exit code is 3.",
    )
    @wraps(command)
    def waiting(wait: bool, watch: bool, timeout: float | None, **arguments: Any) -> None:
        if timeout is not None and not (wait or watch):
            raise click.UsageError("--timeout goes with --wait or --watch.")
        command(waiting=Waiting(wait, watch, timeout), **arguments)

    return waiting


def announce(batch: Batch) -> None:
    """The id alone for a program (``id=$(jobspool submit urls.txt)``), a sentence for a person."""
    if is_terminal():
        click.echo(f"Accepted {amount(batch.counts.total, 'job')} as batch {batch.id}")
        click.echo(f"  jobspool watch {batch.id}")
    else:
        click.echo(batch.id)
    sys.stdout.flush()  # whoever is killed while waiting has told the id
