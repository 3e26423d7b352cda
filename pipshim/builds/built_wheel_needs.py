"""What a wheel that was just built needs of other machines."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pipshim.builds.native_processor import is_for_this_processor
from pipshim.envs import installed
from pipshim.remote.machine import ThisMachine
from pipshim.remote.wheel_needs import UnreadableWheelError, needs_of, path_in_site, paths_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

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
    """Return what a wheel needs of machines, as records have it.

    Args:
        tree: the unpacked wheel.
        record: its build record.
        hooks: that built it.
        components: the distributions of its environment.
        outer: what its build saw besides.

    Raises:
        UnreadableWheelError: that cannot be found out.

    """
    brought = {path for one in components for path in paths_of(one)}
    if record.compiled:
        brought.update(_outer_paths(record, outer))
    processor: frozenset[str] = frozenset()
    if record.compiled and is_for_this_processor(hooks):
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
