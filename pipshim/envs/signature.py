"""What tells whether a Python is the one that it was."""
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
    """List all that what a Python says of itself depends on, as JSON can hold it.

    Kernel and libc are in its markers and tags, which `packaging` gives it.

    Args:
        python: the interpreter, absolute.

    Raises:
        OSError: there is none.

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
    """Give what may change below a Python that stays: the kernel and the C library."""
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
