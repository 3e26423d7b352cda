"""Rules about path strings, and the size and age of files that may be gone."""
# Paths are strings here: a source tree may have many.
# ruff: noqa: PTH116

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def is_within(path: str, folder: str) -> bool:
    """Return whether ``path`` is ``folder`` or below it; both are absolute and normalised."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def file_size(path: str | Path) -> int:
    """Return the size of a file in bytes; 0 if it is gone."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def modified(path: str | Path) -> float:
    """Return when a file was modified, in seconds since the epoch; 0 if it is gone."""
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0
