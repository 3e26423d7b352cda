"""Detect that a build failed for lack of memory, and say what to do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pipshim.base.cores import available_cores
from pipshim.base.memory import kills_for_memory, memory, process_limit
from pipshim.base.sizes import size
from pipshim.builds.hints import MemoryStory

if TYPE_CHECKING:
    from pipshim.builds.resource_usage import Usage

_GB = 1_000_000_000


def ran_out(
    kills: tuple[int, int], usage: Usage, *, was_killed: bool, was_refused: bool = False
) -> bool:
    """Return whether a failed build ran out of memory.

    The kernel counts what it kills for lack of memory, in the cgroup and on the machine; without
    such a count, something was killed when little memory was left. What a process may use at most
    is refused to it.

    Args:
        kills: how many there were when the build began (`kills_for_memory`).
        usage: what the build used.
        was_killed: whether a process of it was killed, or got no more memory.
        was_refused: whether a process of it got no more memory.

    """
    own, machine = kills_for_memory()
    if own > kills[0] or (was_refused and process_limit() is not None):
        return True
    is_scarce = usage.least is not None and usage.least.is_scarce
    return was_killed and (machine > kills[1] or is_scarce)


def describe(usage: Usage, *, was_refused: bool = False) -> MemoryStory | None:
    """Say how much memory a build used, and how much there is.

    Args:
        usage: what the build used.
        was_refused: whether a process of it got no more memory.

    """
    if was_refused and (limit := process_limit()) is not None:
        each = f"may use {size(limit)} of address space (ulimit -v)."
        if not usage.peak:
            return MemoryStory(f"Each process {each}", None)
        used = f"Its processes used {size(usage.peak)} together, and each of them"
        return MemoryStory(f"{used} {each}", None)
    found = usage.least or memory()
    if found is None or not usage.peak:
        return None
    if found.limit:
        there = f"this cgroup may use {size(found.total)} ({found.limit})"
    else:
        there = f"this machine has {size(found.total)}"
    text = f"Its processes used {size(usage.peak)} together, and {there}; at the least, "
    text += f"{size(found.available)} were left."
    # The setting is for as many processes as there are cores; so many were not enough.
    needed = 2 * max(usage.peak, found.total) * max(1.0, available_cores() / usage.processes)
    return MemoryStory(text, f"{max(1, math.ceil(needed / _GB))} GB")
