"""``override-dependencies``: replace every requirement of a name, as uv does. Pure.

An override replaces the version, extras, URL and marker of a requirement, except for the condition
that it belongs to an extra of the package. Several overrides of a name all replace each
requirement, so that their markers can distinguish platforms.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipshim.model.requirements import simplified

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.markers import Marker
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
        extra = simplified(
            marker, lambda left, _, right: None if "extra" in (left, right) else True
        )
        made = []
        for one in self.of(name):
            new = copy(one)
            new.url = None
            if not isinstance(extra, bool):
                new.marker = extra if one.marker is None else one.marker & extra
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
