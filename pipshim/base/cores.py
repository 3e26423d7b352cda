"""The number of cores this process may use: its CPU affinity and its cgroup's CPU quota."""
# What makes an environment again imports this: the standard library's heavier modules stay out.
# ruff: noqa: PTH123

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ReadText = Callable[[str], "str | None"]

_NO_LIMIT = "max"


def available_cores() -> int:
    """Return how many cores this process may use; at least one."""
    cores = _affinity()
    quota = cgroup_quota(_read_text) if cores > 1 and sys.platform == "linux" else None
    return cores if quota is None else min(cores, rounded(quota))


def rounded(quota: float) -> int:
    """Round a quota of cores up: two processes use up a quota of 1.5, one does not."""
    return max(1, int(quota) + (quota > int(quota)))


def cgroup_quota(read: ReadText) -> float | None:
    """Return the smallest CPU quota of this process's cgroups and their parents, in cores.

    Args:
        read: returns the text of a file, or None if it cannot be read.

    """
    groups = dict(_cgroups(read("/proc/self/cgroup") or ""))
    quotas = []
    for version, root, mount_point in _cpu_mounts(read("/proc/self/mountinfo") or ""):
        quota_in = _quota_v2 if version == "cgroup2" else _quota_v1
        for folder in _folders(groups.get(version, "/"), root, mount_point):
            quota = quota_in(folder, read)
            if quota is not None:
                quotas.append(quota)
    return min(quotas, default=None)


def _affinity() -> int:
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1


def _cgroups(text: str) -> Iterator[tuple[str, str]]:
    """Read /proc/self/cgroup: for each version, the cgroup that limits the CPU."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield "cgroup2", path
        elif "cpu" in controllers.split(","):
            yield "cgroup", path


def _cpu_mounts(text: str) -> Iterator[tuple[str, str, str]]:
    """Read /proc/self/mountinfo: version, root and mount point of hierarchies with CPU quotas."""
    for line in text.splitlines():
        mount, _, filesystem = line.partition(" - ")
        fields, described = mount.split(" "), filesystem.split(" ")
        if len(fields) < 5 or len(described) < 3:  # noqa: PLR2004 see proc_pid_mountinfo(5)
            continue
        version, options = described[0], described[2].split(",")
        if version == "cgroup2" or (version == "cgroup" and "cpu" in options):
            yield version, _unescaped(fields[3]), _unescaped(fields[4])


def _unescaped(path: str) -> str:
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(octal, character)
    return path


def _folders(path: str, root: str, mount_point: str) -> Iterator[str]:
    """Yield the folder of a cgroup, then those of its parents up to the mount point.

    In a container the path may be the host's and not visible; then the mount point itself is the
    container's cgroup.
    """
    prefix = root.rstrip("/")
    below = path[len(prefix) :] if f"{path}/".startswith(f"{prefix}/") else ""
    parts = [part for part in below.split("/") if part]
    if ".." in parts:
        parts = []
    for length in range(len(parts), -1, -1):
        yield "/".join([mount_point, *parts[:length]])


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


def _read_text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except OSError:
        return None
