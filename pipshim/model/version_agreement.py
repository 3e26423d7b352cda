"""The same version on every target where it can be. Pure: who resolves a target is given.

The first target is resolved alone, the others take its versions where they are admitted. Where a
target had to take another version of something, that version is offered to the others in turn, and
stays if this leaves fewer versions in the lock. A bound on the attempts ends what has no end.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, TypeVar

from pipshim.base.errors import BuildError, ResolveError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.model.targets import TargetName

MAX_ATTEMPTS = 6
"""How often versions that differ are offered to the other targets."""


class Solved(Protocol):
    """What a target was resolved to."""

    @property
    def versions(self) -> Mapping[NormalizedName, Version]:
        """The version of each package."""


S = TypeVar("S", bound=Solved)

if TYPE_CHECKING:
    Offered = Mapping[NormalizedName, tuple[Version, ...]]
    Solve = Callable[[Mapping[TargetName, Offered]], Mapping[TargetName, S]]


def agree(
    targets: Sequence[TargetName],
    solve: Solve[S],
    before: Mapping[TargetName, Mapping[NormalizedName, Version]],
) -> Mapping[TargetName, S]:
    """Resolve targets to as few versions of each package as can be found.

    Args:
        targets: the first one is resolved first.
        solve: resolves targets, each with versions to take where it admits them, the best last.
        before: an earlier lock's versions; where nothing differs from them, they agree already.

    """
    first, *others = targets
    found = dict(solve({first: {}}))
    if others:
        offered = {name: (version,) for name, version in found[first].versions.items()}
        found |= solve(dict.fromkeys(others, offered))
    if {name: dict(one.versions) for name, one in found.items()} == before:
        return found
    tried: set[tuple[NormalizedName, Version]] = set()
    for _ in range(MAX_ATTEMPTS):
        wishes = {}
        for name, versions in _by_name(found).items():
            # What is forced on a target is mostly the older one: a new release drops what is old.
            untried = sorted(one for one in versions if (name, one) not in tried)
            if len(versions) > 1 and untried:
                wishes[name] = untried[0]
        if not wishes:
            break
        tried |= set(wishes.items())
        try:
            attempt = _attempt(found, wishes, solve)
            now, then = _by_name(attempt), _by_name(found)
            good = {
                name: version
                for name, version in wishes.items()
                if len(now.get(name, ())) < len(then[name])
            }
            if good and good != wishes:
                attempt = _attempt(found, good, solve)
        except (BuildError, ResolveError):
            continue  # of a version that nobody has to take
        if good and _too_many(attempt) < _too_many(found):
            found = attempt
    return found


def _attempt(
    found: Mapping[TargetName, S],
    wishes: Mapping[NormalizedName, Version],
    solve: Solve[S],
) -> dict[TargetName, S]:
    """Resolve anew what has another version than is wished for, and else as it was."""
    known = {name: tuple(sorted(versions)) for name, versions in _by_name(found).items()}
    asked = {}
    for target, solved in found.items():
        own = solved.versions
        if any(own.get(name, version) != version for name, version in wishes.items()):
            offered = {**known}
            offered.update((name, (version,)) for name, version in own.items())
            offered.update((name, (version,)) for name, version in wishes.items())
            asked[target] = offered
    return {**found, **solve(asked)}


def _by_name(found: Mapping[TargetName, Solved]) -> dict[NormalizedName, set[Version]]:
    versions: dict[NormalizedName, set[Version]] = defaultdict(set)
    for solved in found.values():
        for name, version in solved.versions.items():
            versions[name].add(version)
    return versions


def _too_many(found: Mapping[TargetName, Solved]) -> int:
    return sum(len(versions) - 1 for versions in _by_name(found).values())
