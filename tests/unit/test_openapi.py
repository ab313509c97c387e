"""The API's description: whole, valid, and made of what checks the input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import jsonschema_rs
import pytest
from flask import Flask, Response
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel, ConfigDict

from service.api.openapi.declare import Answer, Undocumented, documented
from service.api.openapi.document import describe
from service.api.openapi.problems import problem_answers
from service.api.parameters import LIMIT
from service.api.problems import STATUS
from service.composition import Service
from service.errors import StartRefused
from service.jobs.catalogue import Catalogue
from service.jobs.contract import JobContext, JobType, Params
from service.jobs.numbers import Numbers
from service.settings import Settings
from tests.support.conformance import closed
from tests.support.jobs import BEHAVIOURS


@pytest.fixture
def service(settings: Settings) -> Service:
    """Not started: describing needs no threads."""
    return Service(settings, job_types=BEHAVIOURS)


@pytest.fixture
def document(service: Service) -> dict[str, Any]:
    service.operations.settings = service.settings.model_copy(update={"max_wait_s": 7.0})
    return described(service)


def described(service: Service) -> dict[str, Any]:
    operations = service.operations
    document = describe(service.app, operations.catalogue, operations.settings)
    return dict(json.loads(json.dumps(document)))


def operations_of(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        yield from methods.values()


def validator(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    components = {"schemas": document["components"]["schemas"]}
    whole = closed({**schema, "components": components})
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_described(service: Service, document: dict[str, Any]) -> None:
    rules = [rule for rule in service.app.url_map.iter_rules() if rule.methods]
    assert len(list(operations_of(document))) == len(rules)
    assert {"submit_batch", "show_batch", "list_results"} <= {
        operation["operationId"] for operation in operations_of(document)
    }


def test_a_route_without_a_description_stops_the_start(service: Service) -> None:
    app = Flask("bare", static_folder=None)
    app.add_url_rule("/bare", "bare.view", lambda: Response())
    with pytest.raises(Undocumented, match="needs @documented"):
        describe(app, service.operations.catalogue, service.settings)


def test_two_views_of_one_name_are_refused(service: Service) -> None:
    @documented({200: Answer("Fine.")})
    def view() -> Response:
        """A view."""
        return Response()

    app = Flask("twins", static_folder=None)
    app.add_url_rule("/a", "a.view", view)
    app.add_url_rule("/b", "b.view", view)
    with pytest.raises(Undocumented, match="two operations are named view"):
        describe(app, service.operations.catalogue, service.settings)


def test_a_query_parameter_that_is_not_declared_is_refused_before_the_view() -> None:
    @documented({200: Answer("Fine.")}, query=(LIMIT,))
    def view() -> Response:
        """A view."""
        return Response("called")

    app = Flask("strict", static_folder=None)
    app.add_url_rule("/", "a.view", view)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    client = app.test_client()
    assert client.get("/?limit=3").text == "called"
    assert client.get("/?limits=3").status_code == 500  # no error handlers here


def test_every_example_of_an_answer_is_an_instance_of_its_schema(document: dict[str, Any]) -> None:
    checked = 0
    for operation in operations_of(document):
        for status, answer in operation["responses"].items():
            for kind, media in answer.get("content", {}).items():
                given = [one["value"] for one in media.get("examples", {}).values()]
                for example in [*given, *([media["example"]] if "example" in media else [])]:
                    where = (operation["operationId"], status, kind)
                    errors = list(validator(document, media["schema"]).iter_errors(example))
                    assert not errors, (where, errors)
                    checked += 1
    assert checked > 50


def test_every_example_of_a_request_is_an_instance_of_its_schema(document: dict[str, Any]) -> None:
    for operation in operations_of(document):
        for parameter in operation["parameters"]:
            check = validator(document, parameter["schema"])
            assert check.is_valid(parameter["example"]), (operation["operationId"], parameter)
        for media in operation.get("requestBody", {}).get("content", {}).values():
            for name, example in media["examples"].items():
                errors = list(validator(document, media["schema"]).iter_errors(example["value"]))
                assert not errors, (operation["operationId"], name, errors)


def test_every_link_leads_to_an_operation(document: dict[str, Any]) -> None:
    known = {
        operation["operationId"]: {parameter["name"] for parameter in operation["parameters"]}
        for operation in operations_of(document)
    }
    links = [
        link
        for operation in operations_of(document)
        for answer in operation["responses"].values()
        for link in answer.get("links", {}).values()
    ]
    assert len(links) == 2 * 9, "from a new batch and from a retry to all that can be done with one"
    for link in links:
        assert set(link["parameters"]) <= known[link["operationId"]], link


def test_parameters_that_not_every_form_of_a_request_may_have_have_no_default(
    document: dict[str, Any],
) -> None:
    """Generated clients send it with every request."""
    stated = {
        (operation["operationId"], parameter["name"])
        for operation in operations_of(document)
        for parameter in operation["parameters"]
        if "default" in parameter["schema"]
    }
    assert {name for _, name in stated} == {"dry_run", "follow"}


def test_every_problem_is_an_example_with_its_own_status_and_code() -> None:
    found = problem_answers(STATUS)
    for error, status in STATUS.items():
        content = found[str(int(status))]["content"]["application/problem+json"]
        assert content["examples"][error.code]["value"]["status"] == status
        assert content["examples"][error.code]["value"]["code"] == error.code


def test_params_are_those_that_the_job_types_check(document: dict[str, Any]) -> None:
    """Others' types too."""
    schemas = document["components"]["schemas"]
    mapping = schemas["NewJob"]["discriminator"]["mapping"]
    assert {"numbers", "letters", "scrape", "sleeper", "flaky"} <= set(mapping)
    check = validator(document, {"$ref": "#/components/schemas/NewBatch"})
    assert check.is_valid({"jobs": [{"type": "flaky", "params": {"failures": 2}}]})
    assert check.is_valid({"jobs": [{"type": "numbers"}]})
    assert not check.is_valid({"jobs": [{"type": "flaky", "params": {"failures": "2"}}]})
    assert not check.is_valid({"jobs": [{"type": "flaky"}]}), "its params have no defaults"
    assert not check.is_valid({"jobs": [{"type": "numbers", "params": {"failures": 2}}]})
    assert not check.is_valid({"jobs": [{"type": "numbers", "param": {}}]})
    assert not check.is_valid({"jobs": []})


def test_bounds_are_the_settings(document: dict[str, Any]) -> None:
    (wait,) = [
        parameter
        for parameter in document["paths"]["/v1/batches/{batch_id}"]["get"]["parameters"]
        if parameter["name"] == "wait"
    ]
    assert wait["schema"]["maximum"] == 7.0


class Odd(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)

    path: Path
    catalogue: Catalogue


class OddType(JobType[Any]):
    name = "odd"
    description = "Takes what JSON Schema can't tell."
    params_model = Odd
    example: ClassVar[dict[str, Any]] = {}


def test_a_job_type_that_can_not_be_described_stops_the_start(settings: Settings) -> None:
    with pytest.raises(StartRefused, match="Catalogue"):
        Service(settings, job_types=[OddType()])


class NumbersParams(Params):
    other: str


class Twin(JobType[NumbersParams]):
    """Its params model is named as one of ours."""

    name = "my-numbers"
    description = "Has a model of a name that is taken."
    params_model = NumbersParams
    example: ClassVar[dict[str, Any]] = {"other": "x"}

    def run(self, ctx: JobContext, params: NumbersParams) -> None:
        return None


def test_two_params_models_of_one_name_do_not_mix(settings: Settings) -> None:
    document = described(Service(settings, job_types=[Twin()]))
    OpenAPIV31SpecValidator(document).validate()
    check = validator(document, {"$ref": "#/components/schemas/NewBatch"})
    assert check.is_valid({"jobs": [{"type": "my-numbers", "params": {"other": "x"}}]})
    assert check.is_valid({"jobs": [{"type": "numbers", "params": Numbers.example}]})
    assert not check.is_valid({"jobs": [{"type": "my-numbers", "params": Numbers.example}]})
