"""``override-dependencies``: replace every requirement of a name, as uv does. Pure.

An override replaces the version, extras, URL and marker of a requirement, except for the condition
that it belongs to an extra of the package. Several overrides of a name all replace each
requirement, so that their markers can distinguish platforms.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.utils import NormalizedName


class Overrides:
    """The overrides of a resolution, and the file that states them."""

    def __init__(self, requirements: Iterable[Requirement] = (), stated_in: str = "") -> None:
        self.stated_in = stated_in
        self._by_name: dict[NormalizedName, list[Requirement]] = {}
        for one in requirements:
            self._by_name.setdefault(canonicalize_name(one.name), []).append(one)

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def of(self, name: str) -> list[Requirement]:
        return self._by_name.get(canonicalize_name(name), [])

    def urls(self) -> Iterator[Requirement]:
        """Return the overrides that are direct references, without extras.

        `replacing` turns them into bare names, and these constrain the names: pip does not let a
        package from PyPI require a URL.
        """
        for found in self._by_name.values():
            for one in found:
                if one.url is not None:
                    bare = copy(one)
                    bare.extras = set()
                    yield bare

    def replacing(self, name: str, marker: Marker | None = None) -> list[Requirement]:
        """Return what replaces a requirement on `name`, which had `marker`."""
        extra = _of_extra(marker._markers) if marker is not None else None  # noqa: SLF001 packaging has no other way in
        made = []
        for one in self.of(name):
            new = copy(one)
            new.url = None
            if extra is not None:
                own = f"({one.marker}) and " if one.marker is not None else ""
                new.marker = Marker(f"{own}({extra})")
            made.append(new)
        return made

    def applied(self, requires: Iterable[str]) -> list[str]:
        """Apply them to the values of Requires-Dist; invalid requirements stay as they are."""
        made: list[str] = []
        for text in requires:
            try:
                requirement = Requirement(text)
            except InvalidRequirement:
                made.append(text)
                continue
            if self.of(requirement.name):
                made += map(str, self.replacing(requirement.name, requirement.marker))
            else:
                made.append(text)
        return made


def _of_extra(parsed: list[Any]) -> str | None:
    """Return the part of a parsed marker about extras; None if it holds without any.

    All other comparisons count as true.
    """
    alternatives: list[list[Any]] = [[]]
    for item in parsed:
        if item == "or":
            alternatives.append([])
        elif item != "and":
            alternatives[-1].append(item)
    said = [[text for one in each if (text := _term(one))] for each in alternatives]
    if not all(said):
        return None
    return " or ".join(" and ".join(each) for each in said)


def _term(item: Any) -> str | None:
    if isinstance(item, list):
        inner = _of_extra(item)
        return f"({inner})" if inner is not None else None
    sides = [one.serialize() for one in item]
    return " ".join(sides) if "extra" in (sides[0], sides[2]) else None
