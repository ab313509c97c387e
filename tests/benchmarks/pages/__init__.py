"""Both parsers over folders of real pages: where they agree, and why not where they don't.

They agree in every field on all pages of Debian's python3-doc, postgresql-doc-15, apache2-doc
(Japanese, Korean, Russian, Turkish, Danish and German), nodejs-doc, git-doc and valgrind. What
kept them apart, and is mended:

- a link in a link (PostgreSQL's glossary): HTML ends the first where the second begins, lxml
  nests them, so a link's text now ends at the next link whoever parsed it;
- pages that Beautiful Soup could not read within the budget: its selectors took longer than
  its parser, and the garbage of earlier pages was collected at the expense of later ones;
- XHTML with an XML declaration made it warn.

What still differs, on markup that none of these pages holds, is how a tree is made of errors:
lexbor follows the HTML standard as browsers do, lxml has rules of its own. So it is for

- tags that close themselves though HTML has no such thing (``<script/>``, ``<title/>``,
  ``<a href="x"/>``): lxml closes them, browsers go on;
- formatting elements closed in the wrong order (``<b><a>x</b>y</a>``, ``<p><a>x<p>y</a>``):
  browsers open them again, which makes a second link;
- misplaced elements: content of a table outside its cells, a heading in a heading, a second
  ``<html>``, a form in a form, an image in the head, ``</br>``, ``<template>`` in a table;
- NUL characters, which browsers drop from text and lxml replaces.
"""
