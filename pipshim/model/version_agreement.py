"""Choose the same version of a package in as many cases as possible.

A case is a target, or a combination of extras and groups on one. The first one is resolved alone;
the others take its versions where these are admitted. If a case needs another version, that version
is offered to the others, and stays if the lock then has fewer versions. The number of attempts is
bounded.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Protocol, TypeVar

from pipshim.base.errors import BuildError, Failures, ResolveError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

MAX_ATTEMPTS = 6
"""How often versions that differ are offered to the other targets."""


class Solved(Protocol):
    """The solution of a case."""

    @property
    def versions(self) -> Mapping[NormalizedName, Version]:
        """The version of each package."""


S = TypeVar("S", bound=Solved)
K = TypeVar("K", bound="Hashable")

if TYPE_CHECKING:
    Offered = Mapping[NormalizedName, tuple[Version, ...]]
    Solve = Callable[[Mapping[K, Offered]], Mapping[K, S]]
    _What = tuple[NormalizedName, object]
    SourceOf = Callable[[K, NormalizedName], object]
    Admits = Callable[[S, NormalizedName, Version], bool]
    _Holders = defaultdict[tuple[_What, Version], set[K]]


def agree(
    cases: Sequence[K],
    solve: Solve[K, S],
    before: Mapping[K, Mapping[NormalizedName, Version]],
    source_of: SourceOf[K] = lambda _case, _name: None,
    admits: Admits[S] = lambda _solved, _name, _version: True,
) -> Mapping[K, S]:
    """Resolve cases to as few versions of each package as possible.

    Args:
        cases: the first one is resolved first.
        solve: resolves cases, each with versions to take where it admits them, the best last.
        before: an earlier lock's versions; if nothing differs from them, they agree already.
        source_of: where a package comes from in a case, if that differs between them: different
            sources need not agree.
        admits: whether a version may be offered to a case, given its solution; False saves an
            attempt that cannot succeed.

    """
    first, *others = cases
    found = dict(solve({first: {}}))
    if others:
        offered = {name: (version,) for name, version in found[first].versions.items()}
        found |= solve(dict.fromkeys(others, offered))
    if {name: dict(one.versions) for name, one in found.items()} == before:
        return found
    held: _Holders[K] = defaultdict(set)
    tried: set[tuple[NormalizedName, object, Version]] = set()
    for _ in range(MAX_ATTEMPTS):
        _note_holders(found, source_of, held)
        wishes = _wishes(_by_name(found, source_of), tried)
        if not wishes:
            break
        tried |= {(*what, version) for what, version in wishes.items()}
        try:
            attempt = _attempt(found, wishes, solve, source_of, admits)
            now, then = _by_name(attempt, source_of), _by_name(found, source_of)
            good = {
                what: version
                for what, version in wishes.items()
                if len(now.get(what, ())) < len(then[what])
            }
            if good and good != wishes:
                attempt = _attempt(found, good, solve, source_of, admits)
        except (BuildError, ResolveError, Failures):
            continue  # of a version that nobody has to take
        if good and _too_many(attempt, source_of) < _too_many(found, source_of):
            found = attempt
    return _refreshed(found, held, solve, source_of)


def _wishes(
    known: Mapping[_What, set[Version]], tried: set[tuple[NormalizedName, object, Version]]
) -> dict[_What, Version]:
    """Return the version to offer next of each package that has several."""
    wishes: dict[_What, Version] = {}
    for (name, source), versions in known.items():
        # What is forced on a target is mostly the older one: a new release drops what is old.
        untried = sorted(one for one in versions if (name, source, one) not in tried)
        if len(versions) > 1 and untried:
            wishes[name, source] = untried[0]
    return wishes


def _refreshed(
    found: Mapping[K, S], held: _Holders[K], solve: Solve[K, S], source_of: SourceOf[K]
) -> Mapping[K, S]:
    """Resolve a case again whose version was another one's, and is nobody else's any more."""
    now: _Holders[K] = defaultdict(set)
    _note_holders(found, source_of, now)
    known = _by_name(found, source_of)
    asked = {}
    for case, solved in found.items():
        own = {}
        stale = set()
        for name, version in solved.versions.items():
            what = name, source_of(case, name)
            if now[what, version] == {case} and held[what, version] - {case}:
                stale.add(name)
            else:
                own[name] = (version,)
        if stale:
            others = {
                name: tuple(sorted(known[name, source_of(case, name)] - {solved.versions[name]}))
                for name in stale
            }
            asked[case] = {**own, **{name: each for name, each in others.items() if each}}
    if not asked:
        return found
    try:
        attempt = {**found, **solve(asked)}
    except (BuildError, ResolveError, Failures):
        return found
    better = _too_many(attempt, source_of) <= _too_many(found, source_of)
    return attempt if better else found


def _note_holders(found: Mapping[K, Solved], source_of: SourceOf[K], holders: _Holders[K]) -> None:
    for case, solved in found.items():
        for name, version in solved.versions.items():
            holders[(name, source_of(case, name)), version].add(case)


def _attempt(
    found: Mapping[K, S],
    wishes: Mapping[_What, Version],
    solve: Solve[K, S],
    source_of: SourceOf[K],
    admits: Admits[S],
) -> dict[K, S]:
    """Resolve the cases again whose versions differ from the wishes."""
    known = _by_name(found, source_of)
    asked = {}
    for case, solved in found.items():
        own = solved.versions
        wanted = {
            name: version
            for (name, source), version in wishes.items()
            if source_of(case, name) == source and admits(solved, name, version)
        }
        if any(own.get(name, version) != version for name, version in wanted.items()):
            offered = {
                name: tuple(sorted(versions))
                for (name, source), versions in known.items()
                if source_of(case, name) == source
            }
            offered.update((name, (version,)) for name, version in own.items())
            offered.update((name, (version,)) for name, version in wanted.items())
            asked[case] = offered
    return {**found, **solve(asked)}


def _by_name(found: Mapping[K, Solved], source_of: SourceOf[K]) -> dict[_What, set[Version]]:
    versions: dict[_What, set[Version]] = defaultdict(set)
    for case, solved in found.items():
        for name, version in solved.versions.items():
            versions[name, source_of(case, name)].add(version)
    return versions


def _too_many(found: Mapping[K, Solved], source_of: SourceOf[K]) -> int:
    return sum(len(versions) - 1 for versions in _by_name(found, source_of).values())
