"""Cache static files of sdists (pyproject.toml, PKG-INFO, setup.py) and METADATA files of wheels.

Where those of an sdist are known, it is fetched and unpacked only if it is built.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

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


class Wheel(NamedTuple):
    """A wheel file of an index: its URL without credentials, and its hash (``sha256 …``)."""

    url: str
    hash: str

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.url} {self.hash}".encode()).hexdigest()[:32]


class MetadataCache:
    """The METADATA files of wheels that were fetched and checked.

    Args:
        folder: None to cache nothing.

    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    @cached_property
    def _known(self) -> dict[str, str]:
        """The hashes of the cached files, by the keys of their wheels."""
        try:
            names = os.listdir(self._folder) if self._folder is not None else []  # noqa: PTH208 names
        except OSError:
            return {}
        return {key: sha256 for key, _, sha256 in (name.partition("-") for name in names)}

    @property
    def is_used(self) -> bool:
        """Whether anything is cached."""
        return self._folder is not None

    def has(self, wheel: Wheel) -> bool:
        return wheel.key in self._known

    def find(self, wheel: Wheel, sha256: str | None = None) -> bytes | None:
        """Return a wheel's METADATA; None if it is missing or damaged.

        Args:
            sha256: of the METADATA, if the index says it.

        """
        key = wheel.key
        sha256 = sha256 or self._known.get(key)
        if self._folder is None or sha256 is None:
            return None
        try:
            contents = (self._folder / f"{key}-{sha256}").read_bytes()
        except OSError:
            return None
        return contents if hashlib.sha256(contents).hexdigest() == sha256 else None

    def keep(self, wheel: Wheel, contents: bytes) -> None:
        """Cache the METADATA of a wheel, if the cache can be written."""
        if self._folder is None:
            return
        key, sha256 = wheel.key, hashlib.sha256(contents).hexdigest()
        if write_cache_file(self._folder / f"{key}-{sha256}", contents):
            self._known[key] = sha256
