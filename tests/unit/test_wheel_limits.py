"""Wheels from a remote that are not unpacked."""

from __future__ import annotations

import struct
import zipfile
from typing import TYPE_CHECKING

from pipshim.remote import transfer
from pipshim.remote.transfer import why_excessive

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def archive(path: Path, content: bytes, files: int = 1) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(files):
            made.writestr(f"pkg/file{number}.py", content)
    return path


def test_usual_wheels_are_unpacked(tmp_path: Path) -> None:
    assert why_excessive(archive(tmp_path / "a.whl", b"x = 1\n" * 100_000, 3)) is None


def test_a_zip_bomb_is_not(tmp_path: Path) -> None:
    bomb = archive(tmp_path / "a.whl", bytes(100 << 20), 4)
    assert bomb.stat().st_size < 1 << 20
    why = why_excessive(bomb)
    assert why is not None
    assert why.endswith("bytes would be 419,430,400 bytes when unpacked")


def test_files_that_overlap_count_each(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.whl", bytes(100 << 20))
    data = path.read_bytes()
    end = data.rfind(b"PK\5\6")
    size, offset = struct.unpack_from("<2L", data, end + 12)
    entry = data[offset : offset + size]
    entries = b"".join(entry.replace(b"file0", b"file%d" % one) for one in range(9))
    tail = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 9, 9, len(entries), offset, 0)
    path.write_bytes(data[:offset] + entries + tail)
    assert "bytes when unpacked" in (why_excessive(path) or "")


def test_a_long_list_of_files_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive(tmp_path / "a.whl", b"", 1000)
    assert why_excessive(path) is None
    monkeypatch.setattr(transfer, "_MOST_DIRECTORY", 1000)
    assert why_excessive(path) == "its list of files is too long"
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 10)  # as if there were more than 65,535
    assert why_excessive(archive(path, b"", 1000)) == "its list of files is too long"


def test_other_files_are_left_to_the_unpacking(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    for content in (b"", b"PK\5\6", b"<html>", b"PK\5\6" + bytes(18)):
        path.write_bytes(content)
        assert why_excessive(path) is None
