"""Find what a newly built wheel needs of other machines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pipshim.envs import installed
from pipshim.model.build_variables import COMPILER_VARIABLES
from pipshim.model.machine_needs import is_native
from pipshim.remote.machine import ThisMachine
from pipshim.remote.wheel_needs import UnreadableWheelError, needs_of, path_in_site, paths_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pipshim.builds.build_request import OuterEnvironment
    from pipshim.builds.hooks import Hooks
    from pipshim.model.build_record import Record
    from pipshim.store.unpacked_wheel import UnpackedWheel


def needs_of_built(
    tree: UnpackedWheel,
    record: Record,
    hooks: Hooks,
    components: Iterable[UnpackedWheel],
    outer: OuterEnvironment,
) -> dict[str, Any]:
    """Return what a wheel needs of machines, as records have it."""
    brought = {path for one in components for path in paths_of(one)}
    if record.compiled:
        brought.update(_outer_paths(record, outer))
    processor: frozenset[str] = frozenset()
    if record.compiled and _is_for_this_processor(hooks):
        processor = ThisMachine(hooks.variables).processor
        if not processor:
            raise UnreadableWheelError(
                "it was compiled for this machine's processor (-march=native), and what that can "
                "do is unknown"
            )
    return needs_of(tree, brought, processor=processor).to_json()


def _outer_paths(record: Record, outer: OuterEnvironment) -> Iterator[str]:
    """Yield the files of the distributions outside the environment that the build used."""
    for name, one in installed.scan(outer.folders).items():
        if name in record.against:
            folder = one.dist_info.parent.resolve()
            for path in installed.files_of(one):
                yield path_in_site(os.path.relpath(path, folder))


def _is_for_this_processor(hooks: Hooks) -> bool:
    """Return whether a compiler of the build was told to compile for this machine's processor.

    That shows in the command lines that Python started, in those that were running when the build
    was sampled, in the variables that compilers read, and in what the build printed.
    """
    flags = [value for name, value in hooks.variables.items() if COMPILER_VARIABLES.match(name)]
    return (
        hooks.usage.is_native
        or any(map(is_native, hooks.trace.options))
        or any(map(is_native, flags))
        or _log_is_native(hooks.log)
    )


def _log_is_native(log: Path) -> bool:
    """Return whether a log has command lines that compile for this machine's processor."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return any(map(is_native, file))
    except OSError:
        return False
