"""Record the files that several distributions share, to detect damage.

pip removes such a file with the first of its distributions, and overwrites it when it reinstalls
one. Nothing else shows that the others have lost it.
"""
# Paths are strings here, and little is imported: an environment made again has this note too.

from __future__ import annotations

import os

from pipshim.base.light import jsons

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

NAME = ".pipshim-shared.json"
"""The file in the environment's folder; there is none where no file is shared."""

_FORMAT = 1


def read(prefix: str) -> dict[str, tuple[str, ...]]:
    """Return the owners of each shared file, sorted, by its path below the environment."""
    return {path: tuple(owners) for path, (owners, _) in _read(prefix).items()}


def _read(prefix: str) -> dict[str, tuple[list[str], list[int]]]:
    data = jsons.read(f"{prefix}/{NAME}")
    try:
        if data["format"] != _FORMAT:
            return {}
        return {path: (owners, state) for path, (owners, state) in data["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def note(prefix: str, files: Mapping[str, Iterable[str]]) -> bytes:
    """Return the contents of `NAME` for these files, which are in place."""
    noted = {path: [list(owners), _state(f"{prefix}/{path}")] for path, owners in files.items()}
    return f"{jsons.dumps({'format': _FORMAT, 'files': noted})}\n".encode()


def damaged(prefix: str, present: Collection[str]) -> dict[str, str]:
    """Return the distributions that have lost a shared file, and how."""
    found: dict[str, str] = {}
    for path, (owners, state) in _read(prefix).items():
        left = [name for name in owners if name in present]
        if not left:
            continue
        now = _state(f"{prefix}/{path}")
        if not now:
            found.setdefault(left[-1], f"{path} is missing")
        elif now != state or left[-1] != owners[-1]:
            found.setdefault(left[-1], f"{path} was overwritten")
    return found


def _state(path: str) -> list[int]:
    """Return size and modification time; empty for a missing file."""
    try:
        found = os.lstat(path)
    except OSError:
        return []
    return [found.st_size, found.st_mtime_ns]
