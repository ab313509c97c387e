"""Servers and clients for the fetch tests. Only loopback is ever spoken to."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.fetch.client import GuardedClient
from service.fetch.policy import FetchPolicy
from tests.fetch_support import Connect, HostileServer, Script, Serve, loopback_policy

SELF_SIGNED = Path(__file__).with_name("self_signed.pem")


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start a server with a script; all are stopped after the test."""
    with ExitStack() as servers:

        def start(
            script: Script, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
        ) -> HostileServer:
            return servers.enter_context(HostileServer(script, host=host, tls=tls))

        yield start


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make a client, by default one that may reach 127.0.0.1; all are closed after the test."""
    with ExitStack() as clients:

        def make(policy: FetchPolicy | None = None, **bounds: object) -> GuardedClient:
            client = GuardedClient(policy or loopback_policy(**bounds))  # type: ignore[arg-type]
            clients.callback(client.close)
            return client

        yield make


@pytest.fixture
def tls() -> ssl.SSLContext:
    """A server's side of TLS with a certificate that nobody trusts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SELF_SIGNED)
    return context


@pytest.fixture
def self_signed() -> str:
    """The file to trust for the ``tls`` servers to be believed."""
    return str(SELF_SIGNED)
