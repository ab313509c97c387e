"""Reading batches, jobs and results; retrying and removing them."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import JsonValue

from service.composition import Service
from service.errors import JobFailed
from service.jobs.contract import JobContext, JobType, Params
from service.operations.batches import Batches
from tests.support.api import Api, job
from tests.support.waiting import eventually

UNKNOWN = "0M3pXk7Q0000000000zz"


def ndjson(api: Api, path: str) -> list[Any]:
    response = api.client.get(f"{path}/results", headers={"Accept": "application/x-ndjson"})
    assert response.mimetype == "application/x-ndjson"
    return [json.loads(line) for line in response.text.splitlines()]


def pointers(response: Any) -> list[str]:
    return [error["pointer"] for error in response.json["errors"]]


def test_a_batch_shows_all_that_the_contract_names(api: Api) -> None:
    batch = api.run(job(count=1), name="n")
    assert set(batch) == {
        "id", "name", "labels", "status", "outcome", "executor", "max_workers", "lock",
        "priority", "counts", "concurrency", "elapsed_s", "created_at", "started_at",
        "finished_at", "expires_at", "eta_s", "poll_after_s", "retry_of", "links",
    }  # fmt: skip
    counts = batch["counts"]
    assert counts["total"] == sum(n for name, n in counts.items() if name != "total")
    assert batch["created_at"] <= batch["started_at"] <= batch["finished_at"]
    assert batch["finished_at"].endswith("Z")
    for link in ("self", "jobs", "results", "console", "events"):
        assert api.client.get(batch["links"][link]).status_code == 200


def test_while_it_runs_it_says_when_to_look_again(api: Api) -> None:
    path = api.submit(job("sleeper"))
    response = api.client.get(path)
    assert int(response.headers["Retry-After"]) == response.json["poll_after_s"] >= 1
    assert response.json["finished_at"] is None
    api.client.post(f"{path}/cancel")
    api.ended(path)
    after = api.client.get(path)
    assert "Retry-After" not in after.headers
    assert after.json["poll_after_s"] is None


def test_an_estimate_is_made_once_five_jobs_have_ended(
    make_service: Callable[..., Service],
) -> None:
    api = Api(make_service(pool_size=1).app.test_client())
    path = api.submit(*[job(count=1, delay_s=0.02)] * 4, *[job("sleeper")] * 2)
    assert api.until(path, "succeeded", 4)["eta_s"] is None
    api.client.post(f"{path}/cancel")
    path = api.submit(*[job(count=1, delay_s=0.02)] * 5, *[job("sleeper")] * 2)
    assert api.until(path, "succeeded", 5)["eta_s"] >= 1
    api.client.post(f"{path}/cancel")


def test_an_unchanged_batch_is_304(api: Api) -> None:
    path = api.submit(job(count=1))
    api.ended(path)
    etag = api.client.get(path).headers["ETag"]
    again = api.client.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.data) == (304, b"")
    assert again.headers["ETag"] == etag
    assert again.headers["Cache-Control"] == "no-store"
    for tags, status in (
        (etag.removeprefix("W/"), 304),  # RFC 9110, 13.1.2: compared weakly
        (f'"x", {etag}, W/"y"', 304),
        ("*", 304),
        ('W/"0"', 200),
        ('"x", "y"', 200),
        ("garbage", 200),
    ):
        for method in ("GET", "HEAD"):
            answer = api.client.open(path, method=method, headers={"If-None-Match": tags})
            assert answer.status_code == status, tags


def test_the_etag_changes_with_all_that_can_be_seen(api: Api) -> None:
    path = api.submit(job("sleeper"), job("sleeper"))
    api.until(path, "running", 2)
    tags = [api.client.get(path).headers["ETag"]]
    first = api.jobs(path)[0]["id"]
    api.client.post(f"/v1/jobs/{first}/cancel")
    api.until(path, "cancelled", 1)
    tags.append(api.client.get(path).headers["ETag"])
    unchanged = api.client.get(path, headers={"If-None-Match": tags[-1]})
    assert (unchanged.status_code, unchanged.headers["Retry-After"]) == (304, "1")
    api.client.post(f"{path}/cancel")
    api.ended(path)
    tags.append(api.client.get(path).headers["ETag"])
    assert len(set(tags)) == 3


def test_a_get_can_wait_for_the_end(api: Api) -> None:
    path = api.submit(job(count=2, delay_s=0.1))
    assert api.get(f"{path}?wait=20")["status"] == "completed"


@pytest.mark.parametrize(
    "path",
    [
        f"/v1/batches/{UNKNOWN}",
        "/v1/batches/x",
        "/v1/batches/" + "x" * 5000,
        "/v1/batches/%00",
        "/v1/batches/%F0%9F%92%A9",
        "/v1/batches/..%2f..%2fetc",
        f"/v1/batches/{UNKNOWN}/jobs",
        f"/v1/batches/{UNKNOWN}/results",
        f"/v1/batches/{UNKNOWN}/results?format=ndjson",
        f"/v1/batches/{UNKNOWN}/console",
        "/v1/batches/01920f00-0000-7000-8000-000000000000",
        f"/v1/jobs/{UNKNOWN}",
        f"/v1/jobs/{UNKNOWN}.0",
        f"/v1/jobs/{UNKNOWN}.-1",
        f"/v1/jobs/{UNKNOWN}.00",
        f"/v1/jobs/{UNKNOWN}.{10**30}",
        f"/v1/jobs/{UNKNOWN}.0/result",
        f"/v1/jobs/{UNKNOWN}.0/console",
        "/nothing",
        "/v1",
    ],
)
def test_what_is_not_there_is_404_with_a_problem(api: Api, path: str) -> None:
    response = api.client.get(path, headers={"X-Request-Id": "mine"})
    assert response.status_code == 404, response.text
    assert response.content_type == "application/problem+json"
    assert response.json["request_id"] == response.headers["X-Request-Id"] == "mine"
    assert response.json["status"] == 404
    assert response.json["type"]


@pytest.mark.parametrize("id", [UNKNOWN, "x", "x" * 5_000, "%00", "%F0%9F%92%A9", "-1", "0" * 20])
def test_an_unknown_batch_can_not_be_acted_on(api: Api, id: str) -> None:
    for method, path in (
        ("POST", f"/v1/batches/{id}/cancel"),
        ("POST", f"/v1/batches/{id}/retry"),
        ("DELETE", f"/v1/batches/{id}"),
        ("GET", f"/v1/batches/{id}/events"),
        ("GET", f"/v1/batches/{id}/timeline"),
        ("GET", f"/v1/jobs/{id}.0"),
        ("POST", f"/v1/jobs/{id}.0/cancel"),
    ):
        assert api.client.open(path, method=method).status_code == 404, (method, path)
    assert api.client.delete(f"/v1/batches/{UNKNOWN}").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/v1/batches"), ("POST", "/healthz"), ("DELETE", "/v1/job-types")],
)
def test_a_method_that_is_not_there_is_405(api: Api, method: str, path: str) -> None:
    response = api.client.open(path, method=method)
    assert response.status_code == 405
    assert response.headers["Allow"]
    assert response.content_type == "application/problem+json"


# --- lists ----------------------------------------------------------------------------------


def pages(api: Api, path: str) -> list[Any]:
    items: list[Any] = []
    while path:
        page = api.get(path)
        items += page["items"]
        path = page["next"]
    return items


def test_batches_are_listed_newest_first_by_pages(api: Api) -> None:
    made = [api.submit(job(count=0)).rsplit("/", 1)[1] for _ in range(7)]
    listed = [batch["id"] for batch in pages(api, "/v1/batches?limit=3")]
    assert listed == made[::-1]
    first = api.client.get("/v1/batches?limit=3")
    assert first.headers["Link"] == f'<{first.json["next"]}>; rel="next"'


def test_a_list_is_filtered(api: Api) -> None:
    one = api.run(job(count=0), name="one", labels={"team": "a", "x": "y"})
    two = api.run(job("raiser", error="ValueError"), name="two", labels={"team": "b"})

    def ids(query: str) -> list[str]:
        return [batch["id"] for batch in api.get(f"/v1/batches?{query}")["items"]]

    assert ids("name=one") == [one["id"]]
    assert ids("label=team=b") == ids("label=team:b") == [two["id"]]
    assert ids("outcome=failed") == [two["id"]]
    assert ids("status=completed") == [two["id"], one["id"]]
    assert ids("status=running") == []
    assert ids("label=team=a&name=two") == []
    after = one["created_at"]
    assert ids(f"created_after={after}") == [two["id"]]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=1001", "limit=x", "limit=-1", "limit=%D9%A1", "cursor=x", "cursor=",
        "cursor=____________", "status=staging", "outcome=x", "label=x", "created_after=yesterday",
        "nonsense=1", "limit=1&limit=2",
    ],
)  # fmt: skip
def test_a_list_refuses_what_it_does_not_know(api: Api, query: str) -> None:
    assert api.client.get(f"/v1/batches?{query}").status_code == 422


def test_jobs_are_paged_in_submission_order(api: Api) -> None:
    path = api.submit(*[{**job(count=0), "custom_id": f"c{n}"} for n in range(25)])
    api.ended(path)
    items = pages(api, f"{path}/jobs?limit=10")
    assert [item["index"] for item in items] == list(range(25))
    assert [item["custom_id"] for item in items] == [f"c{n}" for n in range(25)]
    results = pages(api, f"{path}/results?limit=7")
    assert [item["index"] for item in results] == list(range(25))
    assert sorted(item["seq"] for item in results) == list(range(1, 26))


def cursor(number: int, *, of_jobs: bool = True) -> str:
    return base64.urlsafe_b64encode(bytes([of_jobs]) + number.to_bytes(8)).decode()


@pytest.mark.parametrize("route", ["jobs", "results"])
def test_a_cursor_beyond_every_job_is_refused(api: Api, route: str) -> None:
    path = api.submit(job(count=0))
    for number in (2**24 - 1, 2**24, 2**40, 2**63 - 1):
        response = api.client.get(f"{path}/{route}?cursor={cursor(number)}")
        assert response.status_code == 422, number
        assert pointers(response) == ["/query/cursor"]
    assert api.get(f"{path}/{route}?cursor={cursor(2**24 - 2)}")["items"] == []
    assert api.get(f"/v1/batches?cursor={cursor(2**63 - 1, of_jobs=False)}")["items"]


def test_a_cursor_is_as_the_document_describes_it(api: Api) -> None:
    batch = api.submit(*[job(count=0)] * 3)
    api.ended(batch)
    api.run(job(count=0))
    paths = api.get("/openapi.json")["paths"]
    for route in ("/v1/batches", *(f"{batch}/{name}" for name in ("jobs", "results", "timeline"))):
        described = paths[route.replace(batch, "/v1/batches/{batch_id}")]["get"]["parameters"]
        (parameter,) = (one for one in described if one["name"] == "cursor")
        found = api.get(f"{route}?limit=1")["next"].partition("cursor=")[2]
        assert re.search(parameter["schema"]["pattern"], found), route
        assert api.get(f"{route}?cursor={parameter['example']}"), route


def test_a_cursor_of_another_list_is_refused(api: Api) -> None:
    path = api.submit(job(count=0), job(count=0))
    api.submit(job(count=0))
    of_batches = api.get("/v1/batches?limit=1")["next"].partition("cursor=")[2]
    of_jobs = api.get(f"{path}/jobs?limit=1")["next"].partition("cursor=")[2]
    assert api.client.get(f"{path}/jobs?cursor={of_batches}").status_code == 422
    assert api.client.get(f"/v1/batches?cursor={of_jobs}").status_code == 422
    assert api.get(f"{path}/results?cursor={of_jobs}")["items"][0]["index"] == 1


def test_no_batch_is_missed_or_met_twice_while_others_are_made(api: Api) -> None:
    old = [api.submit(job(count=0)).rpartition("/")[2] for _ in range(6)]
    found, path = [], "/v1/batches?limit=2"
    while path:
        page = api.get(path)
        found += [batch["id"] for batch in page["items"]]
        path = page["next"]
        api.submit(job(count=0))
    assert found == old[::-1]


def test_jobs_are_filtered_by_status(api: Api) -> None:
    path = api.submit(job(count=0), job("raiser", error="ValueError"), job(count=0))
    api.ended(path)
    failed = api.get(f"{path}/jobs?status=failed")["items"]
    assert [item["index"] for item in failed] == [1]
    assert len(api.get(f"{path}/jobs?status=succeeded")["items"]) == 2
    assert api.client.get(f"{path}/jobs?status=waiting").status_code == 422


def test_a_job_shows_all_that_the_contract_names(api: Api) -> None:
    path = api.submit({**job(name="T", count=2), "custom_id": "mine"})
    api.ended(path)
    (item,) = api.jobs(path)
    assert set(item) == {
        "id", "batch_id", "index", "custom_id", "type", "params", "status", "wait_reason",
        "attempts", "result", "error",
    }  # fmt: skip
    assert item["params"] == {"name": "T", "count": 2}
    (attempt,) = item["attempts"]
    assert set(attempt) == {
        "n", "thread", "queued_at", "started_at", "finished_at", "cpu_ms", "error",
    }  # fmt: skip
    assert attempt["queued_at"] <= attempt["started_at"] <= attempt["finished_at"]
    assert api.get(f"/v1/jobs/{item['id']}") == item


# --- results --------------------------------------------------------------------------------


def test_every_job_is_in_the_results_also_while_it_runs(api: Api) -> None:
    path = api.submit(job(count=1), job("sleeper"), job("raiser", error="JobFailed"))
    api.until(path, "failed")
    api.until(path, "succeeded")
    lines = ndjson(api, path)
    assert [line["status"] for line in lines] == ["succeeded", "running", "failed"]
    assert [line["index"] for line in lines] == [0, 1, 2]
    assert lines[1]["seq"] is None
    assert lines[0]["result"] == {"lines": ["1"]}
    assert lines[2]["error"]["code"] == "told_to"
    assert set(lines[0]) == {
        "seq", "index", "custom_id", "job_id", "type", "status", "error", "result",
    }  # fmt: skip
    api.client.post(f"{path}/cancel")


def test_csv_has_a_row_a_job_and_disarms_formulas(api: Api) -> None:
    jobs = [
        {**job(count=1), "custom_id": text}
        for text in ("=1+1", "+a", "-a", "@a", "\ta", "\ra", "ok")
    ]
    path = api.submit(*jobs)
    api.ended(path)
    response = api.client.get(f"{path}/results?format=csv")
    assert response.mimetype == "text/csv"
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    assert [row["custom_id"] for row in rows] == [
        "'=1+1",
        "'+a",
        "'-a",
        "'@a",
        "'\ta",
        "'\ra",
        "ok",
    ]
    assert json.loads(rows[0]["result"]) == {"lines": ["1"]}


class FailParams(Params):
    code: str
    detail: str


class Fail(JobType[FailParams]):
    """Fails with a stranger's words, as one that quotes a page does."""

    name = "fail"
    description = "Fails as told."
    params_model = FailParams
    example: ClassVar[dict[str, Any]] = {"code": "told_to", "detail": "as told"}

    def run(self, ctx: JobContext, params: FailParams) -> JsonValue:
        raise JobFailed(params.code, params.detail)


def test_csv_disarms_formulas_in_the_errors_of_jobs(make_service: Callable[..., Service]) -> None:
    texts = ["=1+1", "+a", "-a", "@a", "\ta", "\ra", "ok", "a=1", '=a",\r\n=b']
    api = Api(make_service([Fail()]).app.test_client())
    path = api.submit(*[job("fail", code=text, detail=text) for text in texts])
    api.ended(path)
    response = api.client.get(f"{path}/results?format=csv")
    rows = list(csv.DictReader(io.StringIO(response.text, newline="")))
    harmless = ["ok", "a=1"]
    safe = [text if text in harmless else "'" + text for text in texts]
    assert [row["error_detail"] for row in rows] == safe
    assert [row["error_code"] for row in rows] == safe


def test_results_are_negotiated(api: Api) -> None:
    path = api.submit(job(count=0))
    api.ended(path)
    for accept, kind in (
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("application/x-ndjson, application/json;q=0.5", "application/x-ndjson"),
    ):
        response = api.client.get(f"{path}/results", headers={"Accept": accept})
        assert response.mimetype == kind
    assert api.client.get(f"{path}/results", headers={"Accept": "image/png"}).status_code == 406
    assert api.client.get(f"{path}/results?format=xml").status_code == 422


def test_a_result_that_is_not_there_yet_is_409(api: Api) -> None:
    path = api.submit(job("sleeper"))
    item = api.jobs(path)[0]
    response = api.client.get(f"/v1/jobs/{item['id']}/result")
    assert (response.status_code, response.json["code"]) == (409, "result-not-ready")
    assert response.headers["Retry-After"]
    api.client.post(f"{path}/cancel")
    api.ended(path)
    assert api.get(f"/v1/jobs/{item['id']}/result")["status"] == "cancelled"


def test_reading_is_repeatable(api: Api) -> None:
    path = api.submit(job(count=2))
    api.ended(path)
    assert ndjson(api, path) == ndjson(api, path)


# --- retry, delete, expiry ------------------------------------------------------------------


def test_a_retry_makes_a_new_batch_of_what_failed(api: Api) -> None:
    path = api.submit(
        job(count=1),
        {**job("raiser", error="ValueError"), "custom_id": "bad"},
        name="n",
        executor="dedicated",
        labels={"a": "b"},
    )
    original = api.ended(path)
    response = api.client.post(f"{path}/retry")
    assert response.status_code == 202
    assert response.json["retry_of"] == original["id"]
    new = response.headers["Location"]
    assert new != path
    batch = api.ended(new)
    assert (batch["counts"]["total"], batch["executor"], batch["name"]) == (1, "dedicated", "n")
    assert api.jobs(new)[0]["custom_id"] == "bad"
    assert api.get(path) == original
    whole = api.client.post(f"{path}/retry", json={"status": ["failed", "succeeded"]})
    assert whole.json["counts"]["total"] == 2


def test_a_retry_of_nothing_or_of_what_still_runs_is_409(api: Api) -> None:
    path = api.submit(job(count=1))
    api.ended(path)
    assert api.client.post(f"{path}/retry").json["code"] == "nothing-to-retry"
    active = api.submit(job("sleeper"))
    assert api.client.post(f"{active}/retry").json["code"] == "batch-active"
    api.client.post(f"{active}/cancel")


@pytest.mark.parametrize(
    "body", [{"status": []}, {"status": ["running"]}, {"x": 1}, [], {"status": "failed"}]
)
def test_a_retry_refuses_what_it_does_not_know(api: Api, body: Any) -> None:
    path = api.submit(job(count=1))
    api.ended(path)
    assert api.client.post(f"{path}/retry", json=body).status_code == 422


def test_an_active_batch_is_not_deleted_an_ended_one_is(api: Api) -> None:
    path = api.submit(job("sleeper"))
    response = api.client.delete(path)
    assert (response.status_code, response.json["code"]) == (409, "batch-active")
    api.client.post(f"{path}/cancel")
    api.ended(path)
    assert api.client.delete(path).status_code == 204
    assert api.client.get(path).status_code == 404
    assert api.client.get(f"{path}/results").status_code == 404


def test_an_expired_batch_is_410_on_every_route(api: Api) -> None:
    path = api.submit(job(count=0), ttl_s=1)
    item = api.jobs(path)[0]["id"]
    api.ended(path)
    eventually(lambda: api.client.get(path).status_code == 410, "it expires")
    for route in (f"{path}/jobs", f"{path}/results", f"{path}/console", f"/v1/jobs/{item}"):
        response = api.client.get(route)
        assert (response.status_code, response.json["code"]) == (410, "expired")
    assert api.get("/v1/batches")["items"] == []


# --- about ----------------------------------------------------------------------------------


def test_job_types_come_with_schema_and_a_valid_example(api: Api) -> None:
    types = {item["name"]: item for item in api.get("/v1/job-types")["items"]}
    assert {"numbers", "letters"} <= set(types)
    for name in ("numbers", "letters"):
        assert types[name]["params_schema"]["type"] == "object"
        assert api.post([types[name]["example"]], "?dry_run=true").status_code == 200


def test_the_executor_tells_its_threads_and_limits(api: Api) -> None:
    path = api.submit(job("sleeper"), job("sleeper"))
    api.until(path, "running", 2)
    busy = {"busy": 2, "idle": 6, "not_returned": 0}
    eventually(lambda: api.get("/v1/executor")["threads"] == busy, "both jobs have a thread")
    state = api.get("/v1/executor")
    assert state["limits"]["pool_size"] == 8
    assert (state["queued"], state["processes"]) == (0, 1)
    api.client.post(f"{path}/cancel")


def test_health(api: Api) -> None:
    assert api.get("/healthz") == {"status": "ok"}
    assert api.get("/readyz") == {"status": "ready"}


@pytest.mark.parametrize("given", ["x" * 129, "a b", "é", ""])
def test_an_odd_request_id_is_replaced(api: Api, given: str) -> None:
    response = api.client.get("/healthz", headers={"X-Request-Id": given})
    assert len(response.headers["X-Request-Id"]) == 32


def test_an_internal_error_tells_nothing_of_itself(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Batches, "show", broken)
    response = api.client.get(f"/v1/batches/{UNKNOWN}")
    assert response.status_code == 500
    assert "secret" not in response.text
    assert response.json["request_id"]


def test_a_line_of_an_export_is_the_item_of_a_page(api: Api) -> None:
    jobs = [job(count=2), job("raiser", error="JobFailed"), job("returner", kind="unicode")]
    path = api.submit(*jobs, job("returner", kind="none"))
    api.ended(path)
    assert ndjson(api, path) == api.get(f"{path}/results")["items"]
