"""The Python client against the real service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from service.client import Batch, Client, Conflict, Expired, Invalid, NotFound
from tests.support.scripted import Handler, Scripted, lose
from tests.support.server import Server, free_port
from tests.support.waiting import eventually

CLOSED = free_port()
NOBODY = f"http://127.0.0.1:{CLOSED}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service for all tests that do it no harm."""
    allowed = {"fetch_allow_cidrs": "127.0.0.0/8", "fetch_allow_ports": CLOSED}
    server = Server(tmp_path_factory.mktemp("client"), pool_size=4, **allowed)
    try:
        yield server.start()
    finally:
        server.close()


@pytest.fixture
def jobs_client(shared: Server) -> Iterator[Client]:
    with Client(shared.url) as client:
        yield client


def numbers(**params: Any) -> dict[str, Any]:
    return {"type": "numbers", "params": {"count": 2, **params}}


LONG = numbers(delay_s=60)


def test_from_submit_to_delete(jobs_client: Client) -> None:
    batch = jobs_client.submit(
        [{**numbers(name="a"), "custom_id": "first"}, numbers(name="b")],
        name="whole",
        executor="sequential",
        labels={"team": "a"},
        defaults={"timeout_s": 30},
    )
    seen: list[Batch] = []
    ended = jobs_client.wait(batch.id, timeout_s=60, on_progress=seen.append)
    assert (ended.outcome, ended.counts.succeeded, ended.executor) == ("succeeded", 2, "sequential")
    assert seen[-1] == ended
    first, second = jobs_client.results(batch.id)
    assert (first.custom_id, first.result) == ("first", {"lines": ["a: 1", "a: 2"]})
    assert (second.index, second.status) == (1, "succeeded")
    assert "".join(jobs_client.console(batch.id)) == "a: 1\na: 2\nb: 1\nb: 2\n"
    assert [job.custom_id for job in jobs_client.jobs(batch.id, status="succeeded")] == [
        "first",
        None,
    ]
    assert jobs_client.job(second.job_id).attempts[0].n == 1
    jobs_client.delete(batch.id)
    with pytest.raises(NotFound):
        jobs_client.batch(batch.id)


def test_cancel_and_retry(jobs_client: Client) -> None:
    batch = jobs_client.submit([LONG] * 6, max_workers=1)
    with pytest.raises(Conflict):
        jobs_client.delete(batch.id)
    jobs_client.cancel_job(f"{batch.id}.5")
    assert jobs_client.cancel(batch.id).cancelled_queued >= 4
    assert jobs_client.wait(batch.id).outcome == "cancelled"
    again = jobs_client.retry(batch.id)
    assert (again.retry_of, again.counts.total) == (batch.id, 6)
    with pytest.raises(Conflict):
        jobs_client.retry(batch.id, status=["succeeded"])
    jobs_client.cancel(again.id)
    jobs_client.wait(again.id)


def test_ten_thousand_jobs_of_a_generator(jobs_client: Client) -> None:
    jobs = (numbers(count=1, start=n) for n in range(10_000))
    batch = jobs_client.submit_ndjson(jobs, name="many")
    assert batch.counts.total == 10_000
    assert jobs_client.wait(batch.id).counts.succeeded == 10_000
    lines = [one.result["lines"] for one in jobs_client.results(batch.id)]
    assert lines == [[str(n)] for n in range(10_000)]
    assert sum(1 for _ in jobs_client.jobs(batch.id)) == 10_000, "over all pages"


def test_urls_of_a_file(jobs_client: Client, tmp_path: Path) -> None:
    file = tmp_path / "urls.txt"
    file.write_text(f"{NOBODY}/a\n{NOBODY}/b\n")
    with file.open("rb") as urls:
        batch = jobs_client.submit_urls(urls, max_workers=2, ttl_s=1)
    assert jobs_client.wait(batch.id).outcome == "failed"

    def expired() -> bool:
        try:
            jobs_client.batch(batch.id)
        except Expired:
            return True
        return False

    eventually(expired, "it expires", every_s=0.1)


def test_a_list_goes_over_all_pages(jobs_client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.client.pages.PAGE", 2)
    made = [jobs_client.submit([numbers()], labels={"of": "list"}).id for _ in range(5)]
    found = jobs_client.batches(label="of=list", created_after="2026-01-01T00:00:00Z")
    assert [one.id for one in found] == made[::-1]
    assert list(jobs_client.batches(label={"of": "list"}, name="another")) == []


def test_a_refusal_says_where_and_can_be_quoted(jobs_client: Client) -> None:
    with pytest.raises(Invalid) as refused:
        jobs_client.submit([numbers(), numbers(count=-1), {"type": "nothing"}], priority=1000)
    assert {flaw.pointer for flaw in refused.value.errors} == {
        "/priority",
        "/jobs/1/params/count",
        "/jobs/2/type",
    }
    assert refused.value.request_id


def test_a_source_that_breaks_off_makes_no_batch(jobs_client: Client) -> None:
    def jobs() -> Iterator[dict[str, Any]]:
        for _ in range(5_000):
            yield numbers()
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        jobs_client.submit_ndjson(jobs(), name="broken off")
    assert list(jobs_client.batches(name="broken off")) == []


def test_what_the_service_says_of_itself(jobs_client: Client) -> None:
    assert {one["name"] for one in jobs_client.job_types()} >= {"numbers", "letters", "scrape"}
    assert jobs_client.executor()["limits"]["pool_size"] == 4


@pytest.mark.parametrize("body", ["json", "ndjson", "urls"])
def test_an_answer_lost_after_the_commit_makes_one_batch(
    body: str, shared: Server, jobs_client: Client
) -> None:
    """The client's request is committed, its answer is lost on the way back."""

    def passed_on(handler: Handler) -> requests.Response:
        asked = handler.asked
        kept = ("Content-Type", "Idempotency-Key")
        headers = {name: asked.headers[name] for name in kept}
        url = f"{shared.url}{asked.path}"
        answer = requests.post(url, asked.body, params=asked.query, headers=headers, timeout=60)
        assert answer.status_code == 202
        return answer

    def committed_and_lost(handler: Handler) -> None:
        passed_on(handler)
        lose(handler)

    def committed(handler: Handler) -> None:
        answer = passed_on(handler)
        handler.send_response(202)
        handler.send_header("Content-Length", str(len(answer.content)))
        handler.end_headers()
        handler.wfile.write(answer.content)

    name = f"lost {body}"
    with Scripted(committed_and_lost, committed) as between, Client(between.url) as client:
        if body == "json":
            batch = client.submit([numbers()], name=name)
        elif body == "ndjson":
            batch = client.submit_ndjson([numbers()], name=name)
        else:
            batch = client.submit_urls([f"{NOBODY}/"], name=name)
        assert len(between.asked) == 2
    assert [one.id for one in jobs_client.batches(name=name)] == [batch.id]


def test_a_wait_survives_a_restart(make_server: Callable[..., Server]) -> None:
    server = make_server().start()
    looks: list[Batch] = []

    def restart_once(batch: Batch) -> None:
        looks.append(batch)
        if len(looks) == 1:
            server.kill()
            server.launch()  # and does not wait until it is there: the client has to

    with Client(server.url, retries=9, backoff_s=0.05) as client:
        batch = client.submit([numbers(delay_s=2.0)])
        assert client.wait(batch.id, on_progress=restart_once).outcome == "succeeded"
    assert not looks[0].ended
