"""Index files known from an earlier lock, used instead of index pages.

A locked version is kept where it fits. The lock has its files and hashes, the cache its metadata,
so a package's page is requested only if another version may be chosen. Files uploaded or yanked
since then are noticed when the package is upgraded (``-P``).
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from pipshim.model.artifacts import index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from packaging.pylock import Package
    from packaging.utils import NormalizedName
    from packaging.version import Version


class LockedFile(NamedTuple):
    """A file as an index page would list it."""

    url: str
    requires_python: str | None
    hashes: Mapping[str, str]
    upload_time: datetime | None
    size: int | None


class LockedFiles:
    """The files of a lock's packages.

    Args:
        packages: its entries. Local files, files of unknown origin and prereleases are left out:
            whether prereleases are admitted depends on the other files.

    """

    def __init__(self, packages: Iterable[Package] = ()) -> None:
        found: dict[NormalizedName, dict[Version, Package]] = defaultdict(dict)
        for package in packages:
            if package.version is not None:
                found[package.name][package.version] = package
        self._packages = {
            name: one for name, one in found.items() if all(map(_is_kept, one.values()))
        }

    def has(self, name: NormalizedName) -> bool:
        return name in self._packages

    def versions(self, name: NormalizedName) -> Iterable[Version]:
        return self._packages[name]

    def forget(self, name: NormalizedName) -> None:
        """Request the package's page from now on."""
        self._packages.pop(name, None)

    def files(self, name: NormalizedName, page: str) -> Iterator[LockedFile]:
        """Return the files that came from an index page (by URL)."""
        for package in self._packages[name].values():
            if package.index != index_of(page, name):
                continue
            for file in (*(package.wheels or ()), *((package.sdist,) if package.sdist else ())):
                assert file.url is not None
                python = str(package.requires_python or "") or None
                yield LockedFile(file.url, python, file.hashes, file.upload_time, file.size)


def _is_kept(package: Package) -> bool:
    files = (*(package.wheels or ()), package.sdist)
    return (
        package.index is not None
        and package.version is not None
        and not package.version.is_prerelease
        and all(file is None or file.url is not None for file in files)
    )
