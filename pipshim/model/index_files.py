"""The files that index pages list, and those of a version that a lock lists.

A page may list 15,000 files, most of them wheels for other platforms and Pythons; pip makes and
checks a link for each. Here files are grouped by the version and the tags in their names. The
newest versions come first, the others only if they are asked for. Candidates and their order are
the same as pip's.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import unquote

from packaging.pylock import Package, PackageSdist, PackageWheel
from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

from pipshim.model.artifacts import index_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from datetime import datetime

    from packaging.utils import NormalizedName
    from packaging.version import Version

JSON = "application/vnd.pypi.simple.v1+json"
"""How the type of a page begins that is read as JSON (PEP 691)."""

_HREF = re.compile(r"""<a\s[^>]*href\s*=\s*["']?([^"'>\s]+)""", re.IGNORECASE)

PipVersion: TypeAlias = Any
PipSpecifierSet: TypeAlias = Any
"""Those of pip's own copy of packaging, which compare only with each other."""

Link: TypeAlias = Any
Candidate: TypeAlias = Any
"""Those of pip."""

AT_FIRST = 3
"""How many versions of a package are looked at before all are."""


class Listing:
    """The files of a package that a page lists; links are made when asked for.

    Only the files of the newest versions stay in memory; the page is read again for others.

    Args:
        read: reads the page's objects of JSON (PEP 691), or links.
        link: makes the link of an object of JSON.
        version: reads a version.

    Attributes:
        versions: as written in file names, the newest last.

    """

    def __init__(
        self,
        read: Callable[[], list[Any]],
        name: NormalizedName,
        link: Callable[[dict[str, Any]], Link | None],
        version: Callable[[str], PipVersion | None],
    ) -> None:
        self._read = read
        self._files = dict(enumerate(read()))
        self._count = len(self._files)
        self._link = link
        self._by_version: dict[PipVersion | None, list[int]] = {}
        for text, numbers in self._by_text(name).items():
            self._by_version.setdefault(version(text), []).extend(numbers)
        self.versions = sorted(one for one in self._by_version if one is not None)
        self._files = {at: self._files[at] for at in self.of(self.versions[-AT_FIRST:])}

    def _by_text(self, name: NormalizedName) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number in self.all():
            filename = self.filename(number)
            text = ""
            if filename.endswith(".whl"):
                _, dash, rest = filename.partition("-")
                text = rest.partition("-")[0] if dash else ""
            else:
                stem, _, last = _without_suffix(filename).rpartition("-")
                text = last if _canonical(stem) == name else ""
            found.setdefault(text, []).append(number)
        return found

    def all(self) -> Iterable[int]:
        """Return the numbers of all files."""
        return range(self._count)

    def of(self, versions: Iterable[PipVersion]) -> list[int]:
        """Return the files of some versions, and those whose version is unclear, by number."""
        # In the order of the page: of files that are as good as each other pip takes the last.
        return sorted(
            number for version in (*versions, None) for number in self._by_version.get(version, ())
        )

    def admitted(self, specifier: PipSpecifierSet | None) -> list[PipVersion]:
        """Return the versions that a specifier may admit, the newest last."""
        if specifier is None:
            return self.versions
        return [one for one in self.versions if specifier.contains(one, prereleases=True)]

    def filename(self, number: int) -> str:
        """Return a file's name without making its link; empty if that is not possible."""
        file = self._file(number)
        if not isinstance(file, dict):
            return file.filename if file is not None else ""
        url = file.get("url") or ""
        return "" if "?" in url or "%" in url else url.rpartition("/")[2].partition("#")[0]

    def link(self, number: int) -> Link | None:
        """Make a file's link, once; None if it is not valid."""
        file = self._file(number)
        if isinstance(file, dict):
            file = self._files[number] = self._link(file)
        return file

    def links(self, numbers: Iterable[int]) -> list[Link]:
        return [one for number in numbers if (one := self.link(number)) is not None]

    def _file(self, number: int) -> Any:
        if number not in self._files:
            self._files = {**dict(enumerate(self._read())), **self._files}
        return self._files[number]


class TargetFilter:
    """Selects the files that one target Python may use, by its `tags`."""

    def __init__(self, tags: Iterable[object]) -> None:
        self._supported = frozenset(map(str, tags))
        self._known: dict[str, bool] = {}

    def among(self, listing: Listing, numbers: Iterable[int]) -> list[Link]:
        """Return the links, without wheels that do not suit."""
        return listing.links(one for one in numbers if self._suits(listing.filename(one)))

    def _suits(self, filename: str) -> bool:
        if not filename.endswith(".whl"):
            return True
        tags = "-".join(filename[: -len(".whl")].rsplit("-", 3)[1:])
        known = self._known.get(tags)
        if known is None:
            known = self._known[tags] = self._compatible(tags)
        return known

    def _compatible(self, tags: str) -> bool:
        """Work like ``pip._internal.models.wheel.Wheel.supported``."""
        try:
            return not self._supported.isdisjoint(map(str, parse_tag(tags)))
        except ValueError:
            return True  # pip will say what is wrong with it


class PageCut:
    """Selects what is read first of long pages.

    Args:
        specifier: read the newest of the versions that fit it; None: of all.
        besides: versions that are read in any case.

    Attributes:
        is_cut: whether anything was passed over.

    """

    def __init__(self, specifier: PipSpecifierSet | None, besides: Collection[PipVersion]) -> None:
        self._specifier = specifier
        self._besides = besides
        self._oldest: PipVersion | None = None
        self.is_cut = False

    def numbers(self, listing: Listing) -> Iterable[int]:
        """Return the files of a page to read."""
        admitted = listing.admitted(self._specifier)
        newest = admitted[-AT_FIRST:]
        if len(newest) == len(listing.versions):
            return listing.all()
        self.is_cut = True
        if len(newest) < len(admitted):
            self._oldest = max(newest[0], self._oldest or newest[0])
        return listing.of({*newest, *self._besides})

    def within(self, candidates: Iterable[Candidate]) -> list[Candidate]:
        """Leave out candidates older than those passed over on another page."""
        return [
            one
            for one in candidates
            if self._oldest is None or one.version >= self._oldest or one.version in self._besides
        ]


class Newest(list[Any]):
    """Candidates, the best last, of which the first few are usually enough.

    The others are found when pip's factory iterates over all of them (`reversed`).

    Args:
        first: those that come first.
        full: finds all, in the same order.

    """

    def __init__(
        self,
        first: Iterable[Candidate],
        full: Callable[[], Sequence[Candidate]],
    ) -> None:
        super().__init__(first)
        self._full = full

    def __reversed__(self) -> Iterator[Candidate]:
        yield from super().__reversed__()
        known = {one.link for one in self}
        yield from (one for one in reversed(self._full()) if one.link not in known)


_canonical = cache(canonicalize_name)


def _without_suffix(filename: str) -> str:
    """Return a file's name without its suffix, as pip's ``splitext``: ``.tar.gz`` is one."""
    stem = posixpath.splitext(filename)[0]
    return stem[: -len(".tar")] if stem.lower().endswith(".tar") else stem


def project_names(kind: str, body: bytes) -> list[str] | None:
    """Return the names on the page that lists all projects (PEP 503, PEP 691).

    Args:
        kind: its type (``Content-Type``).
        body: the page.

    Returns:
        the names as written; None if they cannot be read.

    """
    text = body.decode("utf-8", "replace")
    if kind.startswith(JSON):
        try:
            return [str(one["name"]) for one in json.loads(text)["projects"]]
        except (ValueError, KeyError, TypeError):
            return None
    paths = [unquote(href).partition("#")[0].rstrip("/") for href in _HREF.findall(text)]
    return [path.rpartition("/")[2] for path in paths if path]


def is_cut(kind: str, body: bytes) -> bool:
    """Return whether a page is incomplete, as far as that can be seen.

    Args:
        kind: its type (``Content-Type``), in lower case.
        body: the page.

    """
    if kind.startswith(JSON):
        # Braces first: pages have up to ten megabytes, and are read later.
        return body.count(b"{") != body.count(b"}") and not _is_json(body)
    if kind.startswith(("text/html", "application/vnd.pypi.simple.v1+html")):
        return body.rfind(b"<") > body.rfind(b">")
    return False


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def files_to_lock(
    links: Iterable[Any],
    chosen: Any,
    allowed: Collection[str],
    has_same_content: Callable[[Any, Any], bool],
) -> list[Any]:
    """Return the files of a version that a lock lists, the chosen one first.

    Files that the format options forbid (``--no-binary``, ``--only-binary``) are left out, so that
    every reader of the lock takes what was locked; so are yanked ones, unless chosen.
    """
    found = {chosen.filename: chosen}
    for link in links:
        if link.is_yanked and not chosen.is_yanked:
            continue
        if ("binary" if link.is_wheel else "source") not in allowed:
            continue
        same = found.setdefault(link.filename, link)
        if same.is_file and not link.is_file and has_same_content(same, link):
            found[link.filename] = link  # a mirror on this machine; others have the index
    return list(found.values())


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
            name: one for name, one in found.items() if all(map(_can_replace_page, one.values()))
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


def has_all(package: Package, page: str, formats: Collection[str], limit: datetime | None) -> bool:
    """Return whether all files of a locked package are from a page, and may be chosen from it.

    Args:
        formats: ``binary`` for wheels, ``source`` for sdists.
        limit: the moment before which files have to be uploaded.

    """
    return package.index == index_of(page, package.name) and all(
        (limit is None or (file.upload_time is not None and file.upload_time < limit))
        and ("binary" if isinstance(file, PackageWheel) else "source") in formats
        for file in (*(package.wheels or ()), package.sdist)
        if file is not None
    )


def _can_replace_page(package: Package) -> bool:
    files = (*(package.wheels or ()), package.sdist)
    return (
        package.index is not None
        and package.version is not None
        and not package.version.is_prerelease
        and all(file is None or file.url is not None for file in files)
    )
