"""A job's line of the results, rendered by the database.

Rows to be rendered in Python cost five times as much, with Python's lock held all the while.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, Text, and_, bindparam, case, cast, func, literal_column

from service.model import MAX_INDEX_BITS, JobState
from service.store.schema import SEQ_BITS, jobs


def line_binds(batch_id: str) -> dict[str, str]:
    """What LINE has to be told of the batch."""
    return {"line_of": f"{batch_id}."}


def _low_bits(key: ColumnElement[int], bits: int) -> ColumnElement[int]:
    return key.op("&")(literal_column(str((1 << bits) - 1)))


def _line() -> ColumnElement[str]:
    """A job's error and result are JSON that is spliced in as it is stored: to read a large one
    only to write it again would cost more than all the rest."""
    index = _low_bits(jobs.c.key, MAX_INDEX_BITS)
    cancelling = and_(jobs.c.state == JobState.RUNNING.value, jobs.c.cancelling == 1)
    status = case(
        (jobs.c.state == JobState.WAITING.value, JobState.QUEUED.value),
        (cancelling, "cancelling"),
        else_=jobs.c.state,
    )
    head = {
        "seq": _low_bits(jobs.c.finish_key, SEQ_BITS),
        "index": index,
        "custom_id": jobs.c.custom_id,
        "job_id": bindparam("line_of", type_=Text).concat(cast(index, Text)),
        "type": jobs.c.type,
        "status": status,
    }
    members = [part for member in head.items() for part in member]
    return (
        func.rtrim(func.json_object(*members), "}")
        .concat(',"error":')
        .concat(func.coalesce(jobs.c.error, "null"))
        .concat(',"result":')
        .concat(func.coalesce(jobs.c.result, "null"))
        .concat("}")
    )


LINE = _line()
"""As ``present.result_view``, a JSON object without the end of its line; with ``line_binds``."""
