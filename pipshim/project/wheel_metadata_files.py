"""Cache the METADATA files of wheels, by wheel and hash."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from pipshim.base.atomic_write import write_cache_file

if TYPE_CHECKING:
    from pathlib import Path


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
