"""The finding of one check."""

from __future__ import annotations

from typing import Literal, NamedTuple

Verdict = Literal["ok", "warn", "fail"]


class Check(NamedTuple):
    """``advice`` says what to do about it; empty if nothing has to be done."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""
