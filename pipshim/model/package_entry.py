"""Create a version's entry in a lock from its files in an index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.pylock import Package, PackageSdist, PackageWheel

from pipshim.model.artifacts import index_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from packaging.utils import NormalizedName
    from packaging.version import Version


class IndexFile(NamedTuple):
    """A file of a version, as a lock has it.

    Attributes:
        url: without credentials.
        hashes: the secure ones.
        size: in bytes, if it is known.
        upload_time: if the index says it.

    """

    name: str
    url: str
    hashes: Mapping[str, str]
    size: int | None
    upload_time: datetime | None


def package_entry(
    name: NormalizedName,
    version: Version,
    files: Iterable[IndexFile],
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
    wheels: list[PackageWheel] = []
    sdists: list[PackageSdist] = []
    for file in files:
        is_allowed = any(
            value in (allowed or {}).get(name, ()) for name, value in file.hashes.items()
        )
        if allowed and file.name != chosen and not is_allowed:
            continue
        fields: dict[str, Any] = file._asdict()
        if file.name.endswith(".whl"):
            wheels.append(PackageWheel(**fields))
        else:
            sdists.append(PackageSdist(**fields))
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
