"""Running one job: from a claimed job to an ``Outcome``. Writes nothing down itself."""

from __future__ import annotations

import json
import logging
import random
from threading import current_thread
from time import thread_time_ns
from typing import NamedTuple

import orjson
from pydantic import JsonValue, ValidationError

from service.clock import Clock
from service.cores import Cores
from service.engine.context import RunningContext
from service.engine.registry import Begun, LiveJob
from service.engine.surprises import Surprises
from service.errors import (
    JobCancelled,
    JobDeferred,
    JobFailed,
    JobHandedBack,
    JobTimedOut,
)
from service.jobs.catalogue import Catalogue
from service.jobs.contract import JsonText
from service.json_text import MAX_DEPTH, nests_too_deep, one_line, strict
from service.model import Ending, HostWish, Outcome, PrintLock, error_json
from service.settings import Settings
from service.store.store import Store

log = logging.getLogger(__name__)


LONGEST_DELAY_S = 30 * 86_400.0
MOST_ERROR_BYTES = 16_384


class RunnerLimits(NamedTuple):
    """Bounds of a run; sizes in bytes, times in seconds."""

    max_result_bytes: int
    max_console_bytes: int
    retry_base_s: float
    retry_max_s: float

    @classmethod
    def of(cls, settings: Settings) -> RunnerLimits:
        return cls(*(getattr(settings, name) for name in cls._fields))


class Verdict(NamedTuple):
    """How a run ended, without its times."""

    ending: Ending
    result: str | None = None
    error: str | None = None
    not_before_ms: int | None = None
    wait_reason: str | None = None
    host_wish: HostWish | None = None


class CpuLaps:
    """CPU time of the calling thread, from lap to lap: to ask costs as much as a short job."""

    def __init__(self) -> None:
        self._begun_ns = thread_time_ns()

    def next_us(self) -> int:
        """Microseconds since the last lap's end; a new one begins."""
        begun_ns, self._begun_ns = self._begun_ns, thread_time_ns()
        return (self._begun_ns - begun_ns) // 1000


class Runner:
    """Turns a job into an outcome, whatever the job does."""

    def __init__(
        self,
        catalogue: Catalogue,
        store: Store,
        clock: Clock,
        limits: RunnerLimits,
        cores: Cores,
    ) -> None:
        self._catalogue = catalogue
        self._store = store
        self._clock = clock
        self._limits = limits
        self._cores = cores
        self._surprises = Surprises()

    def run(self, live: LiveJob, laps: CpuLaps) -> Outcome:
        """Run the job on the calling thread, whose ``laps`` they are. Never raises, whatever the
        job does."""
        live.begun = Begun(self._clock.now_ms(), current_thread().name)
        context = RunningContext(
            live, self._store, max_console_bytes=self._limits.max_console_bytes
        )
        live.ensemble.begin()
        try:
            verdict = self._verdict(live, context)
        except BaseException as error:  # noqa: BLE001 - it is told
            self._tell("job failed in a way that can't be told", live, error)
            verdict = BROKEN
        finally:
            live.ensemble.end()
        if log.isEnabledFor(logging.DEBUG):
            told = {"job_id": live.job.id, "job_type": live.job.type, "attempt": live.job.attempt}
            ending = {"ending": str(verdict.ending), "wait_reason": verdict.wait_reason}
            log.debug("job ran", extra={**told, **ending, "error": verdict.error})
        cpu_us = laps.next_us() + int(context.charged_cpu_s * 1e6)
        return self.outcome(live, verdict, cpu_us=cpu_us)

    def _tell(self, event: str, live: LiveJob, error: BaseException) -> None:
        untold = self._surprises.untold(f"{live.job.type} {type(error).__name__}")
        told = {"job_id": live.job.id, "job_type": live.job.type}
        if untold is None:
            log.debug(event, extra=told, exc_info=error)
        else:
            log.warning(event, extra={**told, "others_untold": untold}, exc_info=error)

    def outcome(self, live: LiveJob, verdict: Verdict, *, cpu_us: int | None = None) -> Outcome:
        """The outcome of a verdict. One that never began took no time, and no thread's."""
        job, now_ms = live.job, self._clock.now_ms()
        started_ms, thread = live.begun or (now_ms, "")
        # by place: by name it takes twice as long, for each job
        return Outcome(
            job.key,
            job.attempt,
            verdict.ending,
            verdict.result,
            verdict.error,
            thread,
            started_ms,
            max(started_ms, now_ms),
            cpu_us,
            job.claimed_ms,
            live.ensemble.peak,
            verdict.not_before_ms,
            verdict.wait_reason,
            job.host,
            verdict.host_wish,
            job.type,
            job.queued_ms,
        )

    def _verdict(self, live: LiveJob, context: RunningContext) -> Verdict:
        verdict = self._ending(live, context)
        if live.job.host is None or context.gap_s is None:
            return verdict
        wish = verdict.host_wish or HostWish()
        return verdict._replace(host_wish=wish._replace(gap_ms=int(context.gap_s * 1000)))

    def _ending(self, live: LiveJob, context: RunningContext) -> Verdict:
        try:
            return Verdict(Ending.SUCCEEDED, self._result(live, context))
        except JobCancelled:
            return Verdict(Ending.CANCELLED)
        except JobHandedBack:
            return handed_back()
        except JobDeferred as later:
            return self.deferred(later.reason, later.delay_s)
        except JobTimedOut:
            return self._failed(live, timed_out(live))
        except JobFailed as failed:
            return self._failed(live, failed)
        except BaseException as error:  # noqa: BLE001 - it is told
            self._tell("job raised", live, error)
            return self._failed(live, JobFailed("exception", _described(error), retryable=True))

    def deferred(self, reason: str, delay_s: float) -> Verdict:
        return Verdict(Ending.DEFERRED, not_before_ms=self._in(delay_s), wait_reason=reason)

    def _result(self, live: LiveJob, context: RunningContext) -> str:
        job = live.job
        job_type = self._catalogue.get(job.type)
        if job_type is None:
            raise JobFailed("unknown_type", f"job type {job.type!r} is not installed here any more")
        self._cores.use(one=job_type.one_core)
        try:
            # what model_validate_json calls, which costs twice as much for a short job
            params = job_type.params_model.__pydantic_validator__.validate_json(job.params)
        except ValidationError as invalid:
            raise JobFailed("invalid_params", str(invalid)) from None
        if job.batch.lock is PrintLock.JOB:
            with context.holding_the_lock():
                live.token.begin()
                return self._encoded(job_type.run(context, params))
        live.token.begin()
        live.token.check()
        return self._encoded(job_type.run(context, params))

    def _encoded(self, result: JsonValue | JsonText) -> str:
        try:
            text = one_line(_checked(result) if isinstance(result, JsonText) else strict(result))
            encoded = text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise JobFailed("bad_result", f"the result is not JSON: {error}") from None
        if nests_too_deep(encoded):
            raise JobFailed("bad_result", f"the result nests deeper than {MAX_DEPTH} levels")
        if len(encoded) > self._limits.max_result_bytes:
            bound = f"{self._limits.max_result_bytes} bytes (max_result_bytes)"
            size = f"the result has {len(encoded)} bytes"
            raise JobFailed("result_too_large", f"{size}, over {bound}")
        return text

    def _failed(self, live: LiveJob, failed: JobFailed) -> Verdict:
        verdict = Verdict(Ending.FAILED, error=_error_text(failed))
        if live.job.host is not None and failed.retry_after_s:
            # what one visitor was told holds for all who visit
            wish = HostWish(not_before_ms=self._in(failed.retry_after_s))
            verdict = verdict._replace(host_wish=wish)
        if not failed.retryable or live.job.failures + 1 >= live.job.max_attempts:
            return verdict
        due = self._in(self._backoff_s(live, failed))
        return verdict._replace(not_before_ms=due, wait_reason="retry_backoff")

    def _in(self, seconds: float) -> int:
        """A moment from now, within reason: job code and strangers' headers say when."""
        return self._clock.now_ms() + int(1000 * min(max(seconds, 0.0), LONGEST_DELAY_S))

    def _backoff_s(self, live: LiveJob, failed: JobFailed) -> float:
        """Full jitter (AWS, "Exponential Backoff and Jitter"), but no earlier than asked for."""
        ceiling = min(
            self._limits.retry_max_s, self._limits.retry_base_s * 2.0 ** min(live.job.failures, 30)
        )
        return max(random.uniform(0, ceiling), failed.retry_after_s or 0.0)  # noqa: S311


BROKEN = Verdict(
    Ending.FAILED,
    error=json.dumps(error_json("exception", "the job's error can't be told", retryable=False)),
)


def _checked(text: JsonText) -> str:
    plain = str(text)
    orjson.loads(plain)
    return plain


def timed_out(live: LiveJob, more: str = "") -> JobFailed:
    detail = f"ran longer than its timeout of {live.token.timeout_s:g} s{more}"
    return JobFailed("timeout", detail, retryable=True)


def overstayed(live: LiveJob) -> Verdict:
    """A job past its timeout whose thread has not returned, and may never."""
    failed = timed_out(live, "; its thread has not returned")
    return Verdict(
        Ending.FAILED, error=json.dumps(error_json("timeout", failed.detail, retryable=True))
    )


def handed_back() -> Verdict:
    error = error_json("handed_back", "the service was stopping", retryable=True)
    return Verdict(Ending.HANDED_BACK, error=json.dumps(error))


def _error_text(failed: JobFailed) -> str:
    """The error as JSON; what job code put beside code and detail only if it can be stored."""
    code, detail, retryable = str(failed.error_code), str(failed.detail), bool(failed.retryable)
    try:
        text = one_line(
            strict(error_json(code, detail[:2000], retryable=retryable, **failed.extra))
        )
        encoded = text.encode()
        if len(encoded) <= MOST_ERROR_BYTES and not nests_too_deep(encoded):
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    plain = (part.encode("utf-8", "replace").decode() for part in (code[:100], detail[:2000]))
    return one_line(strict(error_json(*plain, retryable=retryable)))


def _described(error: BaseException) -> str:
    text = str(error)
    return f"{type(error).__name__}: {text[:500]}" if text else type(error).__name__
