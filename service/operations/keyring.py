"""The keys of a service, made and ended beside it: it may run, or not yet have run."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row
from sqlalchemy.exc import DatabaseError

from service.clock import Clock
from service.datadir import DataDirectory
from service.errors import Flaw, Invalid, StoreUnavailable
from service.operations.secrets import key_text, new_secret, secret_hash
from service.settings import Settings
from service.store import keys
from service.store.database import Database

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,63}")
"""Begins with a letter, so that it is never taken for an id."""


class NewKey(NamedTuple):
    """A key that was just made. ``text`` is what its holder sends; it can't be shown again."""

    id: int
    text: str
    adopted: int  # batches made without a key that are now this key's

    def __repr__(self) -> str:
        return f"NewKey(id={self.id})"


class Keyring:
    """The keys in a data directory. A running service goes by what is written here at once."""

    def __init__(self, settings: Settings) -> None:
        """Raises StartRefused for a directory or database that can't be used."""
        self._clock = Clock()
        self._database = Database(settings.database_path)
        if not self._database.is_current():
            # no service of another version may be running on it
            directory = DataDirectory(settings.data_dir)
            directory.hold()
            self._database.upgrade()
            directory.release()

    def close(self) -> None:
        self._database.close()

    def create(
        self,
        name: str,
        *,
        max_queued_jobs: int | None = None,
        batches_per_minute: int | None = None,
        adopt: bool = False,
    ) -> NewKey:
        """Make a key; None for a quota is what the settings say, 0 is no limit.

        With ``adopt`` what was made without a key becomes this one's. Raises Invalid, NameTaken,
        StoreUnavailable.
        """
        if not _NAME.fullmatch(name):
            detail = "must be 1 to 64 letters, digits, '.', '_', '-', the first a letter"
            raise Invalid([Flaw("/name", detail)], f"the name {name[:80]!r} {detail}")
        secret = new_secret()
        with self._writing() as connection:
            key_id = keys.add(
                connection,
                name=name,
                secret_hash=secret_hash(secret),
                max_queued_jobs=max_queued_jobs,
                batches_per_minute=batches_per_minute,
                now_ms=self._clock.now_ms(),
            )
        return NewKey(key_id, key_text(key_id, secret), self._adopt(key_id) if adopt else 0)

    def _adopt(self, key_id: int) -> int:
        adopted = 0
        while True:
            with self._writing() as connection:
                piece = keys.adopt_piece(connection, key_id)
            if not piece:
                return adopted
            adopted += piece

    def list(self) -> Sequence[Row[Any]]:
        """In the order made, the revoked ones too."""
        with self._database.snapshot() as connection:
            return keys.list_keys(connection)

    def revoke(self, name_or_id: str) -> int:
        """End a key; returns its id. Raises NotFound, StoreUnavailable."""
        with self._writing() as connection:
            return keys.revoke(connection, name_or_id, now_ms=self._clock.now_ms())

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        try:
            with self._database.writer() as connection, connection.begin():
                yield connection
        except DatabaseError as error:
            raise StoreUnavailable(f"the database can't be written: {error.orig}") from error
