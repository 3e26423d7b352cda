"""Refuse wheels from a remote that would fill the memory or the disk when they are unpacked."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from pathlib import Path

_MOST_DIRECTORY = 64 << 20
"""The largest list of files that is read, in bytes: a wheel with 10,000 files has 1 MB."""

_MOST_RATIO, _ANYWAY = 100, 256 << 20
"""How many times its size a wheel may have when it is unpacked, and how many bytes in any case."""

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT = 0xFFFF


def why_excessive(wheel: Path) -> str | None:
    """Say why a wheel should not be unpacked; None if there is nothing against it.

    A file that is no archive at all is none of this function's concern.
    """
    try:
        with wheel.open("rb") as file:
            if _directory_size(file) > _MOST_DIRECTORY:
                return "its list of files is too long"
            size = file.seek(0, os.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(one.file_size for one in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError, struct.error):
        return None
    if unpacked > max(_MOST_RATIO * size, _ANYWAY):
        return f"its {size:,} bytes would be {unpacked:,} bytes when unpacked"
    return None


def _directory_size(file: BinaryIO) -> int:
    """Return the size of an archive's list of files, found as `zipfile` finds it (APPNOTE.TXT)."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - _END.size - _LONGEST_COMMENT - _LOCATOR.size)
    file.seek(start)
    tail = file.read()
    without_comment = tail[-_END.size :][:4] == b"PK\5\6" and tail[-2:] == b"\0\0"
    found = len(tail) - _END.size if without_comment else tail.rfind(b"PK\5\6")
    if found < 0 or len(tail) - found < _END.size:
        return 0
    directory = int(_END.unpack_from(tail, found)[5])
    if directory == 0xFFFFFFFF and found >= _LOCATOR.size:  # noqa: PLR2004 it is in the larger one
        _, _, offset, _ = _LOCATOR.unpack_from(tail, found - _LOCATOR.size)
        file.seek(offset)
        directory = int(_END64.unpack(file.read(_END64.size))[8])
    return directory
