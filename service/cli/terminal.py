"""Where output goes: a person's terminal, or a pipe or file that a program reads."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 100
"""Columns of a drawing that goes to no terminal, unless COLUMNS says otherwise."""

# C0 and C1 controls would let a page's title drive the terminal; the bidirectional ones would
# let it show another text than it is.
_CONTROLS = [*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
_VISIBLE = {
    code: f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    for code in _CONTROLS
    if chr(code) not in "\n\t"
}
_IN_A_LINE = {**_VISIBLE, ord("\n"): "\\n", ord("\t"): "\\t"}


def printable(text: str) -> str:
    """The text with its control characters, but newline and tab, made visible (``\\x1b``)."""
    return text.translate(_VISIBLE)


def in_a_line(text: Any) -> str:
    """As ``printable``, newlines and tabs too: for a cell of a table. "" for None."""
    return "" if text is None else str(text).translate(_IN_A_LINE)


def shortened(text: str, width: int) -> str:
    """The text in at most so many columns; Chinese takes two of them for each character."""
    from rich.cells import cell_len, set_cell_size

    return text if cell_len(text) <= width else set_cell_size(text, width - 1) + "…"


def is_terminal(stream: TextIO | None = None) -> bool:
    return (stream or sys.stdout).isatty()


def drawing_width() -> int:
    return shutil.get_terminal_size((PLAIN_WIDTH, 24)).columns


def drawing(stream: TextIO | None = None) -> Console:
    """A rich console that takes texts as they are, draws colours on a terminal only, and there
    not against NO_COLOR."""
    from rich.console import Console

    stream = stream or sys.stdout
    terminal = is_terminal(stream)
    return Console(
        file=stream,
        force_terminal=terminal,
        width=None if terminal else drawing_width(),
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=not terminal,
    )
