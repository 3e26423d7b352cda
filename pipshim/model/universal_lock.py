"""Merge the locks of several targets and combinations into one, and extract one again.

A case is a target and a combination of conflicting extras and groups. An entry of ``[[packages]]``
is for all cases with the same version from the same index, for the same part of the project. Its
marker holds in those cases only: two entries of a name must not suit one environment (PEP 751).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipshim.base.graph_search import distances
from pipshim.model.combinations import (
    BASE,
    PROJECT,
    Case,
    Combination,
    Conflicts,
    all_of,
    any_of,
    selected,
)
from pipshim.model.pylock import (
    Lock,
    LockedBuild,
    LockedFolder,
    builds_as_dict,
    builds_from_dict,
    key_of,
    marker_of,
    requires_of,
    table_of,
    tool_table,
)
from pipshim.model.targets import marker_for, target_of_markers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from collections.abc import Set as AbstractSet

    from packaging.markers import Marker
    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.model.targets import TargetName

    Found = dict[Case, tuple[Package, frozenset[str]]]


def merge_locks(locks: Mapping[Case, Lock], conflicts: Conflicts) -> Lock:
    """Merge the locks of several cases."""
    cases = sorted(locks)
    members = set(conflicts.members)
    together: dict[tuple[object, frozenset[str]], Found] = {}
    origins: dict[NormalizedName, frozenset[str]] = {}
    for case in cases:
        lock = locks[case]
        for package in lock.packages:
            of = lock.origins.get(package.name, frozenset())
            origins[package.name] = origins.get(package.name, frozenset()) | of
            # What is required by what is on in a combination anyway does not tell entries apart.
            together.setdefault((_file_key(package), of - members), {})[case] = package, of
    targets = sorted({case.target for case in cases if case.target is not None})
    packages = tuple(
        _entry(found, targets, conflicts, _builds(found, locks)) for found in together.values()
    )
    first = locks[cases[0]]
    return replace(
        first,
        packages=packages,
        origins=origins,
        builds={key: one for case in cases for key, one in locks[case].builds.items()},
        build_packages=tuple(_for_builds(locks, {_file_key(one) for one in packages}, conflicts)),
        environments={
            name: keys for case in cases for name, keys in locks[case].environments.items()
        },
        folders=_folders(locks),
        roots=_roots(locks.values()),
        environment=any_of(str(one.marker) for one in targets) or first.environment,
        targets=tuple(targets),
        conflicts=conflicts,
        extras=tuple(sorted({extra for lock in locks.values() for extra in lock.extras})),
    )


def lock_for(lock: Lock, markers: Mapping[str, str], combination: Combination = BASE) -> Lock:
    """Return the part of a lock for one environment, as if it had been locked alone.

    Args:
        lock: for this environment too.
        markers: of the environment.
        combination: of conflicting extras and groups.

    """
    name = target_of_markers(markers)
    if name not in lock.targets and not lock.conflicts:
        return lock
    case = Case(name if name in lock.targets else None, combination)
    return _part(lock, case, markers if case.target is None else case.target.python.markers)


def combinations(lock: Lock, package: Package) -> frozenset[Combination]:
    """Return the combinations of a runtime entry, on any target."""
    every = lock.conflicts.combinations()
    if package.marker is None or not lock.conflicts:
        return frozenset(every)
    environments = [one.python.markers for one in lock.targets] or [{}]
    return frozenset(
        one for one in every if any(_suits(lock, package, one, markers) for markers in environments)
    )


def _part(lock: Lock, case: Case, markers: Mapping[str, str]) -> Lock:
    off = lock.conflicts.left_out(case.combination)
    origins: dict[NormalizedName, frozenset[str]] = {}
    packages: list[Package] = []
    others: list[Package] = []
    for package in lock.packages:
        of = frozenset(table_of(package).get("for", ())) - off
        if of and _suits(lock, package, case.combination, markers):
            packages.append(package)
            origins[package.name] = of
        else:
            others.append(package)
    # Of what has the same name and version, that of this case counts; `by_key` takes the last one.
    own = [one for one in lock.build_packages if _suits(lock, one, case.combination, markers)]
    others += [*(one for one in lock.build_packages if one not in own), *own]
    by_key = {key_of(one): one for one in others}
    builds = dict(_builds_in([*others, *packages], case))
    folders = _folders_of(lock, case, off)
    keys = list(map(key_of, packages))
    begin = [*(builds[key] for key in keys if key in builds), *(one.build for one in folders)]
    used = _reached(begin, builds, lock.environments)
    needed = {key for name in used for key in lock.environments[name]} - set(keys)
    return replace(
        lock,
        packages=tuple(packages),
        origins=origins,
        builds=builds,
        build_packages=tuple(one for key, one in by_key.items() if key in needed),
        environments={name: lock.environments[name] for name in used},
        folders=folders,
        roots={origin: of for origin, of in lock.roots.items() if origin not in off},
        environment=case.target.marker if case.target is not None else lock.environment,
        targets=(),
        targets_asked=(),
        conflicts=Conflicts(),
    )


def _builds_in(packages: Iterable[Package], case: Case) -> Iterator[tuple[str, LockedBuild]]:
    for package in packages:
        for of, build in builds_from_dict(table_of(package)).items():
            if of in (None, str(case)):
                yield key_of(package), build


def _folders_of(lock: Lock, case: Case, off: AbstractSet[str]) -> tuple[LockedFolder, ...]:
    """Return the folders of a case, without the origins that it leaves out."""
    return tuple(
        replace(
            one,
            builds={None: one.builds.get(str(case), one.build)},
            cases=None,
            origins=one.origins - off,
        )
        for one in lock.folders
        if one.cases is None or str(case) in one.cases
    )


def _suits(
    lock: Lock, package: Package, combination: Combination, markers: Mapping[str, str]
) -> bool:
    """Return whether an entry is for a combination, with any other selection."""
    if package.marker is None:
        return True
    off = lock.conflicts.left_out(combination)
    every = [f"extra {one}" for one in lock.extras] + [f"group {one}" for one in lock.groups]
    values: dict[str, str | AbstractSet[str]] = {**markers}
    values.update(selected(one for one in every if one not in off))
    return package.marker.evaluate(values, context="lock_file")


def _entry(
    found: Found,
    targets: Collection[TargetName],
    conflicts: Conflicts,
    builds: Mapping[str, LockedBuild],
) -> Package:
    origins = frozenset().union(*(of for _, of in found.values()))
    said: dict[str, Any] = {"for": sorted(origins)}
    own = sorted({case.target for case in found if case.target is not None})
    if len(own) < len(targets):
        said["targets"] = [str(one) for one in own]
    packages = {case: package for case, (package, _) in found.items()}
    marker = _marker({case: of for case, (_, of) in found.items()}, targets, conflicts)
    return replace(_united(packages, said, builds), marker=marker)


def _marker(
    found: Mapping[Case, frozenset[str]], targets: Collection[TargetName], conflicts: Conflicts
) -> Marker | None:
    """Return the marker for the cases, extras and groups that something is locked for.

    Args:
        found: by case, what requires it; outside of conflicts, the same in all.
        targets: those of the lock.

    """
    on_targets: dict[tuple[frozenset[Combination], frozenset[Combination]], list[Any]] = {}
    for target in sorted({case.target for case in found}, key=str):
        here = {case.combination: of for case, of in found.items() if case.target == target}
        always = {one for one, of in here.items() if PROJECT in of or not of.isdisjoint(one.chosen)}
        on_targets.setdefault((frozenset(here), frozenset(always)), []).append(target)
    members = set(conflicts.members)
    asking = marker_of(frozenset().union(*found.values()) - members)
    parts = []
    for (own, unasked), some in on_targets.items():
        where = marker_for(some, targets) if targets else None
        asked = all_of(conflicts.condition(own), str(asking) if asking is not None else None)
        if own == unasked:
            which = conflicts.condition(own)
        elif not unasked:
            which = asked
        else:
            which = str(any_of([conflicts.condition(unasked), asked]))
        parts.append(all_of(str(where) if where is not None else None, which))
    return any_of(parts)


def _file_key(package: Package) -> tuple[str, str | None]:
    """Return what identifies a file wherever it is locked: two indexes may have one version."""
    return key_of(package), package.index


def _for_builds(
    locks: Mapping[Case, Lock], runtime: Collection[object], conflicts: Conflicts
) -> Iterable[Package]:
    """Return the entries that only build environments have."""
    cases = sorted(locks)
    targets = sorted({case.target for case in cases if case.target is not None})
    found: dict[tuple[str, str | None], dict[Case, Package]] = {}
    for case in cases:
        for package in locks[case].build_packages:
            found.setdefault(_file_key(package), {})[case] = package
    indexes: dict[str, set[str | None]] = {}
    for lock in locks.values():
        for package in (*lock.packages, *lock.build_packages):
            indexes.setdefault(key_of(package), set()).add(package.index)
    for key, packages in found.items():
        is_ambiguous = len(indexes[key[0]]) > 1
        # What some cases have for run time may be built for a build environment of another one.
        if key in runtime and not is_ambiguous:
            continue
        united = _united(packages, {}, _builds_of(key[0], packages, locks))
        if is_ambiguous:
            of = frozenset({PROJECT})
            united = replace(
                united, marker=_marker(dict.fromkeys(packages, of), targets, conflicts)
            )
        yield united


def _builds(found: Found, locks: Mapping[Case, Lock]) -> dict[str, LockedBuild]:
    file = _file_key(next(iter(found.values()))[0])
    cases = [
        case
        for case, lock in locks.items()
        if case in found or any(_file_key(one) == file for one in lock.build_packages)
    ]
    return _builds_of(file[0], cases, locks)


def _builds_of(
    key: str, cases: Iterable[Case], locks: Mapping[Case, Lock]
) -> dict[str, LockedBuild]:
    return {str(case): locks[case].builds[key] for case in cases if key in locks[case].builds}


def _united(
    found: Mapping[Case, Package],
    said: Mapping[str, Any],
    builds: Mapping[str, LockedBuild],
) -> Package:
    """Merge the entries of a version; its dependencies may differ, by markers.

    Those who build it decide the sdist; the others may have found one of another format.
    """
    chosen = next((package for case, package in found.items() if str(case) in builds), None)
    needed = {one["name"]: one for package in found.values() for one in package.dependencies or ()}
    requires = sorted({text for package in found.values() for text in requires_of(package)})
    return replace(
        chosen or next(iter(found.values())),
        dependencies=[needed[name] for name in sorted(needed)] or None,
        tool=tool_table({**said, "requires": requires, **builds_as_dict(builds)}),
    )


def _folders(locks: Mapping[Case, Lock]) -> tuple[LockedFolder, ...]:
    by_path: dict[str, dict[Case, LockedFolder]] = {}
    for case, lock in locks.items():
        for folder in lock.folders:
            by_path.setdefault(folder.path, {})[case] = folder
    return tuple(
        replace(
            next(iter(found.values())),
            origins=frozenset().union(*(one.origins for one in found.values())),
            requires=tuple(sorted({text for one in found.values() for text in one.requires})),
            builds={str(case): one.build for case, one in found.items()},
            cases=tuple(map(str, sorted(found))) if len(found) < len(locks) else None,
        )
        for found in by_path.values()
    )


def _roots(locks: Iterable[Lock]) -> dict[str, tuple[str, ...]]:
    found: dict[str, set[str]] = {}
    for lock in locks:
        for origin, texts in lock.roots.items():
            found.setdefault(origin, set()).update(texts)
    return {origin: tuple(sorted(texts)) for origin, texts in sorted(found.items())}


def _reached(
    builds: Iterable[LockedBuild],
    by_key: Mapping[str, LockedBuild],
    environments: Mapping[str, tuple[str, ...]],
) -> list[str]:
    """Return the build environments that builds use, directly or indirectly."""

    def known(builds: Iterable[LockedBuild]) -> Iterator[str]:
        named = (one.environment for one in builds if one.environment is not None)
        return (name for name in named if name in environments)

    inner = {
        name: [by_key[key] for key in of if key in by_key] for name, of in environments.items()
    }
    return list(distances(known(builds), lambda name: known(inner[name])))
