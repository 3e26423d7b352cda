"""Having a thing for oneself among all processes: the system's own lock on a file.

It ends with its process, however that ends. (The library filelock does the same; its import takes
longer than making an environment.)
"""

from __future__ import annotations

import fcntl
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Held:
    """A file that is locked while this lasts (``with``). It is made if it is missing."""

    def __init__(
        self,
        path: Path | str,
        waiting: Callable[[], object] | None = None,
        *,
        shared: bool = False,
        mode: int = 0o644,
    ) -> None:
        """Tell what will be locked.

        Args:
            path: the file.
            waiting: called once if another process has it, before waiting.
            shared: let others have it too who say so.
            mode: its permissions, if it is made.

        """
        self._path = path
        self._waiting = waiting
        self._how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        self._mode = mode
        self._file: int | None = None

    def __enter__(self) -> None:
        """Lock it.

        Raises:
            OSError: it cannot be written, or its file system has no locks.

        """
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, self._mode)
        try:
            try:
                fcntl.flock(self._file, self._how | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._waiting is not None:
                    self._waiting()
                fcntl.flock(self._file, self._how)
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
