"""The folder for a command's temporary files, including pip's."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pipshim.base import interruption

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def temporary_files() -> Iterator[None]:
    """Keep temporary files in one folder, and remove it if a signal ends the command.

    A signal may come between the creation of a file and the moment when its creator knows of it.
    Otherwise the folder is removed only if it is empty: pip's ``--no-clean`` leaves files there.
    pip's own commands do without it: they print these paths, and scripts compare them with pip's.
    """
    outer = tempfile.tempdir
    folder = tempfile.mkdtemp(prefix="pipshim-")
    interruption.temporary.add(folder)
    tempfile.tempdir = folder
    try:
        yield
    finally:
        tempfile.tempdir = outer
        if interruption.Interruption.first is not None:
            shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            os.rmdir(folder)  # noqa: PTH106 as mkdtemp gave it
        interruption.temporary.discard(folder)
