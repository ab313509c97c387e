"""The versions of what jobspool stands on."""

from __future__ import annotations

import platform
import sqlite3
import sys
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from service.cli.checks.check import Check

PYTHON = (3, 11)
SQLITE = (3, 38)  # has the JSON functions, always
LIBCURL = (7, 80)  # has PREREQFUNCTION, which sees the address before a request is sent


def check_versions() -> list[Check]:
    return [
        _at_least("Python", sys.version_info[:3], PYTHON, platform.python_version()),
        _at_least("SQLite", sqlite3.sqlite_version_info, SQLITE, sqlite3.sqlite_version),
        _libcurl(),
        _packages(),
    ]


def _at_least(name: str, found: tuple[int, ...], needed: tuple[int, ...], shown: str) -> Check:
    if found >= needed:
        return Check(name, "ok", shown)
    oldest = ".".join(map(str, needed))
    return Check(name, "fail", f"{shown} is too old", f"Install {name} {oldest} or newer.")


def _libcurl() -> Check:
    try:
        import pycurl
    except ImportError as error:
        return Check("libcurl", "fail", f"pycurl can't be loaded: {error}", "Reinstall pycurl.")
    shown = str(pycurl.version_info()[1])
    return _at_least("libcurl", tuple(map(_number, shown.split("."))), LIBCURL, shown)


def _number(text: str) -> int:
    digits = text.partition("-")[0]
    return int(digits) if digits.isdigit() else 0


def _packages() -> Check:
    needed = [Requirement(line) for line in requires("jobspool") or []]
    needed = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [text for text in map(_wrong, needed) if text]
    if wrong:
        advice = "Install jobspool again, or `make serve` in a checkout."
        return Check("packages", "fail", "; ".join(wrong), advice)
    return Check("packages", "ok", f"all {len(needed)} are as jobspool needs them")


def _wrong(needed: Requirement) -> str | None:
    try:
        found = version(needed.name)
    except PackageNotFoundError:
        return f"{needed.name} is missing"
    return None if needed.specifier.contains(found, prereleases=True) else f"{needed.name} {found}"
