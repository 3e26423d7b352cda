"""An inter-process file lock, released when its process ends.

The library filelock takes 40 ms to import, and has no shared locks with flock.
"""

from __future__ import annotations

import os
import sys

try:
    import fcntl
except ImportError:  # Windows
    _has_fcntl = False
else:
    _has_fcntl = True

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Any

_POLL_SECONDS = 0.05
_BYTES = 1024
_ATTEMPTS = 3
"""How many bytes are tried, as others who share the lock may have one."""


class FileLock:
    """A file that is locked during a ``with`` block; it is created if it is missing."""

    def __init__(
        self,
        path: Path | str,
        waiting: Callable[[], object] | None = None,
        *,
        shared: bool = False,
        mode: int = 0o644,
    ) -> None:
        """Prepare the lock.

        Args:
            waiting: called once if another process has it, before waiting.
            shared: let other processes share the lock.
            mode: permissions of a new file.

        """
        self._path = path
        self._waiting = waiting
        self._shared = shared
        self._mode = mode
        self._file: int | None = None

    def __enter__(self) -> None:
        """Lock it.

        Raises:
            OSError: it cannot be written, or its file system has no locks.

        """
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, self._mode)
        lock = _flock if _has_fcntl else _lock_bytes
        try:
            if not lock(self._file, shared=self._shared, wait=False):
                if self._waiting is not None:
                    self._waiting()
                lock(self._file, shared=self._shared, wait=True)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def _flock(file: int, *, shared: bool, wait: bool) -> bool:
    """Lock a file; return False if another process has it and `wait` is False."""
    if sys.platform != "win32":
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _lock_bytes(file: int, *, shared: bool, wait: bool) -> bool:
    """Do the same on Windows: shared locks take one of many bytes, exclusive ones all of them."""
    try:
        msvcrt: Any = __import__("msvcrt")
    except ImportError:  # neither: a platform without processes (WebAssembly)
        return True
    import random  # noqa: PLC0415 not needed elsewhere
    import time  # noqa: PLC0415

    while True:
        for _ in range(_ATTEMPTS):
            os.lseek(file, random.randrange(_BYTES) if shared else 0, os.SEEK_SET)  # noqa: S311
            try:
                msvcrt.locking(file, msvcrt.LK_NBLCK, 1 if shared else _BYTES)
            except PermissionError:
                continue
            return True
        if not wait:
            return False
        time.sleep(_POLL_SECONDS)
