"""How operators write networks and ports."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from service.fetch.address_text import parse_cidrs, parse_ports


def test_networks_are_separated_by_commas_and_an_address_is_a_network_of_one() -> None:
    assert parse_cidrs(" 10.0.0.0/8, fd00::/8 ,192.0.2.7,") == (
        ip_network("10.0.0.0/8"),
        ip_network("fd00::/8"),
        ip_network("192.0.2.7/32"),
    )
    assert parse_cidrs("") == ()


def test_every_bad_network_is_named() -> None:
    with pytest.raises(ValueError, match=r"10\.0\.0\.1/8.*example"):
        parse_cidrs("10.0.0.1/8, 10.0.0.0/8, example")


def test_ports_are_numbers_and_ranges() -> None:
    assert parse_ports("80, 443,8000-8999") == ((80, 80), (443, 443), (8000, 8999))
    assert parse_ports("1-65535") == ((1, 65535),)


@pytest.mark.parametrize("bad", ["0", "65536", "9-8", "-1", "8-", "a", "٨٠", "1-2-3", "80 81"])
def test_a_bad_port_is_named(bad: str) -> None:
    with pytest.raises(ValueError, match="not ports"):
        parse_ports("80," + bad)
