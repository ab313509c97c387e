"""Selectors taken apart at their combinators, so that matching them takes linear time.

Both parsers match ``x p p p p`` by trying every way to choose the ancestors: five in a tree a
hundred deep take lexbor 16 s, and each more a hundred times that. Here each part is matched by
the parser, and the parts are joined by walking up, or back, once.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

_COMBINATORS: Final = " >+~"
_TOKEN = re.compile(
    r"""(?P<skip>/\*.*?(?:\*/|\Z))|\\.|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|.""", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Step:
    """A compound selector, and how it stands to the one before it; "" for the first."""

    combinator: str
    compound: str


class Tree(Protocol):
    """What joining the parts needs of a document."""

    def find(self, css: str) -> Sequence[Any]:
        """The elements that match, each once, in document order."""

    def key(self, element: Any) -> int:
        """What tells an element from the others."""

    def parent(self, element: Any) -> Any | None:
        """The element that holds it."""

    def previous(self, element: Any) -> Any | None:
        """The element before it that has the same parent."""


def taken_apart(css: str) -> list[list[Step]]:
    """The selectors of a list, each as its steps. For CSS that the parser takes."""
    selectors: list[list[Step]] = [[Step("", "")]]
    depth = 0
    for match in _TOKEN.finditer(css):
        text = match[0]
        if match["skip"]:
            continue
        depth += (text in ("(", "[")) - (text in (")", "]"))
        steps = selectors[-1]
        if depth == 0 and text == ",":
            selectors.append([Step("", "")])
        elif depth == 0 and (text.isspace() or text in _COMBINATORS):
            _combine(steps, " " if text.isspace() else text)
        else:
            steps[-1] = Step(steps[-1].combinator, steps[-1].compound + text)
    return [_without_trailing_blank(steps) for steps in selectors]


def _combine(steps: list[Step], combinator: str) -> None:
    if steps[-1].compound:
        steps.append(Step(combinator, ""))
    elif combinator != " " and len(steps) > 1:  # the blank before it was none of its own
        steps[-1] = Step(combinator, "")


def _without_trailing_blank(steps: list[Step]) -> list[Step]:
    return steps if steps[-1].compound else steps[:-1]


def is_linear(steps: Sequence[Step]) -> bool:
    """Whether a parser may match it whole: nothing to choose, or one ancestor."""
    wide = [step.combinator for step in steps if step.combinator in (" ", "~")]
    return wide in ([], [" "])


def select(tree: Tree, css: str) -> Sequence[Any]:
    """The elements that match, each once, in document order."""
    selectors = taken_apart(css)
    if all(is_linear(steps) for steps in selectors):
        return tree.find(css)
    matching: set[int] = set()
    for steps in selectors:
        matching |= _matching(tree, steps)
    candidates = tree.find(",".join(steps[-1].compound for steps in selectors))
    return [element for element in candidates if tree.key(element) in matching]


def _matching(tree: Tree, steps: Sequence[Step]) -> set[int]:
    keys: set[int] = set()
    for step in steps:
        elements = tree.find(step.compound)
        if step.combinator:
            join = _Join(tree, step.combinator, keys)
            elements = [element for element in elements if join.holds(element)]
        keys = {tree.key(element) for element in elements}
    return keys


class _Join:
    """Whether elements stand to one of ``wanted`` as the combinator says."""

    def __init__(self, tree: Tree, combinator: str, wanted: set[int]) -> None:
        self._key = tree.key
        self._step = tree.parent if combinator in (" ", ">") else tree.previous
        self._far = combinator in (" ", "~")
        self._wanted = wanted
        self._known: dict[int, bool] = {}  # for far ones, so that no way is walked twice

    def holds(self, element: Any) -> bool:
        if not self._far:
            other = self._step(element)
            return other is not None and self._key(other) in self._wanted
        way: list[int] = []
        found = False
        while not found and element is not None:
            key = self._key(element)
            if key in self._known:
                found = self._known[key]
                break
            way.append(key)
            element = self._step(element)
            found = element is not None and self._key(element) in self._wanted
        self._known.update(dict.fromkeys(way, found))
        return found
