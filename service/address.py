"""Whose address it is that listens or asks."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Whether only this machine has it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
