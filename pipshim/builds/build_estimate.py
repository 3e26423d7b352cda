"""Estimate from its source files how long a build takes that was never done on this machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS_PER_MB = {
    ".c": 10.0,
    ".f": 10.0,
    ".f90": 20.0,
    ".cc": 50.0,
    ".cpp": 50.0,
    ".cxx": 50.0,
    ".pyx": 50.0,
    ".rs": 50.0,
    ".cu": 500.0,
}
"""How long a compiler takes for the files of a language, roughly: what counts is the order."""

_AT_LEAST = 1.0
_NOT_COMPILED = frozenset(
    {"test", "tests", "doc", "docs", "example", "examples", "benchmark", "benchmarks", ".git"}
)
_MB = 1_000_000


def estimated_seconds(source: Path) -> float:
    """Estimate how long it takes to build a source tree, on one core."""
    seconds = _AT_LEAST
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name.lower() not in _NOT_COMPILED]
        for name in files:
            per_mb = _SECONDS_PER_MB.get(os.path.splitext(name)[1].lower())  # noqa: PTH122 many
            if per_mb is not None:
                seconds += per_mb * _size(f"{folder}/{name}") / _MB
    return seconds


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size  # noqa: PTH116 many
    except OSError:
        return 0
