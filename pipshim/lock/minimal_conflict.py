"""Find the few requirements that contradict each other in a failed resolution.

pip's last conflict is seldom the one that a person would name. Here the known requirements are
resolved again without an index, and as many as possible are left out while no versions fit the rest
(QuickXplain, Junker 2004). Nothing here knows pip's own types.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from packaging.specifiers import SpecifierSet

from pipshim._pip.resolvelib import (
    AbstractProvider,
    BaseReporter,
    ResolutionImpossible,
    ResolutionTooDeep,
    Resolver,
)
from pipshim.base.graph_search import distances
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.conflict import Constraint, Dependency, Key, Need, RootRequirement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.model.conflict import Evidence, Fact

    _Provider: TypeAlias = AbstractProvider["Need", "_Pinned", "Key"]
else:
    _Provider = AbstractProvider

SECONDS = 4.0
"""How long is looked for a shorter explanation."""

_MAX_ROUNDS = 3000
_ANY = SpecifierSet()


def find_contradiction(evidence: Evidence, suspects: Iterable[NormalizedName]) -> list[Fact] | None:
    """Return the facts that contradict each other.

    Args:
        evidence: all facts.
        suspects: the packages of the last conflict, whose facts are preferred.

    Returns:
        facts none of which can be left out; None if all facts together are no contradiction.

    """
    steps = _steps(evidence.links, suspects)

    def rank(fact: Fact) -> int:
        name = fact.child if isinstance(fact, Dependency) else fact.name
        return steps.get(name, len(steps) + 1)

    search = _Search(evidence, time.monotonic() + SECONDS)
    facts: list[Fact] = [
        *sorted(evidence.roots, key=rank),
        *sorted(evidence.links, key=rank),
        *evidence.constraints,
    ]
    if not search.fails(facts):
        return None
    free: list[Fact] = [one for one in facts if not isinstance(one, Constraint)]
    if search.fails(free):
        facts = free
    for few in search.single_roots(facts):
        if search.fails(few):
            return search.least([], few, is_new=False)
    return search.least([], facts, is_new=False)


def _steps(
    links: Iterable[Dependency], suspects: Iterable[NormalizedName]
) -> dict[NormalizedName, int]:
    """Return how many requirements lead from each package to the nearest suspect."""
    parents: dict[NormalizedName, set[NormalizedName]] = defaultdict(set)
    for link in links:
        parents[link.child].add(link.parent.name)
    return distances(suspects, lambda name: parents[name])


@dataclass
class _Search:
    evidence: Evidence
    end: float

    def fails(self, facts: Sequence[Fact]) -> bool:
        """Return whether no versions fit, if there is enough time to find out."""
        try:
            Resolver(_Trial(self.evidence, facts, self.end), BaseReporter()).resolve(
                [need for one in facts if isinstance(one, RootRequirement) for need in one.needs],
                max_rounds=_MAX_ROUNDS,
            )
        except ResolutionImpossible:
            return True
        except (ResolutionTooDeep, _OutOfTimeError):
            return False
        return False

    def single_roots(self, facts: Sequence[Fact]) -> Iterator[list[Fact]]:
        """Return the facts that are wrong by themselves, so that no others are blamed."""
        until = self.end - SECONDS / 2
        for asked in facts:
            if not isinstance(asked, RootRequirement) or time.monotonic() > until:
                return
            yield [one for one in facts if not isinstance(one, RootRequirement) or one is asked]

    def least(self, kept: list[Fact], facts: list[Fact], *, is_new: bool) -> list[Fact]:
        """Return the fewest facts that make the kept ones fail; the first are preferred."""
        if is_new and self.fails(kept):
            return []
        if len(facts) == 1:
            return facts
        half = len(facts) // 2
        first, second = facts[:half], facts[half:]
        of_second = self.least([*kept, *first], second, is_new=True)
        of_first = self.least([*kept, *of_second], first, is_new=bool(of_second))
        return [*of_first, *of_second]


class _OutOfTimeError(Exception):
    """The search for a shorter explanation took too long."""


class _Pinned(NamedTuple):
    key: Key
    version: Version


class _Trial(_Provider):
    """Some of the facts, as a resolution.

    Args:
        facts: those that count.
        end: when to give up.

    """

    def __init__(self, evidence: Evidence, facts: Iterable[Fact], end: float) -> None:
        self._evidence = evidence
        self._end = end
        self._active: dict[tuple[Key, Version], list[Need]] = {}
        self._links = set()
        self._limits: dict[NormalizedName, SpecifierSet] = defaultdict(SpecifierSet)
        for one in facts:
            if isinstance(one, Dependency):
                self._links.add((one.parent, one.child))
            elif isinstance(one, Constraint):
                self._limits[one.name] &= one.needs[0].specifier

    def identify(self, requirement_or_candidate: Need | _Pinned) -> Key:
        return requirement_or_candidate.key

    def get_preference(
        self,
        identifier: Key,
        resolutions: Mapping[Key, _Pinned],  # noqa: ARG002 resolvelib's signature
        candidates: Mapping[Key, Iterator[_Pinned]],
        information: Mapping[Key, Iterator[Any]],  # noqa: ARG002
        backtrack_causes: Sequence[Any],
    ) -> Any:
        causes = {one.requirement.key for one in backtrack_causes}
        return identifier not in causes, sum(1 for _ in candidates[identifier]), identifier

    def find_matches(
        self,
        identifier: Key,
        requirements: Mapping[Key, Iterator[Need]],
        incompatibilities: Mapping[Key, Iterator[_Pinned]],
    ) -> list[_Pinned]:
        if time.monotonic() > self._end:
            raise _OutOfTimeError
        base = Key(identifier.name)
        needs = [*requirements[identifier]]
        if identifier != base and base in requirements:
            needs += requirements[base]
        specifier = self._limits.get(identifier.name, _ANY)
        for need in needs:
            specifier &= need.specifier
        # Of versions that require the same, one stands for all: some have hundreds of them.
        unlike = {self._kind(one) for one in incompatibilities[identifier]}
        found = []
        for version in self._evidence.versions(identifier.name, specifier):
            candidate = _Pinned(identifier, version)
            kind = self._kind(candidate)
            if kind not in unlike:
                unlike.add(kind)
                found.append(candidate)
        return found

    def _kind(self, candidate: _Pinned) -> object:
        """Return what a version requires; for an extra, with what its package requires."""
        key, version = candidate
        return tuple(
            tuple((need.key, need.specifier) for need in self._needs(one, version))
            for one in (key, Key(key.name))
        )

    def _needs(self, key: Key, version: Version) -> list[Need]:
        if (key, version) not in self._active:
            self._active[key, version] = [
                need
                for need in self._evidence.needs.get((key, version), ())
                if (key, need.key.name) in self._links
            ]
        return self._active[key, version]

    def is_satisfied_by(self, requirement: Need, candidate: _Pinned) -> bool:
        return requirement.specifier.contains(candidate.version, prereleases=True)

    def get_dependencies(self, candidate: _Pinned) -> list[Need]:
        key, version = candidate
        found = self._needs(key, version)
        if not key.extra:
            return found
        return [*found, Need(Key(key.name), SpecifierSet(f"==={version}"), str(key))]
