"""Pages made to cost: ``python -m tests.benchmarks.pages.hostile [SIZE ...]``.

Reads each with both parsers, as the service does, and prints the worst by seconds of CPU for each
MB, and what the worst reader took of memory. Names of pages are families.
"""

from __future__ import annotations

import argparse
import random
import resource
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, get_args

from service.errors import JobFailed
from service.jobs.extraction.extract import Parser, Part, Request
from service.jobs.extraction.readers import PageReaders
from tests.support.context import Job

Page = Callable[[int], str]

_NAMES: Final = (
    "a abbr address applet area article aside audio b base basefont bdi bdo bgsound big blink "
    "blockquote body br button canvas caption center cite code col colgroup command content data "
    "datalist dd del details dfn dialog dir div dl dt em embed fieldset figcaption figure font "
    "footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i iframe image img "
    "input ins isindex kbd keygen label legend li link listing main map mark marquee math menu "
    "menuitem meta meter nav nobr noembed noframes noscript object ol optgroup option output p "
    "param picture plaintext pre progress q rb rp rt rtc ruby s samp script search section select "
    "slot small source spacer span strike strong style sub summary sup svg table tbody td template "
    "textarea tfoot th thead time title tr track tt u ul var video wbr xmp "
    "foreignObject desc mi mo mn ms mtext annotation-xml mglyph malignmark x-y"
)
ELEMENTS: Final = tuple(_NAMES.split())
_FORMATTING: Final = ("a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "u")
_HOLDERS: Final = (
    "div", "p", "table", "td", "select", "option", "svg", "math", "mtext", "template", "button",
    "form", "li", "dd", "h1", "ruby", "rt", "object", "body", "frameset", "foreignObject", "title",
)  # fmt: skip


def repeated(piece: str, head: str = "") -> Page:
    """The piece again and again."""
    return lambda size: head + piece * max(1, (size - len(head)) // len(piece))


def numbered(piece: str, head: str = "", tail: str = "") -> Page:
    """The piece with a growing number in place of each N."""
    return lambda size: head + "".join(_numbered(piece, size - len(head))) + tail


def _numbered(piece: str, size: int) -> Iterator[str]:
    number = 0
    while size > 0:
        text = piece.replace("N", f"{number:x}")
        size -= len(text)
        number += 1
        yield text


def halves(first: str, second: str) -> Page:
    """As many of the one as of the other, the one first."""

    def page(size: int) -> str:
        count = max(1, size // (len(first) + len(second)))
        return first * count + second * count

    return page


def families() -> dict[str, Page]:
    """Every page that is known to be hostile, or that might be."""
    pages: dict[str, Page] = {}
    for name in ELEMENTS:
        pages[f"<{name}> nested"] = repeated(f"<{name}>")
        pages[f"<{name}> with text"] = repeated(f"<{name}>x")
        pages[f"<{name}> with attribute"] = numbered(f"<{name} href=N>")
        pages[f"<{name}> closed"] = repeated(f"<{name}></{name}>")
        pages[f"</{name}>"] = repeated(f"</{name}>")
        pages[f"<{name}> opened, then closed"] = halves(f"<{name}>", f"</{name}>")
        pages[f"<{name}> across <p>"] = repeated(f"<p><{name}>")
    for one in _FORMATTING:
        for other in _HOLDERS:
            pages[f"<{one}><{other}>"] = repeated(f"<{one}><{other}>")
            pages[f"<{one}><{other}></{one}>"] = repeated(f"<{one}><{other}></{one}>")
            pages[f"<{one} N><{other}>"] = numbered(f"<{one} id=N><{other}>")
            pages[f"<{one}>s then <{other}>s"] = halves(f"<{one}>", f"<{other}>x")
            pages[f"<{one} N>s then <{other}>s"] = _distinct_then(one, other)
            pages[f"<{other}>s then </{one}>s"] = halves(f"<{one}><{other}>", f"</{one}>")
    for one in _HOLDERS:
        for other in _HOLDERS:
            pages[f"<{one}><{other}>"] = repeated(f"<{one}><{other}>")
            pages[f"<{one}>s then <{other}>s"] = halves(f"<{one}>", f"<{other}>")
            pages[f"<{one}><{other}></{one}>"] = repeated(f"<{one}><{other}></{one}>")
            pages[f"<{one}>s then </{other}>s"] = halves(f"<{one}>", f"</{other}>")
    return pages | _tokens() | _fields()


def _distinct_then(one: str, other: str) -> Page:
    def page(size: int) -> str:
        return numbered(f"<{one} id=N>")(size // 2) + repeated(f"<{other}>x")(size // 2)

    return page


def _tokens() -> dict[str, Page]:
    pieces = (
        "<!--", "<!-- -->", "<!-->", "<!---", "--!>", "-->",
        "<!", "<!x>", "<?", "<?x>", "</", "</>",
        "</ >", "<", ">", "<<", "<![CDATA[",
        "]]>", "<!doctype html>", "<!DOCTYPE", "&", "&a", "&amp",
        "&amp;", "&notit;", "&CounterClockwiseContourIntegral;",
        "&#", "&#x41;", "&#1114112;", "&#0;",
        "\0", "\r", "\r\n", "\t", " ", "x",
        "é", "漢", "\U0001f600", "\ufeff", "\u202e", "\u0301\u0316",
        "\u0f71\u0f72", "\uac00\u11a8", "\u1100\u1161\u11a8",
        "<p", "<p a", "<p a=", "<p a='",
        '<p a="', "<p/", "<p a=1 a=1>", "<p/>", "<p /=x>", "x y ", "\u3000", "\x85", "ﬃ", "\u0958",
    )  # fmt: skip
    pages = {f"{piece!a}": repeated(piece) for piece in pieces}
    heads = (
        "<title>", "<h1>", "<a href=x>", "<svg>",
        "<math>", "<table>", "<select>", "<textarea>", "<pre>",
        "<script>", "<style>", "<!--", "<!doctype ", "<!doctype html public '", "<p title='", "<p ",
        "<svg><![CDATA[", "<plaintext>",
        "<meta name=description content='", "<a href='", "<base href='",
        "<template>", "<frameset>",
        "<html lang='", "<link rel=canonical href='", "<script><!--<script>",
        "<noscript>", "<iframe>", "<title><svg>", "<a rel='",
    )  # fmt: skip
    for head in heads:
        for piece in pieces:
            pages[f"{head}{piece!a}"] = repeated(piece, head)
    return pages


def _fields() -> dict[str, Page]:
    return {
        "attributes": numbered(" aN", "<x"),
        "attributes, closed": numbered(" aN", "<x", ">"),
        "attributes with values": numbered(" aN='>'", "<x", ">"),
        "attributes in svg": numbered(" aN=1", "<svg><x", ">"),
        "attributes on html again": numbered("<html aN=1>"),
        "attributes on body again": numbered("<body aN=1>"),
        "attributes on closing tags": numbered(" aN", "<x></x", ">"),
        "attributes in many tags": numbered(
            "<x " + " ".join(f"a{n}" for n in range(200)) + ">", tail=""
        ),
        "attribute of one name": repeated(" a=1", "<x"),
        "tags of new names": numbered("<xN>"),
        "tags of new names, closed": numbered("<xN></xN>"),
        "ids": numbered("<p id=N class='N N N'>"),
        "links": numbered("<a href=N>x</a>"),
        "links, no good": numbered("<a href='javascript:N'>x</a>"),
        "links upwards": numbered("<a href='" + "../" * 500 + "N'>x</a>"),
        "links with dots": numbered("<a href='" + "a/../" * 500 + "N'>x</a>"),
        "links with a long text": repeated("<a href=x><table><td>"),
        "headings in headings": repeated("<h1><table><td>x"),
        "links in tables": repeated("<a href=x><table><td>x"),
        "metas": numbered("<meta name=N content=N>"),
        "metas of one name": repeated("<meta name=a content=b>"),
        "titles": repeated("<title>x</title>"),
        "titles in svg": repeated("<svg><title>x"),
        "deep titles in svg": repeated("<svg><g><title>x</title>"),
        "canonicals": repeated("<link rel=alternate href=x>"),
        "bases": repeated("<base>"),
        "base and links": repeated("<a href=x>", f"<base href='/{'b/' * 4000}'>"),
        "scripts": repeated("<script>x</script>"),
        "styles in links": repeated("<a href=x><style>x</style>"),
        "code in headings": repeated("<h1><script>x</script></h1>"),
        "templates in templates": repeated("<template><p>"),
        "lists": repeated("<ul><li>x"),
        "cells": repeated("<table><tr><td>x"),
        "cells never closed": repeated("<td>x", "<table>"),
        "rows": repeated("<tr>x", "<table>"),
        "text in tables": repeated("x<tr>", "<table>"),
        "breaks": repeated("<br>"),
        "inputs": repeated("<input>"),
        "options": repeated("<option>x", "<select>"),
        "formatting, then blocks": lambda n: (
            numbered("<b id=N>")(n // 2) + repeated("<p>x")(n // 2)
        ),
        "formatting in tables": repeated("<table><b>"),
        "adoption": repeated("<b><p></b>"),
        "adoption, deep": repeated("<a><b><i><p><div></a>"),
        "ends in a deep tree": halves("<div>", "</x>"),
        "paragraphs in buttons": repeated("<button><p>x"),
        "fake ends": repeated("<div><!--</div>-->"),
        "rubies": repeated("<ruby><rt>x"),
    }


def random_pages(seed: int) -> Iterator[tuple[str, Page]]:
    """Pieces of all kinds in random order, some nested deep first."""
    rng = random.Random(seed)
    while True:
        chosen = rng.choices(ELEMENTS, k=rng.randint(1, 6))
        piece = ""
        for name in chosen:
            kind = rng.random()
            piece += (
                f"</{name}>"
                if kind < 0.3
                else f"<{name} id=N href=N>"
                if kind < 0.4
                else f"<{name}>"
            )
            piece += rng.choice(("", "", "x", "&amp;", "<!--"))
        head = "".join(f"<{name}>" for name in rng.choices(ELEMENTS, k=rng.choice((0, 1, 5))))
        yield head + piece, numbered(piece, head)


def cost(readers: PageReaders, html: str, parser: Parser) -> tuple[float, str]:
    """CPU seconds as the job is charged, and what came of it."""
    job = Job()
    request = Request(get_args(Part), parser)
    try:
        readers.read(html.encode(), "text/html;charset=utf-8", "https://example.com/", request, job)
        outcome = "read"
    except JobFailed as failed:
        outcome = failed.error_code
    return job.charged_cpu_s, outcome


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("sizes", nargs="*", type=int, default=[200_000, 1_000_000])
    options.add_argument("--random", type=int, default=0, help="that many random pages as well")
    options.add_argument("--parser", choices=get_args(Parser), action="append")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", default="")
    options.add_argument("--worst", type=int, default=25)
    chosen = options.parse_args()
    pages = [one for one in families().items() if chosen.only in one[0]]
    if chosen.random:
        pages = list(islice(random_pages(chosen.seed), chosen.random))
    costs = []
    readers = PageReaders(1)
    for name, page in pages:
        for size in chosen.sizes:
            html = page(size)
            for parser in chosen.parser or get_args(Parser):
                seconds, outcome = cost(readers, html, parser)
                costs.append((seconds / len(html) * 1e6, seconds, len(html), parser, outcome, name))
    readers.close()
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"{len(costs)} pages read, the largest reader had {memory} MiB\n")
    costs.sort(reverse=True)
    print("| s a MB | s | size | parser | outcome | page |\n|--:|--:|--:|---|---|---|")
    for rate, seconds, size, parser, outcome, name in costs[: chosen.worst]:
        print(f"| {rate:.2f} | {seconds:.2f} | {size} | {parser} | {outcome} | `{name[:90]}` |")


if __name__ == "__main__":
    main()
