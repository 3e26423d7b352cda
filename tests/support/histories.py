"""Histories of commands that never ran, for the timings page: always the same."""

from __future__ import annotations

from pipshim.model import events
from pipshim.progress.event_timeline import History

MODES = ("isolated", "matched", "no-isolation")


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def one() -> History:
    """Give the history of a single build."""
    clock = Clock()
    history = History(clock)
    natten = ("natten", "0.17.5")
    history(events.Planned(1, 1))
    clock.now = 1
    history(events.BuildStarted(*natten, "no-isolation", "pyproject.toml", "wheel"))
    history(events.DownloadStarted("1", "natten-0.17.5.tar.gz", 3_000_000))
    clock.now = 2
    history(events.DownloadFinished("1", 3_000_000))
    history(events.BuildPhase(*natten, "environment"))
    clock.now = 4
    history(events.BuildPhase(*natten, "wheel"))
    clock.now = 124
    history(
        events.BuildFinished(
            *natten, "no-isolation", "pyproject.toml", "wheel", 123, 400.0, 6_500_000_000, 100.0
        )
    )
    clock.now = 125
    history(events.Installed(*natten, "built"))
    return history


def many(count: int) -> History:
    """Give the history of so many packages: a third of them built, four at a time."""
    clock = Clock()
    history = History(clock)
    history(events.ResolveStarted(1))
    clock.now = 2
    history(events.ResolveFinished(count, 2))
    history(events.Planned(count, count // 3))
    for number in range(count - count // 3):
        history(events.DownloadStarted(str(number), f"lib_{number}-1.{number}-py3-none-any.whl"))
        clock.now += 0.01 + number % 7 / 100
        history(events.DownloadFinished(str(number), 40_000 * (number % 9 + 1)))
    # (when, what): starts are put between the ends of the four that run
    running: list[tuple[float, int]] = []
    for number in range(count // 3):
        if len(running) == 4:
            running.sort()
            _end(history, clock, *running.pop(0))
        mode = MODES[number % 3]
        waits_for = (f"source-{number - 4}",) if number % 3 == 2 and number > 4 else ()
        key = (f"source-{number}", f"0.{number}")
        history(events.BuildStarted(*key, mode, "default", "wheel", None, waits_for))
        history(events.BuildPhase(*key, "environment"))
        clock.now += 0.05
        history(events.BuildPhase(*key, "wheel"))
        running.append((clock.now + 0.2 + (number * 37 % 101) / 10, number))
    for when, number in sorted(running):
        _end(history, clock, when, number)
    for number in range(count // 3):
        history(events.Installed(f"source-{number}", f"0.{number}", "built"))
        clock.now += 0.005
    return history


def _end(history: History, clock: Clock, when: float, number: int) -> None:
    clock.now = max(clock.now, when)
    mode = MODES[number % 3]
    history(
        events.BuildFinished(f"source-{number}", f"0.{number}", mode, "default", "wheel", clock.now)
    )
