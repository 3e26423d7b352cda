"""Measure the memory (sampled) and CPU time of builds; tell whether one ran out of memory.

The memory of a process is counted without the pages that it shares with others (the third number of
/proc/PID/statm), so that forks of a backend and mapped libraries count once or not at all. The
peak of a cgroup would count the page cache too, that is, all files that a build writes.
"""

from __future__ import annotations

import math
import mmap
import os
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from pipshim.base import process_tree
from pipshim.base.cores import available_cores
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.memory import Memory, kills_for_memory, memory, process_limit
from pipshim.base.sizes import size
from pipshim.builds.hints import MemoryStory
from pipshim.model.machine_needs import is_native

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection, Iterator


_INTERVAL_SECONDS = 0.25
_MOST_OF_THE_TIME = 0.02
"""The share of one core that sampling may take, on machines with thousands of processes."""

_KIB = 1024


class ProcessUsage(NamedTuple):
    """What the kernel says of a process that has ended, and of all that it has waited for.

    Attributes:
        cpu: the processor time of all of them, in seconds.
        peak: the most memory that one of them had, in bytes.

    """

    cpu: float
    peak: int


@dataclass(eq=False)  # two builds that use as much are not the same
class Usage:
    """What one build has used so far; it only grows, but for `memory`.

    Attributes:
        memory: what its processes use now, together, in bytes.
        peak: the most that this has been.
        processes: how many of them had no children when it was: so many worked at once.
        waited: how long they waited for the turn of other builds, in seconds.
        cpu: the processor time of those that have ended, in seconds; None if not known.
        least: the memory that was left when it was least.
        ran_out: whether the build failed for lack of memory.
        is_native: whether a command line was seen that asks for the processor of this machine.

    """

    memory: int = 0
    peak: int = 0
    processes: int = 1
    waited: float = 0.0
    cpu: float | None = None
    least: Memory | None = None
    ran_out: bool = False
    is_native: bool = False

    def sample(self, memory: int, processes: int, left: Memory | None) -> None:
        """Take note of what is used now, and of what is left."""
        self.memory = memory
        if left is not None and (self.least is None or left.available < self.least.available):
            self.least = left
        if memory > self.peak:
            self.peak, self.processes = memory, max(processes, 1)

    def add(self, ended: ProcessUsage) -> None:
        """Take note of a process that has ended; samples may have missed its peak."""
        self.memory = 0
        self.cpu = (self.cpu or 0.0) + ended.cpu
        self.peak = max(self.peak, ended.peak)


class Sampler:
    """Samples what running builds use, in a thread that ends when none runs."""

    def __init__(self) -> None:
        self._measured: dict[int, Usage] = {}
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None

    @contextmanager
    def measuring(self, leader: int, usage: Usage) -> Iterator[None]:
        """Sample a process and all that it has started, while this lasts."""
        if sys.platform != "linux":
            yield
            return
        with self._change:
            self._measured[leader] = usage
            if self._thread is None:
                self._thread = threading.Thread(target=self._sample, name="usage", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._change:
                del self._measured[leader]
                self._change.notify()

    def _sample(self) -> None:
        interval = _INTERVAL_SECONDS / 4
        while True:
            with self._change:
                self._change.wait(interval)
                measured = dict(self._measured)
                if not measured:
                    self._thread = None
                    return
            start = time.thread_time()
            processes, left = process_tree.running(), memory()
            for leader, usage in measured.items():
                members = process_tree.tree([leader], processes)
                usage.sample(*_used(members, processes), left)
                usage.is_native = usage.is_native or any(map(_is_native, members))
            took = time.thread_time() - start
            interval = max(_INTERVAL_SECONDS, took / _MOST_OF_THE_TIME)


def _used(members: Collection[int], processes: Collection[process_tree.Process]) -> tuple[int, int]:
    """Return how much memory these processes use, and how many of them have no children."""
    parents = {one.parent for one in processes if one.pid in members}
    used = sum(map(_memory, members))
    return used, sum(pid not in parents for pid in members)


def _is_native(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:  # noqa: PTH123
            line = file.read()
    except OSError:
        return False
    return (b"native" in line or b"xHost" in line) and is_native(
        line.replace(b"\0", b" ").decode("utf-8", "replace")
    )


def _memory(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            _, resident, shared, *_ = map(int, file.read().split())
    except (OSError, ValueError):
        return 0  # it has ended
    return (resident - shared) * mmap.PAGESIZE


def wait(process: subprocess.Popen[bytes]) -> tuple[int, ProcessUsage | None]:
    """Wait for a child process; return its exit status and, on Unix, its usage."""
    if sys.platform == "win32":
        return process.wait(), None
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else _KIB
    used = ProcessUsage(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)
    return process.returncode, used


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


def describe_memory(usage: Usage, *, was_refused: bool = False) -> MemoryStory | None:
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
    text = f"Its processes used {size(usage.peak)} together, and {there}, of which "
    text += f"{size(found.available)} were left at the lowest point."
    # The setting is for as many processes as there are cores; so many were not enough.
    needed = 2 * max(usage.peak, found.total) * max(1.0, available_cores() / usage.processes)
    return MemoryStory(text, f"{max(1, math.ceil(needed / _GB))} GB")
