"""The arithmetic and the tables of the benchmarks; nothing here runs or reads anything."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DASH = "-"
KILO = 1000
MINUTE = 60


def median(values: Sequence[float]) -> float | None:
    """Give the median, or None of nothing."""
    return statistics.median(values) if values else None


def ratio(value: float | None, to: float | None) -> float | None:
    """Tell how many times one is the other, or None where one of them is not there."""
    return value / to if value is not None and to else None


def exponent(points: Mapping[int, float]) -> float | None:
    """Tell the k of time ~ size**k, from the smallest size to the largest."""
    if len(points) < 2:  # noqa: PLR2004 a slope needs two
        return None
    first, last = min(points), max(points)
    return math.log(points[last] / points[first]) / math.log(last / first)


def rotated(names: Sequence[str], by: int) -> list[str]:
    """Give the order of a round: each round begins with another one."""
    if not names:
        return []
    by %= len(names)
    return [*names[by:], *names[:by]]


def seconds(value: float | None) -> str:
    """Write a time as people say it."""
    if value is None:
        return DASH
    if value < 1:
        return f"{value * KILO:.0f} ms"
    return f"{value:.2f} s" if value < MINUTE else f"{value:.0f} s"


def times(value: float | None) -> str:
    """Write a ratio."""
    return DASH if value is None else f"{value:.2f}"


def megabytes(value: float | None) -> str:
    """Write an amount of memory."""
    return DASH if value is None else f"{value / 2**20:.0f} MB"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table; all columns but the first are numbers."""
    every = [head, *rows]
    widths = [max(len(row[at]) for row in every) for at in range(len(head))]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in every
    ]
    rules = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([lines[0], f"|{'|'.join(rules)}|", *lines[1:]])
