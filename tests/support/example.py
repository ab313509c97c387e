"""The example package of job types, really built and installed by pip."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "example_job_type"


def install_example(folder: Path) -> Path:
    """Install it into a folder for PYTHONPATH, which is returned."""
    with tempfile.TemporaryDirectory() as parent:
        source = Path(parent) / "example"
        shutil.copytree(EXAMPLE, source)
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation"]
        install = [sys.executable, "-m", "pip", "install", *options, "--target", str(folder)]
        subprocess.run([*install, str(source)], check=True)
    return folder
