"""The graph of a resolver's choices, and the solution that follows from it. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from packaging.utils import canonicalize_name

from pipshim.base.graph_search import distances
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.requirements import merged
from pipshim.model.solution import Solution

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName

    from pipshim.model.solution import Pin


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
