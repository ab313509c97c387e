"""Where this machine's pip finds packages, said to the pip inside of a build.

A machine behind a private index or proxy says so in pip's configuration. The image must not
keep it, so the build gets it as a secret, and the local files it names as read-only mounts.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

PASSED_ON = {
    "cert",
    "client-cert",
    "constraint",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "no-index",
    "proxy",
    "timeout",
    "trusted-host",
}


def as_build_options(folder: Path) -> list[str]:
    """Options of ``buildah bud``. The folder has to stay until the build has ended."""
    settings = of_this_machine()
    configuration = folder / "pip.conf"
    lines = [f"{name} = {' '.join(value.split())}" for name, value in settings.items()]
    configuration.write_text("\n".join(["[global]", *lines, ""]))
    configuration.chmod(0o600)
    options = ["--secret", f"id=pip.conf,src={configuration}"]
    for path in sorted(local_paths(settings)):
        options += ["--volume", f"{path}:{path}:ro"]
    return options


def of_this_machine() -> dict[str, str]:
    """pip's settings from its files and the environment, which wins."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    settings: dict[str, str] = {}
    from_environment: dict[str, str] = {}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if name in PASSED_ON and section in ("global", "install", ":env:"):
            chosen = from_environment if section == ":env:" else settings
            chosen[name] = str(ast.literal_eval(value))
    return settings | from_environment


def local_paths(settings: dict[str, str]) -> set[Path]:
    paths = set()
    for name, value in settings.items():
        for word in value.split():
            path = Path(word.removeprefix("file://"))
            if name in ("index-url", "extra-index-url"):
                path = path.parent  # the links of an index may lead out of its own folder
            if path.is_absolute() and path.exists():
                paths.add(path)
    return paths
