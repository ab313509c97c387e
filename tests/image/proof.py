"""What was proved, line by line; and the end of the run when something was not."""

from __future__ import annotations

import sys


def proved(what: str) -> None:
    print(f"ok    {what}", flush=True)


def prove(condition: bool, what: str, evidence: object = "") -> None:
    if not condition:
        sys.exit(f"WRONG {what}\n{evidence}")
    proved(what)
