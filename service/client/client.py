"""The client: a method for each thing that the service does."""

from __future__ import annotations

import codecs
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from types import TracebackType
from typing import Any, Unpack

from service.client.body import Body, Source, dumps
from service.client.errors import JobspoolClientError, NotFound
from service.client.following import ConsoleStream, ResultStream, resumed
from service.client.options import Options, as_json, as_query, label_query
from service.client.pages import PAGE, items
from service.client.paths import BATCHES, batch_path, job_path
from service.client.problem import shaped
from service.client.results import exported
from service.client.shapes import Batch, Cancelled, Job, Result
from service.client.transport import Ask, Transport
from service.client.waiting import looked, waited


class Client(AbstractContextManager["Client"]):
    """A jobspool service at ``base_url``; ``key`` is for services that ask for one.

    ``timeout_s`` bounds connecting and each wait for the service's next bytes. A request that
    met a failed connection, a lost answer, 429, 502, 503, 504 or its own key in flight is sent
    again, up to ``retries`` times: after as long as ``Retry-After`` says (if that is over 60 s,
    the error is raised at once), or after pauses that grow from ``backoff_s``. Every submit and
    retry carries an Idempotency-Key, so a lost answer makes no second batch.

    A method raises ProblemError, or one of its kinds, when the service refuses, and
    ConnectionFailed when there is no answer. An iterator raises them as it is read.

    Threads may share a client; an iterator belongs to one thread. Processes may not: make a
    client behind the fork. Redirects are not followed and ~/.netrc is not read, so that the key
    goes to ``base_url`` only. Proxies and CA bundles are the environment's, as ever in requests.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        timeout_s: float = 30.0,
        *,
        retries: int = 5,
        backoff_s: float = 0.5,
    ) -> None:
        self._transport = Transport(
            base_url, key=key, timeout_s=timeout_s, retries=retries, backoff_s=backoff_s
        )

    def close(self) -> None:
        """Close the idle connections. Safe twice."""
        self._transport.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # --- submitting ---------------------------------------------------------------------------

    def submit(
        self,
        jobs: Iterable[Mapping[str, Any]],
        *,
        idempotency_key: str | None = None,
        **options: Unpack[Options],
    ) -> Batch:
        """Submit jobs as JSON: ``{"type": …, "params": …, "custom_id": …}`` each.

        The batch is on the service's disk when this returns. Raises Invalid, whose ``errors``
        are all the flaws, when there is no batch. An ``idempotency_key`` of the caller's own
        (printable ASCII) makes a call safe to repeat also across runs of the program.
        """
        body = dumps({**as_json(options), "jobs": list(jobs)})
        return self._submitted("application/json", body, [], idempotency_key)

    def submit_urls(
        self, urls: Source, *, idempotency_key: str | None = None, **options: Unpack[Options]
    ) -> Batch:
        """Submit a scrape for each URL: an iterable of them, a text or a binary file of lines.

        It is sent again after a failure as ``submit_ndjson`` says.
        """
        return self._submitted("text/plain", Body(urls), as_query(options), idempotency_key)

    def submit_ndjson(
        self, jobs: Source, *, idempotency_key: str | None = None, **options: Unpack[Options]
    ) -> Batch:
        """Submit jobs as a stream, for a million of them: dicts, lines of JSON, a binary file.

        Nothing is held in memory. After a failure the stream is sent again if it can be had
        again: from text, bytes, a list, or a file that can seek. From a generator or a pipe it
        can't, once it was read from: then the failure is raised, and whether there is a batch is
        not known, unless you submit the same lines once more with the same
        ``idempotency_key``. What the source itself raises is passed on, and makes no batch.
        """
        kind, query = "application/x-ndjson", as_query(options)
        return self._submitted(kind, Body(jobs), query, idempotency_key)

    def retry(
        self,
        batch_id: str,
        status: Sequence[str] = ("failed", "cancelled"),
        *,
        idempotency_key: str | None = None,
    ) -> Batch:
        """A new batch of those jobs of an ended batch. Raises Conflict if there are none."""
        headers = {"Content-Type": "application/json", **_keyed(idempotency_key)}
        body = dumps({"status": list(status)})
        raw = self._transport.json(Ask("POST", f"{batch_path(batch_id)}/retry", [], body, headers))
        return shaped(Batch.of, raw)

    def _submitted(
        self, kind: str, body: bytes | Body, query: list[tuple[str, str]], key: str | None
    ) -> Batch:
        headers = {"Content-Type": kind, **_keyed(key)}
        raw = self._transport.json(Ask("POST", BATCHES, query, body, headers))
        return shaped(Batch.of, raw)

    # --- one batch ----------------------------------------------------------------------------

    def batch(self, batch_id: str) -> Batch:
        """The batch as it is now."""
        return looked(self._transport, batch_id)

    def wait(
        self,
        batch_id: str,
        timeout_s: float | None = None,
        on_progress: Callable[[Batch], None] | None = None,
    ) -> Batch:
        """The batch once it has ended, whatever its outcome. Raises WaitTimeout.

        ``on_progress`` is called with each look at the batch: about one a second.
        """
        return waited(self._transport, batch_id, timeout_s, on_progress)

    def results(
        self,
        batch_id: str,
        follow: bool = False,
        after: int | None = None,
        *,
        reconnect_s: float = 60.0,
    ) -> Generator[Result, None, None]:
        """Every job's result, in submission order, also of jobs that have not ended.

        With ``follow``, each result as its job ends, in that order, until the batch has ended;
        ``after`` is the ``seq`` of the last one that you have. Cuts and restarts of the service
        are survived, no line lost or given twice: for ``reconnect_s`` without success, then
        the failure is raised. Without ``follow`` a cut raises StreamCut.
        """
        path = batch_path(batch_id)
        if follow:
            stream = ResultStream(self._transport, path, after)
            return resumed(stream.attempt, reconnect_s)
        if after is not None:
            raise ValueError("after is for follow=True: other results come in submission order")
        return self._exported(batch_id)

    def _exported(self, batch_id: str) -> Generator[Result, None, None]:
        total = self.batch(batch_id).counts.total
        yield from exported(self._transport, batch_path(batch_id), total)

    def console(
        self, batch_id: str, follow: bool = False, *, reconnect_s: float = 60.0
    ) -> Generator[str, None, None]:
        """What the jobs printed, in that order, in pieces that end anywhere.

        With ``follow`` also what they print until the batch has ended, through cuts as in
        ``results``. Without, a cut raises StreamCut.
        """
        path = batch_path(batch_id)
        if follow:
            stream = ConsoleStream(self._transport, path)
            return codecs.iterdecode(resumed(stream.attempt, reconnect_s), "utf-8")
        ask = Ask("GET", f"{path}/console")
        return codecs.iterdecode(self._transport.chunks(ask, "text/plain"), "utf-8")

    def timeline(self, batch_id: str) -> dict[str, Any]:
        """When which thread ran which job, and statistics of it."""
        return self._object(f"{batch_path(batch_id)}/timeline")

    def cancel(self, batch_id: str) -> Cancelled:
        """Ask a batch to stop: what is queued never runs, what runs is told.

        Safe to repeat; after a lost answer the counts are what the second attempt found.
        """
        raw = self._transport.json(Ask("POST", f"{batch_path(batch_id)}/cancel"))
        return shaped(Cancelled.of, raw)

    def delete(self, batch_id: str) -> None:
        """Remove an ended batch with all its data. Raises Conflict while it is active."""
        lost: list[JobspoolClientError] = []
        try:
            self._transport.json(Ask("DELETE", batch_path(batch_id)), on_retry=lost.append)
        except NotFound:
            if not lost:  # otherwise it was the attempt before, the answer of which was lost
                raise

    # --- lists and single jobs ----------------------------------------------------------------

    def batches(
        self,
        *,
        status: str | None = None,
        outcome: str | None = None,
        name: str | None = None,
        label: str | Mapping[str, str] | None = None,
        created_after: datetime | str | None = None,
        page: int = PAGE,
    ) -> Iterator[Batch]:
        """All batches that fit, newest first. ``label`` is ``"name=value"``, or a dict of which
        a batch has to have all; ``created_after`` has a time zone. Who reads only the first few
        asks for smaller pages than 1,000."""
        query = _given(
            status=status, outcome=outcome, name=name, created_after=_text(created_after)
        )
        query += [("label", label)] if isinstance(label, str) else label_query(label or {})
        return (shaped(Batch.of, raw) for raw in items(self._transport, BATCHES, query, page))

    def jobs(self, batch_id: str, status: str | None = None, *, page: int = PAGE) -> Iterator[Job]:
        """The batch's jobs with their params and attempts, in submission order."""
        path = f"{batch_path(batch_id)}/jobs"
        found = items(self._transport, path, _given(status=status), page)
        return (shaped(Job.of, raw) for raw in found)

    def job(self, job_id: str) -> Job:
        """One job; its id is ``<batch id>.<index>``."""
        return shaped(Job.of, self._transport.json(Ask("GET", job_path(job_id))))

    def cancel_job(self, job_id: str) -> Job:
        """Ask one job to stop. Safe to repeat."""
        return shaped(Job.of, self._transport.json(Ask("POST", f"{job_path(job_id)}/cancel")))

    def executor(self) -> dict[str, Any]:
        """How busy the service is, and the limits in force."""
        return self._object("/v1/executor")

    def job_types(self) -> list[dict[str, Any]]:
        """What can be submitted: name, description, params_schema, example."""
        raw = self._object("/v1/job-types")
        return shaped(lambda page: [dict(one) for one in page["items"]], raw)

    def _object(self, path: str) -> dict[str, Any]:
        raw: dict[str, Any] = shaped(dict, self._transport.json(Ask("GET", path)))
        return raw


def _keyed(key: str | None) -> dict[str, str]:
    """The caller's key, or one of our own. Raises ValueError for one that no header can hold."""
    key = str(uuid.uuid4()) if key is None else key
    if not 1 <= len(key) <= 255 or '"' in key or not (key.isascii() and key.isprintable()):
        raise ValueError("idempotency_key must be 1 to 255 printable ASCII characters, no quotes")
    return {"Idempotency-Key": f'"{key}"'}


def _given(**filters: str | None) -> list[tuple[str, str]]:
    return [(name, value) for name, value in filters.items() if value is not None]


def _text(moment: datetime | str | None) -> str | None:
    if not isinstance(moment, datetime):
        return moment
    if moment.tzinfo is None:
        raise ValueError("created_after needs a time zone: datetime.now(UTC), for example")
    return moment.isoformat()
