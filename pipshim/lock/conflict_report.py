"""Explain a conflict in an order that is easy to follow. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.model.conflict import Constraint, Dependency, RootRequirement

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.model.conflict import Evidence, Fact, Key
    from pipshim.model.overrides import Overrides

_RANGES = 3
_WAYS = 4


class ConflictReport:
    """Writes facts that contradict each other.

    Each root requirement has a line; below it, indented, is what it leads to, down to the packages
    that no version suits.

    Args:
        facts: those that contradict each other.
        overrides: what replaced requirements.

    """

    def __init__(self, known: Evidence, facts: Sequence[Fact], overrides: Overrides) -> None:
        self._known = known
        self._overrides = overrides
        self.asked = [one for one in facts if isinstance(one, RootRequirement)]
        self.limits = [one for one in facts if isinstance(one, Constraint)]
        self._links = [one for one in facts if isinstance(one, Dependency)]

    @property
    def names(self) -> list[NormalizedName]:
        """Every package in the report, those in question last."""
        return [one for one in self._required if one not in self.ends] + self.ends

    @property
    def _required(self) -> list[NormalizedName]:
        return [
            *dict.fromkeys([*(one.name for one in self.asked), *(one.child for one in self._links)])
        ]

    @property
    def ends(self) -> list[NormalizedName]:
        """The packages in question, whose own requirements do not matter."""
        parents = {one.parent.name for one in self._links}
        found = [one for one in self._required if one not in parents]
        return found or self._required

    @property
    def overridden(self) -> list[NormalizedName]:
        """The packages whose requirements were replaced."""
        return [one for one in self.names if self._overrides.of(one)]

    def wishes(self, name: NormalizedName) -> list[list[SpecifierSet]]:
        """Return what a version has to satisfy: one specifier of each list."""
        found = [[specifier] for specifier in self._stated_of(name)]
        for link in self._links:
            if link.child == name:
                needs = [
                    need
                    for version in self._versions(link.parent)
                    for need in self._known.at(link.parent, version, name)
                ]
                found.append([need.specifier for need in needs])
        return [one for one in found if one]

    def suits(self, name: NormalizedName, version: Version) -> bool:
        """Return whether all requirements in the report admit a version."""
        return all(
            any(one.contains(version, prereleases=True) for one in wish)
            for wish in self.wishes(name)
        )

    def lines(self) -> list[str]:
        """Write the report."""
        told: set[Dependency] = set()
        lines: list[str] = []
        for one in self.asked:
            lines.append(f"  {one.by} requires {self._text(one.name, one.text)}")
            lines += self._below(one.name, 1, told)
        for limit in self.limits:
            lines.append(f"  {limit.by} allows only {limit.text}")
        for name in self.overridden:
            those = " and ".join(map(str, self._overrides.of(name)))
            lines.append(f"  override-dependencies of {self._overrides.stated_in} make it {those}")
        return list(dict.fromkeys(lines))

    def _text(self, name: NormalizedName, text: str) -> str:
        return f"{name} (overridden)" if self._overrides.of(name) else text

    def _below(self, name: NormalizedName, depth: int, told: set[Dependency]) -> Iterator[str]:
        for link in self._links:
            if link.parent.name == name and link not in told:
                told.add(link)
                for line in self._ways(link):
                    yield f"  {'  ' * depth}{line}"
                yield from self._below(link.child, depth + 1, told)

    def _ways(self, link: Dependency) -> Iterator[str]:
        """Describe what versions of a package require of another, equal ones together."""
        by_text: dict[str, list[Version]] = {}
        versions = self._versions(link.parent)
        for version in versions:
            needs = self._known.at(link.parent, version, link.child)
            texts = dict.fromkeys(self._text(link.child, need.text) for need in needs)
            if texts:
                by_text.setdefault(" and ".join(texts), []).append(version)
        for text, found in list(by_text.items())[:_WAYS]:
            verb = "requires" if len(found) == 1 else "require"
            yield f"{link.parent} {ranges(found, versions)} {verb} {text}"
        if len(by_text) > _WAYS:
            rest = [version for found in list(by_text.values())[_WAYS:] for version in found]
            yield f"{link.parent} {ranges(rest, versions)} require other versions of {link.child}"

    def _versions(self, key: Key) -> list[Version]:
        """Return the versions in question, the newest first."""
        own = self._stated_of(key.name)
        return sorted(
            (
                version
                for found, version in self._known.needs
                if found == key and all(one.contains(version, prereleases=True) for one in own)
            ),
            reverse=True,
        )

    def _stated_of(self, name: NormalizedName) -> list[SpecifierSet]:
        return [one.needs[0].specifier for one in (*self.asked, *self.limits) if one.name == name]


def ranges(versions: Sequence[Version], among: Sequence[Version]) -> str:
    """Write versions, consecutive ones as ``1.0 to 3.0``; both arguments are newest first."""
    runs: list[list[Version]] = []
    before = -2
    for place, version in enumerate(among):
        if version in versions:
            if place == before + 1:
                runs[-1].append(version)
            else:
                runs.append([version])
            before = place
    said = [
        f"{run[-1]} to {run[0]}" if len(run) > 2 else ", ".join(map(str, reversed(run)))  # noqa: PLR2004 two are named
        for run in runs
    ]
    return ", ".join(said[:_RANGES]) + (", …" if len(said) > _RANGES else "")
