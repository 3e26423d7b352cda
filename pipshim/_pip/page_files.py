"""The files that a page of an index lists, of which few become links of pip's.

A page lists all files that there ever were: that of pydantic-core 15,000, most of them wheels for
other platforms and Pythons. pip makes a link of each, takes its name apart, and then looks whether
it is of use. Here files are told apart by the version that is written in their names, and wheels by
their tags, as text: few versions are ever looked at, few combinations of tags occur, and what one
of them means is found out once.
"""

from __future__ import annotations

import json
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from packaging.utils import canonicalize_name
from pip._internal.index.collector import CacheablePageContent, parse_links
from pip._internal.models.link import Link
from pip._internal.utils.misc import splitext
from pip._vendor.packaging.tags import parse_tag
from pip._vendor.packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName
    from pip._internal.index.collector import IndexContent
    from pip._vendor.packaging.specifiers import SpecifierSet
    from pip._vendor.packaging.tags import Tag

_JSON = "application/vnd.pypi.simple.v1+json"
"""How the type of a page begins that pip reads as JSON (PEP 691)."""


class Listing:
    """The files of a package that a page lists; of JSON (PEP 691), links are made when asked for.

    Args:
        page: the page.
        name: the package.

    Attributes:
        versions: what is written in their names, the newest last.

    """

    def __init__(self, page: IndexContent, name: NormalizedName) -> None:
        self._page = page.url
        self._files: list[Any]
        if page.content_type.lower().startswith(_JSON):
            self._files = json.loads(page.content).get("files", [])  # whole: see `_pip.retries`
        else:
            self._files = list(parse_links(page))
        self._by_version: dict[Version | None, list[int]] = {}
        for text, numbers in self._by_text(name).items():
            self._by_version.setdefault(_version(text), []).extend(numbers)
        self.versions = sorted(one for one in self._by_version if one is not None)

    def _by_text(self, name: NormalizedName) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for number in range(len(self._files)):
            filename = self.filename(number)
            text = ""
            if filename.endswith(".whl"):
                _, dash, rest = filename.partition("-")
                text = rest.partition("-")[0] if dash else ""
            else:
                stem, _, last = splitext(filename)[0].rpartition("-")
                text = last if _canonical(stem) == name else ""
            found.setdefault(text, []).append(number)
        return found

    def all(self) -> Iterable[int]:
        """Tell the numbers of all files."""
        return range(len(self._files))

    def of(self, versions: Iterable[Version]) -> list[int]:
        """Tell those of files of some versions, and of files whose names do not say it plainly."""
        # In the order of the page: of files that are as good as each other pip takes the last.
        return sorted(
            number for version in (*versions, None) for number in self._by_version.get(version, ())
        )

    def admitted(self, specifier: SpecifierSet | None) -> list[Version]:
        """Tell the versions that a specifier may admit, the newest last."""
        if specifier is None:
            return self.versions
        return [one for one in self.versions if specifier.contains(one, prereleases=True)]

    def filename(self, number: int) -> str:
        """Tell what a file is called, without making its link; nothing where that is not plain."""
        file = self._files[number]
        if not isinstance(file, dict):
            return file.filename if file is not None else ""
        url = file.get("url") or ""
        return "" if "?" in url or "%" in url else url.rpartition("/")[2].partition("#")[0]

    def link(self, number: int) -> Link | None:
        """Make a file's link, once; None of what is none."""
        file = self._files[number]
        if isinstance(file, dict):
            file = self._files[number] = Link.from_json(file, self._page)
        return cast("Link | None", file)

    def links(self, numbers: Iterable[int]) -> list[Link]:
        """Make the links of files."""
        return [one for number in numbers if (one := self.link(number)) is not None]


class Suiting:
    """Tells which files one target Python may use.

    Args:
        tags: what it is compatible with.

    """

    def __init__(self, tags: Iterable[Tag]) -> None:
        self._supported = frozenset(tags)
        self._known: dict[str, bool] = {}

    def among(self, listing: Listing, numbers: Iterable[int]) -> list[Link]:
        """Give the links of all but wheels that do not suit."""
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
        """Do as ``pip._internal.models.wheel.Wheel.supported``."""
        try:
            return not parse_tag(tags).isdisjoint(self._supported)
        except ValueError:
            return True  # pip will say what is wrong with it


@cache
def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


@cache
def _canonical(name: str) -> NormalizedName:
    return canonicalize_name(name)


@cache
def _listing(page: CacheablePageContent, name: NormalizedName) -> Listing:
    return Listing(page.page, name)


def listing_of(page: IndexContent, name: NormalizedName) -> Listing:
    """Tell the files of a package's page, which is read once for all targets."""
    return _listing(CacheablePageContent(page), name)
