"""Combinations of extras and groups that exclude each other. Pure.

An extra or group is named as the origins of a lock are: ``extra cpu``, ``group dev``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from packaging.markers import Marker
from packaging.utils import NormalizedName, canonicalize_name

from pipshim.base.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipshim.model.targets import TargetName

    Literal = tuple[str, bool]


PREFIX = "group member-"
"""How origins of members begin."""

_OF_MEMBER = re.compile(r"group member-(?P<member>.+)-(?P<kind>extra|group)-(?P<name>.+)")
"""The extra or group of a member of a workspace."""

_MEMBER = re.compile(r"group member-(?P<member>.+)")
"""A member itself."""


class Combination(NamedTuple):
    """A choice of conflicting extras and groups (sorted); all others of these are off."""

    chosen: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ", ".join(self.chosen) or "base"


PROJECT = "project"
"""The origin of what the project itself depends on."""

BASE = Combination()
"""None of them is on."""


class Case(NamedTuple):
    """A target and a combination that a lock is resolved for.

    Attributes:
        target: None for the running Python, if the lock is for no named targets.

    """

    target: TargetName | None = None
    combination: Combination = BASE

    def __str__(self) -> str:
        if self.target is None:
            return str(self.combination)
        return " ".join([str(self.target), *self.combination.chosen])


@dataclass(frozen=True)
class Conflicts:
    """Which extras and groups exclude each other.

    Attributes:
        sets: of each, at most one is on. A set of one is an extra or group that is resolved both
            with and without, because a source depends on it.
        included_by: by extra or group of a set, the extras and groups that include it.

    """

    sets: tuple[tuple[str, ...], ...] = ()
    included_by: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.sets)

    @property
    def members(self) -> tuple[str, ...]:
        """The extras and groups of all sets."""
        return tuple(sorted({member for each in self.sets for member in each}))

    def combinations(self) -> tuple[Combination, ...]:
        """Return all combinations, first the one in which none is on."""
        choices = product(*(("", *each) for each in self.sets))
        found = {Combination(tuple(sorted({*choice} - {""}))) for choice in choices}
        return tuple(sorted(one for one in found if self._clash(one.chosen) is None))

    def left_out(self, combination: Combination) -> frozenset[str]:
        """Return the extras and groups that are off: the others, and those that include them."""
        off = [member for member in self.members if member not in combination.chosen]
        return frozenset((*off, *(one for member in off for one in self._including(member))))

    def chosen_by(self, origins: Collection[str]) -> Combination:
        """Return the combination of the selected extras and groups."""
        chosen = tuple(
            member
            for member in self.members
            if not {member, *self._including(member)}.isdisjoint(origins)
        )
        clash = self._clash(chosen)
        if clash is None:
            return Combination(chosen)
        first, second = (self._described(member, origins) for member in clash)
        raise UsageError(
            f"{first} and {second} conflict: pyproject.toml says that they are never installed "
            "together",
            hint="leave one of them out: " + " or ".join(map(_without, clash)),
        )

    def nearest(self, combination: Combination) -> Combination:
        """Return the part of a combination of other conflicts that exists here too."""
        chosen = tuple(one for one in combination.chosen if one in self.members)
        return Combination(chosen) if self._clash(chosen) is None else Combination()

    def condition(self, some: Collection[Combination]) -> str | None:
        """Return the shortest marker for some of all combinations; None for all.

        Selections that conflict may match or not, except that they never select two versions of a
        package: readers of a lock refuse that.
        """
        every = self.combinations()
        others = [one for one in every if one not in some]
        if not others:
            return None
        terms = [self._term(one, others) for one in every if one in some]
        terms = sorted(dict.fromkeys(terms), key=lambda term: (-len(term), term))
        for term in list(terms):
            rest = [one for one in terms if one != term]
            if all(any(_holds(one, case) for one in rest) for case in some):
                terms = rest
        return " or ".join(self._say(term, alone=len(terms) == 1) for term in sorted(terms))

    def _term(self, one: Combination, others: Iterable[Combination]) -> tuple[Literal, ...]:
        """Return the fewest conditions that hold for one combination and for none of others."""
        term = [(member, member in one.chosen) for member in self.members]
        for literal in sorted(term, key=lambda each: each[1]):
            shorter = [each for each in term if each != literal]
            if not any(_holds(shorter, other) for other in others):
                term = shorter
        return tuple(term)

    def _say(self, term: Iterable[Literal], *, alone: bool) -> str:
        texts = []
        for member, is_on in term:
            names = [member, *self._including(member)]
            if is_on:
                text = " or ".join(map(membership, names))
                texts.append(f"({text})" if len(names) > 1 else text)
            else:
                texts += [membership(name).replace(" in ", " not in ", 1) for name in names]
        text = " and ".join(texts)
        return text if alone or len(texts) == 1 else f"({text})"

    def _including(self, member: str) -> tuple[str, ...]:
        return self.included_by.get(member, ())

    def _clash(self, chosen: Collection[str]) -> tuple[str, str] | None:
        for each in self.sets:
            both = [member for member in each if member in chosen]
            if len(both) > 1:
                return both[0], both[1]
        return None

    def _described(self, member: str, origins: Collection[str]) -> str:
        if member in origins:
            return named(member)
        by = next(one for one in self._including(member) if one in origins)
        return f"{named(member)} (included by {named(by)})"


def named(origin: str) -> str:
    """Name an extra or group in a message: ``extra 'cpu'``."""
    member, kind, name = _parts(origin)
    if not kind:
        return f"member {member!r}"
    return f"{kind} {name!r} of {member}" if member else f"{kind} {name!r}"


def as_entry(origin: str) -> dict[str, str]:
    """Return an extra or group as ``conflicts`` has it."""
    member, kind, name = _parts(origin)
    return {key: value for key, value in (("package", member), (kind, name)) if value}


def _parts(origin: str) -> tuple[str, str, str]:
    """Return the member, kind and name of an extra or group; of a member itself no kind."""
    if match := _OF_MEMBER.fullmatch(origin):
        return match["member"], match["kind"], match["name"]
    if match := _MEMBER.fullmatch(origin):
        return match["member"], "", ""
    kind, _, name = origin.partition(" ")
    return "", kind, name


def _without(origin: str) -> str:
    """Return the option that leaves an extra, group or member out."""
    _, kind, name = _parts(origin)
    return f"--no-{kind} {name}" if kind else f"{named(origin)} (name the others with --package)"


def membership(origin: str) -> str:
    """Return the marker for a selected extra or group (PEP 751)."""
    kind, _, name = origin.partition(" ")
    return f"'{name}' in {'extras' if kind == 'extra' else 'dependency_groups'}"


def selected(origins: Iterable[str]) -> dict[str, frozenset[str]]:
    """Return the values of PEP 751's marker variables for selected extras and groups."""
    parts = [origin.partition(" ") for origin in origins]
    return {
        "extras": frozenset(name for kind, _, name in parts if kind == "extra"),
        "dependency_groups": frozenset(name for kind, _, name in parts if kind == "group"),
    }


def any_of(conditions: Iterable[str | None]) -> Marker | None:
    """Join conditions by "or"; None always holds."""
    texts = list(dict.fromkeys(conditions))
    if None in texts or not texts:
        return None
    return Marker(" or ".join(f"({one})" if len(texts) > 1 else str(one) for one in texts))


def all_of(*conditions: str | None) -> str | None:
    """Join conditions by "and"; None always holds."""
    texts = [one for one in conditions if one is not None]
    return " and ".join(f"({one})" for one in texts) if len(texts) > 1 else next(iter(texts), None)


def _holds(term: Iterable[Literal], one: Combination) -> bool:
    return all((member in one.chosen) is is_on for member, is_on in term)


def group_of_member(name: str) -> NormalizedName:
    return canonicalize_name(f"member-{name}")


def group_of_extra(name: str, extra: str) -> NormalizedName:
    return canonicalize_name(f"member-{name}-extra-{extra}")


def group_of_group(name: str, group: str) -> NormalizedName:
    return canonicalize_name(f"member-{name}-group-{group}")


def origin_of_member(name: str, origin: str) -> str:
    """Return a member's extra or group (``extra cpu``) as the root's: ``group member-…``."""
    kind, _, own = origin.partition(" ")
    if kind == "project":
        return f"group {group_of_member(name)}"
    return f"group {group_of_extra(name, own) if kind == 'extra' else group_of_group(name, own)}"
