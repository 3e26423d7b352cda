"""A version's entry in a lock, made of the links of its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.pylock import Package, PackageSdist, PackageWheel
from pip._internal.utils.misc import remove_auth_from_url

from pipshim._pip.links import secure_hashes, size_of
from pipshim.model.artifacts import index_of, sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version
    from pip._internal.models.link import Link

    from pipshim._pip.index import Finder


@dataclass
class Packager:
    """Makes a lock's package entries of pip's links.

    Attributes:
        finder: where the other files of a version are looked up.
        download: fetches a file whose index gives no secure hash, and returns its path.

    """

    finder: Finder
    download: Callable[[Link], Path]

    def package(
        self,
        name: NormalizedName,
        version: Version,
        chosen: Link,
        *,
        dependencies: Iterable[NormalizedName],
        requires_python: Any,
        allowed: Mapping[str, Sequence[str]] | None = None,
    ) -> Package:
        """Make the entry of a version from an index: every wheel, and the sdist.

        With `allowed` hashes (``--hash`` of a requirement), only the files that have one of them;
        the chosen one has, since pip has looked.
        """
        wheels: list[PackageWheel] = []
        sdists: list[PackageSdist] = []
        for link in self.finder.files(name, version, chosen):
            fields = self._fields(link, is_chosen=link.filename == chosen.filename)
            if fields is None or (allowed and not _is_allowed(link, chosen, fields, allowed)):
                continue
            if link.is_wheel:
                wheels.append(PackageWheel(**fields))
            else:
                sdists.append(PackageSdist(**fields))
        if chosen.is_wheel:
            sdists.sort(key=lambda one: not one.filename.endswith(".tar.gz"))
        else:
            sdists = sdists[:1]
        return Package(
            name=name,
            version=version,
            requires_python=requires_python,
            dependencies=[{"name": one} for one in sorted(dependencies)] or None,
            index=index_of(chosen.comes_from, name),
            wheels=sorted(wheels, key=lambda one: one.filename) or None,
            sdist=sdists[0] if sdists else None,
        )

    def _fields(self, link: Link, *, is_chosen: bool) -> dict[str, Any] | None:
        hashes = secure_hashes(link)
        size = size_of(link)
        if not hashes:
            if not (is_chosen or link.is_file):
                return None
            path = self.download(link)
            hashes = {"sha256": sha256_of(path)}
            size = path.stat().st_size
        elif link.is_file and size is None:
            size = Path(link.file_path).stat().st_size
        return {
            "name": link.filename,
            "url": remove_auth_from_url(link.url_without_fragment),
            "hashes": hashes,
            "size": size,
            "upload_time": link.upload_time,
        }


def _is_allowed(
    link: Link, chosen: Link, fields: Mapping[str, Any], allowed: Mapping[str, Sequence[str]]
) -> bool:
    hashes: Mapping[str, str] = fields["hashes"]
    has_one = any(value in allowed.get(name, ()) for name, value in hashes.items())
    return has_one or link.filename == chosen.filename
