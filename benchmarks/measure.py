"""Running a command and measuring it: time by the clock, CPU of its process tree, peak memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TICK = 0.01
"""Seconds between two looks at a process tree's memory."""


@dataclass(frozen=True)
class Sample:
    """What one run took.

    Attributes:
        wall: seconds by the clock.
        cpu: seconds of CPU, user and system, of the process and all that it waited for.
        memory: bytes that the process tree had resident at its peak, or 0 if nobody looked.

    """

    wall: float
    cpu: float
    memory: int = 0

    def __add__(self, other: Sample) -> Sample:
        """Add what the next command took."""
        return Sample(self.wall + other.wall, self.cpu + other.cpu, max(self.memory, other.memory))


class FailedError(Exception):
    """A command that was to be measured failed."""


def run(
    commands: Sequence[Sequence[str]],
    *,
    cwd: Path,
    env: Mapping[str, str],
    log: Path,
    watch_memory: bool = False,
) -> Sample:
    """Run commands one after the other, and add up what they took."""
    total = Sample(0, 0)
    for command in commands:
        total += _run(command, cwd, env, log, watch_memory=watch_memory)
    return total


def _run(
    command: Sequence[str], cwd: Path, env: Mapping[str, str], log: Path, *, watch_memory: bool
) -> Sample:
    with log.open("wb") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        watch = Watch(process.pid) if watch_memory else None
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
    memory = watch.stop() if watch is not None else 0
    if process.returncode:
        told = log.read_text("utf-8", "replace").strip()[-3000:]
        raise FailedError(f"{' '.join(command)}\nin {cwd}, status {process.returncode}:\n{told}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, memory)


class Watch:
    """Looks at the memory of a process tree while it runs.

    `ru_maxrss` does not serve: it begins with the memory of the process that started the command,
    and knows the largest process only.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._peak = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """Give the most bytes that were resident at one moment."""
        self._over.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._over.wait(TICK):
            self._peak = max(self._peak, sum(map(_resident, _tree(self._pid))))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        with suppress(OSError):
            for task in Path(f"/proc/{one}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
    return found


def _resident(pid: int) -> int:
    """Tell a process's own peak if it is alone, so that no moment between two looks is missed."""
    with suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0
