"""Shapes of markup that real pages have: both parsers read the same out of them."""

from __future__ import annotations

import gc
import warnings
from typing import Any, get_args

import pytest

from service.jobs.extraction.extract import Parser, Part, Request, extract
from service.jobs.extraction.soup import SoupDocument


def read(html: str, parser: Parser) -> dict[str, Any]:
    request = Request(get_args(Part), parser)
    return extract(html, "https://example.com/dir/page", request)


SHAPES = {
    "XHTML": (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="ja" lang="ja"><head>'
        '<title>t</title></head><body><p><a id="x" name="x">y</a></p><hr /></body>'
        "</html>"
    ),
    "a link in a link": (
        '<p>a <a class="glossterm" href="#D"><em class="glossterm">'
        '<a class="glossterm" href="#D" title="D">domain</a></em></a> b</p>'
    ),
    "a permalink in a heading": (
        '<h2>Notes<a class="headerlink" href="#notes" title="Permalink">¶</a></h2>'
    ),
    "navigation in tables": (
        '<div><table width="100%"><tr><td width="10%">'
        '<a accesskey="p" href="p.html">Prev</a> </td><td>'
        '<a accesskey="u" href="u.html">Up</a></td></tr></table><hr /></div>'
    ),
    "code in spans": (
        '<div class="highlight"><pre><span></span><span class="kn">import</span> '
        '<span class="nn">os</span>\n</pre></div>'
    ),
    "a file name": "index.html",
    "a URL": "http://example.com/",
    "selfclose a": '<p><a name="x"/>One <a href="/1">1</a> two',
    "selfclose div": "<div/><h1>x</h1><p/>y",
    "base in body": '<body><a href=x>x</a><base href="/dir/">',
    "dup attr": '<a href="/1" href="/2">x</a>',
    "upper": '<A HREF="/1" REL="NoFollow">x</A><H1>y</H1><META NAME="Description" CONTENT="z">',
    "noscript head": (
        "<head><noscript><link rel=canonical href=/c><meta name=a content=b>"
        "</noscript><title>t</title></head>"
    ),
    "noscript body": "<body><noscript><a href=/n>n</a></noscript><h1>x",
    "textarea": "<textarea><a href=/1>x</a></textarea><h1>y</h1>",
    "iframe": "<iframe src=x><a href=/1>x</a></iframe><h1>y</h1>",
    "xmp": "<xmp><a href=/1>x</a></xmp><h1>y</h1>",
    "plaintext": "<h1>y</h1><plaintext><a href=/1>x</a>",
    "title markup": "<title>a <b>b</b> &amp; c</title><h1>y</h1>",
    "title in body": "<body><h1>x</h1><title>t</title>",
    "two titles": "<title></title><title>b</title>",
    "svg title first": "<body><svg><title>s</title></svg><title>t</title>",
    "svg a xlink": '<svg><a xlink:href="/1"><text>x</text></a></svg>',
    "entities": "<h1>&nbsp;&copy &notin; &notit; &#x80; &#0; &#xD800; &#1114112; &lt</h1>",
    "attr entity": '<a href="?a=1&copy=2&lt=3&amp;x=4">x</a>',
    "heading in a": "<a href=/1><h2>b</h2></a>",
    "li": "<ul><li>a<li>b<ul><li>c</ul></ul>",
    "ruby": "<h1><ruby>漢<rp>(</rp><rt>kan</rt><rp>)</rp></ruby></h1>",
    "cdata": "<h1>a<![CDATA[b]]>c</h1>",
    "pi": '<?php echo "<h1>x</h1>" ?><h1>y</h1>',
    "comment bang": "<!-- a --!><h1>x</h1><!-- b -->",
    "comment short": "<!--><h1>x</h1><!-- -->",
    "cond comment": "<!--[if IE]><h1>ie</h1><![endif]--><![if !IE]><h1>x</h1><![endif]>",
    "doctype junk": '<!DOCTYPE html PUBLIC "x" [<!ENTITY a "b">]><h1>x</h1>',
    "xmlns prefix": (
        '<html xmlns:og="x"><head><meta property="og:title" content="T"></head><body>'
        "<fb:like>x</fb:like>"
    ),
    "xml:lang": '<html xml:lang="de"><h1>x',
    "meta name+prop": (
        '<meta name="" property="og:x" content="1"><meta name="k"><meta name="k" content="2">'
    ),
    "base twice": '<base target=_top><base href="/d/"><base href="/e/"><a href=x>x</a>',
    "pre newline": "<pre>\n\nx</pre><h1>a\r\nb</h1>",
    "template": "<template><h1>x</h1><template><h2>y</h2></template></template><h1>z</h1>",
    "unclosed attr": '<a href="/1>x</a><a href="/2">y</a>',
    "attr no quote": "<a href=/1/>x</a><a href='/2'class=b>y</a>",
    "gt text": "<h1>a < b > c <3</h1>",
    "style in body": "<body><style>h1{}</style><div>a<style>b</style></div>",
    "script comment": "<script><!-- <script> </script> --></script><h1>x</h1>",
}


@pytest.mark.parametrize("name", SHAPES)
def test_both_parsers_read_the_same(name: str) -> None:
    lexbor, soup = (read(SHAPES[name], parser) for parser in get_args(Parser))
    assert lexbor == soup


def test_a_link_ends_where_the_next_begins() -> None:
    for parser in get_args(Parser):
        links = read(SHAPES["a link in a link"], parser)["links"]
        assert [link["text"] for link in links] == ["", "domain"]


def test_what_is_no_markup_warns_nobody() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for html in (
            "",
            "page.html",
            "/etc/passwd",
            "http://example.com/",
            "<?xml version='1.0'?>",
        ):
            SoupDocument(html).close()


def test_a_page_leaves_no_work_for_the_garbage_collector() -> None:
    html = "<div><p>a <b>b</b></p></div>" * 1_000
    read(html, "beautifulsoup")
    gc.collect()
    gc.disable()
    try:
        read(html, "beautifulsoup")
        assert gc.collect() < 500  # of some ten thousand objects
    finally:
        gc.enable()
