"""What a resolver chose: pins, why they are there, and the sources that have to be built. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.utils import canonicalize_name

from pipshim.base.graph_search import distances
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.events import UNKNOWN, label
from pipshim.model.requirements import merged

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.pylock import Package
    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName
    from packaging.version import Version


class Revision(NamedTuple):
    """A repository (URL without credentials), and a requested branch, tag or commit, if any."""

    url: str
    requested: str | None


@dataclass(frozen=True)
class Source:
    """A source tree, fetched, checked and unpacked.

    Attributes:
        name: the distribution, if the requirement or the file name says it.
        outline: the folder with pyproject.toml, PKG-INFO and setup.py: the tree's own, or one that
            has nothing else.
        digest: identifies its content (`pipshim.model.artifacts.digest_of_source`); None for
            folders and editables.
        editable: asked for with ``-e``.
        url: where it came from, without credentials; distinguishes sources.
        unpack: fetches and unpacks the tree of an outline, once.
        commit: of a checkout whose version is not known.
        package: its entry in a lock (PEP 751), once it is pinned.

    """

    name: NormalizedName | None
    version: Version | None
    outline: Path
    digest: str | None
    editable: bool
    url: str
    unpack: Callable[[], Path] | None = field(default=None, repr=False, compare=False)
    commit: str = field(default="", compare=False)
    package: Package | None = field(default=None, repr=False, compare=False)

    @property
    def directory(self) -> Path:
        """The tree's own folder.

        Raises:
            PipshimError: it cannot be fetched or unpacked.

        """
        return self.outline if self.unpack is None else self.unpack()

    def __getstate__(self) -> dict[str, Any]:
        """Unpack the tree before it is sent to another process."""
        return {**vars(self), "outline": self.directory, "unpack": None}

    def __str__(self) -> str:
        if self.name is None:
            return str(self.outline)
        return label(self.name, str(self.version or UNKNOWN), self.commit)


def name_of(source: Source) -> NormalizedName:
    """Return a source's name, or its folder's if only its backend knows the name."""
    return source.name if source.name is not None else canonicalize_name(source.outline.name)


@dataclass(frozen=True)
class Pin:
    """A distribution that the resolver chose.

    Attributes:
        package: the lock's entry (PEP 751), without marker and tool table.
        version: the version; a direct reference's entry does not carry one.
        source: set when it has to be built, for the target at hand.
        editable: asked for with ``-e``; not an entry of the lock.
        platform_specific: chosen as a wheel that is not pure Python.
        present: installed already, and to stay; only where pip's own commands build.

    """

    package: Package
    version: Version
    source: Source | None
    editable: bool
    platform_specific: bool
    present: bool = False


@dataclass(frozen=True)
class Solution:
    """What the resolver found.

    Attributes:
        origins: why each pin is there: ``project``, ``extra NAME``, ``group NAME``.
        roots: by origin, the root requirements; of packages left out, those that they have.
        left_out: required packages of which only the dependencies are locked (``--only-deps``).
        by_hash: whether requirements restrict the files of a version (``--hash``).

    """

    pins: Mapping[NormalizedName, Pin]
    origins: Mapping[NormalizedName, frozenset[str]]
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    left_out: frozenset[NormalizedName] = frozenset()
    by_hash: bool = False

    @property
    def versions(self) -> dict[NormalizedName, Version]:
        return {name: pin.version for name, pin in self.pins.items()}


@dataclass(frozen=True)
class ResolutionGraph:
    """What a resolver chose, by identifier: a name, or a name with extras (``foo[bar]``).

    Attributes:
        names: the name of the distribution.
        children: the identifiers that it requires; with extras, it requires itself without, too.

    """

    names: Mapping[str, NormalizedName]
    children: Mapping[str, Collection[str]]

    def needs(self) -> Mapping[NormalizedName, set[NormalizedName]]:
        """Return the names that each distribution requires, with the extras that were asked for."""
        needs: dict[NormalizedName, set[NormalizedName]] = defaultdict(set)
        for parent, children in self.children.items():
            name = self.names[parent]
            needs[name] |= {self.names[child] for child in children} - {name}
        return needs

    def identifiers(self, name: NormalizedName, extras: Iterable[str]) -> Iterator[str]:
        """Return the identifiers of a requirement."""
        if name in self.names:
            yield name
        wanted = set(map(canonicalize_name, extras))
        for identifier, its in self._with_extras.get(name, ()):
            if its <= wanted:
                yield identifier

    @cached_property
    def _with_extras(self) -> Mapping[str, list[tuple[str, set[NormalizedName]]]]:
        """The identifiers with extras, by name."""
        found: dict[str, list[tuple[str, set[NormalizedName]]]] = defaultdict(list)
        for identifier in self.names:
            match = re.fullmatch(r"(.+)\[(.+)\]", identifier)
            if match is not None:
                extras = set(map(canonicalize_name, match[2].split(",")))
                found[match[1]].append((identifier, extras))
        return found

    def closure(self, starts: Collection[str]) -> Iterable[str]:
        """Return identifiers and all that they lead to."""
        return distances([*starts], lambda one: self.children.get(one, ()))


class ChosenRoot(NamedTuple):
    """What was chosen for a root requirement.

    Attributes:
        origins: who states it.
        left_out: only what it requires is locked.
        stated: the requirement as it is stated, by each of its identifiers.

    """

    origins: frozenset[str]
    left_out: bool
    stated: Mapping[str, Requirement]


def solution_of(
    graph: ResolutionGraph,
    roots: Iterable[ChosenRoot],
    requires: Mapping[NormalizedName, Sequence[Requirement]],
    pin: Callable[[str, Iterable[NormalizedName]], Pin],
) -> Solution:
    """Make a solution of the choices.

    Args:
        graph: what was chosen.
        roots: for what.
        requires: the requirements of each distribution, as its metadata states them.
        pin: makes the pin of an identifier, given what it needs.

    """
    origins: dict[str, set[str]] = defaultdict(set)
    asked: dict[str, list[Requirement]] = defaultdict(list)
    left_out: set[NormalizedName] = set()
    starts: dict[str, set[str]] = defaultdict(set)
    for root in roots:
        for identifier, requirement in root.stated.items():
            stated: Sequence[Requirement] = [requirement]
            if root.left_out:
                left_out.add(graph.names[identifier])
                stated = requires.get(graph.names[identifier], ())
            for origin in root.origins:
                starts[origin].add(identifier)
                asked[origin] += stated
    for origin, identifiers in starts.items():
        for reached in graph.closure(identifiers):
            origins[graph.names[reached]].add(origin)
    needs = graph.needs()
    pins: dict[NormalizedName, Pin] = {}
    for identifier, name in graph.names.items():
        if identifier == name and name not in left_out:
            made = pin(identifier, needs[name] - left_out)
            texts = merged(requires.get(name, ()))
            tool = {"pipshim": {"requires": list(texts)}} if texts else None
            pins[name] = replace(made, package=replace(made.package, tool=tool))
    return Solution(
        pins=dict(sorted(pins.items())),
        origins={name: frozenset(origins[name]) for name in sorted(pins)},
        roots={
            origin: merged(one for one in found if canonicalize_name(one.name) not in left_out)
            for origin, found in sorted(asked.items())
        },
        left_out=frozenset(left_out),
    )
