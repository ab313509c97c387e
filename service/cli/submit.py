"""``jobspool submit``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from service.cli.accepted import Waiting, waiting_options
from service.cli.connection import with_client
from service.cli.listing import name_and_value
from service.cli.sources import FORMATS, document_of, format_of, opened, quick_jobs

if TYPE_CHECKING:
    from service.client import Batch, Client

DEFAULTS = ("timeout_s", "max_attempts")


def batch_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--name", help="A name for the batch."),
            click.option("--label", "labels", multiple=True, metavar="K=V", help="Repeatable."),
            click.option(
                "--executor",
                type=click.Choice(["pool", "dedicated", "sequential"]),
                help="The shared thread pool (default), a thread a job, or one after another.",
            ),
            click.option("--max-workers", type=int, help="Most jobs of it that run at once."),
            click.option(
                "--lock",
                type=click.Choice(["line", "job", "none"]),
                help="What a job holds while it prints (default line).",
            ),
            click.option("--priority", type=int, help="-100 to 100; higher goes first."),
            click.option(
                "--job-timeout", "timeout_s", type=float, metavar="SECONDS", help="Of each job."
            ),
            click.option("--max-attempts", type=int, help="Of each job."),
            click.option(
                "--idempotency-key",
                metavar="TEXT",
                help="A repeat with the same key and input gives the same batch, not a second.",
            ),
        )
    ):
        command = option(command)
    return command


def job_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(
        (
            click.option("--numbers", type=int, metavar="N", help="Jobs that print 1 to N."),
            click.option("--letters", metavar="TEXT", help="Jobs that print each letter of it."),
            click.option("--delay", type=float, metavar="SECONDS", help="After each line printed."),
            click.option("--jobs", type=click.IntRange(1), metavar="N", help="How many of them."),
        )
    ):
        command = option(command)
    return command


@click.command()
@click.argument("file", required=False, type=click.Path(allow_dash=True))
@click.option(
    "--format",
    "wanted",
    type=click.Choice(FORMATS),
    help="What FILE holds; else its suffix tells (.ndjson, .jsonl, .json), or it is urls.",
)
@job_options
@batch_options
@waiting_options
@with_client
def submit(
    client: Client,
    file: str | None,
    wanted: str | None,
    numbers: int | None,
    letters: str | None,
    delay: float | None,
    jobs: int | None,
    waiting: Waiting,
    **options: Any,
) -> None:
    """Submit a batch of jobs, and print its id.

    FILE holds URLs to scrape, one a line, or with the suffix .ndjson a job a line, or with
    .json a whole batch as the HTTP API takes it, whose options those given here override.
    - is the standard input.

    \b
    jobspool submit urls.txt --max-workers 8 --watch
    jobspool submit --numbers 5 --delay 1 --jobs 3 --watch
    id=$(jobspool submit jobs.ndjson)
    """
    quick = numbers is not None or letters is not None
    if quick == (file is not None):
        raise click.UsageError("Give either a FILE (- for stdin), or --numbers or --letters.")
    if not quick and not (delay is jobs is None):
        raise click.UsageError("--delay and --jobs go with --numbers and --letters.")
    chosen = _chosen(options)
    if file is None:
        made = quick_jobs(numbers=numbers, letters=letters, delay_s=delay or 0.0, each=jobs or 1)
        batch = client.submit(jobs=made, **chosen)
    else:
        batch = _submit_file(client, file, wanted or format_of(file), chosen)
    waiting.after(client, batch)


def _chosen(options: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, as the client takes them."""
    labels = dict(name_and_value(text) for text in options.pop("labels"))
    chosen = {name: value for name, value in options.items() if value is not None}
    defaults = {name: chosen.pop(name) for name in DEFAULTS if name in chosen}
    groups = {"labels": labels, "defaults": defaults}
    return {**chosen, **{name: group for name, group in groups.items() if group}}


def _submit_file(client: Client, file: str, wanted: str, chosen: dict[str, Any]) -> Batch:
    with opened(file) as lines:
        if wanted == "urls":
            return client.submit_urls(lines, **chosen)
        if wanted == "ndjson":
            return client.submit_ndjson(lines, **chosen)
        document = document_of(lines, file)
    defaults = {**document["defaults"], **chosen.pop("defaults", {})}
    return client.submit(**{**document, **chosen, "defaults": defaults})
