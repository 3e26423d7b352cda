"""Describe why a file cannot be written: full or read-only file system, permissions."""
# Paths are strings here, and little is imported: what makes an environment again uses this.
# ruff: noqa: PTH120

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_ROOM = 65_536
"""What a file system has left, in bytes, that counts as full."""


def reason(error: OSError, path: Path | str | None = None) -> str:
    """Describe why a file operation failed; name a full or read-only file system.

    Args:
        error: of the system.
        path: the file or folder, if the error does not name it.

    """
    words = error.strerror or str(error)
    where = error.filename or path
    if where is None or error.errno not in {*_FULL, errno.EROFS}:
        return words
    return f"{words} (the file system mounted at {mount_point(os.fsdecode(where))})"


def refusal(folder: Path | str) -> str:
    """Describe why a folder may not be written."""
    is_read_only = sys.platform != "win32" and os.statvfs(folder).f_flag & os.ST_RDONLY
    code = errno.EROFS if is_read_only else errno.EACCES
    return reason(OSError(code, os.strerror(code), os.fspath(folder)))


def mount_point(path: str) -> str:
    """Return the mount point of a path's file system."""
    path = os.path.realpath(path)
    while not os.path.ismount(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def name_full(error: OSError, folders: Iterable[Path | str]) -> None:
    """Name the folder on a full file system in an error that names no file."""
    statvfs = getattr(os, "statvfs", None)
    if error.filename is not None or error.errno not in _FULL or statvfs is None:
        return
    for folder in folders:
        try:
            found = statvfs(folder)
        except OSError:
            continue
        if found.f_bavail * found.f_frsize < _ROOM:
            error.filename = os.fspath(folder)
            return
