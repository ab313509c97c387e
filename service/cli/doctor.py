"""``jobspool doctor``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from service.cli.connection import server_options
from service.cli.terminal import drawing, printable

if TYPE_CHECKING:
    from service.cli.checks.check import Check
    from service.settings import Settings

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@click.option("--data-dir", help="Where the database is kept (JOBSPOOL_DATA_DIR).")
@click.option("--json", "as_json", is_flag=True, help="As a JSON array, for scripts.")
@server_options
@click.pass_context
def doctor(
    ctx: click.Context, data_dir: str | None, as_json: bool, server: str, key: str | None
) -> None:
    """Check the machine, the data and the service.

    Run it with the environment, the user and the directory of the service. It changes nothing.
    The exit code is 1 if a check fails.
    """
    from service.cli.checks.machine import check_clock
    from service.cli.checks.versions import check_versions

    named = ctx.get_parameter_source("server") is not ParameterSource.DEFAULT
    settings, valid = _settings(data_dir)
    checks = [*check_versions(), check_clock(), valid]
    if settings:
        checks += _settings_checks(settings)
    checks += _server_checks(settings, server, key, named=named)
    if as_json:
        click.echo(json.dumps([check._asdict() for check in checks], indent=2))
    else:
        _print(checks)
    sys.exit(any(check.verdict == "fail" for check in checks))


def _settings(data_dir: str | None) -> tuple[Settings | None, Check]:
    """None if they are not valid."""
    from service.cli.checks.check import Check
    from service.composition import fetch_policy
    from service.errors import StartRefused
    from service.settings import load_settings, unknown_variables

    try:
        settings = load_settings(data_dir=data_dir)
        fetch_policy(settings)
    except StartRefused as refused:
        return None, Check("settings", "fail", refused.detail, "Correct them in the environment.")
    unknown = unknown_variables()
    if unknown:
        found = f"{', '.join(unknown)}: no such settings"
        return settings, Check("settings", "warn", found, "Misspelt?")
    return settings, Check("settings", "ok", "valid")


def _settings_checks(settings: Settings) -> list[Check]:
    """Those of what the settings ask for."""
    from service.cli.checks.data import check_database, check_directory
    from service.cli.checks.machine import check_limits

    directory = check_directory(settings.data_dir)
    usable = directory[0].verdict == "ok"
    database = check_database(settings.database_path) if usable else []
    return [*check_limits(settings), *directory, *database]


def _server_checks(
    settings: Settings | None, server: str, key: str | None, *, named: bool
) -> list[Check]:
    """A service that is named, or that holds the directory, is expected to answer."""
    from service.cli.checks.server import check_server
    from service.datadir import holder_of

    held = False
    with suppress(OSError):
        held = settings is not None and holder_of(settings.data_dir) is not None
    return check_server(server, key, expected=named or held)


def _print(checks: Collection[Check]) -> None:
    from rich.text import Text

    console = drawing()
    counts = Counter[str](check.verdict for check in checks)
    for check in checks:
        line = Text(f"{check.verdict:<4}", COLOURS[check.verdict])
        line.append(f"  {check.name:<11}  {printable(check.found)}", "default")
        if check.advice:
            line.append(f"\n{'':<19}{printable(check.advice)}", "default")
        console.print(line, soft_wrap=True)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in COLOURS if counts[verdict])
    console.print(told, soft_wrap=True)
