"""Having a thing for oneself among all processes: the system's own lock on a file.

It ends with its process, however that ends. (The library filelock does the same; its import takes
longer than making an environment.)
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def held(path: Path | str, waiting: Callable[[], object] | None = None) -> Iterator[None]:
    """Lock a file, which is made if it is missing; ``waiting`` is called once if another has it.

    Raises:
        OSError: it cannot be written, or its file system has no locks.

    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is not None:
                waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)
