"""The secret of an API key: how it is made, sent and kept."""

from __future__ import annotations

import hashlib
import hmac
import re
from secrets import token_urlsafe
from typing import NamedTuple

SECRET_BYTES = 32

_BEARER = re.compile(r"(?i:bearer) +jp_([1-9][0-9]{0,17})_([A-Za-z0-9_-]{43})")

NOBODYS = "0" * 64
"""In place of a hash: that of no secret."""


class Given(NamedTuple):
    """A key as a request sends it."""

    id: int
    secret: str

    def __repr__(self) -> str:
        return f"Given(id={self.id})"


def given_by(authorization: str) -> Given | None:
    """The key of an Authorization header (RFC 6750); None if it holds none."""
    found = _BEARER.fullmatch(authorization)
    return Given(int(found[1]), found[2]) if found else None


def new_secret() -> str:
    return token_urlsafe(SECRET_BYTES)


def key_text(key_id: int, secret: str) -> str:
    """The key as its holder sends it."""
    return f"jp_{key_id}_{secret}"


def secret_hash(secret: str) -> str:
    """What is kept of a secret. A fast hash is right: 256 random bits can't be guessed, unlike a
    password, and a slow one would let strangers keep the service busy."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_secret(secret: str, kept_hash: str) -> bool:
    """Takes as long whether it is or not."""
    return hmac.compare_digest(secret_hash(secret), kept_hash)
