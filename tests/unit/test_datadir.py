from __future__ import annotations

from pathlib import Path

import pytest

from service import datadir
from service.datadir import DataDirectory, file_system_of
from service.errors import StartRefused


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datadir, "file_system_of", lambda path: "nfs4")
    with pytest.raises(StartRefused, match=r"network file system \(nfs4\)"):
        DataDirectory(tmp_path).claim()


def test_the_innermost_mount_tells_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "mountinfo"
    table.write_text(
        "1 0 8:1 / / rw - ext4 /dev/a rw\n"
        "2 1 0:5 / /srv/sha\\040red rw shared:1 - nfs4 host:/x rw\n"
        "3 1 0:6 / /srvx rw - cifs host:/y rw\n"
    )
    real = Path.read_text
    monkeypatch.setattr(
        Path,
        "read_text",
        lambda self, *a: real(table if str(self) == "/proc/self/mountinfo" else self, *a),
    )
    assert file_system_of(Path("/srv/sha red/data")) == "nfs4"
    assert file_system_of(Path("/srv/other")) == "ext4"


def test_a_directory_is_claimed_by_one(tmp_path: Path) -> None:
    first = DataDirectory(tmp_path / "new" / "data")
    first.claim()
    with pytest.raises(StartRefused, match="in use by another service"):
        DataDirectory(tmp_path / "new" / "data").claim()
    first.release()
    second = DataDirectory(tmp_path / "new" / "data")
    second.claim()
    second.release()
