"""The files of a version: an entry of a lock from those of an index, and the other way round."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from packaging.pylock import Package, PackageSdist, PackageWheel

from pipshim.model.artifacts import index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version


def package_entry(
    name: NormalizedName,
    version: Version,
    files: Iterable[PackageWheel | PackageSdist],
    *,
    chosen: str,
    page: str | None,
    dependencies: Iterable[NormalizedName],
    requires_python: Any,
    allowed: Mapping[str, Sequence[str]] | None = None,
) -> Package:
    """Make the entry of a version from an index: every wheel, and the sdist.

    Args:
        files: the files that a lock may name.
        chosen: the name of the file that the resolver chose.
        page: the page that lists it.
        dependencies: what it needs.
        requires_python: of the version.
        allowed: the hashes of its requirement (``--hash``): other files are left out; pip has
            checked the chosen one.

    """
    kept = [
        file
        for file in files
        if not allowed
        or file.filename == chosen
        or any(digest in allowed.get(kind, ()) for kind, digest in file.hashes.items())
    ]
    wheels = [file for file in kept if isinstance(file, PackageWheel)]
    sdists = [file for file in kept if isinstance(file, PackageSdist)]
    if chosen.endswith(".whl"):
        sdists.sort(key=lambda one: not one.filename.endswith(".tar.gz"))
    else:
        sdists = sdists[:1]
    return Package(
        name=name,
        version=version,
        requires_python=requires_python,
        dependencies=[{"name": one} for one in sorted(dependencies)] or None,
        index=index_of(page, name),
        wheels=sorted(wheels, key=lambda one: one.filename) or None,
        sdist=sdists[0] if sdists else None,
    )


class LockedFiles:
    """The files of a lock's packages, used instead of index pages.

    A locked version is kept where it fits. The lock has its files and hashes, the cache its
    metadata, so a package's page is requested only if another version may be chosen. Files uploaded
    or yanked since then are noticed when the package is upgraded (``-P``).

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

    def files(
        self, name: NormalizedName, page: str
    ) -> Iterator[tuple[PackageWheel | PackageSdist, str | None]]:
        """Return the files that came from an index page (by URL), with their requires-python."""
        for package in self._packages[name].values():
            if package.index != index_of(page, name):
                continue
            python = str(package.requires_python or "") or None
            files = (*(package.wheels or ()), package.sdist)
            yield from ((file, python) for file in files if file is not None)


def _is_kept(package: Package) -> bool:
    files = (*(package.wheels or ()), package.sdist)
    return (
        package.index is not None
        and package.version is not None
        and not package.version.is_prerelease
        and all(file is None or file.url is not None for file in files)
    )
