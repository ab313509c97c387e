"""What a job asks to be picked out of a page."""

from __future__ import annotations

from typing import Annotated, Final

import soupsieve
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

MAX_SELECTOR_CHARS: Final = 500
MAX_SELECTORS: Final = 50

# These look at all siblings or descendants of each element, and nested they multiply.
_COSTLY: Final = (":has", ":nth-", ":first-of", ":last-of", ":only-of", "contains")


def is_costly(css: str) -> bool:
    """Whether matching may take more than linear time."""
    return any(name in css.lower() for name in _COSTLY)


def flaw_of(css: str, parser: str) -> str | None:
    """Why the parser can't use the selector; None if it can."""
    if is_costly(css) and _nests_costly(css.lower()):
        return "costly pseudo-classes can't be nested"
    try:
        if parser == "lexbor":
            LexborHTMLParser("<p></p>").css(css)
        else:
            soupsieve.compile(css)
    except (SelectolaxError, soupsieve.SelectorSyntaxError, NotImplementedError, ValueError):
        return f"not a CSS selector that {parser} knows"
    return None


def _nests_costly(css: str) -> bool:
    """Whether a costly pseudo-class stands in the brackets of another."""
    open_brackets: list[bool] = []
    for position, char in enumerate(css):
        if char == "(":
            name = css[:position].rpartition(":")[2]
            costly = name.startswith(("has", "nth-")) or "contains" in name
            if costly and any(open_brackets):
                return True
            open_brackets.append(costly)
        elif char == ")" and open_brackets:
            open_brackets.pop()
    return False


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


Css = Annotated[str, Field(min_length=1, max_length=MAX_SELECTOR_CHARS), AfterValidator(_printable)]


class Selector(BaseModel):
    """Pick the first match, or all; its text, or an attribute of it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    css: Css
    attr: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    all: bool = False
