"""``jobspool console``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from service.cli.connection import batch_argument, with_client
from service.cli.terminal import is_terminal, printable

if TYPE_CHECKING:
    from service.client import Client


@click.command()
@batch_argument
@click.option("--follow", is_flag=True, help="As it is printed, until the batch ends.")
@click.option("--raw", is_flag=True, help="Let control characters through to the terminal.")
@with_client
def console(client: Client, batch_id: str, follow: bool, raw: bool) -> None:
    """Show what a batch's jobs printed, in order.

    Piped, it is the very text. On a terminal control characters are shown as \\x1b and so on:
    what a job printed may come from a stranger's page.
    """
    as_it_is = raw or not is_terminal()
    for text in client.console(batch_id, follow=follow):
        sys.stdout.write(text if as_it_is else printable(text))
        if follow:
            sys.stdout.flush()
