"""Candidates of a package with long pages: the newest versions first, the others if need be.

A resolver seldom goes further than to the first version that fits, so most of a page is never
looked at. Which candidates there are, and their order, is as if all had been.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pip._internal.models.candidate import InstallationCandidate

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from pip._internal.index.package_finder import BestCandidateResult
    from pip._vendor.packaging.specifiers import SpecifierSet
    from pip._vendor.packaging.version import Version

    from pipshim._pip.page_files import Listing

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

    def __init__(self, specifier: SpecifierSet | None, besides: Collection[Version]) -> None:
        self._specifier = specifier
        self._besides = besides
        self._oldest: Version | None = None
        self.is_cut = False

    def numbers(self, listing: Listing) -> Iterable[int]:
        """Tell what is looked at of a page."""
        admitted = listing.admitted(self._specifier)
        newest = admitted[-AT_FIRST:]
        if len(newest) == len(listing.versions):
            return listing.all()
        self.is_cut = True
        if len(newest) < len(admitted):
            self._oldest = max(newest[0], self._oldest or newest[0])
        return listing.of({*newest, *self._besides})

    def within(self, candidates: Iterable[InstallationCandidate]) -> list[InstallationCandidate]:
        """Leave out what is older than what was passed over on another page."""
        return [
            one
            for one in candidates
            if self._oldest is None or one.version >= self._oldest or one.version in self._besides
        ]


class Newest(list[InstallationCandidate]):
    """Candidates, the best last, as far as they are looked at mostly.

    What comes behind them is found out when somebody has gone through them (`reversed`), which is
    how pip's factory goes through candidates.

    Args:
        first: those that come first.
        full: finds all, in the same order.

    """

    def __init__(
        self,
        first: Iterable[InstallationCandidate],
        full: Callable[[], BestCandidateResult],
    ) -> None:
        super().__init__(first)
        self._full = full

    def __reversed__(self) -> Iterator[InstallationCandidate]:
        yield from super().__reversed__()
        known = {one.link for one in self}
        candidates = self._full().applicable_candidates
        yield from (one for one in reversed(candidates) if one.link not in known)
