"""Fetching ahead of the resolver: what it does for the adapter of pip, and what it needs of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from packaging.utils import NormalizedName


class PackageLookup(NamedTuple):
    """A package that the resolver is going to look at.

    Attributes:
        name: the package.
        specifier: the versions that one requirement admits (PEP 440).
        extras: of the package.

    """

    name: NormalizedName
    specifier: str = ""
    extras: frozenset[str] = frozenset()


class CandidateLookup(Protocol):
    """Looks up candidates: `pipshim._pip.index.Finder`."""

    def needs_page(self, name: NormalizedName, specifier: str) -> bool:
        """Return whether the index page of a package has to be read."""

    def fetch_pages(self, name: NormalizedName) -> bool:
        """Fetch the index pages of a package; return whether that worked."""

    def best_of(self, name: NormalizedName, specifier: str) -> object | None:
        """Return the file that the resolver is likely to choose first."""


class AdvanceFetcher(Protocol):
    """Fetches files in advance: `pipshim._pip.shared_fetches.Fetched`."""

    def in_advance(self, file: object) -> bytes | None:
        """Fetch what the resolver asks of a file, if that costs little; return its METADATA."""

    def has_page(self, url: str) -> bool:
        """Return whether a page was asked for."""


class Prefetching(Protocol):
    """Fetches ahead of the resolver: `pipshim.lock.prefetch.Prefetch`.

    Attributes:
        finder: looks up candidates; nothing is fetched before there is one.
        left_out: what no index is to be asked for.

    """

    finder: CandidateLookup | None
    left_out: set[NormalizedName]

    def want(self, packages: Iterable[PackageLookup]) -> None:
        """Take note of what will be looked at; it is fetched once `begin` was called."""

    def begin(self) -> None:
        """Begin: pip has asked each index once, so credentials that they want are known."""

    def rest(self) -> None:
        """Let the threads end; what they have not begun is forgotten."""

    def was_asked_for(self, page: str) -> bool:
        """Return whether pip has asked for a page."""

    def again(self) -> None:
        """Begin anew with what will be looked at."""


MakePrefetching: TypeAlias = "Callable[[AdvanceFetcher, Mapping[str, str]], Prefetching]"
"""Makes what fetches ahead, given the markers of the target."""
