"""Find how much memory this process and its children may use (Linux only)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from pipshim.base.cores import folders, read_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipshim.base.cores import ReadText

_KIB = 1024
_UNLIMITED = 1 << 60
"""A limit of a cgroup of version 1 is the largest page number where nobody has set one."""


class Memory(NamedTuple):
    """The memory that is the first to run out.

    Attributes:
        available: how many bytes more can be used; pages of files that can be dropped count.
        total: how many bytes there are in all.
        limit: the file of the cgroup's limit; empty: it is that of the machine.

    """

    available: int
    total: int
    limit: str = ""

    @property
    def is_scarce(self) -> bool:
        """Whether less than a twentieth is left."""
        return self.available < self.total / 20


def memory(read: ReadText = read_text) -> Memory | None:
    """Return the memory that is the first to run out: the machine's, or a cgroup's.

    Args:
        read: returns the text of a file, or None if it cannot be read.

    """
    if sys.platform != "linux":
        return None
    machine = _numbers(read("/proc/meminfo") or "")
    if not {"MemTotal:", "MemAvailable:"} <= machine.keys():
        return None
    total, available = machine["MemTotal:"] * _KIB, machine["MemAvailable:"] * _KIB
    limits = [Memory(available, total)]
    limits += (one for one in _cgroup_limits(read) if one.total < total)
    return min(limits, key=lambda one: one.available)


def kills_for_memory(read: ReadText = read_text) -> tuple[int, int]:
    """Count the processes that were killed for lack of memory: in this cgroup, on the machine."""
    if sys.platform != "linux":
        return 0, 0
    own = 0
    for version, folder in folders("memory", read):
        name = "memory.events" if version == _UNIFIED else "memory.oom_control"
        own += _numbers(read(f"{folder}/{name}") or "").get("oom_kill", 0)
    return own, _numbers(read("/proc/vmstat") or "").get("oom_kill", 0)


def process_limit() -> int | None:
    """Return how many bytes of address space each process may use; None: as many as it wants."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 not on Windows

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


_UNIFIED = 2


def _cgroup_limits(read: ReadText) -> Iterator[Memory]:
    for version, folder in folders("memory", read):
        if version == _UNIFIED:
            names = ("memory.max", "memory.current", "")
        else:
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        limit, used = (_number(read(f"{folder}/{name}")) for name in names[:2])
        if limit is None or used is None or limit >= _UNLIMITED:
            continue
        pages = _numbers(read(f"{folder}/memory.stat") or "")
        files = sum(pages.get(f"{names[2]}{kind}_file", 0) for kind in ("inactive", "active"))
        available = min(max(limit - used + files, 0), limit)
        yield Memory(available, limit, f"{folder}/{names[0]}")


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isdecimal() else None  # "max" is no limit


def _numbers(text: str) -> dict[str, int]:
    """Read lines of a name and a number."""
    found = {}
    for line in text.splitlines():
        name, *values = line.split()
        if values and values[0].isdecimal():
            found[name] = int(values[0])
    return found
