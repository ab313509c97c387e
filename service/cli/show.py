"""``jobspool show``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from service.cli.connection import batch_argument, with_client
from service.cli.terminal import drawing_width, in_a_line, is_terminal, shortened
from service.cli.wording import at_once, counts_text, duration, labels_text, local_time, state

if TYPE_CHECKING:
    from service.client import Batch, Client, Job

FAILURES_SHOWN = 5


@click.command()
@batch_argument
@click.option("--json", "as_json", is_flag=True, help="As the API has it, for scripts.")
@with_client
def show(client: Client, batch_id: str, as_json: bool) -> None:
    """Show a batch, or one job (BATCH.INDEX)."""
    if "." in batch_id:
        job = client.job(batch_id)
        _say(job.raw, facts_of_job(job), as_json)
        return
    batch = client.batch(batch_id)
    _say(batch.raw, facts_of_batch(batch), as_json)
    if batch.counts.failed and not as_json:
        pages = client.jobs(batch_id, status="failed", page=FAILURES_SHOWN)
        click.echo("failed jobs")
        for job in islice(pages, FAILURES_SHOWN):
            click.echo("  " + _cut(failure(job), 2))
        if batch.counts.failed > FAILURES_SHOWN:
            click.echo(f"  and {batch.counts.failed - FAILURES_SHOWN} more")


def _say(raw: Mapping[str, Any], facts: list[tuple[str, str]], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(raw, indent=2))
        return
    for name, value in facts:
        if value:
            click.echo(f"{name:<10} {_cut(in_a_line(value), 11)}")


def _cut(text: str, before: int) -> str:
    """A terminal's line; elsewhere nothing is left out."""
    return shortened(text, drawing_width() - before) if is_terminal() else text


def facts_of_batch(batch: Batch) -> list[tuple[str, str]]:
    width = f", at most {batch.max_workers} at once" if batch.max_workers else ""
    return [
        ("batch", batch.id),
        ("name", batch.name or ""),
        ("labels", labels_text(batch)),
        ("state", state(batch)),
        ("jobs", f"{batch.counts.total}: {counts_text(batch)}"),
        ("threads", at_once(batch.concurrency)),
        ("elapsed", duration(batch.elapsed_s) if batch.elapsed_s is not None else ""),
        ("left", duration(batch.eta_s) if batch.eta_s is not None else ""),
        ("executor", f"{batch.executor}{width}; lock {batch.lock}, priority {batch.priority}"),
        ("created", local_time(batch.created_at)),
        ("expires", local_time(batch.expires_at) if batch.expires_at else ""),
        ("retry of", batch.retry_of or ""),
    ]


def facts_of_job(job: Job) -> list[tuple[str, str]]:
    facts = [
        ("job", job.id),
        ("custom id", job.custom_id or ""),
        ("type", job.type),
        ("state", f"{job.status} ({job.wait_reason})" if job.wait_reason else job.status),
        ("params", json.dumps(job.params, ensure_ascii=False)),
    ]
    for attempt in job.attempts:
        began, ended = attempt.started_at, attempt.finished_at
        ran = duration((ended - began).total_seconds()) if began and ended else "not ended"
        facts.append((f"attempt {attempt.n}", f"{ran} on {attempt.thread or 'no thread'}"))
    if job.error:
        facts.append(("error", f"{job.error.code}: {job.error.detail}"))
    if job.result is not None:
        facts.append(("result", json.dumps(job.result, ensure_ascii=False)))
    return facts


def failure(job: Job) -> str:
    name = f" {job.custom_id}" if job.custom_id else ""
    error = f"{job.error.code}: {job.error.detail}" if job.error else ""
    return in_a_line(f"{job.index}{name}  {error}")
