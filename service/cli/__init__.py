"""The ``jobspool`` command: a file for each of its commands."""

from __future__ import annotations

import click

from service import __version__
from service.cli.commands import Commands

COMMANDS = {
    "serve": "service.cli.serve:serve",
    "submit": "service.cli.submit:submit",
    "ls": "service.cli.listing:ls",
    "show": "service.cli.show:show",
    "watch": "service.cli.watch:watch",
    "results": "service.cli.results:results",
    "console": "service.cli.console:console",
    "timeline": "service.cli.timeline:timeline",
    "cancel": "service.cli.acts:cancel",
    "retry": "service.cli.acts:retry",
    "rm": "service.cli.acts:rm",
    "keys": "service.cli.keys:keys",
    "doctor": "service.cli.doctor:doctor",
    "completion": "service.cli.completion:completion",
}


@click.group(
    cls=Commands, commands_at=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="jobspool")
def main() -> None:
    """Run batches of jobs over HTTP, on threads, durably.

    All commands but serve, keys and doctor ask the service at JOBSPOOL_SERVER (--server, default
    http://127.0.0.1:8000) with the key in JOBSPOOL_KEY.

    \b
    Exit codes: 0 succeeded; 1 failed, in part or whole, or the service could not be asked;
    2 refused as it was asked (options, input, an unknown id); 3 cancelled, or the time
    given by --timeout was over; 130 interrupted.
    """
