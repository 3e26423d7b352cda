"""Place the store's files in an environment: reflink, else hard link, else copy."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH102, PTH108, PTH112, PTH114, PTH120, PTH123

from __future__ import annotations

import errno
import os
import sys

from pipshim.base.errors import InstallError
from pipshim.base.light.named_tuples import NamedTuple
from pipshim.base.paths import is_within
from pipshim.envs.dist_info import CHUNK

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence
    from typing import Literal, TypeAlias

    LinkMode: TypeAlias = Literal["auto", "reflink", "hardlink", "copy", "mixed"]
    """How to place files; each falls back to those after it where the file system refuses.

    ``auto`` and ``reflink``: reflink, hard link, copy; they differ in what counts as falling back.
    ``mixed`` is for environments that a build may write into: reflink; else copy what is small and
    hard-link only files of ``MIXED_LIMIT`` and more, and headers, which compilers only read.
    """

    Placed: TypeAlias = Literal["reflink", "hardlink", "copy"]

MIXED_LIMIT = 64 * 1024
"""Bytes from which ``mixed`` hard-links a file that cannot be reflinked."""

HEADERS = (".h", ".hh", ".hpp", ".hxx", ".cuh", ".inc", ".inl")
"""How the names of headers end: torch has nine thousand."""

_BINARY: int = getattr(os, "O_BINARY", 0)  # Windows
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


class Batch(NamedTuple):
    """The files of one folder, to be placed in another one, which exists.

    Attributes:
        source: the folder of the store, with ``/`` at its end. Nobody may write to its files.
        destination: the other one, with ``/`` at its end.
        names: of the files.
        sizes: of each, in bytes.
        executable: the names of those that everyone may execute.
        time: the modification time of all, in seconds since the epoch, also for copies: shared
            ``.pyc`` files are valid only with it.
        scheme: which of the environment's folders that is in.
        bytecode: whether the files are bytecode.

    """

    source: str
    destination: str
    names: Sequence[str]
    sizes: Sequence[int]
    executable: Collection[str]
    time: int
    scheme: str
    bytecode: bool = False

    def only(self, names: Sequence[str]) -> Batch:
        """Return the same with some of the names."""
        sizes = dict(zip(self.names, self.sizes, strict=True))
        return self._replace(names=names, sizes=[sizes[name] for name in names])


class Linker:
    """Places files in one environment, for several wheels and threads.

    It remembers which folders exist, and what the file system refused.

    Attributes:
        made: folders that exist, and do not lead out of the environment.

    """

    def __init__(self, mode: LinkMode = "auto") -> None:
        self.mode = mode
        self._refused: dict[Placed, int | None] = {}
        self.made: set[str] = set()

    @property
    def fell_back_to(self) -> Placed | None:
        """What was used because a device refused what was asked for, or None."""
        if "hardlink" in self._refused:
            return "copy"
        return "hardlink" if self.mode == "reflink" and "reflink" in self._refused else None

    @property
    def fallback_message(self) -> str | None:
        """A message if files were not placed as was asked for; else None."""
        if self.fell_back_to is None:
            return None
        is_copy = self.fell_back_to == "copy"
        why = f"the file system has no {'hard links' if is_copy else 'clones of files'}"
        if errno.EXDEV in self._refused.values():
            why = "the cache is on another file system"
        return f"files are {'copied' if is_copy else 'hard-linked'}: {why}"

    def place(self, batch: Batch, start: int, placed: list[str]) -> int:
        """Place the files of one folder, up to the first that exists already.

        Args:
            batch: the files.
            start: the number of the first one to place.
            placed: receives the paths.

        Returns:
            the number of the file that exists; how many files there are, if none does.

        Raises:
            OSError: one cannot be written.

        """
        for number in range(start, len(batch.names)):
            name = batch.names[number]
            path = batch.destination + name
            try:
                self._place_one(batch, number, batch.source + name, path)
            except FileExistsError:
                return number
            placed.append(path)
        return len(batch.names)

    def _place_one(self, batch: Batch, number: int, source: str, destination: str) -> None:
        mode, refused = self.mode, self._refused
        executable = batch.names[number] in batch.executable
        clones = mode not in ("copy", "hardlink") and "reflink" not in refused
        if clones and self._clone(source, destination, batch.time, executable=executable):
            return
        is_linked = mode != "mixed" or (
            batch.sizes[number] >= MIXED_LIMIT or destination.endswith(HEADERS)
        )
        if mode != "copy" and is_linked and "hardlink" not in refused:
            try:
                os.link(source, destination)
            except OSError as error:
                if error.errno in _REFUSED:
                    refused["hardlink"] = error.errno
                elif error.errno != errno.EMLINK:
                    raise
            else:
                return
        _copy(source, destination, batch.time, executable=executable)

    def _clone(self, source: str, destination: str, time: int, *, executable: bool) -> bool:
        old = os.open(source, os.O_RDONLY | _BINARY)
        try:
            new = _create(destination, executable=executable)
            try:
                _reflink(old, new)
                os.utime(new, (time, time))
            except OSError as error:
                os.unlink(destination)
                if error.errno not in _REFUSED:
                    raise
                self._refused["reflink"] = error.errno
                return False
            except BaseException:
                os.unlink(destination)
                raise
            finally:
                os.close(new)
        finally:
            os.close(old)
        return True

    def make_root(self, path: str) -> list[str]:
        """Make a folder of the environment's scheme; return the folders that were missing."""
        missing: list[str] = []
        folder = path
        while folder not in self.made and not os.path.isdir(folder):
            missing.append(folder)
            folder = os.path.dirname(folder)
        created = [folder for folder in reversed(missing) if _mkdir(folder)]
        self.made.add(path)
        return created

    def make_folders(self, paths: Iterable[str], inside: Iterable[str]) -> Iterator[str]:
        """Make folders below the roots; yield each new one.

        Args:
            paths: each after its parent.
            inside: the roots.

        Raises:
            InstallError: a symbolic link on the way leads out of the folders of ``inside``.

        """
        made = self.made
        for path in paths:
            if path in made:
                continue
            if _mkdir(path):
                yield path
            elif os.path.islink(path):
                real = os.path.realpath(path)
                if not any(is_within(real, os.path.realpath(folder)) for folder in inside):
                    raise InstallError(f"{path} leads out of the environment, to {real}")
            made.add(path)

    def forget(self, paths: Iterable[str]) -> None:
        """Forget folders that have been removed."""
        self.made.difference_update(paths)


def _reflink(old: int, new: int) -> None:
    """Give a new file the blocks of another, on Linux.

    Raises:
        OSError: the file system or the platform has no reflinks.

    """
    try:
        import fcntl  # noqa: PLC0415 not everywhere
    except ImportError:
        raise OSError(errno.ENOSYS, "no fcntl") from None
    if sys.platform != "win32":
        fcntl.ioctl(new, _FICLONE, old)


def _mkdir(path: str) -> bool:
    try:
        os.mkdir(path)
    except FileExistsError as error:
        if not os.path.isdir(path):
            raise InstallError(f"{path} is in the way of a folder") from error
        return False
    return True


def _create(destination: str, *, executable: bool) -> int:
    mode = 0o777 if executable else 0o666
    return os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, mode)


def _copy(source: str, destination: str, time: int, *, executable: bool) -> None:
    import shutil  # noqa: PLC0415 what links does without

    with open(source, "rb", buffering=0) as old:
        new = _create(destination, executable=executable)
        try:
            with open(new, "wb") as file:
                shutil.copyfileobj(old, file, CHUNK)
                file.flush()
                os.utime(new, (time, time))
        except BaseException:
            os.unlink(destination)
            raise
