"""Choose the same version of a package for as many targets and combinations as possible.

A case is a target, or a combination of extras and groups on one. The first one is resolved alone;
the others take its versions where these are admitted. If a case needs another version, that version
is offered to the others, and stays if the lock then has fewer versions. The number of attempts is
bounded.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from pipshim.base.errors import BuildError, Failures, ResolveError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    Found = Mapping[Any, Any]
    """By case, a solution, which has `versions`."""

    Offered = Mapping[NormalizedName, tuple[Version, ...]]
    _What = tuple[NormalizedName, object]
    _Holders = dict[tuple[_What, Version], set[object]]

MAX_ATTEMPTS = 6
"""How often versions that differ are offered to the other targets."""


def agree(
    cases: Sequence[Any],
    solve: Callable[[Mapping[Any, Offered]], Found],
    before: Mapping[Any, Mapping[NormalizedName, Version]],
    source_of: Callable[[Any, NormalizedName], object] = lambda _case, _name: None,
    admits: Callable[[Any, NormalizedName, Version], bool] = lambda _solved, _name, _version: True,
) -> Found:
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
    return _Agreement(solve, source_of, admits).reached(found)


class _Agreement(NamedTuple):
    """What `agree` was given."""

    solve: Callable[[Mapping[Any, Offered]], Found]
    source_of: Callable[[Any, NormalizedName], object]
    admits: Callable[[Any, NormalizedName, Version], bool]

    def reached(self, found: Found) -> Found:
        held: _Holders = defaultdict(set)
        tried: set[tuple[_What, Version]] = set()
        for _ in range(MAX_ATTEMPTS):
            for key, cases in self._holders(found).items():
                held[key] |= cases
            then = self._by_name(found)
            wishes = _wishes(then, tried)
            if not wishes:
                break
            tried |= {*wishes.items()}
            try:
                attempt = self._attempt(found, wishes)
                now = self._by_name(attempt)
                good = {
                    what: version
                    for what, version in wishes.items()
                    if len(now.get(what, ())) < len(then[what])
                }
                if good and good != wishes:
                    attempt = self._attempt(found, good)
            except (BuildError, ResolveError, Failures):
                continue  # of a version that nobody has to take
            if good and self._too_many(attempt) < self._too_many(found):
                found = attempt
        return self._refreshed(found, held)

    def _refreshed(self, found: Found, held: _Holders) -> Found:
        """Resolve a case again whose version was another one's, and is nobody else's any more."""
        now, known = self._holders(found), self._by_name(found)
        asked = {}
        for case, solved in found.items():
            offered = {}
            for name, version in solved.versions.items():
                what = name, self.source_of(case, name)
                is_stale = now[what, version] == {case} and bool(held[what, version] - {case})
                offered[name] = tuple(sorted(known[what] - {version})) if is_stale else (version,)
                if is_stale:
                    asked[case] = offered
        asked = {
            case: {name: versions for name, versions in offered.items() if versions}
            for case, offered in asked.items()
        }
        if not asked:
            return found
        try:
            attempt = {**found, **self.solve(asked)}
        except (BuildError, ResolveError, Failures):
            return found
        return attempt if self._too_many(attempt) <= self._too_many(found) else found

    def _attempt(self, found: Found, wishes: Mapping[_What, Version]) -> Found:
        """Resolve the cases again whose versions differ from the wishes."""
        known = self._by_name(found)
        asked = {}
        for case, solved in found.items():
            own = solved.versions
            wanted = {
                name: version
                for (name, source), version in wishes.items()
                if self.source_of(case, name) == source and self.admits(solved, name, version)
            }
            if any(own.get(name, version) != version for name, version in wanted.items()):
                asked[case] = {
                    name: tuple(sorted(versions))
                    for (name, source), versions in known.items()
                    if self.source_of(case, name) == source
                } | {name: (version,) for name, version in {**own, **wanted}.items()}
        return {**found, **self.solve(asked)}

    def _holders(self, found: Found) -> _Holders:
        """Return the cases that have each version."""
        holders: _Holders = defaultdict(set)
        for case, solved in found.items():
            for name, version in solved.versions.items():
                holders[(name, self.source_of(case, name)), version].add(case)
        return holders

    def _by_name(self, found: Found) -> dict[_What, set[Version]]:
        versions: dict[_What, set[Version]] = defaultdict(set)
        for what, version in self._holders(found):
            versions[what].add(version)
        return versions

    def _too_many(self, found: Found) -> int:
        return sum(len(versions) - 1 for versions in self._by_name(found).values())


def _wishes(
    known: Mapping[_What, set[Version]], tried: set[tuple[_What, Version]]
) -> dict[_What, Version]:
    """Return the version to offer next of each package that has several."""
    wishes: dict[_What, Version] = {}
    for what, versions in known.items():
        # What is forced on a target is mostly the older one: a new release drops what is old.
        untried = sorted(one for one in versions if (what, one) not in tried)
        if len(versions) > 1 and untried:
            wishes[what] = untried[0]
    return wishes
