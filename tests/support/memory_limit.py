"""A cgroup with a memory limit of its own, where this process may make one."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipshim.base.cores import folders

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMITS = {1: "memory.limit_in_bytes", 2: "memory.max"}


@contextmanager
def memory_limit(megabytes: int) -> Iterator[Path]:
    """Make a cgroup with this limit; yield its folder. The test is skipped if that cannot be."""
    found = next(folders("memory"), None)
    if found is None:
        pytest.skip("needs a cgroup with memory")
    version, parent = found
    folder = Path(parent, f"pipshim-test-{os.getpid()}-{time.monotonic_ns()}")
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"needs a cgroup of its own: {error}")
    try:
        try:
            (folder / _LIMITS[version]).write_text(str(megabytes << 20))
        except OSError as error:
            pytest.skip(f"needs a limit of its own: {error}")
        yield folder
    finally:
        end = time.monotonic() + 10
        while folder.exists() and time.monotonic() < end:
            try:
                folder.rmdir()
            except OSError:  # a process that has just ended is in it
                time.sleep(0.05)


def command_in(folder: Path, *command: str) -> list[str]:
    """Return a command that runs in a cgroup."""
    return ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(folder / "cgroup.procs"), *command]
