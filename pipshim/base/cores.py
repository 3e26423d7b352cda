"""The number of cores this process may use: its CPU affinity and its cgroup's CPU quota."""
# What makes an environment again imports this: the standard library's heavier modules stay out.

from __future__ import annotations

import os
import sys

from pipshim.base.cgroups import folders, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pipshim.base.cgroups import ReadText

_FILES = {1: ("cpu.cfs_quota_us", "cpu.cfs_period_us"), 2: ("cpu.max",)}
"""By version of cgroups, the files with the quota and its period."""


def available_cores() -> int:
    """Return how many cores this process may use; at least one."""
    cores = _affinity()
    quota = cgroup_quota(read_text) if cores > 1 and sys.platform == "linux" else None
    return cores if quota is None else min(cores, rounded(quota))


def rounded(quota: float) -> int:
    """Round a quota of cores up: two processes use up a quota of 1.5, one does not."""
    return max(1, int(quota) + (quota > int(quota)))


def cgroup_quota(read: ReadText) -> float | None:
    """Return the smallest CPU quota of this process's cgroups and their parents, in cores.

    Args:
        read: returns the text of a file, or None if it cannot be read.

    """
    quotas = []
    for version, folder in folders("cpu", read):
        numbers = " ".join(read(f"{folder}/{name}") or "" for name in _FILES[version]).split()
        # A limit that is not set is "max" or -1.
        if [*map(str.isdecimal, numbers)] == [True, True] and int(numbers[1]):
            quotas.append(int(numbers[0]) / int(numbers[1]))
    return min(filter(None, quotas), default=None)


def _affinity() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1
