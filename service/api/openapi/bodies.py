"""Request bodies, made of the models that check them."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from functools import reduce
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, RootModel, ValidationError, create_model

from service.api.submission import BatchIn, JobIn
from service.jobs.catalogue import Catalogue
from service.jobs.contract import JobType

LINES = '{"type":"numbers","params":{"count":2}}\n{"type":"letters"}\n'
URLS = "https://example.com/page1\nhttps://example.com/page2\n"


def submission_models(catalogue: Catalogue) -> tuple[type[BaseModel], type[BaseModel]]:
    """``NewBatch`` and ``NewJob``: what is checked in two steps, as one."""
    kinds: Any = reduce(operator.or_, map(_job_model, catalogue))
    by_type: Any = Annotated[kinds, Field(discriminator="type")]
    job = create_model(
        "NewJob",
        __base__=RootModel[by_type],
        __doc__="A job, by its type.",
    )
    jobs: Any = (list[job], BatchIn.model_fields["jobs"])
    batch = create_model("NewBatch", __base__=BatchIn, __doc__="A batch.", jobs=jobs)
    return batch, job


def _job_model(job_type: JobType[Any]) -> type[BaseModel]:
    """``JobIn`` as it is for one type."""
    words = re.findall("[A-Za-z0-9]+", job_type.name)
    kind: Any = (Literal[job_type.name], JobIn.model_fields["type"])
    params: Any = (job_type.params_model, _params_field(job_type.params_model))
    return create_model(
        "".join(word[0].upper() + word[1:] for word in words) + "Job",
        __base__=JobIn,
        __doc__=job_type.description,
        type=kind,
        params=params,
    )


def _params_field(model: type[BaseModel]) -> Any:
    """``params`` may be left out if the type needs none."""
    description = JobIn.model_fields["params"].description
    try:
        model.model_validate({})
    except ValidationError:
        return Field(description=description)
    return Field(default_factory=model, description=description)


def submission(catalogue: Catalogue) -> dict[str, Any]:
    """The three bodies of POST /v1/batches."""
    return {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/NewBatch"},
            "examples": _batches(catalogue),
        },
        "application/x-ndjson": {
            "schema": {
                "type": "string",
                "description": "A `NewJob` a line, read as a stream. Blank lines are passed over.",
            },
            "examples": {"lines": {"value": LINES}},
        },
        "text/plain": {
            "schema": {
                "type": "string",
                "description": "A URL a line, each a `scrape`. Blank lines are passed over.",
            },
            "examples": {"urls": {"value": URLS}},
        },
    }


def retry(_: Catalogue) -> dict[str, Any]:
    """The body of a retry."""
    return {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/Retry"},
            "examples": {"failed": {"value": {"status": ["failed"]}}},
        }
    }


def _batches(catalogue: Iterable[JobType[Any]]) -> dict[str, Any]:
    jobs = {kind.name: {"type": kind.name, "params": kind.example} for kind in catalogue}
    alone = {
        kind.name: {"summary": kind.description, "value": {"jobs": [jobs[kind.name]]}}
        for kind in catalogue
    }
    options = {
        "name": "nightly",
        "labels": {"team": "a"},
        "executor": "pool",
        "max_workers": 8,
        "lock": "line",
        "priority": 0,
        "defaults": {"timeout_s": 30, "max_attempts": 3},
    }
    several = [{**job, "custom_id": name} for name, job in jobs.items()]
    return {
        **alone,
        "all": {"summary": "A job of each type", "value": {**options, "jobs": several}},
    }
