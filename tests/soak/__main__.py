"""Run a soak: ``python -m tests.soak --minutes 20 --kills 500``. Exit code 1 for a violation."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.plan import Plan
from tests.soak.soak import Soak

STORM_SHARE = 0.6
"""Of the time; the rest is calm, for what grows."""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=20)
    options.add_argument("--kills", type=int, default=500)
    options.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    options.add_argument("--workers", type=int, default=3)
    options.add_argument("--clients", type=int, default=6)
    options.add_argument("--disk", choices=("tmpfs", "limit"), default="tmpfs")
    options.add_argument("--keep", action="store_true", help="diaries, log and database")
    chosen = options.parse_args()
    plan = Plan(
        seed=chosen.seed,
        kills=chosen.kills,
        storm_s=chosen.minutes * 60 * STORM_SHARE,
        calm_s=chosen.minutes * 60 * (1 - STORM_SHARE),
        workers=chosen.workers,
        clients=chosen.clients,
        rough=True,
        disk=chosen.disk,
    )
    print(f"seed {plan.seed}", flush=True)
    folder = Path(tempfile.mkdtemp(prefix="jobspool-soak-"))
    soak = Soak(folder, plan)
    try:
        soak.run()
        print(soak.summary())
    finally:
        failed = bool(soak.findings.all) or sys.exc_info()[0] is not None
        if failed or chosen.keep:
            print(f"diaries, log and database are in {folder}")
        else:
            shutil.rmtree(folder)
    sys.exit(1 if soak.findings.all else 0)


if __name__ == "__main__":
    main()
