"""Cache the static files of sdists by their hash: pyproject.toml, PKG-INFO, setup.py.

Where these are known, an sdist is fetched and unpacked only if it is built.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import write_cache_file
from pipshim.base.cache_folders import OUTLINES
from pipshim.base.light import jsons

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_READ = ("pyproject.toml", "PKG-INFO")
_SEEN = "setup.py"
_ANY_BYTES = "latin-1"


class StaticFiles:
    """Cached outlines of sdists, as folders with these files.

    Args:
        cache: pipshim's; None to cache nothing.
        folder: makes temporary folders.

    """

    def __init__(self, cache: Path | None, folder: Callable[[], Path]) -> None:
        self._cache = cache / OUTLINES if cache is not None else None
        self._folder = folder

    def has(self, sha256: str | None) -> bool:
        """Return whether an sdist was unpacked before."""
        return self._cache is not None and sha256 is not None and (self._cache / sha256).exists()

    def find(self, sha256: str) -> Path | None:
        """Return the outline of an sdist that was unpacked before."""
        if self._cache is None:
            return None
        try:
            kept = jsons.loads((self._cache / sha256).read_bytes())
            files = {name: str(kept[name]) for name in (*_READ, _SEEN) if name in kept}
        except (OSError, ValueError, TypeError):
            return None  # not there, or damaged
        folder = self._folder()
        for name, text in files.items():
            (folder / name).write_bytes(text.encode(_ANY_BYTES))
        return folder

    def keep(self, sha256: str, directory: Path) -> None:
        """Cache the outline of an unpacked sdist, if the cache can be written."""
        if self._cache is None:
            return
        shown = {
            name: (directory / name).read_bytes().decode(_ANY_BYTES)
            for name in _READ
            if (directory / name).is_file()
        }
        if (directory / _SEEN).is_file():
            shown[_SEEN] = ""
        write_cache_file(self._cache / sha256, json.dumps(shown).encode("ascii"))
