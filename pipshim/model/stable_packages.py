"""The packages of an earlier lock that a change leaves as they are, so that no resolver need look.

Pure. All that requires such a package admits its version. What it requires is in the lock; the
resolver is asked only for what it requires of other packages. If the resolver comes to another
version, they are not as stable as they seemed, and everything has to be resolved.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import field, replace
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from packaging.pylock import PackageWheel
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipshim.base.errors import LockError
from pipshim.base.light.dataclasses import dataclass
from pipshim.model import artifacts
from pipshim.model.pylock import requires_of
from pipshim.model.requirements import applies
from pipshim.model.solution import Pin, ResolutionGraph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.model.interpreter import TargetPython


@dataclass(frozen=True)
class StablePackages:
    """Packages of an earlier lock with what they require.

    Attributes:
        pins: the pin of each.
        extras: those that all who require it ask for.
        requires: what each requires, with these extras, as its metadata states it.

    """

    pins: Mapping[NormalizedName, Pin] = field(default_factory=dict)
    extras: Mapping[NormalizedName, frozenset[str]] = field(default_factory=dict)
    requires: Mapping[NormalizedName, Sequence[Requirement]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, packages: Iterable[Package], stated: Iterable[str], target: TargetPython
    ) -> StablePackages:
        """Return the packages of a lock whose entries say all that a resolver would find out.

        They are wheels from an index, and require only packages from an index. All who require one
        ask for the same extras: an entry does not tell what is required for which extra.

        Args:
            packages: the lock's, for the target.
            stated: all other requirements that it was made from.

        """
        entries = {one.name: one for one in packages}
        requires = {name: [*map(_parsed, requires_of(one))] for name, one in entries.items()}
        extras: dict[NormalizedName, set[frozenset[str]]] = defaultdict(set)
        for one in chain(map(_parsed, stated), *requires.values()):
            extras[canonicalize_name(one.name)].add(_extras(one))
        pins: dict[NormalizedName, Pin] = {}
        for name, entry in entries.items():
            required = {canonicalize_name(one.name) for one in requires[name]}
            if (
                len(extras[name]) == 1
                and required == {one["name"] for one in entry.dependencies or ()}
                and all(one in entries and entries[one].index for one in required)
                and all(applies(one, target.markers) for one in requires[name])
                and (pin := _pin(entry, target)) is not None
            ):
                pins[name] = pin
        asked = {name: frozenset().union(*extras[name]) for name in pins}
        return cls(pins, asked, {name: requires[name] for name in pins})

    def unaffected(
        self, roots: Sequence[Requirement], admits: Callable[[Pin], bool]
    ) -> StablePackages:
        """Return the packages that are still required, and whose versions all of that admits.

        Args:
            roots: the requirements to resolve.
            admits: returns whether nothing else is against a pin.

        """
        affected = {name for name, pin in self.pins.items() if not admits(pin)}
        while True:
            reached, refused = self._reached(roots, affected)
            if not refused:
                requires = {name: self.requires[name] for name in reached}
                pins = {name: self.pins[name] for name in reached}
                return StablePackages(pins, self.extras, requires)
            affected |= refused

    def _reached(
        self, roots: Iterable[Requirement], affected: set[NormalizedName]
    ) -> tuple[dict[NormalizedName, None], set[NormalizedName]]:
        """Follow requirements; return what they lead to, and what one of them does not admit."""
        reached: dict[NormalizedName, None] = {}
        refused: set[NormalizedName] = set()
        waiting = deque(roots)
        while waiting:
            requirement = waiting.popleft()
            name = canonicalize_name(requirement.name)
            if name not in self.pins or name in affected:
                continue
            if not self._admits(requirement, self.pins[name]):
                refused.add(name)
            elif name not in reached:
                reached[name] = None
                waiting.extend(self.requires[name])
        return reached, refused

    def _admits(self, requirement: Requirement, pin: Pin) -> bool:
        return (
            requirement.url is None
            and _extras(requirement) == self.extras[pin.package.name]
            and requirement.specifier.contains(pin.version, prereleases=True)
        )

    def open(self) -> Iterator[tuple[NormalizedName, Requirement]]:
        """Return what they require of other packages, with the name of who requires it."""
        for name, required in self.requires.items():
            for one in required:
                if canonicalize_name(one.name) not in self.pins:
                    yield name, one

    def agree_with(self, chosen: Iterable[tuple[str, NormalizedName, str | None]]) -> bool:
        """Return whether a resolver chose the same versions of these packages, and no extras.

        Args:
            chosen: identifiers (`ResolutionGraph`) with name, and version if it is from an index.

        """
        return all(
            name not in self.pins
            or (
                identifier == name
                and not self.extras[name]
                and version == str(self.pins[name].version)
            )
            for identifier, name, version in chosen
        )

    def joined(self, graph: ResolutionGraph) -> ResolutionGraph:
        """Return what a resolver chose for the other packages, and these."""
        children = dict(graph.children)
        whole = ResolutionGraph({**graph.names, **{name: name for name in self.pins}}, children)
        for name, required in self.requires.items():
            children[name] = {
                identifier
                for one in required
                for identifier in whole.identifiers(canonicalize_name(one.name), one.extras)
            }
        return whole


def _pin(entry: Package, target: TargetPython) -> Pin | None:
    """Return the pin of an entry; None if it is not from an index, or no wheel suits the target."""
    version, python = entry.version, entry.requires_python
    if version is None or entry.index is None:
        return None
    if python is not None and not python.contains(target.markers["python_full_version"], True):
        return None
    try:
        wheel = artifacts.choose(entry, target)
    except LockError:
        return None
    if not isinstance(wheel, PackageWheel):
        return None
    return Pin(
        package=replace(entry, marker=None, tool=None),
        version=version,
        source=None,
        editable=False,
        platform_specific=artifacts.is_platform_specific(wheel),
    )


@cache
def _parsed(text: str) -> Requirement:
    return Requirement(text)


def _extras(requirement: Requirement) -> frozenset[str]:
    return frozenset(map(canonicalize_name, requirement.extras))
