"""Real pages on this machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

DEFAULT_PACKAGES: Final = ("python3-doc", "postgresql-doc-15")

# Where Debian's packages put theirs: `apt-get install` them first.
DEFAULT_FOLDERS: Final = (
    Path("/usr/share/doc/python3.11/html"),
    Path("/usr/share/doc/postgresql-doc-15/html"),
)


def pages(folders: Iterable[Path]) -> Iterator[Path]:
    """Every HTML file, each once, also those named for a language: ``index.html.ja.utf8``."""
    seen: set[Path] = set()
    for folder in folders:
        for path in sorted(folder.rglob("*.html*")):
            real = path.resolve()
            if path.is_file() and path.suffix != ".gz" and real not in seen:
                seen.add(real)
                yield path
