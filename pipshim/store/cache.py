"""pipshim's part of the cache: what lies where in it, and who uses it now.

Any number of commands use the cache at once; one that tidies it up has to be alone. The lock is the
system's own (``flock``), so it ends with its process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipshim.errors import PipshimError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TREES = "trees-v2"
"""Wheels, unpacked (`pipshim.store.store`)."""

BUILDS = "builds-v1"
"""What builds answered, beside their records (`pipshim.build.shelf`)."""

LOGS = "logs"
"""The output of builds."""

METADATA = "metadata-v2"
"""METADATA files of wheels (`pipshim._pip.metadata`)."""

OUTLINES = "outlines-v1"
"""What sdists show without being built, by their SHA-256 (`pipshim._pip.outlines`)."""

INTERPRETERS = "interpreters"
"""What Pythons said of themselves (`pipshim.python.target`)."""

STAMPS = "fresh"
"""Locks that were up to date (`pipshim.unchanged.fresh`, which may not import this)."""

NOTES = "again"
"""What environments had that were made (`pipshim.unchanged.again`, which may not import this)."""

ENVIRONMENTS = "environments-v1"
"""Environments of scripts, of layers and of isolated runs (`pipshim.env.places`)."""

WORK = "work"
"""Build environments, where the folder for temporary files is on another file system."""

LOCK = "in-use"
"""The file that is locked; there is nothing in it."""


@contextmanager
def in_use(root: Path | str, waiting: Callable[[], object]) -> Iterator[None]:
    """Keep the cache from being tidied up meanwhile; wait while that is going on.

    A cache that cannot be locked (a read-only one) is used as it is.

    Args:
        root: pipshim's cache folder, which exists.
        waiting: called before waiting.

    """
    try:
        file = os.open(f"{root}/{LOCK}", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_SH)
        except OSError:  # file systems without locks
            pass
        yield
    finally:
        os.close(file)


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Be the only one who uses the cache.

    Raises:
        PipshimError: somebody else does, or it cannot be locked.

    """
    path = root / LOCK
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise PipshimError(f"{path} cannot be written: {error.strerror}") from error
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PipshimError(
                f"another command of pipshim is using {root}",
                hint="do it again when that has ended",
            ) from None
        except OSError as error:
            raise PipshimError(f"{path} cannot be locked: {error.strerror}") from error
        yield
    finally:
        os.close(file)
