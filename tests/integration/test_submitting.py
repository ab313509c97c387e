"""POST /v1/batches: what is taken, what is refused, and how clearly."""

from __future__ import annotations

import gzip
import io
import json
import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from sqlalchemy import func, select

from service.composition import Service
from service.errors import StoreUnavailable
from service.operations.batches import Batches
from service.store.schema import batches, jobs, labels
from service.store.store import STAGE
from tests.support.api import Api, job
from tests.support.audit import flaws
from tests.support.waiting import eventually

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}
TEXT = {"Content-Type": "text/plain"}


def post(
    api: Api, body: bytes | str, headers: dict[str, str] | None = None, query: str = ""
) -> Any:
    return api.client.post(f"/v1/batches{query}", data=body, headers=headers or JSON)


def post_chunked(api: Api, body: str, headers: dict[str, str], query: str = "") -> Any:
    """As gunicorn hands it over: nobody knows its length before its end."""
    return api.client.post(
        f"/v1/batches{query}",
        input_stream=io.BytesIO(body.encode()),
        headers={**headers, "Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )


def pointers(response: Any) -> list[str]:
    return [error["pointer"] for error in response.json["errors"]]


def nothing_was_accepted(api: Api) -> bool:
    return api.get("/v1/batches")["items"] == []


def test_an_accepted_batch_says_where_it_is_and_when_to_look(api: Api) -> None:
    response = api.post([job()], name="nightly", labels={"team": "a"}, priority=3)
    assert response.status_code == 202
    assert response.headers["Location"] == f"/v1/batches/{response.json['id']}"
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json
    assert (body["status"], body["outcome"], body["counts"]["queued"]) == ("queued", None, 1)
    assert (body["name"], body["labels"], body["priority"]) == ("nightly", {"team": "a"}, 3)
    assert (body["executor"], body["lock"], body["max_workers"]) == ("pool", "line", None)
    assert len(response.data) < 1024


def test_prefer_wait_answers_200_once_the_batch_has_ended(api: Api) -> None:
    response = api.client.post(
        "/v1/batches", json={"jobs": [job(count=1)]}, headers={"Prefer": "wait=20"}
    )
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "wait=20"
    assert response.json["outcome"] == "succeeded"
    assert response.headers["Location"]


def test_preferences_are_named_in_any_case_and_beside_others(api: Api) -> None:
    prefer = {"Prefer": "respond-async, Wait=20; x=y"}
    response = api.client.post("/v1/batches", json={"jobs": [job(count=0)]}, headers=prefer)
    assert response.status_code == 200
    assert response.headers["Preference-Applied"] == "wait=20"


@pytest.mark.parametrize("seconds", ["20", "19.87654321", "2e1", "1.5E1"])
def test_a_wait_is_a_number_as_json_writes_it(api: Api, seconds: str) -> None:
    assert api.post([job(count=0)], f"?wait={seconds}").status_code == 200


def test_a_wait_that_is_too_short_answers_202(api: Api) -> None:
    response = api.post([job("sleeper")], "?wait=0.05")
    assert response.status_code == 202
    assert response.json["status"] in ("queued", "running")
    api.client.post(response.headers["Location"] + "/cancel")


def test_who_waits_is_told_what_was_accepted_even_if_it_can_not_be_read_now(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 would say that nothing was, and who sends it again would have it twice."""

    def unreadable(*_: object) -> None:
        raise StoreUnavailable("the store can't be read: unable to open database file")

    with monkeypatch.context() as fault:
        fault.setattr(Batches, "show", unreadable)
        response = api.post([job(count=0)], "?wait=5")
    (batch,) = api.get("/v1/batches")["items"]
    assert response.status_code == 202, response.text
    assert response.headers["Location"] == f"/v1/batches/{batch['id']}"


def test_waits_hold_at_most_half_of_the_threads(make_service: Callable[..., Service]) -> None:
    service = make_service(threads=2)
    path = Api(service.app.test_client()).submit(job("sleeper"))

    def waits(seconds: int) -> bool:
        prefer = {"Prefer": f"wait={seconds}"}
        response = service.app.test_client().get(path, headers=prefer)
        return "Preference-Applied" in response.headers

    def wait_as_the_only_one() -> None:
        while not waits(30):
            pass

    waiting = threading.Thread(target=wait_as_the_only_one)
    waiting.start()
    api = Api(service.app.test_client())

    eventually(lambda: not waits(0), "the second waiter is answered at once")
    api.client.post(f"{path}/cancel")
    waiting.join(20)


@pytest.mark.parametrize("query", ["?wait=61", "?wait=-1", "?wait=x", "?wait=1e2", "?wait="])
def test_a_wait_out_of_bounds_is_refused(api: Api, query: str) -> None:
    response = api.post([job()], query)
    assert response.status_code == 422
    assert "0 to 60" in response.json["errors"][0]["detail"]
    assert nothing_was_accepted(api)


def test_each_flaw_points_to_where_it_stands_in_the_body(api: Api) -> None:
    """Not to what pydantic calls the branches of a union."""
    select = {"a": [], "é": "p", "c": {"attr": "x"}, "d": {"css": "\x01", "no": 1}}
    params = {"url": "http://example.com/", "select": select, "include": ["title", "x"]}
    response = api.post([job(), {"type": "scrape", "params": params}])
    assert response.status_code == 422
    assert {flaw["pointer"] for flaw in response.json["errors"]} == {
        f"/jobs/1/params{pointer}"
        for pointer in (
            "/include/1", "/select/a", "/select/é", "/select/c", "/select/c/css", "/select/d",
            "/select/d/css", "/select/d/no",
        )
    }  # fmt: skip


def test_a_dry_run_only_validates(api: Api) -> None:
    response = api.post([job(), job("letters")], "?dry_run=true")
    assert (response.status_code, response.json) == (200, {"valid": True, "total": 2})
    assert api.post([job(count=-1)], "?dry_run=true").status_code == 422
    for body, status in ((b'{"type":"numbers"}\n{broken\n', 422), (b'{"type":"none"}', 422)):
        assert post(api, body, NDJSON, "?dry_run=true").status_code == status
    assert post(api, b"[]" * 1_000_000, NDJSON, "?dry_run=true").status_code == 413
    assert nothing_was_accepted(api)


NOT_PLAIN_JSON = [
    b"",
    b"{",
    b"[",
    b'{"jobs": [}',
    b'{"jobs": []} trailing',
    b'{"jobs": [{"type": "numbers"}]}{"jobs": []}',
    b'\xef\xbb\xbf{"jobs": [{"type": "numbers"}]}',
    '{"jobs": [{"type": "numbers"}]}'.encode("utf-16"),
    '{"jobs": [{"type": "numbers"}]}'.encode("utf-16-le"),
    b'{"jobs": [{"type": "numbers", "params": {"delay_s": NaN}}]}',
    b'{"jobs": [{"type": "numbers", "params": {"delay_s": Infinity}}]}',
    b'{"jobs": [{"type": "numbers", "params": {"delay_s": 1e999}}]}',
    b'{"jobs": [{"type": "numbers", "params": {"count": ' + b"9" * 5000 + b"}}]}",
    b'{"jobs": [{"type": "numbers", "type": "letters"}]}',
    b'{"jobs": [{"type": "numbers", "params": {"name": "\\ud800"}}]}',
    b'{"jobs": [{"type": "numbers", "params": {"name": "a\\u0000b"}}]}',
    b'{"jobs": [{"type": "numbers", "params": {"name": "a\x00b"}}]}',
    b'{"jobs": [{"type": "numbers", "params": {"name": "\xff"}}]}',
    b'{"jobs": [{"type": "numbers", "params": {"name": "a\nb"}}]}',
    b"[" * 65 + b"]" * 65,
    b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b"[" * 100_000,
    b"'single'",
    b"\x00",
]


@pytest.mark.parametrize("body", NOT_PLAIN_JSON)
def test_what_is_not_plain_json_is_400_and_accepts_nothing(api: Api, body: bytes) -> None:
    response = post(api, body)
    assert response.status_code == 400, response.text
    assert response.content_type == "application/problem+json"
    assert response.json["code"] == "malformed"
    assert nothing_was_accepted(api)


def test_a_line_that_is_not_plain_json_is_a_flaw_of_that_line(api: Api) -> None:
    good = b'{"type": "numbers"}'
    for body in NOT_PLAIN_JSON:
        if body.strip() and b"\n" not in body and b"utf-16" not in body:
            response = post(api, good + b"\n" + body + b"\n" + good, NDJSON)
            assert response.status_code in (400, 422), (body[:80], response.text)
    assert nothing_was_accepted(api)


def test_64_levels_are_read_and_65_are_not(api: Api) -> None:
    for depth, code in ((61, 422), (62, 400)):  # below the object, its list and its job
        value = "[" * depth + "]" * depth
        body = '{"jobs": [{"type": "numbers", "params": ' + value + "}]}"
        assert post(api, body).status_code == code, depth


def test_brackets_inside_strings_are_no_levels(api: Api) -> None:
    name = '[[{{\\"[' * 14
    body = '{"jobs": [' + '{"type": "letters", "params": {"letters": "' + name + '"}}' + "]}"
    assert post(api, body).status_code == 202


@pytest.mark.parametrize("body", ["null", "1", '"text"', "[]", "true"])
def test_a_body_that_is_no_object_is_422(api: Api, body: str) -> None:
    assert post(api, body).status_code == 422


@pytest.mark.parametrize(
    ("jobs", "pointer"),
    [
        ([], "/jobs"),
        (None, "/jobs"),
        ("numbers", "/jobs"),
        ({}, "/jobs"),
        ([1], "/jobs/0"),
        ([None], "/jobs/0"),
        ([{}], "/jobs/0/type"),
        ([{"type": "nothing"}], "/jobs/0/type"),
        ([{"type": 1}], "/jobs/0/type"),
        ([{"type": "numbers", "params": []}], "/jobs/0/params"),
        ([{"type": "numbers", "more": 1}], "/jobs/0/more"),
        ([{"type": "numbers", "params": {"cuont": 1}}], "/jobs/0/params/cuont"),
        ([{"type": "numbers", "params": {"a/b~c": 1}}], "/jobs/0/params/a~1b~0c"),
        ([{"type": "numbers", "timeout_s": 0}], "/jobs/0/timeout_s"),
        ([{"type": "numbers", "timeout_s": "5"}], "/jobs/0/timeout_s"),
        ([{"type": "numbers", "timeout_s": 86_401}], "/jobs/0/timeout_s"),
        ([{"type": "numbers", "max_attempts": 0}], "/jobs/0/max_attempts"),
        ([{"type": "numbers", "max_attempts": 21}], "/jobs/0/max_attempts"),
        ([{"type": "numbers", "max_attempts": True}], "/jobs/0/max_attempts"),
        ([{"type": "numbers", "custom_id": "x" * 201}], "/jobs/0/custom_id"),
        ([job(), job(), job(count=10**18)], "/jobs/2/params/count"),
    ],
)
def test_what_is_wrong_is_pointed_at(api: Api, jobs: Any, pointer: str) -> None:
    response = post(api, json.dumps({"jobs": jobs}))
    assert response.status_code == 422, response.text
    assert pointers(response) == [pointer]
    assert nothing_was_accepted(api)


@pytest.mark.parametrize(
    ("params", "bound"),
    [
        ({"count": -1}, "0"),
        ({"count": 2**63}, "10000"),
        ({"count": 10**18}, "10000"),
        ({"count": 10_001}, "10000"),
        ({"count": 1.0}, "integer"),
        ({"count": "1"}, "integer"),
        ({"count": "\u0661"}, "integer"),
        ({"count": True}, "integer"),
        ({"count": None}, "integer"),
        ({"start": -1}, "0"),
        ({"start": 2**63}, str(2**53)),
        ({"start": 1.5}, "integer"),
        ({"delay_s": -0.1}, "0"),
        ({"delay_s": 3_601}, "3600"),
        ({"delay_s": "1"}, "number"),
        ({"delay_s": True}, "number"),
        ({"name": "x" * 101}, "100"),
        ({"name": 5}, "string"),
    ],
)
def test_numbers_out_of_bounds_are_refused_with_the_bound(
    api: Api, params: dict[str, Any], bound: str
) -> None:
    response = api.post([job(**params)])
    assert response.status_code == 422
    assert pointers(response) == [f"/jobs/0/params/{next(iter(params))}"]
    assert bound in response.json["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("executor", "threads"),
        ("executor", None),
        ("lock", "none "),
        ("max_workers", 0),
        ("max_workers", 10_001),
        ("max_workers", "2"),
        ("max_workers", 2.0),
        ("priority", 101),
        ("priority", -101),
        ("ttl_s", 0),
        ("name", "x" * 201),
        ("name", 1),
        ("labels", []),
        ("labels", {"a": 1}),
        ("labels", {"": "x"}),
        ("labels", {str(n): "x" for n in range(21)}),
        ("defaults", {"timeout_s": -1}),
        ("defaults", {"retries": 1}),
        ("nonsense", 1),
    ],
)
def test_options_out_of_bounds_are_refused(api: Api, option: str, value: Any) -> None:
    response = api.post([job()], **{option: value})
    assert response.status_code == 422
    assert all(pointer.startswith(f"/{option}") for pointer in pointers(response))


BOUNDS = {
    "max_workers": (1, 10_000),
    "priority": (-100, 100),
    "ttl_s": (1, 31_536_000),
    "timeout_s": (0, 86_400),
    "max_attempts": (1, 20),
}
OF_JOBS = ("timeout_s", "max_attempts")


def kind_of(field: str) -> str:
    return "number" if field == "timeout_s" else "integer"


def beyond(field: str) -> list[tuple[Any, str]]:
    """Values that the field can't have, and a word of what it is to say to each."""
    least, most = map(str, BOUNDS[field])
    part = most if field == "timeout_s" else kind_of(field)
    return [
        (-101, least), (-(2**63), least), (2**63, most), (10**18, most), (86_400.5, part),
        (1e18, part),
    ]  # fmt: skip


def no_numbers(field: str) -> list[tuple[Any, str]]:
    return [(value, kind_of(field)) for value in ("five", "\u0665", "\uff15", " 5", "5_0", "0x5")]


@pytest.mark.parametrize("field", BOUNDS)
def test_a_number_of_the_batch_or_its_jobs_is_refused_with_the_bound(api: Api, field: str) -> None:
    for value, bound in [*beyond(field), *no_numbers(field), ("5", kind_of(field))]:
        bodies = {f"/{field}": {"jobs": [job()], field: value}}
        if field in OF_JOBS:
            bodies = {
                f"/jobs/1/{field}": {"jobs": [job(), {**job(), field: value}]},
                f"/defaults/{field}": {"jobs": [job()], "defaults": {field: value}},
            }
        for pointer, body in bodies.items():
            is_refused_at(post(api, json.dumps(body)), pointer, bound)
    assert nothing_was_accepted(api)


@pytest.mark.parametrize("field", BOUNDS)
def test_a_number_in_the_query_is_refused_with_the_bound(api: Api, field: str) -> None:
    for value, bound in [*beyond(field), *no_numbers(field)]:
        query = "?" + urlencode({field: value})
        is_refused_at(post(api, json.dumps(job()), NDJSON, query), f"/query/{field}", bound)
    assert nothing_was_accepted(api)


def is_refused_at(response: Any, pointer: str, bound: str) -> None:
    assert response.status_code == 422, response.text
    (flaw,) = response.json["errors"]
    assert flaw["pointer"] == pointer
    assert re.search(rf"(?<!\S){re.escape(bound)}(?!\S)", flaw["detail"]), flaw


def test_every_flaw_is_listed_up_to_a_hundred(api: Api) -> None:
    jobs = [job(count=1) if n % 5 else job(count=-1, start=-1) for n in range(1_000)]
    response = api.post(jobs, lock="never")
    assert response.status_code == 422
    assert len(response.json["errors"]) == 100
    assert response.json["errors_left_out"] == 301
    assert pointers(response)[:3] == ["/lock", "/jobs/0/params/start", "/jobs/0/params/count"]
    assert nothing_was_accepted(api)


def test_one_bad_job_in_a_thousand_refuses_all_with_its_index(api: Api) -> None:
    jobs = [job(count=1)] * 1_000
    jobs[637] = job(count=-1)
    assert pointers(api.post(jobs)) == ["/jobs/637/params/count"]
    assert nothing_was_accepted(api)


def test_the_number_of_jobs_has_a_bound(make_service: Callable[..., Service]) -> None:
    api = Api(make_service(max_batch_jobs=3).app.test_client())
    assert api.post([job()] * 3).status_code == 202
    for response in (
        api.post([job()] * 4),
        post(api, "\n".join([json.dumps(job())] * 4), NDJSON),
    ):
        assert response.status_code == 413
        assert "3 jobs (max_batch_jobs)" in response.json["detail"]


def test_the_body_has_a_bound_by_length_and_chunked(make_service: Callable[..., Service]) -> None:
    api = Api(make_service(max_body_bytes=2_000, max_stream_bytes=3_000).app.test_client())
    padding = " " * 2_000
    body = json.dumps({"jobs": [job(count=1)]})
    fits = body + padding[: 2_000 - len(body)]
    assert post(api, fits).status_code == 202
    for kind, text, name in (
        (JSON, fits + " ", "2000 bytes (max_body_bytes)"),
        (TEXT, fits + " ", "2000 bytes (max_body_bytes)"),
        (NDJSON, padding + padding, "3000 bytes (max_stream_bytes)"),
    ):
        response = post(api, text, kind)
        assert response.status_code == 413
        assert name in response.json["detail"]
        chunked = post_chunked(api, text, kind)
        assert chunked.status_code == 413
        assert name in chunked.json["detail"]


def test_a_compressed_body_is_415(api: Api) -> None:
    body = gzip.compress(json.dumps({"jobs": [job()]}).encode())
    response = post(api, body, {**JSON, "Content-Encoding": "gzip"})
    assert response.status_code == 415
    assert nothing_was_accepted(api)


@pytest.mark.parametrize("kind", ["", "application/xml", "multipart/form-data", "text/html"])
def test_other_bodies_are_415_and_told_what_is_taken(api: Api, kind: str) -> None:
    response = post(api, "{}", {"Content-Type": kind})
    assert response.status_code == 415
    assert "application/json" in response.json["detail"]


def test_the_queue_has_a_bound(make_service: Callable[..., Service]) -> None:
    api = Api(make_service(max_queued_jobs=5, pool_size=1).app.test_client())
    response = api.post([job()] * 6)
    assert response.status_code == 503
    assert "max_queued_jobs" in response.json["detail"]
    assert response.headers["Retry-After"]
    assert nothing_was_accepted(api)


# --- NDJSON and text ------------------------------------------------------------------------


def test_ndjson_takes_a_job_a_line_and_options_from_the_query(api: Api) -> None:
    lines = [json.dumps(job(count=1)), "", json.dumps(job("letters", letters="A"))]
    query = "?name=lines&max_workers=2&lock=job&timeout_s=5&max_attempts=2&wait=20&label=team=a"
    response = post(api, "\n".join(lines), NDJSON, query)
    assert response.status_code == 200, response.text
    body = response.json
    assert (body["name"], body["max_workers"], body["lock"]) == ("lines", 2, "job")
    assert (body["counts"]["succeeded"], body["labels"]) == (2, {"team": "a"})


def test_a_long_ndjson_stream_is_taken_whole(api: Api) -> None:
    line = json.dumps(job(count=0))
    response = post(api, "\n".join([line] * 12_345), NDJSON)
    assert response.status_code == 202
    assert api.ended(response.headers["Location"], timeout_s=60)["counts"]["succeeded"] == 12_345


def test_a_bad_line_in_a_stream_refuses_all_of_it(api: Api) -> None:
    lines = [json.dumps(job(count=1))] * 9_000
    lines[7_000] = json.dumps(job(count=-1))
    lines[8_000] = "{broken"
    response = post(api, "\n".join(lines), NDJSON)
    assert response.status_code == 422
    assert pointers(response) == ["/jobs/7000/params/count", "/jobs/8000"]
    assert "line 8001" in response.json["errors"][1]["detail"]
    assert nothing_was_accepted(api)


LINE = json.dumps(job(count=1)) + "\n"
GOOD = 2 * STAGE
"""Lines of which at least one piece is written down before anything is wrong."""


def nothing_is_left(service: Service) -> None:
    """Of what was staged, and it was."""
    api = Api(service.app.test_client())
    assert nothing_was_accepted(api)
    assert api.get("/v1/executor")["queued"] == 0
    while service.store.sweep_piece():
        pass
    with service.database.snapshot() as connection:
        written = "SELECT seq FROM sqlite_sequence WHERE name = 'batches'"
        assert connection.exec_driver_sql(written).scalar() == 1, "nothing was written down"
        for table in (batches, jobs, labels):
            assert connection.scalar(select(func.count()).select_from(table)) == 0, table
        assert flaws(connection, service.operations.now_ms()) == []


def test_a_stream_of_too_many_jobs_leaves_nothing(make_service: Callable[..., Service]) -> None:
    service = make_service(max_batch_jobs=GOOD + 500)
    api = Api(service.app.test_client())
    response = post_chunked(api, LINE * (GOOD + 501), NDJSON, "?label=team=a")
    assert response.status_code == 413
    assert f"{GOOD + 500} jobs (max_batch_jobs)" in response.json["detail"]
    nothing_is_left(service)


def test_a_stream_of_too_many_bytes_leaves_nothing(make_service: Callable[..., Service]) -> None:
    most = len(LINE) * (GOOD + 2 * STAGE)  # the chunk with the last byte is refused whole
    service = make_service(max_stream_bytes=most)
    api = Api(service.app.test_client())
    response = post_chunked(api, LINE * (GOOD + 2 * STAGE) + "\n", NDJSON, "?label=team=a")
    assert response.status_code == 413
    assert f"{most} bytes (max_stream_bytes)" in response.json["detail"]
    nothing_is_left(service)


@pytest.mark.parametrize(
    ("line", "pointer"),
    [(json.dumps(job(count=-1)), "/params/count"), ("{broken", ""), ("[]", "")],
)
def test_a_bad_line_after_thousands_of_good_ones_leaves_nothing(
    service: Service, api: Api, line: str, pointer: str
) -> None:
    response = post_chunked(api, LINE * GOOD + line + "\n" + LINE, NDJSON, "?label=team=a")
    assert response.status_code == 422
    assert pointers(response) == [f"/jobs/{GOOD}{pointer}"]
    nothing_is_left(service)


@pytest.mark.parametrize("body", ["", "\n\n", "  \n"])
def test_a_stream_without_jobs_is_422(api: Api, body: str) -> None:
    for kind in (NDJSON, TEXT):
        response = post(api, body, kind)
        assert response.status_code == 422
        assert pointers(response) == ["/jobs"]


@pytest.mark.parametrize(
    "query",
    ["?nme=x", "?executor=x", "?max_workers=0", "?max_workers=x", "?lock=x", "?name=a&name=b"],
)
def test_wrong_options_in_the_query_are_422(api: Api, query: str) -> None:
    response = post(api, json.dumps(job()), NDJSON, query)
    assert response.status_code == 422
    assert pointers(response)[0].startswith("/query/")


def test_an_unknown_query_parameter_of_a_json_submit_is_422(api: Api) -> None:
    assert api.post([job()], "?executor=pool").status_code == 422


# --- Idempotency-Key ------------------------------------------------------------------------


def keyed(api: Api, key: str, count: int = 1, query: str = "") -> Any:
    return api.client.post(
        f"/v1/batches{query}",
        json={"jobs": [job(count=count)]},
        headers={"Idempotency-Key": key},
    )


def test_the_same_key_and_body_replay_the_first_answer(api: Api) -> None:
    first = keyed(api, '"key-1"')
    api.ended(first.headers["Location"])
    second = keyed(api, "key-1")
    assert second.status_code == 202
    assert second.json == first.json
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert len(api.get("/v1/batches")["items"]) == 1


def test_the_same_key_with_another_request_is_422(api: Api) -> None:
    keyed(api, "key")
    response = keyed(api, "key", count=2)
    assert (response.status_code, response.json["code"]) == (422, "idempotency-key-reused")


def test_a_dry_run_does_not_use_its_key_up(api: Api) -> None:
    assert keyed(api, "key", query="?dry_run=true").status_code == 200
    first = keyed(api, "key", count=2)
    assert "Idempotency-Replayed" not in first.headers
    assert first.status_code == 202


def test_a_refused_request_does_not_use_its_key_up(api: Api) -> None:
    assert keyed(api, "key", count=-1).status_code == 422
    assert keyed(api, "key").status_code == 202


@pytest.mark.parametrize("key", ["", " ", "x" * 256, '"', '""', "é", "a\tb"])
def test_an_odd_key_is_400(api: Api, key: str) -> None:
    assert keyed(api, key).status_code == 400


def test_fifty_clients_with_one_key_make_one_batch(service: Service) -> None:
    answers: list[Any] = []

    def client() -> None:
        answers.append(keyed(Api(service.app.test_client()), "shared"))

    threads = [threading.Thread(target=client) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {202, 409}
    locations = {a.headers["Location"] for a in answers if a.status_code == 202}
    assert len(locations) == 1
    assert len(Api(service.app.test_client()).get("/v1/batches")["items"]) == 1
