"""``jobspool serve``."""

from __future__ import annotations

import sys
from typing import Any

import click

from service.errors import StartRefused


@click.command()
@click.option("--host", help="Address to listen on (default 127.0.0.1).")
@click.option("--port", type=int, help="Port to listen on (default 8000).")
@click.option("--workers", type=int, help="Worker processes (default 1).")
@click.option("--threads", type=int, help="Request threads of each worker (default 16).")
@click.option("--pool-size", type=int, help="Job threads of each worker's pool (default 16).")
@click.option("--data-dir", help="Where the database is kept (default ./jobspool-data).")
@click.option(
    "--insecure-bind",
    is_flag=True,
    default=None,
    help="Listen on an address that other machines reach, without keys.",
)
def serve(**options: Any) -> None:
    """Run the service in the foreground.

    Each option is also a setting: JOBSPOOL_PORT for --port, and so on; the README lists all.
    """
    from service.server import serve as run
    from service.settings import load_settings

    try:
        run(load_settings(**options))
    except StartRefused as refused:
        click.echo(f"jobspool: {refused.detail}", err=True)
        sys.exit(2)
