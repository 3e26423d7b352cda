"""Measure over time how much of the machine's CPU and memory is in use (Linux only)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.memory import memory

if TYPE_CHECKING:
    from collections.abc import Callable

_STAT = Path("/proc/stat")
_FIRST_SECONDS = 0.1
_MOST_SAMPLES = 600


class MachineUse:
    """Measures in a thread of its own, ever more seldom the longer it takes.

    Attributes:
        cpu: at each time, the share of all processors that was in use since the one before.
        memory: at each time, the share of the memory that was in use: of the machine's, or of what
            the cgroup may use.
        memory_total: how many bytes that is; 0: not measured.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.cpu: list[tuple[float, float]] = []
        self.memory: list[tuple[float, float]] = []
        self.memory_total = 0
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if _times() is not None:
            self._thread = threading.Thread(target=self._measure, name="machine use", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _measure(self) -> None:
        every = _FIRST_SECONDS
        before = _times()
        ended = False
        while not ended:
            ended = self._stop.wait(every)
            now = _times()
            if before is None or now is None:
                return
            total = now[1] - before[1]
            if total > 0:
                self.cpu.append((self._clock(), (now[0] - before[0]) / total))
                before = now
                self._measure_memory()
            if len(self.cpu) >= _MOST_SAMPLES:
                every *= 2
                self.cpu, self.memory = halved(self.cpu), halved(self.memory)

    def _measure_memory(self) -> None:
        found = memory()
        if found is not None:
            self.memory_total = found.total
            self.memory.append((self._clock(), 1 - found.available / found.total))


def halved(samples: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Merge samples two by two; each stands for the time up to it."""
    pairs = zip(samples[::2], samples[1::2], strict=False)
    return [(after, (first + second) / 2) for (_, first), (after, second) in pairs]


def _times() -> tuple[int, int] | None:
    """Tell how long all processors have been in use, and how long they have been there."""
    try:
        with _STAT.open(encoding="ascii") as file:
            name, *numbers = file.readline().split()
        user, nice, system, idle, waiting, *others = map(int, numbers)
    except (OSError, ValueError):
        return None
    busy = user + nice + system + sum(others[:3])
    return (busy, busy + idle + waiting) if name == "cpu" else None
