"""What an earlier lock has of an index: files that are looked up without their page.

A version that a lock has is kept where it fits. Which files it has, with their hashes, the lock
says; what a wheel requires is in the cache. So the page of its package is asked for only where
another version may be chosen. What has been uploaded or withdrawn since then goes unnoticed until
the package is upgraded (``-P``).
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
    """A file as a page of an index would list it."""

    url: str
    requires_python: str | None
    hashes: Mapping[str, str]
    upload_time: datetime | None
    size: int | None


class LockedFiles:
    """The files of a lock's packages.

    Args:
        packages: its entries. What has files on this machine, or of unknown origin, is looked up.
            So are prereleases: whether they are admitted depends on what else there is.

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
        """Tell whether files of a package are known."""
        return name in self._packages

    def versions(self, name: NormalizedName) -> Iterable[Version]:
        """Tell which versions they are of."""
        return self._packages[name]

    def forget(self, name: NormalizedName) -> None:
        """Let a package be looked up from now on."""
        self._packages.pop(name, None)

    def files(self, name: NormalizedName, page: str) -> Iterator[LockedFile]:
        """Tell the files that came from a page of an index, as the page told them.

        Args:
            name: the package.
            page: the page's URL.

        """
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
