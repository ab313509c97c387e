"""Which addresses and ports the service may dial.

``ipaddress.is_global`` is not enough: it passes 6to4, NAT64, multicast and one cloud's
metadata service. So the table stands here, frozen, and the tests walk its every edge.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from service.fetch.address_text import Network, PortRange, parse_ports

Address = IPv4Address | IPv6Address

# IANA IPv4 Special-Purpose Address Registry (RFC 6890 and what came later), multicast
# (RFC 5771), and the metadata services of clouds that live on otherwise global addresses.
FORBIDDEN_V4: Final = tuple(
    (IPv4Network(network), why)
    for network, why in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared address space"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "cloud metadata"),
        ("169.254.0.0/16", "link local and cloud metadata"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "IETF protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.31.196.0/24", "AS112"),
        ("192.52.193.0/24", "AMT"),
        ("192.88.99.0/24", "6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "AS112"),
        ("198.18.0.0/15", "benchmarking"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved and broadcast"),
    )
)

# IANA IPv6 Special-Purpose Address Registry, as far as it lies inside GLOBAL_V6.
FORBIDDEN_V6: Final = tuple(
    (IPv6Network(network), why)
    for network, why in (
        ("2001::/23", "IETF protocol assignments, Teredo among them"),
        ("2001:db8::/32", "documentation"),
        ("2002::/16", "6to4"),
        ("2620:4f:8000::/48", "AS112"),
        ("3fff::/20", "documentation"),
    )
)

# The only part of IPv6 that IANA has given out as global unicast (RFC 4291, section 2.4).
GLOBAL_V6: Final = IPv6Network("2000::/3")

# An IPv4 address in other clothes reaches the IPv4 host: judge what is inside
# (RFC 4291 section 2.5.5.2, RFC 6052 section 2.1).
MAPPED_V6: Final = IPv6Network("::ffff:0:0/96")
EMBEDDING_V6: Final = (MAPPED_V6, IPv6Network("64:ff9b::/96"))

DEFAULT_PORTS: Final = parse_ports("80,443,8080,8443")

MOST_JUDGED: Final = 1_000
"""Addresses whose judgement is remembered: each is asked about at every request to it."""


def unwrapped(address: Address) -> Address:
    """The IPv4 address inside an IPv4-mapped or NAT64 one; any other address as it is."""
    if isinstance(address, IPv6Address) and any(address in network for network in EMBEDDING_V6):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def special_use(address: Address) -> str | None:
    """Why an address (already unwrapped) is not global unicast; None if it is."""
    if isinstance(address, IPv4Address):
        return next((why for network, why in FORBIDDEN_V4 if address in network), None)
    if address not in GLOBAL_V6:
        return "not global unicast"
    return next((why for network, why in FORBIDDEN_V6 if address in network), None)


def _parsed(address: Address | str) -> Address:
    return ip_address(address.partition("%")[0]) if isinstance(address, str) else address


def _is_of_this_machine(address: Address) -> bool:
    """Whether one of this machine's interfaces has the address now; nothing is sent."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """What may be dialled: global unicast, plus ``allow_cidrs``, minus ``deny_cidrs``.

    Deny wins over allow. An embedded IPv4 address is judged as that IPv4 address, and denied
    as well when the IPv6 form is. Behind a NAT64 gateway is another network: what is allowed
    here is not allowed there (RFC 6052 section 3.1), unless the IPv6 form is. ``own_ports``
    are those that the service itself listens at: at this machine's addresses they are refused
    whatever else is allowed.
    """

    allow_cidrs: tuple[Network, ...] = ()
    deny_cidrs: tuple[Network, ...] = ()
    ports: tuple[PortRange, ...] = DEFAULT_PORTS
    own_ports: frozenset[int] = frozenset()
    # by address; any thread reads and adds, what it adds is true for good
    _judged: dict[str, str | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def permits(self, address: Address | str) -> bool:
        """Whether the address may be dialled. What is not an address may not."""
        return self.refusal(address) is None

    def refusal(self, address: Address | str) -> str | None:
        """Why the address may not be dialled, in words for the log; None if it may."""
        text = str(address)
        try:
            return self._judged[text]
        except KeyError:
            if len(self._judged) >= MOST_JUDGED:
                self._judged.clear()
            judged = self._judged[text] = self._judge(text)
            return judged

    def _judge(self, text: str) -> str | None:
        try:
            address = _parsed(text)
        except ValueError:
            return "not an IP address"
        inner = unwrapped(address)
        if any(address in network or inner in network for network in self.deny_cidrs):
            return "denied by the operator"
        if any(address in network for network in self.allow_cidrs):
            return None
        if address in MAPPED_V6 and any(inner in network for network in self.allow_cidrs):
            return None
        return special_use(inner)

    def permits_port(self, port: int) -> bool:
        """Whether the port may be dialled."""
        return any(first <= port <= last for first, last in self.ports)

    def permits_target(self, address: Address | str, port: int) -> bool:
        """Whether the address may be dialled at the port."""
        return self.permits_port(port) and self.permits(address) and not self._is_own(address, port)

    def _is_own(self, address: Address | str, port: int) -> bool:
        return port in self.own_ports and _is_of_this_machine(unwrapped(_parsed(address)))

    def self_test(self) -> None:
        """Prove at start that the table still refuses what it must. Raises RuntimeError.

        It catches an interpreter whose ``ipaddress`` counts differently, not an operator's
        choice: the canaries are judged without the operator's lists.
        """
        plain = AddressPolicy()
        for canary in ("127.0.0.1", "169.254.169.254", "168.63.129.16", "::1", "::ffff:10.0.0.1"):
            if plain.permits(canary):
                raise RuntimeError(f"the address policy permits {canary}")
        for canary in ("8.8.8.8", "2606:4700::1111"):
            if not plain.permits(canary):
                raise RuntimeError(f"the address policy refuses {canary}")
