"""What a view says of itself, beside its code; what it says of its query is enforced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from flask import request
from pydantic import BaseModel

from service.api.openapi.parts import Header, Parameter
from service.api.query import refuse_unknown
from service.errors import JobspoolError
from service.jobs.catalogue import Catalogue

P = ParamSpec("P")
R = TypeVar("R")


class Undocumented(Exception):
    """A route that does not describe itself, or not well enough. A mistake in our own code."""


@dataclass(frozen=True)
class Answer:
    """An answer that is no problem.

    ``model`` describes JSON; ``texts`` are other media types, each with an example; ``events``
    is what a Server-Sent Event of the answer holds; ``links`` are OpenAPI's: which operation an
    id in this answer is for.
    """

    description: str
    model: type[BaseModel] | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    events: type[BaseModel] | None = None
    headers: tuple[Header, ...] = ()
    links: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RequestBody:
    """A body; ``content`` makes OpenAPI's map of media types, knowing the job types."""

    content: Callable[[Catalogue], dict[str, Any]]
    description: str
    required: bool = True


@dataclass(frozen=True)
class Operation:
    answers: Mapping[int, Answer]
    query: tuple[Parameter, ...]
    headers: tuple[Parameter, ...]
    body: RequestBody | None
    problems: tuple[type[JobspoolError], ...]
    any_query: bool


def documented(
    answers: Mapping[int, Answer],
    *,
    query: tuple[Parameter, ...] = (),
    headers: tuple[Parameter, ...] = (),
    body: RequestBody | None = None,
    problems: tuple[type[JobspoolError], ...] = (),
    any_query: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Describe a view; its name is the operation's id and its docstring the text.

    A query parameter that is not declared here is refused before the view is called, so the
    document can't lack one; ``any_query`` takes whatever else there is. Problems that many routes
    have (see ``problems_of``) go without saying.
    """
    operation = Operation(answers, query, headers, body, problems, any_query)

    def describe(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def strict(*args: P.args, **kwargs: P.kwargs) -> R:
            if not operation.any_query:
                refuse_unknown(request, operation.query)
            return view(*args, **kwargs)

        strict.operation = operation  # type: ignore[attr-defined]
        return strict

    return describe


def operation_of(view: Callable[..., Any]) -> Operation:
    """Raises Undocumented."""
    operation = getattr(view, "operation", None)
    if not isinstance(operation, Operation) or not view.__doc__:
        raise Undocumented(f"{view.__module__}.{view.__name__} needs @documented and a docstring")
    return operation
