"""An Idempotency-Key is remembered its time, whatever becomes of the batch it made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from service.composition import Service
from tests.support.api import Api, job
from tests.support.waiting import eventually


def keyed(api: Api, key: str, query: str = "", **options: Any) -> Any:
    body = {"jobs": [job(count=1)], "name": "kept", "labels": {"team": "ä"}, **options}
    return api.client.post(f"/v1/batches{query}", json=body, headers={"Idempotency-Key": key})


def assert_replayed(answer: Any, first: Any) -> None:
    assert (answer.status_code, answer.json) == (202, first.json)
    assert answer.headers["Location"] == first.headers["Location"]
    assert answer.headers["Idempotency-Replayed"] == "true"


def test_a_key_outlives_a_deleted_batch(api: Api) -> None:
    first = keyed(api, "key")
    path = first.headers["Location"]
    api.ended(path)
    assert api.client.delete(path).status_code == 204
    assert_replayed(keyed(api, "key"), first)
    assert_replayed(keyed(api, "key", "?wait=5"), first)
    assert api.client.get(path).status_code == 404
    assert api.get("/v1/batches")["items"] == []
    assert keyed(api, "key", priority=1).json["code"] == "idempotency-key-reused"


def test_a_key_outlives_an_expired_batch(service: Service, api: Api) -> None:
    first = keyed(api, "key", ttl_s=1)
    path = first.headers["Location"]
    api.ended(path)
    eventually(lambda: api.client.get(path).status_code == 410, "it expires")
    assert_replayed(keyed(api, "key", ttl_s=1), first)
    while service.store.expire_piece():
        pass
    assert_replayed(keyed(api, "key", ttl_s=1), first)
    assert api.client.get(path).status_code == 410


def test_a_key_is_forgotten_after_its_time(make_service: Callable[..., Service]) -> None:
    api = Api(make_service(idempotency_ttl_s=1).app.test_client())
    first = keyed(api, "key")

    def anew() -> bool:
        return keyed(api, "key").headers["Location"] != first.headers["Location"]

    eventually(anew, "the key is forgotten", every_s=0.1)


def retried(api: Api, path: str, key: str, **body: Any) -> Any:
    return api.client.post(f"{path}/retry", json=body, headers={"Idempotency-Key": key})


def test_a_retry_can_be_repeated_safely(api: Api) -> None:
    path = api.submit(job("raiser", error="ValueError"))
    api.ended(path)
    first = retried(api, path, "key")
    api.ended(first.headers["Location"])
    assert_replayed(retried(api, path, "key"), first)
    assert api.client.delete(path).status_code == 204
    assert_replayed(retried(api, path, "key"), first)
    assert len(api.get("/v1/batches")["items"]) == 1


def test_a_key_of_another_retry_is_refused(api: Api) -> None:
    one, two = (api.submit(job("raiser", error="ValueError")) for _ in range(2))
    api.ended(one)
    api.ended(two)
    assert retried(api, one, "key").status_code == 202
    for answer in (
        retried(api, two, "key"),
        retried(api, one, "key", status=["failed"]),
        keyed(api, "key"),
    ):
        assert (answer.status_code, answer.json["code"]) == (422, "idempotency-key-reused")
    assert retried(api, one, "\t").status_code == 400
