"""The OpenAPI document: every route of the application, or none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from flask import Flask
from pydantic import BaseModel
from pydantic.errors import PydanticUserError
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from service import __version__
from service.api.context import needs_key
from service.api.openapi import answers, headers
from service.api.openapi.bodies import submission_models
from service.api.openapi.declare import Answer, Operation, Undocumented, operation_of
from service.api.openapi.parts import Parameter
from service.api.openapi.problems import problem_answers, problems_of
from service.api.openapi.text import INTRODUCTION, SECURITY, TAGS
from service.api.parameters import PATHS, REQUEST_ID
from service.api.submission import Retry
from service.errors import StartRefused
from service.jobs.catalogue import Catalogue
from service.settings import Settings

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def describe(app: Flask, catalogue: Catalogue, settings: Settings) -> dict[str, Any]:
    """Raises Undocumented for a route that does not describe itself, and StartRefused for a job
    type whose params can't be described."""
    paths: dict[str, Any] = {}
    models: set[type[BaseModel]] = {answers.Problem, answers.InvalidProblem}
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        operation = operation_of(view)
        for answer in operation.answers.values():
            models |= {model for model in (answer.model, answer.events) if model}
        described = _operation(rule, view.__doc__ or "", operation, catalogue, settings)
        for method in sorted((rule.methods or set()).intersection(METHODS)):
            paths.setdefault(path_of(rule), {})[method.lower()] = described
    _refuse_twins(paths)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "jobspool",
            "version": __version__,
            "summary": "Batches of jobs over HTTP, on threads, durable.",
            "description": INTRODUCTION,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": _schemas(models, catalogue),
            "securitySchemes": {"key": SECURITY},
        },
    }


def _operation(
    rule: Rule, text: str, operation: Operation, catalogue: Catalogue, settings: Settings
) -> dict[str, Any]:
    tag, _, name = rule.endpoint.partition(".")
    summary, _, more = text.partition("\n")
    described: dict[str, Any] = {"operationId": name, "tags": [tag], "summary": summary.rstrip(".")}
    if more.strip():
        described["description"] = re.sub(r"\n *", "\n", more).strip()
    described["parameters"] = [
        *(
            _parameter(_path_parameter(argument), "path", settings)
            for argument in sorted(rule.arguments)
        ),
        *(_parameter(one, "query", settings) for one in operation.query),
        *(_parameter(one, "header", settings) for one in (*operation.headers, REQUEST_ID)),
    ]
    if operation.body:
        described["requestBody"] = {
            "description": operation.body.description,
            "required": operation.body.required,
            "content": operation.body.content(catalogue),
        }
    if needs_key(rule):
        described["security"] = [{"key": []}, {}]
    found = {str(int(status)): _answer(answer) for status, answer in operation.answers.items()}
    described["responses"] = {**found, **problem_answers(problems_of(rule, operation))}
    return described


def _path_parameter(name: str) -> Parameter:
    if name not in PATHS:
        raise Undocumented(f"parameters.PATHS has no {name!r}")
    return PATHS[name]


def _parameter(parameter: Parameter, where: str, settings: Settings) -> dict[str, Any]:
    schema, example = dict(parameter.schema), parameter.example
    if parameter.bound:
        schema["maximum"] = getattr(settings, parameter.bound)
        example = min(example, schema["maximum"])
    if parameter.times > 1:
        schema = {"type": "array", "items": schema, "maxItems": parameter.times}
        example = [example]
    return {
        "name": parameter.name,
        "in": where,
        "required": where == "path",
        "description": parameter.description,
        "schema": schema,
        "example": example,
    }


def _answer(answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = {}
    if answer.model:
        content["application/json"] = _media(answer.model)
    if answer.events:  # OpenAPI before 3.2 has no word for one event: tools take the schema for it
        content["text/event-stream"] = _media(answer.events)
    for kind, example in answer.texts.items():
        content[kind] = {"schema": {"type": "string"}, "example": example}
    described: dict[str, Any] = {"description": answer.description}
    if content:
        described["content"] = content
    described["headers"] = headers.described((*answer.headers, headers.REQUEST_ID))
    if answer.links:
        described["links"] = answer.links
    return described


def _media(model: type[BaseModel]) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    for example in _examples(model):
        media["example"] = example
    return media


def _examples(model: type[BaseModel]) -> list[Any]:
    extra = model.model_config.get("json_schema_extra")
    return list(extra.get("examples", [])) if isinstance(extra, Mapping) else []  # type: ignore[arg-type]


def path_of(rule: Rule) -> str:
    return re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule)


def _refuse_twins(paths: Mapping[str, Mapping[str, Any]]) -> None:
    """Generated clients name their functions by these."""
    names = [one["operationId"] for methods in paths.values() for one in methods.values()]
    if twins := {name for name in names if names.count(name) > 1}:
        raise Undocumented(f"two operations are named {', '.join(sorted(twins))}")


def _schemas(models: Iterable[type[BaseModel]], catalogue: Catalogue) -> dict[str, Any]:
    shown = [(model, "serialization") for model in sorted(models, key=lambda one: one.__name__)]
    # the params also by themselves: in a union pydantic passes over what it can't describe
    asked = (*submission_models(catalogue), Retry, *(kind.params_model for kind in catalogue))
    read = [(model, "validation") for model in asked]
    try:
        _, schemas = models_json_schema(
            [*shown, *read],  # type: ignore[list-item]
            ref_template="#/components/schemas/{model}",
        )
    except PydanticUserError as error:
        raise StartRefused(f"a job type's params can't be described: {error}") from error
    return dict(schemas["$defs"])
