"""Web pages of other sites: a browser runs them on the operator's own machine.

Without keys whoever reaches the service may use it, and any page that someone there opens can
send a POST to 127.0.0.1. It can't hide whose it is: browsers name the site in headers that a
page can't set (W3C Fetch Metadata, and Origin of RFC 6454). Other clients send neither.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import request

from service.errors import CrossSite

_HARMLESS = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN = frozenset({"same-origin", "none"})


def refuse_other_sites() -> None:
    """Raises CrossSite for a request that another site's page made, unless it only reads: what
    comes back to it the browser keeps from the page."""
    if request.method in _HARMLESS:
        return
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is not None:
        own = site in _OWN
    else:
        own = origin is None or urlsplit(origin).netloc == request.host
    if not own:
        raise CrossSite
