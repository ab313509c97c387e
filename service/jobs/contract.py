"""The contract between the engine and a job type."""

from __future__ import annotations

from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue

from service.errors import Flaw


class Params(BaseModel):
    """Base of every job type's params: unknown fields and loose types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


P = TypeVar("P", bound=BaseModel)


class JsonText(str):
    """A result that is JSON text already: it is checked, and stored as it is."""

    __slots__ = ()


class JobContext(Protocol):
    """What running job code may ask of the engine. Used only from the job's own thread."""

    @property
    def job_id(self) -> str:
        """The public id, ``<batch id>.<index>``."""

    @property
    def attempt(self) -> int:
        """Which execution of the job this is, from 1."""

    def print(self, text: str) -> None:
        """Print a line to the batch's console, under the batch's ``lock`` as it was asked for."""

    def sleep(self, seconds: float) -> None:
        """Wait, waking at once when told to stop. Raises JobStopped then."""

    def check(self) -> None:
        """Raise JobStopped (cancelled, timed out, handed back) if the job was told to stop."""

    def remaining_s(self) -> float:
        """Seconds until the job's deadline; never negative."""

    def charge_cpu(self, seconds: float) -> None:
        """Count CPU time that the job used outside of its thread, in a process of its own say."""

    def keep_gap(self, seconds: float) -> None:
        """The job's host wants so much time between visits: other jobs will keep it."""


class JobType(Generic[P]):
    """Subclass it, set the class attributes, write ``run``.

    ``run`` may be called from many threads at once on one instance, so it keeps what belongs
    to a job in local variables. It returns the job's result (a JSON value) and raises
    ``JobFailed`` for a failure with a code of its own. It should call ``ctx.check`` or
    ``ctx.sleep`` often enough that a cancelled job stops soon: a thread can't be killed.
    A job may run more than once (see ``attempts``), so its side effects should be repeatable.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    params_model: ClassVar[type[BaseModel]]
    example: ClassVar[dict[str, Any]]
    one_core: ClassVar[bool] = False
    """Whether a job's thread may share a core with all others of its process: best where it mostly
    waits, or runs Python code, of which one thread runs at a time. What computes for long without
    Python's lock is to leave it False."""

    def run(self, ctx: JobContext, params: P) -> JsonValue | JsonText:
        """Do the job. Promises nothing about threads but that this one is the job's own."""
        raise NotImplementedError

    def check_params(self, params: P) -> list[Flaw]:  # noqa: ARG002
        """What is wrong with params that the model alone can't tell; asked when a job is
        submitted. Pointers are relative to the params. Must be quick and do no I/O."""
        return []

    def host(self, params: P) -> str | None:  # noqa: ARG002
        """Whom a job of these params visits, if it must not be crowded; None for nobody.

        Of the jobs of all batches that name the same host, few run at once and not too soon
        after each other (JOBSPOOL_HOST_CONCURRENCY, JOBSPOOL_HOST_GAP_S).
        """
        return None

    def close(self) -> None:
        """Give back what the type holds (connections, say). Called once, when the service stops."""
