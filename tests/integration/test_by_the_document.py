"""Requests that are made up by the API's own document, right ones and wrong ones: whatever comes,
the answer is one that the document describes, and none is an error of the service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from service.composition import Service
from service.settings import Settings
from tests.support.api import Api, job

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = {"POST /v1/batches": 30}  # what takes most, most often; 6 of the others


@pytest.fixture
def ended(make_service: Callable[..., Service]) -> str:
    """A batch that has run, so that there is something to ask for."""
    service = make_service()
    api = Api(service.app.test_client())
    path = api.submit(job(count=2), job("raiser", error="ValueError"), name="n")
    api.ended(path)
    service.stop(0.0)
    return path.rpartition("/")[2]


@pytest.fixture
def idle(ended: str, settings: Settings) -> Iterator[Service]:
    """The service without its engine: what is made up is accepted, and does not run."""
    service = Service(settings.model_copy(update={"max_wait_s": 0.01}))
    service.store.start()
    yield service
    service.stop()


def test_whatever_is_asked_is_answered_by_the_document(idle: Service, ended: str) -> None:
    document = schemathesis.openapi.from_wsgi("/openapi.json", idle.app)
    known = {"batch_id": st.just(ended), "job_id": st.sampled_from([f"{ended}.0", f"{ended}.1"])}
    asked: Counter[int] = Counter()

    def ask(operation: Any, mode: GenerationMode) -> None:
        @settings(examples(operation.label), deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode), data=st.data())
        def one(case: Any, data: st.DataObject) -> None:
            for name in known.keys() & (case.path_parameters or {}).keys():
                if data.draw(st.booleans(), f"a known {name}"):
                    case.path_parameters[name] = data.draw(known[name])
            response = case.call()
            case.validate_response(response, checks=CHECKS)
            asked[response.status_code] += 1

        one()

    for found in document.get_all_operations():
        operation = found.ok()
        ask(operation, GenerationMode.POSITIVE)
        if operation.path.startswith(("/v1/batches", "/v1/jobs/")):  # the others ask for nothing
            ask(operation, GenerationMode.NEGATIVE)
    print(dict(asked))
    assert {200, 202, 204, 400, 404, 409, 422} <= set(asked), "little was tried"


def examples(operation: str) -> settings:
    if settings.get_current_profile_name() == "long":
        return settings()
    return settings(max_examples=EXAMPLES.get(operation, 6), database=None)
