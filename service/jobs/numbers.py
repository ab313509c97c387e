"""Print numbers, slowly: the lesson's first job."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, Field, JsonValue

from service.jobs.contract import JobContext, JobType, Params

MAX_COUNT = 10_000
MAX_DELAY_S = 3_600.0


class NumbersParams(Params):
    name: str | None = Field(
        None, max_length=100, description="put before each number: `name: 1`", examples=["Thread-1"]
    )
    start: int = Field(1, ge=0, le=2**53, description="the first number")
    count: int = Field(5, ge=0, le=MAX_COUNT, description="how many numbers")
    delay_s: float = Field(
        0.0, ge=0, le=MAX_DELAY_S, allow_inf_nan=False, description="waiting after each, seconds"
    )


class Numbers(JobType[NumbersParams]):
    name = "numbers"
    one_core = True
    description = "Prints `count` numbers from `start`, waiting `delay_s` after each."
    params_model: ClassVar[type[BaseModel]] = NumbersParams
    example: ClassVar[dict[str, Any]] = {
        "name": "Thread-1",
        "start": 1,
        "count": 5,
        "delay_s": 1.0,
    }

    def run(self, ctx: JobContext, params: NumbersParams) -> JsonValue:
        values = range(params.start, params.start + params.count)
        return print_slowly(ctx, params.name, values, params.delay_s)


def print_slowly(ctx: JobContext, name: str | None, values: Any, delay_s: float) -> JsonValue:
    """Print each value as a line, waiting after it; returns ``{"lines": […]}``."""
    lines: list[JsonValue] = []
    for value in values:
        line = f"{name}: {value}" if name is not None else str(value)
        ctx.print(line)
        lines.append(line)
        if delay_s:
            ctx.sleep(delay_s)
        else:
            ctx.check()
    return {"lines": lines}
