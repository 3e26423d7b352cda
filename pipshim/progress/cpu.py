"""Measure the machine's CPU usage over time (Linux only)."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_STAT = Path("/proc/stat")
_FIRST_SECONDS = 0.1
_MOST_SAMPLES = 600


class CpuUse:
    """Measures in a thread of its own, ever more seldom the longer it takes.

    Attributes:
        samples: at each time, the share of all processors that was in use since the one before.

    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self.samples: list[tuple[float, float]] = []
        self._clock = clock
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if _times() is not None:
            self._thread = threading.Thread(target=self._measure, name="cpu", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Measure no more."""
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
                self.samples.append((self._clock(), (now[0] - before[0]) / total))
                before = now
            if len(self.samples) >= _MOST_SAMPLES:
                every *= 2
                self.samples = halved(self.samples)


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
