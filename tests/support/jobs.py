"""Job types that behave in ways real ones should not."""

from __future__ import annotations

from threading import Barrier, Event, Lock
from time import thread_time
from typing import Any, ClassVar

from pydantic import JsonValue

from service.errors import JobDeferred, JobFailed
from service.jobs.contract import JobContext, JobType, JsonText, Params


class NoParams(Params):
    pass


class WaitParams(Params):
    seconds: float = 30.0


class Sleeper(JobType[WaitParams]):
    name = "sleeper"
    description = "Waits, and stops when told to."
    params_model = WaitParams
    example: ClassVar[dict[str, Any]] = {"seconds": 1.0}

    def run(self, ctx: JobContext, params: WaitParams) -> JsonValue:
        ctx.sleep(params.seconds)
        return {"slept": params.seconds}


class Stuck(JobType[NoParams]):
    """Returns once ``go`` is set, whatever it is told before."""

    name = "stuck"
    description = "Waits for the test."
    params_model = NoParams
    example: ClassVar[dict[str, Any]] = {}

    def __init__(self) -> None:
        self.go = Event()

    def run(self, ctx: JobContext, params: NoParams) -> JsonValue:
        self.go.wait(60)
        return None


class Held(Stuck):
    """As ``Stuck``, but it stops when it is told to."""

    name = "held"

    def run(self, ctx: JobContext, params: NoParams) -> JsonValue:
        while not self.go.is_set():
            ctx.sleep(0.02)
        return None


class Untellable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


class RaiseParams(Params):
    error: str


class Raiser(JobType[RaiseParams]):
    name = "raiser"
    description = "Raises what it is told to."
    params_model = RaiseParams
    example: ClassVar[dict[str, Any]] = {"error": "ValueError"}

    def run(self, ctx: JobContext, params: RaiseParams) -> JsonValue:
        errors: dict[str, BaseException] = {
            "ValueError": ValueError("as told"),
            "SystemExit": SystemExit(3),
            "KeyboardInterrupt": KeyboardInterrupt(),
            "BaseException": BaseException("bare"),
            "MemoryError": MemoryError(),
            "surrogate": ValueError("half \ud800 of a pair"),
            "JobFailed": JobFailed("told_to", "as told", hint="none"),
            "GeneratorExit": GeneratorExit(),
            "untellable": Untellable(),
            "odd extra": JobFailed("odd", "as told", value=object()),
            "surrogate extra": JobFailed("odd", "as told", value="\ud800"),
            "nan extra": JobFailed("odd", "as told", value=float("nan")),
            "never": JobFailed("odd", "as told", retryable=True, retry_after_s=1e300),
            "deferred for ever": JobDeferred("host_limit", float("inf")),
        }
        if params.error == "RecursionError":
            return self.run(ctx, params)
        raise errors[params.error]


class FlakyParams(Params):
    failures: int


class Flaky(JobType[FlakyParams]):
    name = "flaky"
    description = "Fails so many times, then succeeds."
    params_model = FlakyParams
    example: ClassVar[dict[str, Any]] = {"failures": 1}

    def run(self, ctx: JobContext, params: FlakyParams) -> JsonValue:
        if ctx.attempt <= params.failures:
            raise JobFailed("flaky", f"attempt {ctx.attempt}", retryable=True)
        return {"attempt": ctx.attempt}


class DeferParams(Params):
    delay_s: float


class Deferrer(JobType[DeferParams]):
    """Puts itself off once; remembers it by job id, which a real type could not."""

    name = "deferrer"
    description = "Goes back to the queue once."
    params_model = DeferParams
    example: ClassVar[dict[str, Any]] = {"delay_s": 0.1}

    def __init__(self) -> None:
        self._seen: set[str] = set()

    def run(self, ctx: JobContext, params: DeferParams) -> JsonValue:
        if ctx.job_id not in self._seen:
            self._seen.add(ctx.job_id)
            raise JobDeferred("host_limit", params.delay_s)
        return {"attempt": ctx.attempt}


class ReturnParams(Params):
    kind: str


class Returner(JobType[ReturnParams]):
    name = "returner"
    description = "Returns odd things."
    params_model = ReturnParams
    example: ClassVar[dict[str, Any]] = {"kind": "nan"}

    def run(self, ctx: JobContext, params: ReturnParams) -> Any:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        values: dict[str, Any] = {
            "nan": float("nan"),
            "object": object(),
            "surrogate": "\udc80",
            "large": "x" * 3_000_000,
            "deep": deep,
            "none": None,
            "unicode": "é\u2028\x00",
            "json text": JsonText('{"a": [1, "é\u2028"]}'),
            "broken json text": JsonText('{"a": 1}}'),
            "nan in json text": JsonText("[NaN]"),
            "deep json text": JsonText("[" * 1000 + "]" * 1000),
        }
        return values[params.kind]


class PrintParams(Params):
    text: str
    times: int = 1


class Printer(JobType[PrintParams]):
    name = "printer"
    description = "Prints a text."
    params_model = PrintParams
    example: ClassVar[dict[str, Any]] = {"text": "hello"}

    def run(self, ctx: JobContext, params: PrintParams) -> JsonValue:
        for _ in range(params.times):
            ctx.print(params.text)
        return None


class Nul(JobType[NoParams]):
    name = "nul"
    description = "Prints what databases take for an end."
    params_model = NoParams
    example: ClassVar[dict[str, Any]] = {}

    def run(self, ctx: JobContext, params: NoParams) -> JsonValue:
        ctx.print("before\0after")
        ctx.print("second")
        return None


class TogetherParams(Params):
    parties: int
    name: str


class Together(JobType[TogetherParams]):
    """Returns once so many of a name are on threads at once, so it is known how many were.

    No more than so many may run at once, and their number must be a multiple of it.
    """

    name = "together"
    description = "Waits for others of its name."
    params_model = TogetherParams
    example: ClassVar[dict[str, Any]] = {"parties": 2, "name": "a"}

    def __init__(self) -> None:
        self._lock = Lock()
        self._barriers: dict[str, Barrier] = {}

    def run(self, ctx: JobContext, params: TogetherParams) -> JsonValue:
        with self._lock:
            barrier = self._barriers.setdefault(params.name, Barrier(params.parties))
        barrier.wait(60)
        ctx.sleep(0.02)  # long enough to be seen in milliseconds
        barrier.wait(60)
        return None


class BurnParams(Params):
    cpu_s: float


class Burner(JobType[BurnParams]):
    name = "burner"
    description = "Uses CPU time."
    params_model = BurnParams
    example: ClassVar[dict[str, Any]] = {"cpu_s": 0.1}

    def run(self, ctx: JobContext, params: BurnParams) -> JsonValue:
        until = thread_time() + params.cpu_s
        while thread_time() < until:
            pass
        return None


BEHAVIOURS: list[JobType[Any]] = [
    Together(),
    Burner(),
    Sleeper(),
    Raiser(),
    Flaky(),
    Deferrer(),
    Returner(),
    Printer(),
    Nul(),
]
