"""Print letters, slowly: the lesson's second job."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, Field, JsonValue

from service.jobs.contract import JobContext, JobType, Params
from service.jobs.numbers import MAX_DELAY_S, print_slowly


class LettersParams(Params):
    name: str | None = Field(
        None, max_length=100, description="put before each letter: `name: A`", examples=["Letters"]
    )
    letters: str = Field(
        "ABCDE", max_length=1_000, pattern=r"^[^\x00-\x1f\x7f]*$", description="what to print"
    )
    delay_s: float = Field(
        0.0, ge=0, le=MAX_DELAY_S, allow_inf_nan=False, description="waiting after each, seconds"
    )


class Letters(JobType[LettersParams]):
    one_core = True
    name = "letters"
    description = "Prints each letter of `letters`, waiting `delay_s` after each."
    params_model: ClassVar[type[BaseModel]] = LettersParams
    example: ClassVar[dict[str, Any]] = {"letters": "ABCDE", "delay_s": 1.5}

    def run(self, ctx: JobContext, params: LettersParams) -> JsonValue:
        return print_slowly(ctx, params.name, params.letters, params.delay_s)
