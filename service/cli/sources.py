"""Where the jobs of a submit come from."""

from __future__ import annotations

import json
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

from service.cli.connection import USAGE, give_up

FORMATS = ("urls", "ndjson", "json")

_BY_SUFFIX = {".ndjson": "ndjson", ".jsonl": "ndjson", ".json": "json"}


def format_of(file: str) -> str:
    return _BY_SUFFIX.get(Path(file).suffix.lower(), "urls")


def opened(file: str) -> AbstractContextManager[BinaryIO]:
    """The file, or the standard input for ``-``. Ends the command if there is none."""
    if file == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return Path(file).open("rb")
    except OSError as error:
        give_up(f"{file} can't be read: {error.strerror}", USAGE)


def document_of(file: BinaryIO, name: str) -> dict[str, Any]:
    """A whole batch. Ends the command if the file holds no JSON object with its jobs."""
    try:
        document = json.load(file)
    except (ValueError, RecursionError) as error:
        give_up(f"{name} is not JSON: {error}", USAGE)
    if not isinstance(document, dict) or not isinstance(document.get("jobs"), list):
        give_up(f'{name} must hold a JSON object like {{"jobs": […]}}', USAGE)
    if not isinstance(document.setdefault("defaults", {}), dict):
        give_up(f"{name}: defaults must be a JSON object", USAGE)
    return document


def quick_jobs(
    *, numbers: int | None, letters: str | None, delay_s: float, each: int
) -> list[dict[str, Any]]:
    """Jobs that print, ``each`` of them of either kind that is asked for, with names by which
    to tell their lines."""
    kinds: list[tuple[str, dict[str, Any]]] = []
    if numbers is not None:
        kinds.append(("numbers", {"count": numbers}))
    if letters is not None:
        kinds.append(("letters", {"letters": letters}))
    return [
        _job(kind, {**params, "delay_s": delay_s}, f"-{n}" if each > 1 else "")
        for n in range(1, each + 1)
        for kind, params in kinds
    ]


def _job(kind: str, params: dict[str, Any], suffix: str) -> dict[str, Any]:
    name = kind.capitalize() + suffix
    return {"type": kind, "custom_id": name, "params": {"name": name, **params}}
