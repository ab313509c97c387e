"""Bodies made to cost far more than they weigh."""

from __future__ import annotations

import json
import resource
from time import process_time
from typing import Any

import pytest

from service.api.body import MAX_LINE_BYTES, MAX_NAMES, parse_json
from service.api.context import ROOM
from service.api.flaws import MAX_FLAWS
from service.api.room import Room
from service.errors import Malformed, TooLarge
from tests.support.api import Api, job

JSON = {"Content-Type": "application/json"}
NDJSON = {"Content-Type": "application/x-ndjson"}


def post(api: Api, body: bytes, headers: dict[str, str]) -> Any:
    return api.client.post("/v1/batches", data=body, headers=headers)


def names(count: int) -> dict[str, int]:
    return {f"n{n}": 0 for n in range(count)}


def peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def test_a_name_given_twice_is_found_in_one_pass() -> None:
    for count, refusal in ((MAX_NAMES - 1, Malformed), (50_000, TooLarge)):
        members = ",".join(f'"n{n}":0' for n in range(count - 1))
        began = process_time()
        with pytest.raises(refusal):
            parse_json(b'{"z":0,' + members.encode() + b',"z":1}')
        assert process_time() - began < 1


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (names(MAX_NAMES - 1) | {"jobs": [job()]}, ""),
        ({"jobs": [job()], "labels": names(MAX_NAMES)}, "/labels"),
        ({"jobs": [{"type": "numbers", **names(MAX_NAMES - 1)}]}, "/jobs/0"),
        ({"jobs": [job(**names(MAX_NAMES))]}, "/jobs/0/params"),
    ],
)
def test_the_most_names_are_each_counted(api: Api, body: Any, pointer: str) -> None:
    response = post(api, json.dumps(body).encode(), JSON)
    assert response.status_code == 422
    errors = response.json["errors"]
    assert all(error["pointer"].startswith(f"{pointer}/n") for error in errors)
    assert len(errors) + response.json["errors_left_out"] in (MAX_NAMES, MAX_NAMES - 1)


def test_one_name_more_is_413_whatever_it_weighs(api: Api) -> None:
    before = peak_mib()
    for count in (MAX_NAMES + 1, 1_000_000):
        response = post(api, json.dumps(names(count)).encode(), JSON)
        assert response.status_code == 413
        assert f"more than {MAX_NAMES} names" in response.json["detail"]
    assert peak_mib() - before < 500


def test_a_flood_inside_of_params_is_one_flaw(api: Api) -> None:
    flood = {f"x{n}": names(MAX_NAMES) for n in range(101)}
    response = api.post(
        [{"type": "scrape", "params": {"url": "http://a.example", "select": flood}}]
    )
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json["errors"]] == ["/jobs/0/params"]


def test_a_stream_of_flaws_is_counted_to_its_end_and_not_kept(api: Api) -> None:
    line = json.dumps(job(**names(50))).encode() + b"\n"
    before = peak_mib()
    response = post(api, line * 10_000 + b"{broken\n", NDJSON)
    assert response.status_code == 422
    assert len(response.json["errors"]) == MAX_FLAWS
    assert response.json["errors_left_out"] == 50 * 10_000 + 1 - MAX_FLAWS
    assert response.json["detail"] == "500001 problems in 10001 jobs"
    assert peak_mib() - before < 50
    assert api.get("/v1/batches")["items"] == []


@pytest.mark.parametrize("line", [b"{\n", b"\n", b" \n", b"1\n"])
def test_a_stream_of_nothing_ends_at_the_bound(make_service: Any, line: bytes) -> None:
    api = Api(make_service(max_batch_jobs=1_000).app.test_client())
    response = post(api, line * 1_000, NDJSON)
    assert response.status_code == 422
    response = post(api, line * 1_001, NDJSON)
    assert response.status_code == 413
    assert "(max_batch_jobs)" in response.json["detail"]


def test_a_line_has_a_bound(api: Api) -> None:
    line = json.dumps(job()).encode()
    assert post(api, line.ljust(MAX_LINE_BYTES) + b"\n" + line, NDJSON).status_code == 202
    for body in (line.ljust(MAX_LINE_BYTES + 1) + b"\n" + line, line.ljust(MAX_LINE_BYTES + 1)):
        assert post(api, body, NDJSON).status_code == 413


def test_containers_have_a_bound_whatever_they_weigh(api: Api) -> None:
    for unit in (b"{}", b"[]"):
        with pytest.raises(TooLarge, match="1000 objects and lists"):
            parse_json(b"[" + b",".join([unit] * 1_000) + b"]", most=1_000)
        assert len(parse_json(b"[" + b",".join([unit] * 999) + b"]", most=1_000)) == 999
    line = b'{"type":"numbers","params":{"name":[' + b"[]," * 100_000 + b"[]]}}"
    response = post(api, line, NDJSON)
    assert response.status_code == 413
    assert "100000 objects and lists" in response.json["detail"]


def test_large_bodies_take_turns(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.room.WAIT_S", 0.01)
    room: Room = api.client.application.extensions[ROOM]
    large = json.dumps({"jobs": [job(count=0)]}).encode().ljust(1_000_000)
    with room.entered() as take:
        take((16 << 20) - 1_000_000 + 1)
        for query in ("", "?dry_run=true"):
            response = api.client.post(f"/v1/batches{query}", data=large, headers=JSON)
            assert (response.status_code, response.json["code"]) == (503, "busy")
            assert response.headers["Retry-After"]
        assert api.post([job(count=0)]).status_code == 202  # a small one is let in
    for _ in range(20):  # and each gives its room back
        assert post(api, large, JSON).status_code == 202
