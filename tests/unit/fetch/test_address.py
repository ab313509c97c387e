"""The frozen table of addresses, walked along its every edge."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import pytest

from service.fetch.address import (
    FORBIDDEN_V4,
    FORBIDDEN_V6,
    GLOBAL_V6,
    AddressPolicy,
    special_use,
)
from service.fetch.address_text import parse_cidrs, parse_ports

PUBLIC = AddressPolicy()
V4_NETWORKS = [network for network, _ in FORBIDDEN_V4]
V6_NETWORKS = [network for network, _ in FORBIDDEN_V6]


@pytest.mark.parametrize("network", V4_NETWORKS + V6_NETWORKS, ids=str)
def test_the_first_and_last_address_of_a_forbidden_network_are_refused(
    network: IPv4Network | IPv6Network,
) -> None:
    assert not PUBLIC.permits(network[0])
    assert not PUBLIC.permits(network[-1])


@pytest.mark.parametrize("network", V4_NETWORKS, ids=str)
def test_an_ipv4_address_just_outside_is_refused_only_if_another_network_holds_it(
    network: IPv4Network,
) -> None:
    for number in (int(network[0]) - 1, int(network[-1]) + 1):
        if 0 <= number < 2**32:
            address = IPv4Address(number)
            held = any(address in other for other in V4_NETWORKS)
            assert PUBLIC.permits(address) is not held


@pytest.mark.parametrize("network", V6_NETWORKS, ids=str)
def test_an_ipv6_address_just_outside_is_refused_only_if_another_network_holds_it(
    network: IPv6Network,
) -> None:
    for number in (int(network[0]) - 1, int(network[-1]) + 1):
        address = IPv6Address(number)
        held = any(address in other for other in V6_NETWORKS)
        assert PUBLIC.permits(address) is not held


@pytest.mark.parametrize(
    "neighbour",
    [
        "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0",
        "126.255.255.255", "128.0.0.0", "168.63.129.15", "168.63.129.17", "169.253.255.255",
        "169.255.0.0", "172.15.255.255", "172.32.0.0", "191.255.255.255", "192.0.1.0",
        "192.0.3.0", "192.88.98.255", "192.88.100.0", "192.167.255.255", "192.169.0.0",
        "198.17.255.255", "198.20.0.0", "198.51.99.255", "198.51.101.0", "203.0.112.255",
        "203.0.114.0", "223.255.255.255", "2001:200::", "2001:db7:ffff::", "2001:db9::",
        "2003::", "3ffe:ffff::1", "3fff:1000::", "2620:4f:7fff::1", "2620:4f:8001::",
    ],
)  # fmt: skip
def test_public_neighbours_of_forbidden_networks_are_permitted(neighbour: str) -> None:
    assert PUBLIC.permits(neighbour)


@pytest.mark.parametrize(
    "address",
    [
        "::", "::1", "::7f00:1", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "4000::", "5f00::1",
        "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "100::1", "64:ff9b:1::1",
        "2002:7f00:1::", "2001::1", "2001:10::1", "2001:20::1", "2001:30::1", "3fff::1",
        "fe80::1%eth0",
    ],
)  # fmt: skip
def test_ipv6_that_is_not_global_unicast_is_refused(address: str) -> None:
    assert not PUBLIC.permits(address)


def test_ipv6_is_permitted_only_inside_global_unicast() -> None:
    assert special_use(GLOBAL_V6[0]) is None
    assert special_use(GLOBAL_V6[-1]) is None
    assert special_use(IPv6Address(int(GLOBAL_V6[0]) - 1)) is not None
    assert special_use(IPv6Address(int(GLOBAL_V6[-1]) + 1)) is not None


@pytest.mark.parametrize("prefix", ["::ffff:", "64:ff9b::"])
def test_an_embedded_ipv4_address_is_judged_as_what_it_reaches(prefix: str) -> None:
    for inside in ("127.0.0.1", "169.254.169.254", "10.1.2.3", "168.63.129.16"):
        assert not PUBLIC.permits(prefix + inside)
    assert PUBLIC.permits(prefix + "8.8.8.8")


def test_the_edges_of_the_embedding_prefixes_are_refused() -> None:
    for prefix in ("::ffff:0:0/96", "64:ff9b::/96"):
        network = IPv6Network(prefix)
        for address in (network[0], network[-1], network[0] - 1, network[-1] + 1):
            assert not PUBLIC.permits(address)


def test_an_operator_can_allow_a_network_and_deny_a_part_of_it() -> None:
    policy = AddressPolicy(
        allow_cidrs=parse_cidrs("10.0.0.0/8"), deny_cidrs=parse_cidrs("10.9.0.0/16, 8.8.8.8")
    )
    assert policy.permits("10.0.0.0")
    assert policy.permits("10.255.255.255")
    assert policy.permits("::ffff:10.1.1.1")
    assert not policy.permits("10.9.0.1")
    assert not policy.permits("::ffff:10.9.0.1")
    assert not policy.permits("8.8.8.8")
    assert not policy.permits("127.0.0.1")


def test_deny_wins_over_allow() -> None:
    same = parse_cidrs("127.0.0.0/8")
    assert not AddressPolicy(allow_cidrs=same, deny_cidrs=same).permits("127.0.0.1")


def test_what_is_allowed_here_is_not_allowed_behind_a_nat64_gateway() -> None:
    policy = AddressPolicy(allow_cidrs=parse_cidrs("10.0.0.0/8"))
    assert not policy.permits("64:ff9b::10.1.1.1")
    assert AddressPolicy(allow_cidrs=parse_cidrs("64:ff9b::/96")).permits("64:ff9b::10.1.1.1")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"]
)
def test_the_own_port_is_refused_at_every_address_of_the_machine(address: str) -> None:
    everything = parse_cidrs("0.0.0.0/0, ::/0")
    policy = AddressPolicy(everything, ports=parse_ports("8000-8001"), own_ports=frozenset({8000}))
    assert not policy.permits_target(address, 8000)
    assert policy.permits_target(address, 8001)
    assert policy.permits_target("8.8.8.8", 8000)


def test_denying_an_ipv6_form_denies_what_it_embeds() -> None:
    policy = AddressPolicy(deny_cidrs=parse_cidrs("64:ff9b::/96"))
    assert not policy.permits("64:ff9b::8.8.8.8")
    assert policy.permits("8.8.8.8")


def test_what_is_no_address_is_refused() -> None:
    assert PUBLIC.refusal("localhost") == "not an IP address"


def test_a_policy_takes_addresses_as_objects() -> None:
    assert PUBLIC.permits(ip_address("8.8.8.8"))


def test_ports_are_those_of_the_web_unless_set() -> None:
    assert [p for p in range(1, 65536) if PUBLIC.permits_port(p)] == [80, 443, 8080, 8443]
    policy = AddressPolicy(ports=parse_ports("8000-8002"))
    assert [p for p in range(65536) if policy.permits_port(p)] == [8000, 8001, 8002]


def test_the_self_test_passes_whatever_the_operator_allows() -> None:
    AddressPolicy(allow_cidrs=parse_cidrs("0.0.0.0/0,::/0")).self_test()
