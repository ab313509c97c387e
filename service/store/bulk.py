"""Many rows in one statement, handed over as one JSON text.

sqlite3 lets go of Python's lock at every step of a statement and has to win it back from the
job threads, which may take milliseconds. A statement for a thousand rows does so once, and
SQLite's work on them runs beside Python's.

What is SQLite's own here is the rendering of ``Rows`` and ``field``; PostgreSQL has the like in
``jsonb_array_elements``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import BindParameter, ColumnElement, bindparam, func, literal_column

ROWS: BindParameter[str] = bindparam("rows")

each_row = func.json_each(ROWS).table_valued("value", name="v")
"""The rows of the JSON text that is bound as ``rows``: an array of arrays."""


def field(position: int) -> ColumnElement[Any]:
    """A row's value at a position, with its JSON type."""
    return func.json_extract(each_row.c.value, literal_column(f"'$[{position}]'"))


def fields(*names: str) -> dict[str, ColumnElement[Any]]:
    """Values by name, in the order in which each row has them."""
    return {name: field(position) for position, name in enumerate(names)}


def rows_of(values: Sequence[Any]) -> str:
    """What a statement takes as its rows."""
    return orjson.dumps(values).decode()


def as_json_rows(*columns: ColumnElement[Any]) -> ColumnElement[str]:
    """All rows of a query as one JSON text, so that fetching them is one step."""
    return func.json_group_array(func.json_array(*columns))
