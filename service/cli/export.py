"""Results in the formats of files, a piece at a time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any

from service.cli.terminal import in_a_line, shortened
from service.csv_text import csv_header, csv_rows
from service.json_text import one_line

_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "backslashreplace", "newline": ""}

Lines = Iterable[Mapping[str, Any]]

BY_SUFFIX = {".ndjson": "ndjson", ".jsonl": "ndjson", ".csv": "csv", ".json": "json"}


def ndjson(lines: Lines) -> Iterator[str]:
    for line in lines:
        yield _json(line) + "\n"


def json_array(lines: Lines) -> Iterator[str]:
    before = "[\n"
    for line in lines:
        yield before + _json(line)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def csv(lines: Lines) -> Iterator[str]:
    yield csv_header()
    for line in lines:
        yield csv_rows([line])


def overview(lines: Lines, width: int) -> Iterator[str]:
    """A line a job, cut to the width: for eyes only."""
    for line in lines:
        error = line["error"]
        told = f"{error['code']}: {error['detail']}" if error else _json(line["result"])
        name = line["custom_id"] or line["type"]
        text = f"{line['index']:>5}  {line['status']:<9}  {name}  {told}"
        yield shortened(in_a_line(text), width) + "\n"


FORMATS: dict[str, Callable[[Lines], Iterator[str]]] = {
    "ndjson": ndjson,
    "csv": csv,
    "json": json_array,
}


@contextmanager
def whole_file(path: Path) -> Iterator[IO[str]]:
    """Write a file that is there whole or not at all.

    It is written beside its place and then moved there: whatever goes wrong before, an older
    file stays as it is. A device or a pipe is just written. Raises OSError.
    """
    target = path.resolve()  # a link stays one
    if target.exists() and not target.is_file():
        with target.open("w", **_TEXT) as file:
            yield file
        return
    with NamedTemporaryFile(
        "w", dir=target.parent, prefix=f".{target.name}.", delete=False, **_TEXT
    ) as part:
        try:
            yield part
            part.flush()
            os.fsync(part.fileno())
            os.fchmod(part.fileno(), _mode_of(target))
            Path(part.name).replace(target)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def _mode_of(path: Path) -> int:
    """That of the file which is replaced, or of any new one."""
    try:
        return path.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def _json(value: Any) -> str:
    return one_line(json.dumps(value, ensure_ascii=False, separators=(",", ":")))
