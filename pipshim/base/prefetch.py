"""Index pages, metadata files and archives, fetched before pip's resolver gets to them, at once.

The resolver looks at one package after the other, so on a network it mostly waits. Here threads go
ahead of it: from what is required, and from what that requires in turn, as soon as it is known.
Which version will be chosen is a guess (the best that one requirement admits); a wrong one costs a
file. Nothing is decided here: pip asks for pages and files as ever, and gets what is there.
"""

from __future__ import annotations

import threading
from contextvars import Context, copy_context
from functools import partial
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


class Prefetch:
    """Fetches ahead of the resolver.

    Args:
        fetcher: fetches files.
        environment: the target's markers.

    Attributes:
        finder: looks up candidates; nothing is fetched before there is one.
        left_out: what no index is to be asked for.

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
        """Take note of what will be looked at; it is fetched once `begin` was called.

        Versions are looked up in the order of the resolve that wants them (context variables).
        """
        with self._guard:
            known = self._seen
            distinct = dict.fromkeys(packages)
            new = [one for one in distinct if one not in known and one.name not in self.left_out]
            self._seen.update(new)
            self._waiting += [(one, copy_context()) for one in new]
            self._start()

    def begin(self) -> None:
        """Begin: pip has asked each index once, so credentials that they want are known."""
        with self._guard:
            if self._group is None:
                self._group = TaskGroup(AT_ONCE)
                self._start()

    def _start(self) -> None:
        """Have what waits fetched; at the end of the command nobody waits for that."""
        if self._group is not None:
            waiting, self._waiting = self._waiting, []
            for wanted, context in waiting:
                context.run(self._group.start, partial(self._fetch, wanted))

    def rest(self) -> None:
        """Let the threads end; what they have not begun is forgotten. `begin` begins again."""
        with self._guard:
            group, self._group = self._group, None
        if group is not None:
            with group:
                group.drop()

    def was_asked_for(self, page: str) -> bool:
        """Tell whether pip has asked for a page."""
        return self._fetcher.has_page(page)

    def again(self) -> None:
        """Begin anew with what will be looked at."""
        with self._guard:
            self._seen.clear()

    def _fetch(self, wanted: PackageLookup) -> None:
        """Fetch what is looked at; the resolver will meet what fails, and say it."""
        finder = self.finder
        if finder is None or not finder.needs_page(wanted.name, wanted.specifier):
            return
        if not finder.fetch_pages(wanted.name):
            return
        best = finder.best_of(wanted.name, wanted.specifier)
        contents = self._fetcher.in_advance(best) if best is not None else None
        if contents is not None:
            self.want(self._required(contents, wanted.extras))

    def _required(self, contents: bytes, extras: frozenset[str]) -> Iterator[PackageLookup]:
        """Tell what a METADATA file requires in the target environment."""
        head = contents.partition(b"\n\n")[0]
        for line in head.decode("utf-8", "replace").splitlines():
            field, _, value = line.partition(":")
            if field.lower() != "requires-dist":
                continue
            try:
                requirement = Requirement(value.strip())
            except InvalidRequirement:
                continue
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
