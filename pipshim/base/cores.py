"""The number of cores this process may use: its CPU affinity and its cgroup's CPU quota."""
# What makes an environment again imports this: the standard library's heavier modules stay out.

from __future__ import annotations

import os
import sys

from pipshim.base.cgroups import folders, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pipshim.base.cgroups import ReadText

_NO_LIMIT = "max"
_UNIFIED = 2


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
    quotas = [
        _quota_v2(folder, read) if version == _UNIFIED else _quota_v1(folder, read)
        for version, folder in folders("cpu", read)
    ]
    return min((quota for quota in quotas if quota is not None), default=None)


def _affinity() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _quota_v2(folder: str, read: ReadText) -> float | None:
    quota, _, period = (read(f"{folder}/cpu.max") or _NO_LIMIT).strip().partition(" ")
    return _ratio(quota, period)


def _quota_v1(folder: str, read: ReadText) -> float | None:
    quota = read(f"{folder}/cpu.cfs_quota_us") or ""
    return _ratio(quota.strip(), (read(f"{folder}/cpu.cfs_period_us") or "").strip())


def _ratio(quota: str, period: str) -> float | None:
    """Divide two numbers of microseconds; None where no limit is set (``max`` or ``-1``)."""
    if not (quota.isdecimal() and period.isdecimal() and int(period)):
        return None
    return int(quota) / int(period) or None
