"""Rules about path strings."""

from __future__ import annotations

import os


def is_within(path: str, folder: str) -> bool:
    """Return whether ``path`` is ``folder`` or below it; both are absolute and normalised."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
