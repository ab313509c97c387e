"""``jobspool doctor``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Collection, Iterator
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
    """Check that this machine can run jobspool, and that the service answers.

    Run it with the environment, the user and the directory of the service. It changes nothing.
    The exit code is 1 if a check fails.
    """
    named = ctx.get_parameter_source("server") is not ParameterSource.DEFAULT
    checks = [*local_checks(data_dir), *_server_checks(data_dir, server, key, named=named)]
    if as_json:
        click.echo(json.dumps([check._asdict() for check in checks], indent=2))
    else:
        _print(checks)
    sys.exit(any(check.verdict == "fail" for check in checks))


def local_checks(data_dir: str | None) -> Iterator[Check]:
    from service.cli.checks.check import Check
    from service.cli.checks.data import check_database, check_directory
    from service.cli.checks.machine import check_clock, check_limits
    from service.cli.checks.versions import check_versions
    from service.errors import SettingsInvalid

    yield from check_versions()
    yield check_clock()
    try:
        settings = _settings(data_dir)
    except SettingsInvalid as invalid:
        yield Check("settings", "fail", invalid.detail, "Correct them in the environment.")
        return
    yield _settings_check()
    yield from check_limits(settings)
    directory = check_directory(settings.data_dir)
    yield from directory
    if directory[0].verdict == "ok":
        yield from check_database(settings.database_path)


def _settings(data_dir: str | None) -> Settings:
    from service.composition import fetch_policy
    from service.settings import load_settings

    settings = load_settings(data_dir=data_dir)
    fetch_policy(settings)
    return settings


def _settings_check() -> Check:
    from service.cli.checks.check import Check
    from service.settings import unknown_variables

    unknown = unknown_variables()
    if unknown:
        return Check("settings", "warn", f"{', '.join(unknown)}: no such settings", "Misspelt?")
    return Check("settings", "ok", "valid")


def _server_checks(
    data_dir: str | None, server: str, key: str | None, *, named: bool
) -> Iterator[Check]:
    """A service that is named, or that holds the directory, is expected to answer."""
    from service.cli.checks.server import check_server
    from service.datadir import holder_of
    from service.errors import SettingsInvalid

    held = False
    with suppress(OSError, SettingsInvalid):
        held = holder_of(_settings(data_dir).data_dir) is not None
    yield from check_server(server, key, expected=named or held)


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
