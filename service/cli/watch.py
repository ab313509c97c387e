"""``jobspool watch``, and the waiting of ``submit --wait``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TextIO

import click

from service.cli.commands import INTERRUPTED
from service.cli.connection import batch_argument, with_client
from service.cli.progress import progress
from service.cli.terminal import is_terminal
from service.cli.wording import ending

if TYPE_CHECKING:
    from service.client import Batch, Client

EXIT_CODES = {"succeeded": 0, "partial": 1, "failed": 1, "cancelled": 3}
TIMED_OUT = 3


@click.command()
@batch_argument
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="Wait no longer; the batch goes on, and the exit code is 3.",
)
@with_client
def watch(client: Client, batch_id: str, timeout: float | None) -> None:
    """Show how a batch goes until it ends.

    The exit code is its outcome's: 0 succeeded, 1 failed in part or whole, 3 cancelled.
    """
    sys.exit(watch_to_the_end(client, batch_id, timeout, sys.stdout))


def watch_to_the_end(
    client: Client, batch_id: str, timeout_s: float | None, stream: TextIO, *, quiet: bool = False
) -> int:
    """Returns the exit code. ``quiet`` shows nothing on the way, and elsewhere than on a terminal
    the end only if it is no success."""
    from service.client import WaitTimeout

    def wait() -> Batch:
        if quiet:
            return client.wait(batch_id, timeout_s=timeout_s)
        with progress(stream) as show:
            return client.wait(batch_id, timeout_s=timeout_s, on_progress=show)

    try:
        batch = wait()
    except WaitTimeout:
        _goes_on(batch_id, f"not ended after {timeout_s:g} s")
        return TIMED_OUT
    except KeyboardInterrupt:
        _goes_on(batch_id, "interrupted")
        return INTERRUPTED
    code = EXIT_CODES[batch.outcome or "failed"]
    if code or not quiet or is_terminal(stream):
        click.echo(ending(batch), file=stream)
    return code


def _goes_on(batch_id: str, why: str) -> None:
    click.echo(
        f"jobspool: {why}; the batch goes on.\n"
        f"  jobspool watch {batch_id}   to come back to it\n"
        f"  jobspool cancel {batch_id}  to stop it",
        err=True,
    )
