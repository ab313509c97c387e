"""Everything that can go wrong, one tree, each leaf with a stable ``code``.

No HTTP in here: ``service.api.problems`` is the one place that maps these to answers.
A docstring's first line is the default message.
"""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple


class Flaw(NamedTuple):
    """One thing wrong with an input. ``pointer`` is a JSON Pointer (RFC 6901) into it."""

    pointer: str
    detail: str


class Allowance(NamedTuple):
    """What a key may still submit: ``remaining`` of ``quota`` batches in the next ``reset_s``."""

    quota: int
    remaining: int
    reset_s: int


class JobspoolError(Exception):
    """Something went wrong."""

    code: ClassVar[str] = "internal"

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or (type(self).__doc__ or "").strip().splitlines()[0]
        super().__init__(self.detail)


# --- what a client sent -------------------------------------------------------------------


class Malformed(JobspoolError):
    """The request can't be read."""

    code = "malformed"


class Invalid(JobspoolError):
    """The input is not valid."""

    code = "invalid"

    def __init__(self, flaws: list[Flaw], detail: str | None = None, *, left_out: int = 0) -> None:
        super().__init__(detail)
        self.flaws = flaws
        self.left_out = left_out  # flaws that were found and are not listed


class UnsupportedMedia(JobspoolError):
    """This kind of body is not accepted."""

    code = "unsupported-media-type"


class NotAcceptable(JobspoolError):
    """None of the formats asked for can be made."""

    code = "not-acceptable"


class TooLarge(JobspoolError):
    """The body or the batch is over a limit."""

    code = "too-large"


class UriTooLong(JobspoolError):
    """The path and the query are longer than a request line may be."""

    code = "request-uri-too-long"


class HeadersTooLarge(JobspoolError):
    """The request's headers are over a limit."""

    code = "request-header-fields-too-large"


# --- who asks ---------------------------------------------------------------------------------


class Unauthorized(JobspoolError):
    """This needs a key: Authorization: Bearer <key>, with one that is known and not revoked."""

    code = "unauthorized"


class QuotaUsed(JobspoolError):
    """A quota of this key is used up.

    ``allowance`` is what is left of its batches a minute; None if they have no limit.
    """

    code = "quota"
    retry_after_s: int = 5

    def __init__(
        self, detail: str, *, allowance: Allowance | None = None, retry_after_s: int = 5
    ) -> None:
        super().__init__(detail)
        self.allowance = allowance
        self.retry_after_s = retry_after_s


class BatchQuotaUsed(QuotaUsed):
    """The key has submitted its batches of this minute."""

    code = "quota-batches"


class QueueQuotaUsed(QuotaUsed):
    """The key's jobs in the queue are as many as it may have."""

    code = "quota-queued"


class NameTaken(JobspoolError):
    """There is something of this name already."""

    code = "name-taken"


class CrossSite(JobspoolError):
    """A web page of another site can't do this."""

    code = "cross-site"


# --- what is asked about ------------------------------------------------------------------


class NotFound(JobspoolError):
    """There is no such thing."""

    code = "not-found"


class Expired(JobspoolError):
    """It was here, and its time to live is over."""

    code = "expired"


class ResultNotReady(JobspoolError):
    """The job has not ended yet."""

    code = "result-not-ready"
    retry_after_s: int = 1

    def __init__(self, detail: str | None = None, *, retry_after_s: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class BatchActive(JobspoolError):
    """The batch has not ended yet: cancel it first, or wait."""

    code = "batch-active"


class NothingToRetry(JobspoolError):
    """No job of the batch is in a state that was asked to be retried."""

    code = "nothing-to-retry"


class KeyInFlight(JobspoolError):
    """A request with this Idempotency-Key is still being processed."""

    code = "idempotency-key-in-flight"
    retry_after_s: ClassVar[int] = 1


class KeyReused(JobspoolError):
    """This Idempotency-Key was used with another request."""

    code = "idempotency-key-reused"


# --- what the service can't do now ----------------------------------------------------------


class Unavailable(JobspoolError):
    """The service can't take this now."""

    code = "unavailable"
    retry_after_s: ClassVar[int] = 5


class QueueFull(Unavailable):
    """The queue is full."""

    code = "queue-full"


class Busy(Unavailable):
    """The service is at work on other large bodies: send it again, or as application/x-ndjson."""

    code = "busy"


class Draining(Unavailable):
    """The service is stopping and takes no new batches."""

    code = "draining"


class NotReady(Unavailable):
    """The service should get no traffic now."""

    code = "not-ready"


class TooManyStreams(Unavailable):
    """As many streams are being followed and waits waited for as there is room for."""

    code = "too-many-streams"


class StoreUnavailable(Unavailable):
    """The store can't be written or read."""

    code = "store-unavailable"


# --- what stops a start ---------------------------------------------------------------------


class StartRefused(JobspoolError):
    """The service refuses to start."""

    code = "start-refused"


class SettingsInvalid(StartRefused):
    """The settings are not valid."""

    code = "settings-invalid"


# --- inside the engine ------------------------------------------------------------------------


class AlreadyLive(JobspoolError):
    """The job is already running in this process."""

    code = "already-live"


class Saturated(JobspoolError):
    """Every place for a live job is taken."""

    code = "saturated"


# --- what job code raises ---------------------------------------------------------------------


class JobFailed(JobspoolError):
    """The job failed.

    ``code`` is stable and lower_snake_case. ``retryable`` says whether another attempt may
    succeed; ``retry_after_s`` is the earliest moment for it that the other side asked for.
    ``extra`` (JSON values) is shown in the job's error beside code and detail.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(detail)
        self.error_code = code
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.extra = extra


class JobDeferred(JobspoolError):
    """The job can't start its work yet; it goes back to the queue and no attempt is charged.

    ``reason`` is a ``wait_reason`` of the API: ``host_limit`` or ``robots_delay``.
    """

    def __init__(self, reason: str, delay_s: float) -> None:
        super().__init__(f"deferred for {delay_s:.1f} s: {reason}")
        self.reason = reason
        self.delay_s = delay_s


class JobStopped(JobspoolError):
    """The job was told to stop. Raised by ``ctx.check`` and ``ctx.sleep``; let it pass."""


class JobCancelled(JobStopped):
    """The job was cancelled."""


class JobTimedOut(JobStopped):
    """The job ran longer than its timeout_s."""


class JobHandedBack(JobStopped):
    """The service is stopping; the job goes back to the queue, its attempt not charged."""
