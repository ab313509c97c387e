from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.errors import SettingsInvalid
from service.settings import Settings, load_settings, unknown_variables

README = Path(__file__).parents[2] / "README.md"


def test_the_environment_is_read_and_arguments_win(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSPOOL_PORT", "9000")
    monkeypatch.setenv("JOBSPOOL_POOL_SIZE", "3")
    settings = load_settings(port=9001, threads=None)
    assert (settings.port, settings.pool_size, settings.threads) == (9001, 3, 16)


def test_every_problem_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSPOOL_PORT", "tcp://10.0.0.1:8000")
    monkeypatch.setenv("JOBSPOOL_WORKERS", "0")
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(drain_s=-1)
    for name in ("JOBSPOOL_PORT", "JOBSPOOL_WORKERS", "JOBSPOOL_DRAIN_S"):
        assert name in caught.value.detail
    assert "tcp://10.0.0.1:8000" in caught.value.detail


def test_a_misspelt_variable_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBSPOOL_POOLSIZE", "3")
    monkeypatch.setenv("JOBSPOOL_SERVER", "http://127.0.0.1:8000")  # the command line's
    monkeypatch.setenv("JOBSPOOL_KEY", "secret")
    assert unknown_variables() == ["JOBSPOOL_POOLSIZE"]


def test_the_readme_lists_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `JOBSPOOL_(\w+)` \| (.+?) \|", README.read_text(), re.MULTILINE))
    told = {name.lower(): default.strip("`") for name, default in rows.items()}
    real = {name: _written(field.default) for name, field in Settings.model_fields.items()}
    assert told == real


def _written(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) or "none"
