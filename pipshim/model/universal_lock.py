"""One lock for several targets: made of a lock for each, and read for one of them. Pure.

An entry of ``[[packages]]`` is what some of the targets have in common: the same version, for the
same part of the project. Its marker holds on those and on no other target of the lock (PEP 751
forbids that two entries of a name suit one environment), its tool table names them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from packaging.markers import Marker

from pipshim.model.pylock import (
    Lock,
    LockedBuild,
    LockedFolder,
    any_of,
    builds_as_dict,
    builds_from_dict,
    key_of,
    marker_of,
    requires_of,
    tool_table,
)
from pipshim.model.targets import TargetName, marker_for, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.pylock import Package
    from packaging.utils import NormalizedName


def merged(locks: Mapping[TargetName, Lock]) -> Lock:
    """Make one lock of those of several targets."""
    targets = sorted(locks)
    together: dict[tuple[str, frozenset[str]], dict[TargetName, Package]] = {}
    origins: dict[NormalizedName, frozenset[str]] = {}
    for target in targets:
        lock = locks[target]
        for package in lock.packages:
            of = lock.origins.get(package.name, frozenset())
            origins[package.name] = origins.get(package.name, frozenset()) | of
            together.setdefault((key_of(package), of), {})[target] = package
    packages = tuple(
        _entry(found, of, targets, _builds(key, locks)) for (key, of), found in together.items()
    )
    runtime = {key_of(one) for one in packages}
    for_builds: dict[str, dict[TargetName, Package]] = {}
    for target in targets:
        for package in locks[target].build_packages:
            if key_of(package) not in runtime:
                for_builds.setdefault(key_of(package), {})[target] = package
    # What some targets have for run time may be built for a build environment of another one.
    return replace(
        locks[targets[0]],
        packages=packages,
        origins=origins,
        builds={key: one for target in targets for key, one in locks[target].builds.items()},
        build_packages=tuple(
            _united(found, {}, _builds(key, locks)) for key, found in for_builds.items()
        ),
        environments={
            name: members
            for target in targets
            for name, members in locks[target].environments.items()
        },
        folders=_folders(locks),
        roots=_roots(locks.values()),
        environment=any_of(one.marker for one in targets),
        targets=tuple(targets),
        extras=tuple(sorted({extra for lock in locks.values() for extra in lock.extras})),
    )


def serving(lock: Lock, markers: Mapping[str, str]) -> Lock:
    """Tell the part of a lock that is for one environment, as if it had been locked alone.

    Args:
        lock: for this environment too.
        markers: of the environment.

    """
    name = name_of(markers)
    return lock if name not in lock.targets else _part(lock, name)


def _part(lock: Lock, target: TargetName) -> Lock:
    packages = []
    origins: dict[NormalizedName, frozenset[str]] = {}
    builds: dict[str, LockedBuild] = {}
    others = []
    for package in (*lock.build_packages, *lock.packages):
        table = _table(package)
        for of, build in builds_from_dict(table).items():
            if of in (None, target):
                builds[key_of(package)] = build
        # Only entries for run time say what they are for.
        if "for" in table and str(target) in table.get("targets", (str(target),)):
            packages.append(package)
            origins[package.name] = frozenset(table["for"])
        else:
            others.append(package)
    folders = tuple(
        replace(one, build=one.builds.get(target, one.build), builds={}) for one in lock.folders
    )
    used = _reached(
        [
            *(builds[key] for key in map(key_of, packages) if key in builds),
            *(one.build for one in folders),
        ],
        builds,
        lock.environments,
    )
    return replace(
        lock,
        packages=tuple(packages),
        origins=origins,
        builds=builds,
        build_packages=tuple(others),
        environments={name: lock.environments[name] for name in used},
        folders=folders,
        environment=target.marker,
        targets=(),
        targets_asked=(),
    )


def _entry(
    found: Mapping[TargetName, Package],
    origins: frozenset[str],
    targets: Sequence[TargetName],
    builds: Mapping[TargetName, LockedBuild],
) -> Package:
    said: dict[str, Any] = {"for": sorted(origins)}
    if len(found) < len(targets):
        said["targets"] = [str(one) for one in sorted(found)]
    marker = _both(marker_for(found, targets), marker_of(origins))
    return replace(_united(found, said, builds), marker=marker)


def _builds(key: str, locks: Mapping[TargetName, Lock]) -> dict[TargetName, LockedBuild]:
    return {name: lock.builds[key] for name, lock in locks.items() if key in lock.builds}


def _united(
    found: Mapping[TargetName, Package],
    said: Mapping[str, Any],
    builds: Mapping[TargetName, LockedBuild],
) -> Package:
    """Say as one what targets found of a version: what it needs differs, by markers.

    Who builds it says which sdist is meant; the others may have found one of another format.
    """
    chosen = next((package for name, package in found.items() if name in builds), None)
    needed = {one["name"]: one for package in found.values() for one in package.dependencies or ()}
    requires = sorted({text for package in found.values() for text in requires_of(package)})
    return replace(
        chosen or next(iter(found.values())),
        dependencies=[needed[name] for name in sorted(needed)] or None,
        tool=tool_table({**said, "requires": requires, **builds_as_dict(builds)}),
    )


def _folders(locks: Mapping[TargetName, Lock]) -> tuple[LockedFolder, ...]:
    by_path: dict[str, dict[TargetName, LockedFolder]] = {}
    for target, lock in locks.items():
        for folder in lock.folders:
            by_path.setdefault(folder.path, {})[target] = folder
    made = []
    for found in by_path.values():
        builds = {target: one.build for target, one in found.items()}
        made.append(
            replace(
                next(iter(found.values())),
                origins=frozenset().union(*(one.origins for one in found.values())),
                requires=tuple(sorted({text for one in found.values() for text in one.requires})),
                builds=builds if len(set(builds.values())) > 1 else {},
            )
        )
    return tuple(made)


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
    """Tell the build environments that builds use, and those that what is in them was built in."""
    found: list[str] = []
    waiting = list(builds)
    while waiting:
        name = waiting.pop().environment
        if name is None or name in found or name not in environments:
            continue
        found.append(name)
        waiting += [by_key[key] for key in environments[name] if key in by_key]
    return found


def _both(one: Marker | None, other: Marker | None) -> Marker | None:
    if one is None or other is None:
        return one or other
    return Marker(f"({one}) and ({other})")


def _table(package: Package) -> dict[str, Any]:
    table: dict[str, Any] = (package.tool or {}).get("pipshim", {})
    return table
