"""Who asks, by the key of a request."""

from __future__ import annotations

from service.errors import Unauthorized
from service.operations.parts import Caller
from service.operations.secrets import NOBODYS, given_by, is_secret
from service.store.keys import NO_OWNER
from service.store.store import Store


class Access:
    """Asks the store for each request, so that a new or revoked key counts at once."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def caller(self, authorization: str | None) -> Caller:
        """Who sent this Authorization header; anyone, as long as no key was ever made.

        Raises Unauthorized, the same for a header that is not there, can't be read, or has a
        key that is unknown or revoked; StoreUnavailable.
        """
        given = given_by(authorization or "")
        found = self._store.find_key(given.id if given else NO_OWNER)
        if not found.any_made:
            return Caller()
        if given is None or not is_secret(given.secret, found.hash or NOBODYS):
            raise Unauthorized
        return Caller(given.id)
