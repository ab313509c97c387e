"""Keys: who is let in, and that nobody sees what another made."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from service.composition import Service
from service.errors import Invalid, NameTaken, NotFound, Unauthorized
from service.model import BatchOptions, JobSpec
from service.operations.keyring import Keyring, NewKey
from service.operations.parts import Caller
from service.store import keys
from service.store.store import STAGE
from tests.support.api import Api, job
from tests.support.keys import api_of, api_with, make_key, revoke_key
from tests.support.waiting import eventually

SPEC = JobSpec("numbers", '{"count":0}', None, None, 1)


def refused(api: Api) -> bool:
    return api.client.get("/v1/batches").status_code == 401


def test_without_keys_all_are_one_caller_whatever_they_send(service: Service) -> None:
    path = api_with(service, None).submit(job(count=0))
    assert api_with(service, f"jp_1_{'x' * 43}").get(path)
    assert api_with(service, "anything").get(path)


def test_from_the_first_key_on_each_request_needs_one(service: Service) -> None:
    nobody = api_with(service, None)
    before = nobody.submit(job(count=0))
    own = api_of(service, "first")
    assert refused(nobody)
    assert nobody.post([job(count=0)]).status_code == 401
    assert own.client.get(before).status_code == 404
    revoke_key(service, "first")
    assert refused(nobody)
    assert refused(own)


NOT_A_LIVE_KEY = [
    "",
    "Bearer",
    "Bearer ",
    "Basic {key}",
    "{key}",
    "Bearer {key}x",
    "Bearer {key} x",
    "Bearer {key}, Bearer {key}",
    "Bearer\t{key}",
    "Bearer {revoked}",
    "Bearer {upper}",
    "Bearer jp_0_{secret}",
    "Bearer jp_01_{secret}",
    "Bearer jp_2_{secret}",
    "Bearer jp_99_{secret}",
    "Bearer jp_999999999999999999_{secret}",
    "Bearer jp_9999999999999999999999999_{secret}",
    "Bearer jp_-1_{secret}",
    "Bearer jp_\N{ARABIC-INDIC DIGIT ONE}_{secret}",
    "Bearer " + "x" * 8_000,
]


def test_a_header_that_is_not_a_live_key_is_refused_like_none(service: Service) -> None:
    key = make_key(service)
    make_key(service, "second")
    revoked = make_key(service, "revoked")
    revoke_key(service, "revoked")
    secret = key.split("_", 2)[2]
    client = service.app.test_client()
    none = client.get("/v1/batches", headers={"X-Request-Id": "same"})
    for header in NOT_A_LIVE_KEY:
        given = header.format(key=key, revoked=revoked, secret=secret, upper=key.swapcase())
        answer = client.get(
            "/v1/batches",
            environ_overrides={"HTTP_AUTHORIZATION": given.encode().decode("latin-1")},
            headers={"X-Request-Id": "same"},
        )
        assert (answer.status_code, answer.json) == (401, none.json), given
        assert sorted(answer.headers) == sorted(none.headers), given


def test_the_scheme_is_read_as_http_has_it(service: Service) -> None:
    key = make_key(service)
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer  "):
        headers = {"Authorization": f"{scheme} {key}"}
        assert service.app.test_client().get("/v1/batches", headers=headers).status_code == 200


def test_a_key_sees_its_own_batches_only(service: Service) -> None:
    one, two = api_of(service, "one"), api_of(service, "two")
    mine = [one.run(job(count=0), name="n", labels={"a": "b"})["id"] for _ in range(3)]
    theirs = two.run(job(count=0), name="n", labels={"a": "b"})["id"]
    filters = "", "?name=n", "?label=a:b", "?status=completed", "?outcome=succeeded"
    for query in (*filters, "?created_after=2020-01-01T00:00:00Z"):
        assert [batch["id"] for batch in one.get(f"/v1/batches{query}")["items"]] == mine[::-1]
        assert [batch["id"] for batch in two.get(f"/v1/batches{query}")["items"]] == [theirs]
    page = one.get("/v1/batches?limit=2")
    assert [batch["id"] for batch in one.get(page["next"])["items"]] == mine[:1]
    assert two.get(page["next"])["items"] == []


def test_an_idempotency_key_is_each_callers_own(service: Service) -> None:
    def submit(api: Api, **options: Any) -> Any:
        body = {"jobs": [job(count=0)], **options}
        return api.client.post("/v1/batches", json=body, headers={"Idempotency-Key": "k"})

    one, two = api_of(service, "one"), api_of(service, "two")
    first, second = submit(one), submit(two, priority=1)
    assert first.json["id"] != second.json["id"]
    for api, before, options in ((one, first, {}), (two, second, {"priority": 1})):
        again = submit(api, **options)
        assert again.json["id"] == before.json["id"]
        assert again.headers["Idempotency-Replayed"] == "true"


def test_a_retry_remembers_for_its_caller_only(service: Service) -> None:
    one, two = api_of(service, "one"), api_of(service, "two")
    path = one.submit(job("raiser", error="ValueError"))
    one.ended(path)
    headers = {"Idempotency-Key": "k"}
    again = one.client.post(f"{path}/retry", headers=headers)
    assert again.json["retry_of"] == path.rpartition("/")[2]
    assert two.client.post(f"{path}/retry", headers=headers).status_code == 404


def test_an_expired_batch_is_410_to_its_owner_and_404_to_others(service: Service) -> None:
    one, two = api_of(service, "one"), api_of(service, "two")
    path = one.submit(job(count=0), ttl_s=1)
    one.ended(path)
    eventually(lambda: one.client.get(path).status_code == 410, "it expires")
    assert two.client.get(path).status_code == 404
    while service.store.expire_piece():
        pass
    assert one.client.get(path).status_code == 410
    assert two.client.get(path).status_code == 404


def test_an_adopting_key_takes_over_what_was_made_without_one(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def submit(api: Api) -> Any:
        return api.client.post(
            "/v1/batches", json={"jobs": [job(count=0)]}, headers={"Idempotency-Key": "k"}
        )

    monkeypatch.setattr(keys, "ADOPT_PIECE", 2)
    nobody = api_with(service, None)
    first = submit(nobody).json["id"]
    ids = [nobody.run(job(count=0), labels={"a": "b"})["id"] for _ in range(4)]
    sleeping = nobody.submit(*[job("sleeper")] * 10, max_workers=1)
    nobody.until(sleeping, "running")
    api_of(service, "stranger").submit(job(count=0))
    own = api_of(service, "own", adopt=True)
    found = [batch["id"] for batch in own.get("/v1/batches")["items"]]
    assert found == [sleeping.rpartition("/")[2], *ids[::-1], first]
    assert len(own.get("/v1/batches?label=a:b")["items"]) == 4
    assert submit(own).json["id"] == first
    assert used(service, "own") == 9
    own.client.post(f"{sleeping}/cancel")
    own.ended(sleeping)
    assert used(service, "own") == 0


def used(service: Service, name: str) -> int:
    keyring = Keyring(service.settings)
    try:
        return next(key.queued for key in keyring.list() if key.name == name)
    finally:
        keyring.close()


def test_a_name_can_be_used_again_once_its_key_is_revoked(service: Service) -> None:
    first = api_of(service)
    path = first.submit(job(count=0))
    with pytest.raises(NameTaken):
        make_key(service)
    revoke_key(service, "me")
    with pytest.raises(NotFound):
        revoke_key(service, "me")
    second = api_of(service)
    assert refused(first)
    assert second.client.get(path).status_code == 404


def test_a_name_is_never_taken_for_an_id(service: Service) -> None:
    for name in ("", "1", "-a", "a b", "a" * 65, "é", "a\n"):
        with pytest.raises(Invalid):
            make_key(service, name)


def test_only_a_key_that_is_there_can_be_revoked(service: Service) -> None:
    make_key(service)
    for what in ("2", "9" * 30, "other", "", "\N{ARABIC-INDIC DIGIT ONE}"):
        with pytest.raises(NotFound):
            revoke_key(service, what)
    revoke_key(service, "1")


def test_nothing_of_a_secret_is_kept_or_told(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        key = make_key(service)
        api = api_with(service, key)
        api.run(job(count=0))
        answers = [api.client.get("/v1/batches/x"), api_with(service, key + "x").client.get("/v1")]
    secret = key.split("_", 2)[2]
    for file in filter(Path.is_file, service.settings.data_dir.rglob("*")):
        assert secret.encode() not in file.read_bytes(), file
    for answer in answers:
        assert secret not in answer.text + str(answer.headers)
    assert secret not in caplog.text
    assert secret not in repr(NewKey(1, key, 0))


def test_a_key_that_is_revoked_while_a_batch_is_received_makes_none(service: Service) -> None:
    make_key(service, "going")

    def specs() -> Iterator[JobSpec]:
        yield from [SPEC] * (2 * STAGE)
        revoke_key(service, "going")
        yield SPEC

    with pytest.raises(Unauthorized):
        service.operations.of(Caller(1)).submissions.submit(BatchOptions(), specs())
    assert used(service, "going") == 0
