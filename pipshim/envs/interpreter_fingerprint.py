"""The fingerprint of an interpreter, which tells if cached answers are stale."""
# Paths are strings: `pipshim.fastpath.restore` uses this, and has no time to import pathlib.
# ruff: noqa: PTH116, PTH120

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SCHEMA = 1


def signature(python: str) -> list[Any]:
    """Return everything that a Python's description depends on, as plain data.

    Kernel and libc are in its markers and tags.

    """
    import packaging  # noqa: PLC0415 its version only: none of its modules

    found = os.stat(python)
    folder = os.path.dirname(python)
    return [
        _SCHEMA,
        packaging.__version__,
        os.path.realpath(python),
        found.st_mtime_ns,
        found.st_size,
        [_mtime(f"{one}/pyvenv.cfg") for one in (os.path.dirname(folder), folder)],
        *_system(),
    ]


def _system() -> list[object]:
    """Return what may change below a Python: the kernel and the C library."""
    kernel: list[str] = []
    libc: str | None = None
    if sys.platform != "win32":
        kernel = list(os.uname()[2:])
        try:
            libc = os.confstr("CS_GNU_LIBC_VERSION")
        except (AttributeError, ValueError, OSError):
            libc = None
    return [kernel, libc]


def _mtime(path: str) -> int | None:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
