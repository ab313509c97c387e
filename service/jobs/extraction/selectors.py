"""What a job asks to be picked out of a page."""

from __future__ import annotations

import re
from typing import Annotated, Final

import soupsieve
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from selectolax.lexbor import LexborHTMLParser, SelectolaxError

from service.jobs.extraction.combinators import Step, taken_apart

MAX_SELECTOR_CHARS: Final = 500
MAX_SELECTORS: Final = 50

# These look at all siblings or descendants of each element, and nested they multiply.
_COSTLY: Final = (":has", ":nth-", ":first-of", ":last-of", ":only-of", "contains")


# What stands in these brackets is a selector; in those of nth-child() as well, behind "of".
_SELECTOR_IN_BRACKETS = re.compile(
    r":(?:is|where|not|has|matches|any|nth-[a-z-]+)\(", re.IGNORECASE
)
_NONE: Final = Step("", "")
_OF = re.compile(r".*?\sof\s", re.IGNORECASE | re.DOTALL)


def is_costly(css: str) -> bool:
    """Whether matching may take more than linear time."""
    return any(name in css.lower() for name in _COSTLY) or _choices_in_brackets(css) > 0


def flaw_of(css: str, parser: str) -> str | None:
    """Why the parser can't use the selector; None if it can."""
    if is_costly(css) and _nests_costly(css.lower()):
        return "costly pseudo-classes can't be nested"
    if _choices_in_brackets(css) > 1:
        return "a selector in brackets can't have more than one descendant or sibling combinator"
    try:
        if parser == "lexbor":
            LexborHTMLParser("<p></p>").css(css)
        else:
            soupsieve.compile(css)
    except (SelectolaxError, soupsieve.SelectorSyntaxError, NotImplementedError, ValueError):
        return f"not a CSS selector that {parser} knows"
    return None


def _choices_in_brackets(css: str) -> int:
    """How many ancestors or siblings selectors in brackets leave to choose at a time."""
    choices, position = 0, 0
    while match := _SELECTOR_IN_BRACKETS.search(css, position):
        inner = _up_to_bracket(css[match.end() :])
        position = match.end() + len(inner)
        if match[0][1:4].lower() == "nth":
            inner = _OF.sub("", inner, count=1) if _OF.match(inner) else ""
        for steps in taken_apart(inner.lstrip(" >+~")):
            mine = sum(step.combinator in (" ", "~") for step in steps)
            within = max(_choices_in_brackets(step.compound) for step in steps or [_NONE])
            choices = max(choices, mine + within)
    return choices


def _up_to_bracket(css: str) -> str:
    depth = 0
    for position, char in enumerate(css):
        depth += (char == "(") - (char == ")")
        if depth < 0:
            return css[:position]
    return css


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
