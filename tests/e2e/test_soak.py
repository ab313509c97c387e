"""The short soak; the long one is ``make soak``."""

from __future__ import annotations

from pathlib import Path
from random import SystemRandom

import pytest

from tests.soak.plan import Plan
from tests.soak.soak import Soak


@pytest.mark.timeout(600)
def test_fifty_kills_of_workers_under_load_lose_nothing(tmp_path: Path) -> None:
    soak = Soak(tmp_path, Plan(seed=SystemRandom().getrandbits(32), kills=50, storm_s=35))
    soak.run()
    print(soak.summary())
    assert soak.findings.all == []
    assert soak.faults.kills == 50
    assert soak.tally.rerun_jobs > 0
