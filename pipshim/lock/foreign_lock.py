"""A lock that another tool made: how its sources are built, which only pipshim's own locks say.

What the lock pins stays. The build environments of its sources are resolved around these pins, as
``pipshim lock`` would, and kept for this command only.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import Version

from pipshim.lock.lock_maker import locker_of
from pipshim.model import artifacts
from pipshim.model.pylock import PROJECT, LockedFolder, key_of
from pipshim.model.selection import Selection
from pipshim.model.solution import Pin, Solution, Source

if TYPE_CHECKING:
    from packaging.pylock import Package

    from pipshim.lock.services import LockServices
    from pipshim.model.pylock import Lock


def completed(context: LockServices, lock: Lock, selection: Selection) -> tuple[Lock, Selection]:
    """Add to a lock that another tool made how the selected sources are built.

    An editable folder, which pipshim's own locks keep apart, is a folder of the selection then.

    Raises:
        ResolveError: a build environment has no solution.
        NetworkError, HashError: a source cannot be had, or is not the locked one.

    """
    sources = {
        name: source_of(context, package)
        for name, package in selection.packages.items()
        if not artifacts.is_wheel(artifacts.choose(package, context.target))
    }
    if not sources:
        return lock, selection
    pins = {name: _pin(context, one, sources.get(name)) for name, one in selection.packages.items()}
    solution = Solution(pins=pins, origins=dict.fromkeys(pins, frozenset({PROJECT})))
    resolution = locker_of(context, keep=None).settled(solution)
    folders = tuple(
        LockedFolder(
            path=Path(os.path.relpath(source.directory, context.lock_path.parent)).as_posix(),
            name=name,
            build=resolution.folders[str(source.directory)],
            origins=frozenset({PROJECT}),
        )
        for name, source in sources.items()
        if source.editable
    )
    runtime = {key_of(one) for one in lock.packages}
    members = {key_of(one): one for found in resolution.environments.values() for one in found}
    completed_lock = replace(
        lock,
        builds=resolution.builds,
        build_packages=tuple(one for key, one in members.items() if key not in runtime),
        environments={
            name: tuple(sorted(map(key_of, found)))
            for name, found in resolution.environments.items()
        },
        folders=folders,
    )
    moved = {folder.name for folder in folders}
    packages = {name: one for name, one in selection.packages.items() if name not in moved}
    return completed_lock, Selection(packages, folders)


def source_of(context: LockServices, package: Package) -> Source:
    """Fetch and unpack the source of a locked package."""
    artifact = artifacts.choose(package, context.target)
    directory = context.fetcher.source(package, artifact)
    hashes = getattr(artifact, "hashes", None) or {}
    return Source(
        name=package.name,
        version=package.version,
        outline=directory,
        sha256=hashes.get("sha256"),
        editable=package.directory is not None and bool(package.directory.editable),
        url=str(getattr(artifact, "url", None) or directory.as_uri()),
    )


def _pin(context: LockServices, package: Package, source: Source | None) -> Pin:
    chosen = artifacts.choose(package, context.target)
    return Pin(
        package=package,
        version=package.version or Version("0"),  # a folder or checkout says it when it is built
        source=source,
        editable=source is not None and source.editable,
        platform_specific=artifacts.is_platform_specific(chosen),
    )
