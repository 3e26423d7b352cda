"""Resolve without pip's resolver, if no requirement excludes what another one leads to.

Where every requirement admits the version that is chosen for its package, the order in which
requirements are met does not matter, and pip's resolver would never go back: a walk over the
requirements finds the same versions. That is so for most locks that are made again, where an
earlier lock's pins are chosen, and for many others. In all other cases, and wherever more than
names, versions and METADATA counts, pip's resolver decides.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from dataclasses import field
from email.parser import HeaderParser
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version
from pip._internal.exceptions import PipError
from pip._vendor.packaging.specifiers import SpecifierSet as PipSpecifierSet
from pip._vendor.requests.exceptions import RequestException
from pip._vendor.urllib3.exceptions import HTTPError

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.resolution_graph import ChosenRoot, ResolutionGraph, solution_of
from pipshim.model.solution import Pin

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from email.message import Message

    from packaging.pylock import Package
    from pip._internal.models.link import Link

    from pipshim._pip.requirements import ParsedRequirement, Root
    from pipshim._pip.session import Pip
    from pipshim.model.overrides import Overrides
    from pipshim.model.solution import Solution

    Entry = Callable[[NormalizedName, Version, Link, Iterable[NormalizedName], str | None], Package]

_INVALID = (InvalidRequirement, InvalidSpecifier, InvalidVersion)
_FAILED = (PipError, RequestException, HTTPError)
"""Errors that pip's resolver will meet too, and say better."""
_OF_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']*)["']""")


class _UndecidedError(Exception):
    """pip's resolver has to decide."""


@dataclass
class _Choice:
    """The file that is chosen for a package, and its metadata."""

    version: Version
    link: Link
    metadata: Message
    admitting: set[str] = field(default_factory=set)

    @property
    def extras(self) -> set[NormalizedName]:
        return {canonicalize_name(one) for one in self.metadata.get_all("Provides-Extra", [])}


class ConflictFreeResolver:
    """Walks over requirements, and chooses a version for each package it meets.

    Args:
        pip: its finder has the order of versions, and the files of an earlier lock.
        overrides: what replaces requirements.
        entry: makes the lock's entry of a version from its name, its chosen file, what it needs and
            its Requires-Python.
        pinned: called with name and version of each choice.

    """

    def __init__(
        self,
        pip: Pip,
        constraints: Sequence[ParsedRequirement],
        overrides: Overrides,
        entry: Entry,
        pinned: Callable[[str, str], object] | None,
    ) -> None:
        self._pip = pip
        self._constraints = [one.inner for one in constraints]
        self._overrides = overrides
        self._entry = entry
        self._pinned = pinned
        self._limits: dict[NormalizedName, list[str]] = defaultdict(list)
        self._direct: set[NormalizedName] = set()
        self._choices: dict[NormalizedName, _Choice] = {}
        self._required: dict[str, tuple[NormalizedName, list[Requirement]]] = {}

    def solution(self, roots: Sequence[Root]) -> Solution | None:
        """Resolve; None if pip's resolver has to."""
        options = self._pip.options
        needing_pip = ("require_hashes", "ignore_dependencies", "ignore_requires_python")
        if any(getattr(options, name, False) for name in needing_pip):
            return None
        try:
            self._limit()
            stated = [(one, requirement) for one in roots for requirement in _plain(one)]
            for _, requirement in stated:
                self._limits[canonicalize_name(requirement.name)].append(str(requirement.specifier))
            self._walk(deque(requirement for _, requirement in stated))
            self._check_order()
        except (_UndecidedError, *_INVALID, *_FAILED):
            return None
        return self._solution(stated)

    def _limit(self) -> None:
        """Read the constraints, which hold wherever a package is chosen."""
        for one in self._constraints:
            if not one.name or one.req is None or one.extras or one.hash_options or one.editable:
                raise _UndecidedError
            if not one.match_markers():
                continue
            name = canonicalize_name(one.name)
            if one.link is not None:
                self._direct.add(name)
            self._limits[name].append(str(one.req.specifier))

    def _walk(self, waiting: deque[Requirement]) -> None:
        while waiting:
            requirement = waiting.popleft()
            name = canonicalize_name(requirement.name)
            if requirement.url is not None or name in self._direct:
                raise _UndecidedError
            choice = self._choices.get(name) or self._choose(name, requirement)
            if not requirement.specifier.contains(choice.version, prereleases=True):
                raise _UndecidedError
            choice.admitting.add(str(requirement.specifier))
            if not set(map(canonicalize_name, requirement.extras)) <= choice.extras:
                raise _UndecidedError  # pip warns of it
            for identifier, extras in _identifiers(requirement).items():
                if identifier not in self._required:
                    found = list(self._applicable(choice.metadata, extras))
                    self._required[identifier] = name, found
                    waiting += found

    def _choose(self, name: NormalizedName, requirement: Requirement) -> _Choice:
        link, version = self._best(name, str(requirement.specifier))
        self._choices[name] = _Choice(version, link, self._metadata(link, name, version))
        if self._pinned is not None:
            self._pinned(name, str(version))
        return self._choices[name]

    def _best(self, name: NormalizedName, specifier: str) -> tuple[Link, Version]:
        """Return the wheel that pip's resolver would try first, and its version."""
        admitted = ",".join(filter(None, (*self._limits.get(name, ()), specifier)))
        found = self._pip.finder.find_best_candidate(name, PipSpecifierSet(admitted))
        best = found.best_candidate
        if best is None or best.link.is_yanked or not best.link.is_wheel:
            raise _UndecidedError
        return best.link, Version(str(best.version))

    def _metadata(self, link: Link, name: NormalizedName, version: Version) -> Message:
        contents = self._pip.fetched.metadata(link)
        if contents is None:
            raise _UndecidedError
        try:
            head = contents.partition(b"\n\n")[0].decode()
        except UnicodeDecodeError as error:
            raise _UndecidedError from error
        metadata = HeaderParser().parsestr(head)
        python = SpecifierSet(metadata.get("Requires-Python", ""))
        if (
            canonicalize_name(metadata.get("Name", "")) != name
            or Version(metadata.get("Version", "")) != version
            or not python.contains(".".join(map(str, self._pip.target.version)), prereleases=True)
        ):
            raise _UndecidedError
        return metadata

    def _applicable(
        self, metadata: Message, extras: frozenset[NormalizedName]
    ) -> Iterator[Requirement]:
        """Return the requirements that hold for the target, as pip's distribution does."""
        texts: Iterable[str] = (one.strip() for one in metadata.get_all("Requires-Dist", []))
        if self._overrides:
            texts = self._overrides.applied(texts)
        for text in texts:
            if _is_of_other_extra(text, extras):
                continue
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(
                marker.evaluate({**self._pip.target.markers, "extra": extra})
                for extra in extras or ("",)
            ):
                yield requirement

    def _check_order(self) -> None:
        """Check that pip's resolver would choose the same in whatever order it met requirements.

        The limits are known from the start. If each requirement alone, with these, leads to the
        same file, so do any of them together.
        """
        order = self._pip.finder.order
        for name, choice in self._choices.items():
            if order.wanted(name) == {choice.version} and self._pip.finder.kept.has(name):
                continue  # a pin comes first wherever it is admitted
            for specifier in choice.admitting:
                if self._best(name, specifier)[0].url != choice.link.url:
                    raise _UndecidedError

    def _solution(self, stated: Sequence[tuple[Root, Requirement]]) -> Solution:
        requires: dict[NormalizedName, list[Requirement]] = defaultdict(list)
        children: dict[str, set[str]] = {}
        for identifier, (name, required) in self._required.items():
            requires[name] += [one for one in required if canonicalize_name(one.name) != name]
            found = {child for one in required for child in _identifiers(one)}
            children[identifier] = found | ({name} if name != identifier else set())
        names = {identifier: name for identifier, (name, _) in self._required.items()}
        graph = ResolutionGraph(names, children)
        roots = [
            ChosenRoot(
                root.origins,
                root.left_out,
                dict.fromkeys(
                    graph.identifiers(canonicalize_name(requirement.name), requirement.extras),
                    requirement,
                ),
            )
            for root, requirement in stated
        ]
        return solution_of(graph, roots, requires, self._pin)

    def _pin(self, identifier: str, needs: Iterable[NormalizedName]) -> Pin:
        name = canonicalize_name(identifier)
        choice = self._choices[name]
        python = choice.metadata.get("Requires-Python")
        return Pin(
            package=self._entry(name, choice.version, choice.link, needs, python),
            version=choice.version,
            source=None,
            editable=False,
            platform_specific=not choice.link.filename.endswith("-none-any.whl"),
        )


def _identifiers(requirement: Requirement) -> dict[str, frozenset[NormalizedName]]:
    """Return the extras of what is required, by identifier, as pip's resolver names it."""
    name = canonicalize_name(requirement.name)
    extras = frozenset(map(canonicalize_name, requirement.extras))
    identifiers: dict[str, frozenset[NormalizedName]] = {name: frozenset()}
    if extras:
        identifiers[f"{name}[{','.join(sorted(extras))}]"] = extras
    return identifiers


def _plain(root: Root) -> Iterator[Requirement]:
    """Return a root as a requirement on versions; none if its marker does not hold."""
    requirement = root.requirement
    inner = requirement.inner
    if requirement.plain is None or inner.hash_options or root.left_out:
        raise _UndecidedError
    if requirement.applies:
        yield Requirement(str(inner.req))


def _is_of_other_extra(text: str, extras: frozenset[NormalizedName]) -> bool:
    """Return whether a requirement is only for an extra that is not asked for; most are."""
    marker = text.partition(";")[2]
    found = _OF_EXTRA.search(marker)
    return found is not None and " or " not in marker and canonicalize_name(found[1]) not in extras
