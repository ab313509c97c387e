"""``make image-test``: build the image for real, run it, and say what that proved.

Without Docker: buildah builds and runs, on a Debian that debootstrap makes once and keeps.
Needs root, for other people's files in an image have to keep their owners.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.image import base, pip_settings
from tests.image.buildah import REPOSITORY, buildah
from tests.image.proof import proved

TOOLS = {"buildah": "buildah", "debootstrap": "debootstrap", "unshare": "util-linux"}


def main() -> None:
    options = parsed()
    refuse_without_tools()
    image = f"localhost/jobspool-test:{os.getpid()}"
    with base.debian(options.cache) if not options.base else base.named(options.base) as name:
        try:
            build(image, name)
            sys.exit(try_in_own_network(image, options.isolation))
        finally:
            subprocess.run(["buildah", "rmi", "--force", image], capture_output=True, check=False)


def parsed() -> argparse.Namespace:
    home_cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    parser = argparse.ArgumentParser(prog="make image-test ARGS=…", description=__doc__)
    parser.add_argument("--base", help="an image to build on, instead of a Debian made here")
    parser.add_argument(
        "--cache", type=Path, default=Path(home_cache, "jobspool"), help="where that Debian is kept"
    )
    parser.add_argument(
        "--isolation",
        default="chroot",
        choices=["chroot", "oci"],
        help="how it runs: chroot works everywhere, oci (with runc or crun) is a real container",
    )
    return parser.parse_args()


def refuse_without_tools() -> None:
    if os.geteuid():
        sys.exit("image-test: run it as root")
    missing = [package for tool, package in TOOLS.items() if not shutil.which(tool)]
    if missing:
        sys.exit(f"image-test: first apt-get install {' '.join(missing)}")


def build(image: str, base_name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        log = buildah(
            *("bud", "--isolation", "chroot", "--network", "host", "--format", "docker"),
            *("--no-cache", "--force-rm", "--build-arg", f"BASE={base_name}"),
            *pip_settings.as_build_options(Path(folder)),
            *("--tag", image, str(REPOSITORY)),
        )
    installed = next(line for line in log.splitlines() if "Successfully installed" in line)
    packages = len(installed.split()) - 2
    proved(f"the image builds on {base_name}, {packages} locked packages with checked hashes")


def try_in_own_network(image: str, isolation: str) -> int:
    """The image listens on every address: here, every address of a network without neighbours."""
    trial = [sys.executable, "-m", "tests.image.trial", image, isolation]
    return subprocess.run(["unshare", "--net", *trial], check=False).returncode


main()
