"""A click group that imports a command when it is needed.

``jobspool ls`` needs no server's modules, and ``jobspool serve`` no client's: each would make
the other start a second later.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


class Commands(click.Group):
    """``commands_at`` tells the place (``module:attribute``) of each command, in the order of
    the help."""

    def __init__(self, *args: Any, commands_at: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = commands_at

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self._places)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._places:
            return None
        module, _, attribute = self._places[cmd_name].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        _write_what_the_encoding_lacks()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)
        finally:
            # whoever reads us may have gone (`| head`): notice here, where click ends quietly,
            # and not while Python shuts down
            sys.stdout.flush()


def _write_what_the_encoding_lacks() -> None:
    """As escapes: a page title must not end a command with a UnicodeEncodeError."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
