"""Which cores jobs run on."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import JsonValue

from service.composition import Service
from service.jobs.contract import JobContext, JobType, Params
from tests.support.api import Api, job
from tests.support.cores import ALL, free_all_threads, needs_cores


class Spreading(JobType[Params]):
    """Tells on how many cores its thread may run."""

    name = "spreading"
    description = "For tests."
    params_model = Params
    example: ClassVar[dict[str, Any]] = {}

    def run(self, ctx: JobContext, params: Params) -> JsonValue:
        return len(os.sched_getaffinity(0))


class Keeping(Spreading):
    name = "keeping"
    one_core = True


@needs_cores
def test_a_job_type_says_whether_its_threads_share_a_core(
    make_service: Callable[..., Service],
) -> None:
    service = make_service(pool_size=1, job_types=[Keeping(), Spreading()])
    service.cores.keep_to_one()
    try:
        api = Api(service.app.test_client())
        path = api.submit(job("keeping"), job("spreading"), job("keeping"))
        api.ended(path)
        results = [one["result"] for one in api.jobs(path)]
        assert results == [1, len(ALL), 1]
    finally:
        free_all_threads()
