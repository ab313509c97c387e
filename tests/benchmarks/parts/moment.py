"""A job type that only tells when it ran, installed beside the service for a measurement."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic_ns
from typing import Any, ClassVar

from pydantic import JsonValue

from service.jobs.contract import JobContext, JobType, Params

MOMENT = {"type": "moment"}


class Moment(JobType[Params]):
    name = "moment"
    description = "Tells when it ran: nanoseconds of the machine's monotonic clock."
    params_model = Params
    example: ClassVar[dict[str, Any]] = {}

    def run(self, ctx: JobContext, params: Params) -> JsonValue:
        return monotonic_ns()


def installed(folder: Path, root: Path) -> str:
    """Put into a folder what makes it an installed package; the PYTHONPATH that finds it."""
    info = folder / "moment-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: moment\nVersion: 1\n")
    (info / "entry_points.txt").write_text(f"[jobspool.jobs]\nmoment = {__name__}:Moment\n")
    return os.pathsep.join([str(folder), str(root)])
