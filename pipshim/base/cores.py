"""The number of cores this process may use: its CPU affinity and its cgroup's CPU quota."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    ReadText = Callable[[str], "str | None"]


def read_text(path: str) -> str | None:
    """Return the text of a file; None if it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return None


def folders(controller: str, read: ReadText = read_text) -> Iterator[tuple[int, str]]:
    """Yield the folders of this process's cgroups and their parents, each with its version.

    Those of the process itself come first.

    Args:
        controller: ``cpu`` or ``memory``.
        read: returns the text of a file, or None if it cannot be read.

    """
    groups = dict(_groups(read("/proc/self/cgroup") or "", controller))
    for version, root, mount_point in _mounts(read("/proc/self/mountinfo") or "", controller):
        for folder in _with_parents(groups.get(version, "/"), root, mount_point):
            yield version, folder


def _groups(text: str, controller: str) -> Iterator[tuple[int, str]]:
    """Read /proc/self/cgroup: for each version, the cgroup that has the controller."""
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield 2, path
        elif controller in controllers.split(","):
            yield 1, path


def _mounts(text: str, controller: str) -> Iterator[tuple[int, str, str]]:
    """Read /proc/self/mountinfo: version, root and mount point of the controller's hierarchies."""
    for line in text.splitlines():
        mount, _, filesystem = line.partition(" - ")
        fields, described = mount.split(" "), filesystem.split(" ")
        if len(fields) < 5 or len(described) < 3:  # noqa: PLR2004 see proc_pid_mountinfo(5)
            continue
        kind, options = described[0], described[2].split(",")
        if kind == "cgroup2" or (kind == "cgroup" and controller in options):
            yield 2 if kind == "cgroup2" else 1, _unescaped(fields[3]), _unescaped(fields[4])


def _unescaped(path: str) -> str:
    for octal, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(octal, character)
    return path


def _with_parents(path: str, root: str, mount_point: str) -> Iterator[str]:
    """Yield the folder of a cgroup, then those of its parents up to the mount point.

    In a container the path may be one of the host that is not visible here; then the mount point
    itself is the container's cgroup.
    """
    prefix = root.rstrip("/")
    below = path[len(prefix) :] if f"{path}/".startswith(f"{prefix}/") else ""
    parts = [part for part in below.split("/") if part]
    if ".." in parts:
        parts = []
    for length in range(len(parts), -1, -1):
        yield "/".join([mount_point, *parts[:length]])


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
