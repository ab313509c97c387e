"""``jobspool keys``: made and ended in the data directory, whether the service runs or not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from service.operations.keyring import Keyring

COLUMNS = ("id", "name", "created", "revoked", "queued", "max queued", "batches/min")


def data_dir(command: Callable[..., None]) -> Callable[..., None]:
    option = click.option(
        "--data-dir", help="The service's data directory (default ./jobspool-data)."
    )
    return option(command)


@click.group()
def keys() -> None:
    """Make, list and revoke API keys.

    Once there has been a key, every request needs one: Authorization: Bearer KEY. A running
    service goes by a change at once. Run this as the service's user.
    """


@keys.command()
@click.argument("name")
@click.option("--max-queued", type=click.IntRange(0), help="Most jobs in the queue; 0: no limit.")
@click.option(
    "--batches-per-minute", type=click.IntRange(0), help="Most batches a minute; 0: no limit."
)
@click.option("--adopt", is_flag=True, help="Give it what was made before there were keys.")
@data_dir
def create(
    name: str,
    max_queued: int | None,
    batches_per_minute: int | None,
    adopt: bool,
    data_dir: str | None,
) -> None:
    """Make a key and print it, this once: only a hash of it is kept.

    Standard output is the key alone: KEY=$(jobspool keys create NAME)
    """
    with _keyring(data_dir) as keyring:
        made = keyring.create(
            name,
            max_queued_jobs=max_queued,
            batches_per_minute=batches_per_minute,
            adopt=adopt,
        )
    adopted = f"; {made.adopted} batches are now its own" if adopt else ""
    click.echo(f"key {made.id} {name!r} is made{adopted}. It can't be shown again:", err=True)
    click.echo(made.text)


@keys.command("list")
@data_dir
def list_keys(data_dir: str | None) -> None:
    """List the keys, the revoked ones too. "-" is the default of the settings."""
    with _keyring(data_dir) as keyring:
        rows = [_columns(key) for key in keyring.list()]
    widths = [max(map(len, column)) for column in zip(COLUMNS, *rows, strict=True)]
    for row in (COLUMNS, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())


@keys.command()
@click.argument("name_or_id", metavar="NAME|ID")
@data_dir
def revoke(name_or_id: str, data_dir: str | None) -> None:
    """End a key. What it made runs on, and expires; nobody sees it any more."""
    with _keyring(data_dir) as keyring:
        key_id = keyring.revoke(name_or_id)
    click.echo(f"key {key_id} is revoked", err=True)


@contextmanager
def _keyring(data_dir: str | None) -> Iterator[Keyring]:
    from service.errors import JobspoolError
    from service.operations.keyring import Keyring
    from service.settings import load_settings

    try:
        keyring = Keyring(load_settings(data_dir=data_dir))
        try:
            yield keyring
        finally:
            keyring.close()
    except JobspoolError as refused:
        click.echo(f"jobspool: {refused.detail}", err=True)
        sys.exit(2)


def _columns(key: Any) -> tuple[str, ...]:
    return (
        str(key.id),
        key.name,
        _moment(key.created_ms),
        _moment(key.revoked_ms),
        str(key.queued),
        _limit(key.max_queued_jobs),
        _limit(key.batches_per_minute),
    )


def _moment(moment_ms: int | None) -> str:
    if moment_ms is None:
        return "-"
    return datetime.fromtimestamp(moment_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _limit(limit: int | None) -> str:
    return {None: "-", 0: "none"}.get(limit, str(limit))
