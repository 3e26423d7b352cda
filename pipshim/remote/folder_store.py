"""A remote in a folder, on NFS for example."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, BinaryIO

from pipshim.base.write_errors import reason
from pipshim.remote.file_store import (
    CHUNK,
    MOST_NAMES,
    UNSUPPORTED,
    Entry,
    FileMissingError,
    RemoteError,
    copy,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from threading import Event

TEMPORARY = ".tmp-"
"""How the names of files begin that are being written."""

_NO_LINKS = UNSUPPORTED | {errno.EPERM, errno.EMLINK, errno.EINVAL}
"""The errors of file systems without hard links (link(2)); the last one is of Windows."""


class FolderStore:
    """The files below a folder. A file system that does not answer is given up on in time.

    Args:
        root: the folder; writing makes it.
        may_be_missing: whether it is empty if it does not exist, and not an error.

    """

    is_writable = True

    def __init__(self, root: Path, *, may_be_missing: bool = False) -> None:
        self._root = root
        self._may_be_missing = may_be_missing

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:
        return within(seconds, lambda: self._names(folder, prefix))

    def _names(self, folder: str, prefix: str) -> list[Entry]:
        try:
            with os.scandir(self._root / folder) as found:
                some = (one for one in found if one.name.startswith(prefix))
                return [_entry(one, one.name) for one in islice(some, MOST_NAMES)]
        except FileNotFoundError:
            self._check()
            return []
        except OSError as error:
            raise _error(error) from error

    def _check(self) -> None:
        if not (self._may_be_missing or self._root.is_dir()):
            raise RemoteError("the folder does not exist")

    def walk(self, folder: str) -> list[Entry]:
        self._check()
        return list(self._walk(folder, ""))

    def _walk(self, folder: str, prefix: str) -> Iterator[Entry]:
        try:
            with os.scandir(self._root / folder) as found:
                for one in found:
                    if one.is_dir(follow_symlinks=False):
                        yield from self._walk(f"{folder}/{one.name}", f"{prefix}{one.name}/")
                    else:
                        yield _entry(one, f"{prefix}{one.name}")
        except FileNotFoundError:
            return
        except OSError as error:
            raise _error(error) from error

    def read(self, path: str, most: int, seconds: float) -> bytes:
        def read() -> bytes:
            with self._open(path) as file:
                return file.read(most + 1)

        return within(seconds, read)

    def fetch(self, path: str, into: Path, most: int, stop: Event) -> None:
        with self._open(path) as source:
            copy(iter(lambda: source.read(CHUNK), b""), into, most, stop)

    def _open(self, path: str) -> BinaryIO:
        try:
            return (self._root / path).open("rb")
        except FileNotFoundError:
            raise FileMissingError(f"{path} does not exist") from None
        except OSError as error:
            raise _error(error) from error

    def create(self, path: str, content: bytes, seconds: float) -> bool:
        return within(seconds, lambda: self._write(path, lambda file: file.write(content)))

    def upload(self, path: str, file: Path, seconds: float) -> bool:
        def write(target: BinaryIO) -> None:
            with file.open("rb") as source:
                while piece := source.read(CHUNK):
                    target.write(piece)

        return within(seconds, lambda: self._write(path, write))

    def _write(self, path: str, write: Callable[[BinaryIO], object]) -> bool:
        """Write a file beside its place, and give it its name if nobody else has done so."""
        place = self._root / path
        temporary = place.with_name(f"{TEMPORARY}{os.getpid()}-{os.urandom(8).hex()}")
        try:
            if place.exists():
                return False
            place.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("xb") as file:
                write(file)
            return _put_in_place(temporary, place)
        except OSError as error:
            raise _error(error) from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        try:
            (self._root / path).unlink(missing_ok=True)
        except OSError as error:
            raise _error(error) from error
        with suppress(OSError):  # other files are in it
            (self._root / path).parent.rmdir()


def _put_in_place(temporary: Path, place: Path) -> bool:
    try:
        os.link(temporary, place)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        temporary.replace(place)  # what has the same name has the same content
    return True


def _entry(one: os.DirEntry[str], name: str) -> Entry:
    try:
        found = one.stat(follow_symlinks=False)
    except OSError:
        return Entry(name)
    return Entry(name, found.st_size, found.st_mtime)


def _error(error: OSError) -> RemoteError:
    if isinstance(error, NotADirectoryError):
        return RemoteError("it is not a folder")
    return RemoteError(f"{error.filename}: {reason(error)}" if error.filename else reason(error))
