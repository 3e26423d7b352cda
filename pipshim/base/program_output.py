"""What other programs print."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def output_of(
    command: Sequence[str],
    seconds: float | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return what a program prints; empty if it is missing, fails or takes longer."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            encoding="utf-8",
            errors="replace",
            timeout=seconds,
            env=environ,
        )
    except (OSError, subprocess.SubprocessError, ValueError):
        return ""
    return done.stdout
