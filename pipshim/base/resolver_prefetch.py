"""Fetch index pages, metadata files and archives in parallel, ahead of pip's resolver.

The resolver asks for one after the other, so on a network it mostly waits. Here threads follow the
requirements ahead of it. Which version will be chosen is a guess (the best that one requirement
admits); a wrong one costs a request. pip asks for pages and files as always, and gets what is
there.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from contextvars import Context, copy_context
from functools import cache, partial
from typing import TYPE_CHECKING, NamedTuple, Protocol

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipshim.base.tasks import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

AT_ONCE = 16
"""How many things are fetched at once."""


class PackageLookup(NamedTuple):
    """A package that the resolver is going to look at.

    Attributes:
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

    def route_of(self, name: NormalizedName) -> str | None:
        """Return the one index that a package comes from; None: from all that are searched."""


class AdvanceFetcher(Protocol):
    """Fetches files in advance, for all targets: `pipshim._pip.shared_fetches.SharedFetches`.

    Attributes:
        followed: the headers of files for any target, by index and lookup.

    """

    followed: dict[tuple[str | None, PackageLookup], bytes]

    def in_advance(self, file: object) -> bytes | None:
        """Fetch what the resolver will ask of a file, if that is cheap; return its headers."""

    def is_for_any_target(self, file: object) -> bool:
        """Return whether another target is likely to get the same file."""

    def has_page(self, url: str) -> bool:
        """Return whether a page was asked for."""


class Prefetch:
    """Fetches ahead of the resolver.

    Args:
        fetcher: fetches files.
        environment: the target's markers.

    Attributes:
        finder: looks up candidates; nothing is fetched before it is set.
        left_out: packages that no index is asked for.

    """

    def __init__(self, fetcher: AdvanceFetcher, environment: Mapping[str, str]) -> None:
        self.finder: CandidateLookup | None = None
        self.left_out: set[NormalizedName] = set()
        self._fetcher = fetcher
        self._environment = dict(environment)
        self._seen: set[PackageLookup] = set()
        self._waiting: list[tuple[PackageLookup, Context]] = []
        self._group: TaskGroup | None = None
        self._guard = threading.Lock()

    def want(self, packages: Iterable[PackageLookup]) -> None:
        """Note packages that will be looked at; they are fetched after `begin`.

        Versions are looked up in the order of the calling resolve (context variables). What another
        target has fetched is only followed.
        """
        found = packages
        while found := dict.fromkeys(found):
            followed = {one: self._fetcher.followed.get(self._key(one)) for one in found}
            with self._guard:
                known = self._seen
                new = [one for one in found if one not in known and one.name not in self.left_out]
                self._seen.update(new)
                self._waiting += [(one, copy_context()) for one in new if followed[one] is None]
                self._start()
            found = [
                required
                for one in new
                if (contents := followed[one]) is not None
                for required in self._required(contents, one.extras)
            ]

    def begin(self) -> None:
        """Begin to fetch: pip has asked each index once, so their credentials are known."""
        with self._guard:
            if self._group is None:
                self._group = TaskGroup(AT_ONCE)
                self._start()

    def _start(self) -> None:
        """Fetch what is noted, in threads that the end of the command does not wait for."""
        if self._group is not None:
            waiting, self._waiting = self._waiting, []
            for wanted, context in waiting:
                context.run(self._group.start, partial(self._fetch, wanted))

    def rest(self) -> None:
        """End the threads, and forget what they have not begun. `begin` begins again."""
        with self._guard:
            group, self._group = self._group, None
        if group is not None:
            with group:
                group.drop()

    def was_asked_for(self, page: str) -> bool:
        """Return whether pip has asked for a page."""
        return self._fetcher.has_page(page)

    def again(self) -> None:
        """Forget which packages were noted."""
        with self._guard:
            self._seen.clear()

    def _fetch(self, wanted: PackageLookup) -> None:
        """Fetch a package's files; the resolver will meet and report errors."""
        finder = self.finder
        if finder is None or not finder.needs_page(wanted.name, wanted.specifier):
            return
        if not finder.fetch_pages(wanted.name):
            return
        best = finder.best_of(wanted.name, wanted.specifier)
        contents = self._fetcher.in_advance(best) if best is not None else None
        if contents is not None:
            if self._fetcher.is_for_any_target(best):
                self._fetcher.followed[self._key(wanted)] = contents
            self.want(self._required(contents, wanted.extras))

    def _key(self, wanted: PackageLookup) -> tuple[str | None, PackageLookup]:
        route = self.finder.route_of(wanted.name) if self.finder is not None else None
        return route, wanted

    def _required(self, contents: bytes, extras: frozenset[str]) -> Iterator[PackageLookup]:
        """Return what the headers of METADATA require in the target environment."""
        for requirement in _requires(contents, of_extras=bool(extras)):
            marker = requirement.marker
            if requirement.url is None and (
                marker is None
                or any(marker.evaluate({**self._environment, "extra": e}) for e in ("", *extras))
            ):
                yield PackageLookup(
                    canonicalize_name(requirement.name),
                    str(requirement.specifier),
                    frozenset(requirement.extras),
                )


@cache
def _requires(contents: bytes, *, of_extras: bool) -> list[Requirement]:
    found = []
    for line in contents.decode("utf-8", "replace").splitlines():
        field, _, value = line.partition(":")
        if field.lower() != "requires-dist":
            continue
        if not of_extras and "extra ==" in value:
            continue  # most are, and none of these is parsed; a wrong guess costs a wait
        with suppress(InvalidRequirement):
            found.append(Requirement(value.strip()))
    return found
