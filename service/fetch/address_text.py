"""How operators write down networks and ports."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network
PortRange = tuple[int, int]  # first and last, both included


def parse_cidrs(text: str) -> tuple[Network, ...]:
    """``"10.0.0.0/8, fd00::/8, 192.0.2.7"`` as networks; an address alone is a network of one.

    Raises ValueError that names every entry that is not one (host bits set included).
    """
    networks: list[Network] = []
    bad: list[str] = []
    for entry in _entries(text):
        try:
            networks.append(ip_network(entry))
        except ValueError as error:
            bad.append(str(error))
    if bad:
        raise ValueError("not a list of CIDR networks: " + "; ".join(bad))
    return tuple(networks)


def parse_ports(text: str) -> tuple[PortRange, ...]:
    """``"80,443,8000-8999"`` as ranges, both ends included.

    Raises ValueError that names every entry that is not a port (1 to 65535) or a range of them.
    """
    ranges: list[PortRange] = []
    bad: list[str] = []
    for entry in _entries(text):
        first, _, last = (part.strip() for part in entry.partition("-"))
        last = last if "-" in entry else first
        if not (_is_port(first) and _is_port(last) and int(first) <= int(last)):
            bad.append(repr(entry))
            continue
        ranges.append((int(first), int(last)))
    if bad:
        raise ValueError("not ports (1 to 65535) or ranges of them: " + ", ".join(bad))
    return tuple(ranges)


def _entries(text: str) -> list[str]:
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535
