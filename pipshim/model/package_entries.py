"""Make entries of a lock (PEP 751): of versions from an index, of direct references. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packaging.pylock import (
    Package,
    PackageArchive,
    PackageDirectory,
    PackageSdist,
    PackageVcs,
    PackageWheel,
)

from pipshim.base.urls import without_credentials
from pipshim.model.artifacts import index_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from packaging.utils import NormalizedName
    from packaging.version import Version


def index_entry(
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


def direct_entry(
    origin: Mapping[str, Any],
    url: str,
    folder: Path,
    hashes: Callable[[], Mapping[str, str]],
    *,
    editable: bool,
) -> dict[str, Any]:
    """Make the part of an entry that says where a direct reference leads, as ``pip lock`` does.

    Args:
        origin: what would be in ``direct_url.json`` (PEP 610).
        url: its URL.
        folder: the folder, if it is one.
        hashes: returns those of the archive, if it is one.

    """
    subdirectory, url = origin.get("subdirectory"), without_credentials(url)
    vcs = origin.get("vcs_info")
    if vcs is not None:
        return {
            "vcs": PackageVcs(
                type=vcs["vcs"],
                url=url,
                requested_revision=vcs.get("requested_revision"),
                commit_id=vcs["commit_id"],
                subdirectory=subdirectory,
            )
        }
    if "dir_info" in origin:
        path = str(folder.resolve())
        return {
            "directory": PackageDirectory(
                path=path, editable=editable or None, subdirectory=subdirectory
            )
        }
    return {"archive": PackageArchive(url=url, hashes=hashes(), subdirectory=subdirectory)}
