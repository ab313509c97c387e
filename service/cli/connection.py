"""The service that a command asks: its address, the key, and what is said when it fails."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn

import click

from service.cli.terminal import printable

if TYPE_CHECKING:
    from service.client import Client, ProblemError

LOCAL = "http://127.0.0.1:8000"

FLAWS_SHOWN = 20

REFUSED_AS_ASKED = frozenset({400, 404, 405, 406, 410, 413, 415, 422})
"""The same command would be refused again, unlike one that met a full queue or a lost server."""

FAILED, USAGE = 1, 2

FIRST_PAUSE_S = 0.25
"""Before the client tries again: it gives up after about ten seconds, the time of a restart."""


def server_options(command: Callable[..., None]) -> Callable[..., None]:
    command = click.option(
        "--key",
        envvar="JOBSPOOL_KEY",
        help="Your key. Better set JOBSPOOL_KEY: other users see a command line in ps.",
    )(command)
    return click.option(
        "--server",
        metavar="URL",
        envvar="JOBSPOOL_SERVER",
        default=LOCAL,
        help=f"The service to ask (JOBSPOOL_SERVER; default {LOCAL}).",
    )(command)


def with_client(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a ``Client`` as its first argument, and --server and --key.

    What goes wrong at the service or on the way to it ends the command with a sentence.
    """

    @server_options
    @wraps(command)
    def connected(server: str, key: str | None, **arguments: Any) -> None:
        from service.client import Client

        log = logging.getLogger("jobspool.client")
        log.handlers = [_Notice(server)]
        log.setLevel(logging.INFO)
        with explained(server), _client(Client, server, key) as client:
            command(client, **arguments)

    return connected


def batch_argument(command: Callable[..., None]) -> Callable[..., None]:
    return click.argument("batch_id", metavar="ID", shell_complete=_recent_ids)(command)


def _client(kind: type[Client], server: str, key: str | None) -> Client:
    try:
        return kind(server, key, backoff_s=FIRST_PAUSE_S)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--server") from None


class _Notice(logging.Handler):
    """Says once that the client, which logs it, tries again: nobody should wonder why it takes
    so long."""

    def __init__(self, server: str) -> None:
        super().__init__(logging.INFO)
        self._server = server
        self._said = False

    def emit(self, _record: logging.LogRecord) -> None:
        if not self._said:
            self._said = True
            click.echo(f"jobspool: {self._server} does not answer; trying again", err=True)


@contextmanager
def explained(server: str) -> Iterator[None]:
    """End the command with a sentence for what the service refuses, or if there is none."""
    from service.client import ConnectionFailed, JobspoolClientError, ProblemError, StreamCut

    try:
        yield
    except ProblemError as problem:
        _explain_problem(problem)
    except StreamCut as cut:
        give_up(f"cut off: {cut}", FAILED)
    except ConnectionFailed as failed:
        give_up(f"{server} can't be reached: {_reason(failed)}. Is the service running?", FAILED)
    except JobspoolClientError as error:
        give_up(str(error), FAILED)
    except ValueError as error:  # what no request can hold: an empty id, an odd key
        give_up(str(error), USAGE)


def _reason(failed: BaseException) -> str:
    """What the system said, below all that libraries put around it."""
    cause: BaseException | None = failed
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__cause__ or cause.__context__
    return str(failed)


def give_up(sentence: str, code: int) -> NoReturn:
    click.echo(f"jobspool: {printable(sentence)}", err=True)
    sys.exit(code)


def _explain_problem(problem: ProblemError) -> NoReturn:
    request = f", request {problem.request_id}" if problem.request_id else ""
    lines = [f"{problem.detail} ({problem.status} {problem.code}{request})"]
    lines += [f"  {flaw.pointer or '/'}: {flaw.detail}" for flaw in problem.errors[:FLAWS_SHOWN]]
    more = len(problem.errors[FLAWS_SHOWN:]) + problem.errors_left_out
    if more:
        lines.append(f"  and {more} more")
    give_up("\n".join(lines), USAGE if problem.status in REFUSED_AS_ASKED else FAILED)


def _recent_ids(ctx: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    """For the shell's completion: the newest batches, or nothing if they can't be had at once."""
    from itertools import islice

    from service.client import Client, JobspoolClientError

    server, key = ctx.params.get("server") or LOCAL, ctx.params.get("key")
    try:
        with Client(server, key, timeout_s=1, retries=0) as client:
            newest = islice(client.batches(page=50), 50)
            return [batch.id for batch in newest if batch.id.startswith(begun)]
    except (JobspoolClientError, ValueError):
        return []
