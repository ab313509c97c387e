"""The bounds of fetching as an operator sets them."""

from __future__ import annotations

from pathlib import Path

import certifi
import pytest

from service.composition import fetch_policy
from service.errors import SettingsInvalid
from service.fetch.policy import FetchPolicy
from service.settings import load_settings


def test_the_defaults_are_those_of_the_client() -> None:
    policy, plain = fetch_policy(load_settings()), FetchPolicy()
    for name in ("total_s", "connect_s", "dns_s", "max_redirects", "allow_https_downgrade"):
        assert getattr(policy, name) == getattr(plain, name)
    for name in ("max_body_bytes", "max_wire_bytes", "max_header_bytes", "ca_file"):
        assert getattr(policy, name) == getattr(plain, name)


def test_each_bound_is_a_setting() -> None:
    settings = load_settings(
        fetch_timeout_s=7, fetch_max_body_bytes=5000, fetch_ca_file=certifi.where()
    )
    policy = fetch_policy(settings)
    assert (policy.total_s, policy.max_body_bytes) == (7, 5000)
    assert policy.ca_file == certifi.where()


def test_what_can_not_be_read_is_named_all_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    settings = load_settings(
        fetch_allow_cidrs="10.0.0.0/99", fetch_allow_ports="x", fetch_ca_file=str(empty)
    )
    with pytest.raises(SettingsInvalid) as refused:
        fetch_policy(settings)
    for name in ("FETCH_ALLOW_CIDRS", "FETCH_ALLOW_PORTS", "FETCH_CA_FILE"):
        assert f"JOBSPOOL_{name}" in refused.value.detail
