"""``jobspool cancel``, ``retry`` and ``rm``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from service.cli.accepted import Waiting, waiting_options
from service.cli.connection import batch_argument, with_client

if TYPE_CHECKING:
    from service.client import Client

several = click.argument("batch_ids", metavar="ID...", nargs=-1, required=True)


@click.command()
@several
@with_client
def cancel(client: Client, batch_ids: tuple[str, ...]) -> None:
    """Stop batches. What is queued never runs; what runs is told to stop."""
    for batch_id in batch_ids:
        found = client.cancel(batch_id)
        click.echo(
            f"{batch_id}: {found.cancelled_queued} cancelled before they ran, "
            f"{found.still_running} told to stop"
        )


@click.command()
@batch_argument
@click.option(
    "--status",
    "states",
    multiple=True,
    type=click.Choice(["failed", "cancelled", "succeeded"]),
    default=("failed", "cancelled"),
    show_default=True,
    help="Which jobs; may be repeated.",
)
@waiting_options
@with_client
def retry(client: Client, batch_id: str, states: tuple[str, ...], waiting: Waiting) -> None:
    """Run again what failed, as a new batch. What was cancelled too; the old batch stays."""
    waiting.after(client, client.retry(batch_id, status=states))


@click.command()
@several
@with_client
def rm(client: Client, batch_ids: tuple[str, ...]) -> None:
    """Remove ended batches. An active one has to be cancelled first."""
    for batch_id in batch_ids:
        client.delete(batch_id)
