"""The files that a page of an index lists, and which of them are looked at.

A page lists all files that there ever were: that of pydantic-core 15,000, most of them wheels for
other platforms and Pythons. pip makes a link of each, takes its name apart, and then looks whether
it is of use. Here files are told apart by the version that is written in their names, and wheels by
their tags, as text: few versions are ever looked at, few combinations of tags occur, and what one
of them means is found out once.

A resolver seldom goes further than to the first version that fits, so the newest versions are
looked at first, the others if need be. Which candidates there are, and their order, is as if all
had been.
"""

from __future__ import annotations

import json
import posixpath
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeAlias, TypeVar, cast

from packaging.tags import parse_tag
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from packaging.utils import NormalizedName

JSON = "application/vnd.pypi.simple.v1+json"
"""How the type of a page begins that is read as JSON (PEP 691)."""

PipVersion: TypeAlias = Any
PipSpecifierSet: TypeAlias = Any
"""Those of pip's own copy of packaging, which compare only with each other."""


class Link(Protocol):
    """A link of pip's."""

    @property
    def filename(self) -> str:
        """The name of the file."""


L = TypeVar("L", bound=Link)


class Listing(Generic[L]):
    """The files of a package that a page lists; of JSON (PEP 691), links are made when asked for.

    Args:
        files: what the page says of each: an object of JSON, or a link.
        name: the package.
        link: makes the link of an object of JSON.
        version: reads a version.

    Attributes:
        versions: what is written in their names, the newest last.

    """

    def __init__(
        self,
        files: list[Any],
        name: NormalizedName,
        link: Callable[[dict[str, Any]], L | None],
        version: Callable[[str], PipVersion | None],
    ) -> None:
        self._files = files
        self._link = link
        self._by_version: dict[PipVersion | None, list[int]] = {}
        for text, numbers in self._by_text(name).items():
            self._by_version.setdefault(version(text), []).extend(numbers)
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
                stem, _, last = _without_suffix(filename).rpartition("-")
                text = last if _canonical(stem) == name else ""
            found.setdefault(text, []).append(number)
        return found

    def all(self) -> Iterable[int]:
        """Tell the numbers of all files."""
        return range(len(self._files))

    def of(self, versions: Iterable[PipVersion]) -> list[int]:
        """Tell those of files of some versions, and of files whose names do not say it plainly."""
        # In the order of the page: of files that are as good as each other pip takes the last.
        return sorted(
            number for version in (*versions, None) for number in self._by_version.get(version, ())
        )

    def admitted(self, specifier: PipSpecifierSet | None) -> list[PipVersion]:
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

    def link(self, number: int) -> L | None:
        """Make a file's link, once; None of what is none."""
        file = self._files[number]
        if isinstance(file, dict):
            file = self._files[number] = self._link(file)
        return cast("L | None", file)

    def links(self, numbers: Iterable[int]) -> list[L]:
        """Make the links of files."""
        return [one for number in numbers if (one := self.link(number)) is not None]


class Suiting:
    """Tells which files one target Python may use.

    Args:
        tags: what it is compatible with.

    """

    def __init__(self, tags: Iterable[object]) -> None:
        self._supported = frozenset(map(str, tags))
        self._known: dict[str, bool] = {}

    def among(self, listing: Listing[L], numbers: Iterable[int]) -> list[L]:
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
            return not self._supported.isdisjoint(map(str, parse_tag(tags)))
        except ValueError:
            return True  # pip will say what is wrong with it


class Candidate(Protocol):
    """A candidate of pip's."""

    @property
    def version(self) -> PipVersion:
        """Its version."""

    @property
    def link(self) -> Any:
        """Its file."""


C = TypeVar("C", bound=Candidate)

AT_FIRST = 10
"""How many versions of a package are looked at before all are."""


class Cut:
    """What is looked at of long pages at first.

    Args:
        specifier: of the versions that fit it, the newest; None: of all.
        besides: versions that are looked at in any case.

    Attributes:
        is_cut: whether anything was passed over.

    """

    def __init__(self, specifier: PipSpecifierSet | None, besides: Collection[PipVersion]) -> None:
        self._specifier = specifier
        self._besides = besides
        self._oldest: PipVersion | None = None
        self.is_cut = False

    def numbers(self, listing: Listing[Any]) -> Iterable[int]:
        """Tell what is looked at of a page."""
        admitted = listing.admitted(self._specifier)
        newest = admitted[-AT_FIRST:]
        if len(newest) == len(listing.versions):
            return listing.all()
        self.is_cut = True
        if len(newest) < len(admitted):
            self._oldest = max(newest[0], self._oldest or newest[0])
        return listing.of({*newest, *self._besides})

    def within(self, candidates: Iterable[C]) -> list[C]:
        """Leave out what is older than what was passed over on another page."""
        return [
            one
            for one in candidates
            if self._oldest is None or one.version >= self._oldest or one.version in self._besides
        ]


class Newest(list[C], Generic[C]):
    """Candidates, the best last, as far as they are looked at mostly.

    What comes behind them is found out when somebody has gone through them (`reversed`), which is
    how pip's factory goes through candidates.

    Args:
        first: those that come first.
        full: finds all, in the same order.

    """

    def __init__(
        self,
        first: Iterable[C],
        full: Callable[[], Sequence[C]],
    ) -> None:
        super().__init__(first)
        self._full = full

    def __reversed__(self) -> Iterator[C]:
        yield from super().__reversed__()
        known = {one.link for one in self}
        yield from (one for one in reversed(self._full()) if one.link not in known)


@cache
def _canonical(name: str) -> NormalizedName:
    return canonicalize_name(name)


def _without_suffix(filename: str) -> str:
    """Return a file's name without its suffix, as pip's ``splitext``: ``.tar.gz`` is one."""
    stem = posixpath.splitext(filename)[0]
    return stem[: -len(".tar")] if stem.lower().endswith(".tar") else stem


def is_cut(kind: str, body: bytes) -> bool:
    """Tell whether a page is not whole, as far as that can be told.

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
