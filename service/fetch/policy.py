"""Every bound that the guarded client keeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from service.fetch.address import AddressPolicy

MIB: Final = 1024 * 1024
PRODUCT: Final = "jobspool"  # the name that robots.txt knows us by


def user_agent(version: str, contact: str = "") -> str:
    """How the service names itself, and the operator's URL or mail address if there is one."""
    return f"{PRODUCT}/{version} (+{contact})" if contact else f"{PRODUCT}/{version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchPolicy:
    """The bounds of each fetch, redirects included. Times in seconds, sizes in bytes.

    ``total_s`` holds to 200 ms whatever the server does; so do ``dns_s`` and, for TCP and TLS
    together, ``connect_s``.
    ``ca_file`` is a PEM bundle; None means the one of the certifi distribution.
    """

    addresses: AddressPolicy = field(default_factory=AddressPolicy)
    total_s: float = 20.0
    connect_s: float = 3.0
    dns_s: float = 5.0
    max_body_bytes: int = 2 * MIB
    max_wire_bytes: int = 1 * MIB
    max_header_bytes: int = 64 * 1024
    max_redirects: int = 5
    user_agent: str = PRODUCT
    allow_https_downgrade: bool = False
    ca_file: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for bounds that can't work."""
        for name in ("total_s", "connect_s", "dns_s"):
            if not 0 < getattr(self, name) <= 3600:
                raise ValueError(f"{name} must be more than 0 and at most 3600 seconds")
        for name in ("max_body_bytes", "max_wire_bytes", "max_header_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1")
        if self.max_redirects < 0:
            raise ValueError("max_redirects must not be negative")
        if not self.user_agent.isascii() or not self.user_agent.isprintable():
            raise ValueError("user_agent must be printable ASCII")
        if not self.user_agent.strip():
            raise ValueError("user_agent must name the service")
