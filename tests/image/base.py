"""What the image is built on: by default the smallest Debian that has Python and venv."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.image.buildah import buildah
from tests.image.proof import proved

SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
# made anew in each container, or only there for apt
LEFT_OUT = ("./dev/*", "./proc/*", "./sys/*", "./var/cache/apt/*", "./var/lib/apt/lists/*")


@contextmanager
def named(image: str) -> Iterator[str]:
    yield image


@contextmanager
def debian(cache: Path) -> Iterator[str]:
    """The name of a local image, which is removed afterwards; its archive stays in the cache."""
    archive = cache / f"{SUITE}.tar"
    if not archive.exists():
        cache.mkdir(parents=True, exist_ok=True)
        make(archive)
    image = f"localhost/jobspool-base:{os.getpid()}"
    container = buildah("from", "scratch")
    try:
        buildah("add", "--quiet", container, str(archive), "/")
        buildah("commit", "--quiet", "--rm", container, image)
        yield image
    finally:
        for leftover in (["rm", container], ["rmi", "--force", image]):
            subprocess.run(["buildah", *leftover], capture_output=True, check=False)


def make(archive: Path) -> None:
    """An archive, unlike a folder, keeps every owner and mode, and appears all at once."""
    print(f"...   making a Debian {SUITE} once, for {archive}", flush=True)
    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
        root, draft = Path(folder, "root"), Path(folder, "draft.tar")
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)],
            stdout=subprocess.DEVNULL,
            check=True,
        )
        left_out = [f"--exclude={pattern}" for pattern in LEFT_OUT]
        subprocess.run(
            ["tar", "-C", str(root), "--numeric-owner", *left_out, "-cf", str(draft), "."],
            check=True,
        )
        draft.rename(archive)
    proved(f"debootstrap makes a base image from scratch ({archive.stat().st_size >> 20} MiB)")
