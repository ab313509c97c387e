"""Two job types of another package: one useful, one that kills its process.

Install the package beside jobspool and restart the service; nothing else is to be done.
"""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, JsonValue

from service.jobs.contract import JobContext, JobType, Params


class ChecksumParams(Params):
    text: str = Field(max_length=10_000, description="what to hash")
    algorithm: str = Field("sha256", pattern="^(sha256|sha512|blake2b)$")
    rounds: int = Field(1, ge=1, le=1_000_000, description="how often to hash it")


class Checksum(JobType[ChecksumParams]):
    name = "checksum"
    description = "Hashes a text, a number of times over."
    params_model = ChecksumParams
    example: ClassVar[dict[str, Any]] = {"text": "hello", "rounds": 1000}

    def run(self, ctx: JobContext, params: ChecksumParams) -> JsonValue:
        digest = params.text.encode()
        for _ in range(params.rounds):
            ctx.check()  # so that a cancel and a timeout find a way in
            digest = hashlib.new(params.algorithm, digest).digest()
        ctx.print(f"{params.algorithm}: {digest.hex()}")
        return {"digest": digest.hex()}


class CrashParams(Params):
    marker: str | None = Field(None, description="crash only while this file does not exist")


class Crash(JobType[CrashParams]):
    name = "crash"
    description = "Kills its own process, as a bug in a C extension would."
    params_model = CrashParams
    example: ClassVar[dict[str, Any]] = {}

    def run(self, ctx: JobContext, params: CrashParams) -> JsonValue:
        if params.marker is None:
            os.kill(os.getpid(), signal.SIGKILL)
        elif not Path(params.marker).exists():
            Path(params.marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return {"survived": True}
