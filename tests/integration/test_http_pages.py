"""Pages are bounded in bytes, and still nothing is left out."""

from __future__ import annotations

import json
from typing import Any

from service.composition import Service
from service.store.pages import PAGE_BYTES
from service.store.transaction import Transaction
from tests.support.api import Api, job

LARGE = job(count=10_000, name="x" * 90)
"""Its result is a megabyte."""


def pages(api: Api, path: str) -> list[Any]:
    found = []
    while path:
        found.append(api.client.get(path))
        path = found[-1].json["next"]
    return found


def test_a_page_of_large_results_holds_fewer_than_asked_for(api: Api) -> None:
    path = api.submit(*[LARGE] * 10)
    assert api.ended(path)["outcome"] == "succeeded"
    for route in ("jobs", "jobs?status=succeeded", "results"):
        found = pages(api, f"{path}/{route}")
        assert len(found) == 3
        assert max(len(page.data) for page in found) < 1.1 * PAGE_BYTES
        assert [item["index"] for page in found for item in page.json["items"]] == list(range(10))


def test_a_single_result_over_the_bound_is_a_page_of_its_own(api: Api, monkeypatch: Any) -> None:
    monkeypatch.setattr("service.store.pages.PAGE_BYTES", 1_000)
    path = api.submit(LARGE, job(), LARGE)
    api.ended(path)
    assert [len(page.json["items"]) for page in pages(api, f"{path}/results")] == [1, 1, 1]


def test_exports_and_consoles_are_read_in_bounded_pieces(api: Api) -> None:
    """Streamed piece by piece; each piece is one page."""
    path = api.submit(*[LARGE] * 10)
    api.ended(path)
    for route in ("results?format=ndjson", "results?format=csv", "console"):
        response = api.client.get(f"{path}/{route}", buffered=False)
        sizes = [len(piece) for piece in response.response]
        assert sum(sizes) > 9_000_000
        assert max(sizes) < 1.2 * PAGE_BYTES
    lines = api.client.get(f"{path}/results?format=ndjson").text.splitlines()
    assert [json.loads(line)["index"] for line in lines] == list(range(10))
    assert len(api.console(path).splitlines()) == 100_000


def test_a_stored_text_that_can_not_be_read_spoils_its_own_job_only(
    api: Api, service: Service
) -> None:
    path = api.submit(job(count=1), job(count=1), job("raiser", error="ValueError"))
    api.ended(path)
    columns = {0: "result", 1: "params", 2: "error"}

    def spoil(tx: Transaction) -> None:
        for index, column in columns.items():
            tx.connection.exec_driver_sql(
                f"UPDATE jobs SET {column} = ? WHERE key & 0xFFFFFF = ?", ("{" * 9, index)
            )

    service.store.journal.write(spoil)
    first, second, third = api.get(f"{path}/results")["items"]
    assert (first["result"], first["error"]["code"]) == (None, "unreadable")
    assert (second["result"], second["error"]) == ({"lines": ["1"]}, None)
    assert (third["result"], third["error"], third["status"]) == (None, None, "failed")
    assert [item["params"] is None for item in api.jobs(path)] == [False, True, False]


AWKWARD = [
    '"}',
    "back\\slash",
    "tab\tand\nline",
    "\x1f\x7f",
    "\u2028\u0085",
    "üñ🎈",
    "x}}}",
    "null",
    "",
]


def test_the_lines_of_the_results_say_what_their_pages_say(api: Api, service: Service) -> None:
    states = ("queued", "waiting", "running", "succeeded", "failed", "cancelled")
    named = [{**job(count=1), "custom_id": one} for one in AWKWARD]
    path = api.submit(*named, job("raiser", error="ValueError"), *[job()] * len(states))
    api.ended(path)

    def stand(tx: Transaction) -> None:
        for index, state in enumerate(states, len(AWKWARD) + 1):
            values = state, index, int(state == "running")
            tx.connection.exec_driver_sql(
                "UPDATE jobs SET state = ?1, cancelling = ?3, owner = NULL,"
                " finish_key = CASE WHEN ?3 THEN NULL ELSE finish_key END"
                " WHERE key & 0xFFFFFF = ?2",
                values,
            )

    service.store.journal.write(stand)
    items = api.get(f"{path}/results")["items"]
    shown = ["queued", "queued", "cancelling", "succeeded", "failed", "cancelled"]
    assert [item["status"] for item in items[-len(states) :]] == shown
    assert [item["custom_id"] for item in items[: len(AWKWARD)]] == AWKWARD
    lines = api.client.get(f"{path}/results?format=ndjson").text
    assert lines.count("\n") == len(lines.splitlines())
    assert [json.loads(line) for line in lines.splitlines()] == items
    followed = api.client.get(f"{path}/results?format=ndjson&follow=true").text.splitlines()[:-1]
    in_order = sorted((item for item in items if item["seq"]), key=lambda item: item["seq"])
    assert [json.loads(line) for line in followed] == in_order
