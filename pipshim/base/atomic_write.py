"""Atomic file writes.

A file has its old content or its new content, never a part of either. A failed write leaves the old
file and nothing else.
"""
# Paths are strings here, and little is imported: what makes an environment again uses this.
# ruff: noqa: PTH103, PTH105, PTH108, PTH116, PTH120, PTH123, SIM105

from __future__ import annotations

import os
import stat
import sys

from pipshim.base.errors import FileError
from pipshim.base.write_errors import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

TEMPORARY_FILES = ".pipshim-*.tmp"
"""A pattern for the files that killed processes may leave behind."""


def write_file(path: Path, text: str) -> None:
    """Write one of the user's files as `StagedFile` does, at once."""
    with StagedFile(path, text):
        pass


class StagedFile:
    """The new content of one of the user's files, which replaces it when the block ends.

    It is on the disk before the block begins, so that little can fail at its end; an error in the
    block discards it. A symbolic link is written through. An existing file keeps its permissions
    and, where possible, its owner. What is not a regular file (``/dev/stdout``, a named pipe) is
    opened and written to.

    Raises:
        FileError: the file cannot be written.

    """

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._target = os.path.realpath(path)
        self._content = text.encode("utf-8")
        self._temporary: str | None = None

    def __enter__(self) -> None:
        try:
            old = _stat(self._path)
            if old is not None and not stat.S_ISREG(old.st_mode):
                return
            if old is not None and not os.access(self._target, os.W_OK):
                os.close(os.open(self._target, os.O_WRONLY))  # raises the error that says why
            self._temporary = _write_beside(self._target, self._content, 0o666, old, durable=True)
        except OSError as error:
            raise self._error(error) from error

    def __exit__(self, _kind: object, failure: object, _traceback: object) -> None:
        try:
            if failure is not None:
                if self._temporary is not None:
                    _discard(self._temporary, self._target)
            elif self._temporary is None:
                with open(self._target, "wb") as file:
                    file.write(self._content)
            else:
                _put_in_place(self._temporary, self._target)
                _sync_folder(os.path.dirname(self._target))
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> FileError:
        return FileError(self._path, f"cannot be written: {reason(error, self._target)}")


def replace_file(path: str | Path, content: bytes, *, mode: int = 0o666) -> None:
    """Write a file of the cache or of an environment atomically, without waiting for the disk.

    Args:
        path: the file; its folder exists.
        content: all of it.
        mode: its permissions, before the umask.

    Raises:
        OSError: the file cannot be written; the error's filename is the path.

    """
    target = str(path)
    _put_in_place(_write_beside(target, content, mode), target)


def write_cache_file(path: str | Path, content: bytes) -> bool:
    """Write a file of the cache and its folder atomically; return whether that worked."""
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        replace_file(path, content)
    except OSError:
        return False
    return True


def _write_beside(
    target: str,
    content: bytes,
    mode: int,
    old: os.stat_result | None = None,
    *,
    durable: bool = False,
) -> str:
    """Write a temporary file beside the target; return its path."""
    # A random name: threads, and containers that share a cache, may write the same file at once.
    folder = os.path.dirname(target) or "."
    temporary = f"{folder}/.pipshim-{os.urandom(8).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(temporary, flags, mode)
        try:
            if old is not None:
                _copy_permissions(target, old, temporary)
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)  # some file systems report a full disk only now
    except BaseException as error:
        _discard(temporary, target, error)
        raise
    return temporary


def _put_in_place(temporary: str, target: str) -> None:
    try:
        os.replace(temporary, target)
    except BaseException as error:
        _discard(temporary, target, error)
        raise


def _discard(temporary: str, target: str, error: BaseException | None = None) -> None:
    """Remove a temporary file; name the target in the error."""
    try:
        os.unlink(temporary)
    except OSError:
        pass
    if isinstance(error, OSError):
        error.filename, error.filename2 = target, None


def _stat(path: Path) -> os.stat_result | None:
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _copy_permissions(old_path: str, old: os.stat_result, new_path: str) -> None:
    """Give a new file the owner, mode and access control list of an old one."""
    import shutil  # noqa: PLC0415 only for the user's files

    new = os.stat(new_path)
    if sys.platform != "win32" and (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.chown(new_path, old.st_uid, old.st_gid)
        except OSError:
            pass  # only root may give files away
    shutil.copystat(old_path, new_path)
    os.utime(new_path)


def _sync_folder(folder: str) -> None:
    """Wait until a folder's entries are on the disk, where the system can do that."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        return
    finally:
        os.close(descriptor)
