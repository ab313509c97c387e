"""Texts are put in order in linear time, and nothing of a language is lost."""

from __future__ import annotations

import unicodedata
from typing import get_args

import pytest

from service.jobs.extraction.extract import Part, Request, extract
from service.jobs.extraction.text import MAX_COMBINING, clean


@pytest.mark.timeout(60)  # unguarded 2 minutes
@pytest.mark.parametrize("marks", ["\u0301\u0316", "\u0344\u0316", "\u0f72\u0f71"])
@pytest.mark.parametrize("head", ["<title>a", "<h1>a", "<a href=x>a", "<p>a", "<html lang='a"])
def test_combining_characters_in_a_row_are_put_in_order_in_time(head: str, marks: str) -> None:
    html = head + marks * 200_000
    extract(html, "http://example.com/", Request(get_args(Part)))


def test_no_language_loses_its_combining_characters() -> None:
    words = "Việt ngữ, हिन्दी, ภาษาไทย, בְּרֵאשִׁית, a" + "\u0301" * MAX_COMBINING
    assert clean(words) == unicodedata.normalize("NFC", words)
    assert clean("a" + "\u0316" * (MAX_COMBINING + 1)) == "a" + "\u0316" * MAX_COMBINING
