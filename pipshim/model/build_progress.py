"""Estimate a build's progress from its output. Pure.

Ninja (also through CMake, Meson and torch's cpp_extension), Cython and Bazel print ``[12/73]``,
make with CMake's makefiles ``[ 16%]``. Cargo prints a total only on a terminal; its ``Compiling``
lines are counted, as are the compiler's command lines that setuptools and make print. An earlier
build tells the total of what is only counted.
"""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from pipshim.base.light.dataclasses import dataclass

Unit: TypeAlias = Literal["steps", "%", "crates", "files"]

_STEPS = re.compile(r"\[\s*([\d,]+)\s?/\s?([\d,]+)\]\s")
_PERCENT = re.compile(r"\[\s*(\d{1,3})%\]\s")
_CARGO_BAR = re.compile(r"\s*Building \[[=> ]*\] (\d+)/(\d+)")
_CRATE = re.compile(r"\s*Compiling \S+ v\d")
_EXTENSION = re.compile(r"building '[^']+' extension")
_SILENT_RULE = re.compile(r"\s+(?:CC|CXX|FC|AS|NVCC|F77)\s+\S+\s*$")
_COMPILER = re.compile(
    r"\S*?(?:gcc|g\+\+|cc|c\+\+|clang|clang\+\+|nvcc|hipcc|gfortran|icx|icpx)(?:-[\d.]+)?\s(?:.*\s)?-c\s"
)


_LEAST_FRACTION = 0.1
"""From which share on the speed alone is worth an estimate."""


@dataclass(frozen=True)
class Progress:
    """How far a build is.

    Attributes:
        done: how many steps of the running tool are done, or have begun.
        total: how many there are, if that is known.
        unit: what is counted.
        extension: which extension module of setuptools it is for, counted from 1; 0: none.

    """

    done: int
    total: int | None
    unit: Unit
    extension: int = 0

    @property
    def fraction(self) -> float | None:
        """The share that is done, between 0 and 1; None if the total is not known."""
        return min(self.done / self.total, 1.0) if self.total else None

    def __str__(self) -> str:
        prefix = f"extension {self.extension}, " if self.extension > 1 else ""
        if self.unit == "%":
            return f"{prefix}{self.done} %"
        if self.total:
            return f"{prefix}{self.done}/{self.total}"
        unit = self.unit if self.done != 1 else self.unit.removesuffix("s")
        return f"{prefix}{self.done} {unit}"


class ProgressReader:
    """Reads the output of one build, line by line.

    Attributes:
        progress: the latest, None before there is any.
        steps: how many steps were done in all; a build may run several tools one after the other.

    """

    def __init__(self, expected: int | None = None) -> None:
        """Begin.

        Args:
            expected: how many steps an earlier build had in all.

        """
        self.progress: Progress | None = None
        self._expected = expected
        self._before = 0
        self._extensions = 0
        self._running = 0

    @property
    def steps(self) -> int:
        """How many steps were done in all."""
        return self._before + (self.progress.done if self.progress is not None else 0)

    @property
    def fraction(self) -> float | None:
        """The share of the whole build that is done, as far as that is known.

        A crate or file that is only counted is named when it begins, so it is not done.
        """
        if self._expected and self.steps <= self._expected:
            return (self.steps - self._running) / self._expected
        return self.progress.fraction if self.progress is not None else None

    def read(self, line: str) -> bool:
        """Read a line; return whether it tells of progress."""
        if _EXTENSION.match(line):
            self._extensions += 1
            return False
        found = _progress_in(line)
        last = self.progress
        if found is None or (last is not None and _belongs_to_step(last, found)):
            return False
        done, total, unit = found
        self._running = 1 if total is None else 0
        if total is None:
            done = last.done + 1 if last is not None and last.unit == unit else 1
        if last is not None and (unit, done) == (last.unit, last.done):
            return False  # CMake's make prints each percentage often
        if last is not None and (unit != last.unit or done < last.done):
            self._before += last.done  # another tool has begun to count, or the same one again
        if total is None and self._expected and done <= self._expected - self._before:
            total = self._expected - self._before
        self.progress = Progress(done, total, unit, self._extensions)
        return True


def _progress_in(line: str) -> tuple[int, int | None, Unit] | None:
    if line.startswith("["):
        if match := _STEPS.match(line):
            done, total = (int(number.replace(",", "")) for number in match.groups())
            return (done, total, "steps") if 0 < total >= done else None
        if match := _PERCENT.match(line):
            return min(int(match[1]), 100), 100, "%"
        return None
    if match := _CARGO_BAR.match(line):
        return int(match[1]), int(match[2]), "crates"
    if _CRATE.match(line):
        return 0, None, "crates"
    if _COMPILER.match(line) or _SILENT_RULE.match(line):
        return 0, None, "files"
    return None


def _belongs_to_step(last: Progress, found: tuple[int, int | None, Unit]) -> bool:
    """Return whether what is counted is the command line of a tool that prints its steps."""
    is_counted = found[1] is None
    return is_counted and last.unit in ("steps", "%") and last.done < (last.total or 0)


def seconds_left(elapsed: float, fraction: float | None, expected: float | None) -> float | None:
    """Estimate how long a build will take, from its steps and an earlier build's duration.

    The earlier duration counts most at the beginning, and the speed so far at the end. Without an
    earlier build the speed is used once a tenth is done: the first steps tell little.

    Args:
        elapsed: how long it has been running, in seconds.
        fraction: the share that is done, if known.
        expected: how long an earlier build took, if known.

    """
    by_speed = elapsed * (1 - fraction) / fraction if fraction else None
    by_history = expected - elapsed if expected is not None else None
    if by_history is None:
        return by_speed if fraction is not None and fraction >= _LEAST_FRACTION else None
    if by_speed is None or fraction is None:
        return by_history if by_history > 0 else None
    return max((1 - fraction) * max(by_history, 0.0) + fraction * by_speed, 0.0)
