"""Refuse wheels from a remote that would fill the memory or the disk when they are unpacked."""

from __future__ import annotations

import os
import zipfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_MOST_DIRECTORY = 64 << 20
"""The largest list of files that is read, in bytes: a wheel with 10,000 files has 1 MB."""

_MOST_RATIO, _ANYWAY = 100, 256 << 20
"""How many times its size a wheel may have when it is unpacked, and how many bytes in any case."""


def why_excessive(wheel: Path) -> str | None:
    """Say why a wheel should not be unpacked; None if there is nothing against it.

    A file that is no archive at all is none of this function's concern.
    """
    try:
        with wheel.open("rb") as file:
            # `ZipFile` reads the whole list of files at once; this, only where it is.
            end = zipfile._EndRecData(file)  # type: ignore[attr-defined] # noqa: SLF001
            if end and end[zipfile._ECD_SIZE] > _MOST_DIRECTORY:  # type: ignore[attr-defined] # noqa: SLF001
                return "its list of files is too long"
            size = file.seek(0, os.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(one.file_size for one in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return None
    if unpacked > max(_MOST_RATIO * size, _ANYWAY):
        return f"its {size:,} bytes would be {unpacked:,} bytes when unpacked"
    return None
