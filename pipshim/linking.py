"""Placing the store's files in an environment: reflink, else hard link, else copy."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH102, PTH108, PTH112, PTH114, PTH116, PTH120, PTH123

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from typing import TYPE_CHECKING, Literal

from pipshim.distinfo import CHUNK
from pipshim.errors import InstallError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeAlias

LinkMode: TypeAlias = Literal["auto", "reflink", "hardlink", "copy", "mixed"]
"""How to place files; each falls back to those after it where the file system refuses.

``auto`` and ``reflink``: reflink, hard link, copy; they differ in what counts as falling back.
``mixed`` is for environments that a build may write into: reflink; else copy what is small and
hard-link only files of ``MIXED_LIMIT`` and more.
"""

Placed: TypeAlias = Literal["reflink", "hardlink", "copy"]

MIXED_LIMIT = 64 * 1024
"""Bytes from which ``mixed`` hard-links a file that cannot be reflinked."""

_FICLONE = 0x40049409  # _IOW(0x94, 9, int), linux/fs.h
_REFUSED = {
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.ENOTTY,
    errno.EINVAL,
}


class Linker:
    """Places files in one environment; trees may share it, from several threads.

    It remembers which folders there are, and what each device refused.

    Attributes:
        mode: what was asked for.
        used: what files were placed by, so far.
        made: folders that are there, and do not lead out of the environment.

    """

    def __init__(self, mode: LinkMode = "auto") -> None:
        self.mode = mode
        self.used: set[Placed] = set()
        self._refused: set[tuple[int, Placed]] = set()
        self.made: set[str] = set()

    @property
    def fell_back_to(self) -> Placed | None:
        """What was used because a device refused what was asked for, or None."""
        refused = {mode for _, mode in self._refused}
        if self.mode == "reflink" and "reflink" in refused:
            return "copy" if "hardlink" in refused else "hardlink"
        return "copy" if "hardlink" in refused else None

    def place(
        self, source: str, destination: str, device: int, size: int, mtime: int, *, executable: bool
    ) -> None:
        """Place one file where there is none.

        Args:
            source: a file that nobody may write to from now on.
            destination: its folder exists.
            device: ``st_dev`` of the environment, to remember what it refuses.
            size: the file's, in bytes.
            mtime: its modification time in nanoseconds, which a copy gets too: the ``.pyc`` files
                that are shared between environments are valid only with it.
            executable: whether everyone may execute it.

        Raises:
            FileExistsError: there is a file.
            OSError: it cannot be written.

        """
        mode = self.mode
        refused = self._refused
        clones = mode != "copy" and mode != "hardlink"  # noqa: PLR1714 the hot path
        if (
            clones
            and (device, "reflink") not in refused
            and self._clone(source, destination, device, mtime, executable=executable)
        ):
            return
        if (
            mode != "copy"
            and (device, "hardlink") not in refused
            and (mode != "mixed" or size >= MIXED_LIMIT)
        ):
            try:
                os.link(source, destination)
            except OSError as error:
                if error.errno in _REFUSED:
                    refused.add((device, "hardlink"))
                elif error.errno != errno.EMLINK:
                    raise
            else:
                self.used.add("hardlink")
                return
        _copy(source, destination, mtime, executable=executable)
        self.used.add("copy")

    def _clone(
        self, source: str, destination: str, device: int, mtime: int, *, executable: bool
    ) -> bool:
        old = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            new = _create(destination, executable=executable)
            try:
                fcntl.ioctl(new, _FICLONE, old)
                os.utime(new, ns=(mtime, mtime))
            except OSError as error:
                os.unlink(destination)
                if error.errno not in _REFUSED:
                    raise
                self._refused.add((device, "reflink"))
                return False
            except BaseException:
                os.unlink(destination)
                raise
            finally:
                os.close(new)
        finally:
            os.close(old)
        self.used.add("reflink")
        return True

    def make_root(self, path: str) -> tuple[list[str], int]:
        """Make a folder of the environment's scheme.

        Returns:
            The folders that were missing, and the device that it is on.

        """
        missing: list[str] = []
        folder = path
        while folder not in self.made and not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        created = [folder for folder in reversed(missing) if _mkdir(folder)]
        self.made.add(path)
        return created, os.stat(path).st_dev

    def make_folder(self, path: str, inside: Iterable[str]) -> list[str]:
        """Make a folder below one of the roots; return the folders that were missing.

        Raises:
            InstallError: a symbolic link on the way leads out of the folders of ``inside``.

        """
        if path in self.made:
            return []
        created = self.make_folder(os.path.dirname(path), inside)
        if _mkdir(path):
            created.append(path)
        elif os.path.islink(path):
            real = os.path.realpath(path)
            if not any(is_within(real, os.path.realpath(folder)) for folder in inside):
                raise InstallError(f"{path} leads out of the environment, to {real}")
        self.made.add(path)
        return created

    def forget(self, paths: Iterable[str]) -> None:
        """Forget folders that have been removed."""
        self.made.difference_update(paths)


def is_within(path: str, folder: str) -> bool:
    """Tell whether ``path`` is ``folder`` or below it; both are absolute and normal."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _mkdir(path: str) -> bool:
    try:
        os.mkdir(path)
    except FileExistsError as error:
        if not os.path.isdir(path):
            raise InstallError(f"{path} is in the way: a folder has to be there") from error
        return False
    return True


def _create(destination: str, *, executable: bool) -> int:
    mode = 0o777 if executable else 0o666
    return os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)


def _copy(source: str, destination: str, mtime: int, *, executable: bool) -> None:
    with open(source, "rb", buffering=0) as old:
        new = _create(destination, executable=executable)
        try:
            with open(new, "wb") as file:
                shutil.copyfileobj(old, file, CHUNK)
                file.flush()
                os.utime(new, ns=(mtime, mtime))
        except BaseException:
            os.unlink(destination)
            raise
