"""Plan the builds of a lock that another tool made.

The lock's pins stay. The build environments of its sources are resolved around them, for this
command only.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.lock.lock_maker import resolver_of
from pipshim.lock.locked_builds import pin_of, unpacked
from pipshim.model.combinations import PROJECT
from pipshim.model.pylock import LockedFolder, key_of
from pipshim.model.selection import Selection
from pipshim.model.solution import Solution

if TYPE_CHECKING:
    from pipshim.lock.services import LockServices
    from pipshim.model.pylock import Lock


def completed(context: LockServices, lock: Lock, selection: Selection) -> tuple[Lock, Selection]:
    """Add to another tool's lock how the selected sources are built.

    An editable folder becomes a folder of the selection, as in pipshim's own locks.

    Raises:
        ResolveError: a build environment has no solution.
        NetworkError, HashError: a source cannot be fetched, or is not the locked one.

    """
    pins = {
        name: pin_of(package, context.target, context.fetcher)
        for name, package in selection.packages.items()
    }
    pins = {
        name: pin if pin.source is None else replace(pin, source=unpacked(pin.source))
        for name, pin in pins.items()
    }
    sources = {name: pin.source for name, pin in pins.items() if pin.source is not None}
    if not sources:
        return lock, selection
    solution = Solution(pins=pins, origins=dict.fromkeys(pins, frozenset({PROJECT})))
    resolution = resolver_of(context, keep=None).settled(solution)
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
