"""Keys of a service, and clients that send them."""

from __future__ import annotations

from typing import Any

from service.composition import Service
from service.operations.keyring import Keyring
from tests.support.api import Api


def make_key(service: Service, name: str = "me", **options: Any) -> str:
    keyring = Keyring(service.settings)
    try:
        return keyring.create(name, **options).text
    finally:
        keyring.close()


def revoke_key(service: Service, name: str) -> None:
    keyring = Keyring(service.settings)
    try:
        keyring.revoke(name)
    finally:
        keyring.close()


def api_with(service: Service, key: str | None) -> Api:
    """A client that sends the key with every request; None: it sends none."""
    client = service.app.test_client()
    if key is not None:
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {key}"
    return Api(client)


def api_of(service: Service, name: str = "me", **options: Any) -> Api:
    """A client with a new key of its own."""
    return api_with(service, make_key(service, name, **options))
