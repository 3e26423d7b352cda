"""A remote in an object store or on a server that fsspec knows: s3, gcs, abfs, sftp and more."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import re
import textwrap
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from threading import Event, Semaphore
from typing import TYPE_CHECKING, Any

from pipshim.remote.file_store import (
    CHUNK,
    MOST_NAMES,
    PATIENCE,
    UNSUPPORTED,
    Entry,
    FileMissingError,
    RemoteError,
    copy,
    within,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
_TALKATIVE = ("botocore", "aiobotocore", "s3fs", "gcsfs", "azure", "adlfs", "paramiko", "asyncio")
"""Loggers of libraries whose lines would be shown as pip's."""

_CONNECTIONS = 4
"""How many connections there are at most, if each serves one thread: servers limit new ones."""

_POLL_SECONDS = 0.2
_PIECES_AHEAD = 64
_LONG = 120.0
_LONGEST = 300


class FsspecStore:
    """The files below a URL of fsspec's.

    Asynchronous file systems (those of object stores) create files exclusively, unless they say
    that they cannot. On the others a file is written under another name and renamed: equal names
    have equal content.

    Args:
        url: where; credentials and further settings come from wherever fsspec takes them.
        may_be_missing: whether it is empty if it does not exist, and not an error.

    Raises:
        RemoteError: fsspec, or its part for this kind of URL, is not installed.

    """

    is_writable = True

    def __init__(self, url: str, *, may_be_missing: bool = False) -> None:
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are raised too
        try:
            core = importlib.import_module("fsspec.core")
            self._make = partial(core.url_to_fs, url, skip_instance_cache=True)
            self._fs, root = self._make()
        except ImportError as error:
            text = f"{error.name} is not installed" if error.name else str(error)
            raise RemoteError(f"{text}: pip install 'pipshim[remote]'") from error
        except Exception as error:
            raise _error(error) from error
        self._root = str(root).rstrip("/")
        self._may_be_missing = may_be_missing
        self._is_exclusive = True
        self._idle, self._free = [self._fs], Semaphore(_CONNECTIONS)
        self._is_async = bool(getattr(self._fs, "async_impl", False))
        if self._is_async:
            self._fs.max_concurrency = 1  # several files are fetched at once; each shows progress

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:
        place = self._place(folder)
        if self._is_async:
            found = self._call("find", seconds, place, prefix=prefix, detail=True)
            return _entries(found, place)
        try:
            listed = self._call("ls", seconds, place, detail=True)
        except FileMissingError:
            if not (self._may_be_missing or self._call("exists", seconds, self._root)):
                raise RemoteError("it does not exist") from None
            return []
        files = {one["name"]: one for one in listed if one["type"] != "directory"}
        return [one for one in _entries(files, place) if one.name.startswith(prefix)]

    def walk(self, folder: str) -> list[Entry]:
        place = self._place(folder)
        self._fs.invalidate_cache()
        try:
            return _entries(self._call("find", _LONG, place, detail=True), place, most=None)
        except FileMissingError:
            return []

    def read(self, path: str, most: int, seconds: float) -> bytes:
        place = self._place(path)
        content = self._call("cat_file", seconds, place, start=0, end=most + 1)
        return bytes(content)

    def fetch(self, path: str, into: Path, most: int, stop: Event) -> None:
        place = self._place(path)
        if self._is_async:
            future = self._start("get_file", place, str(into))
            while not future.done() and not stop.is_set():
                with suppress(FutureTimeoutError, Exception):
                    future.result(_POLL_SECONDS)
            if stop.is_set():
                future.cancel()
            elif (error := future.exception()) is not None:
                raise _error(error)
            return
        try:
            with self._alone() as files, files.open(place, "rb") as file:
                if hasattr(file, "prefetch"):  # else SFTP waits for each 32 KB
                    file.prefetch(max_concurrent_requests=_PIECES_AHEAD)
                copy(iter(lambda: file.read(CHUNK), b""), into, most, stop)
        except RemoteError:
            raise
        except Exception as error:
            raise _error(error) from error

    def create(self, path: str, content: bytes, seconds: float) -> bool:
        return self._write(
            path, lambda place, **mode: self._call("pipe_file", seconds, place, content, **mode)
        )

    def upload(self, path: str, file: Path, seconds: float) -> bool:
        if self._exists(path):
            return False
        return self._write(
            path, lambda place, **mode: self._call("put_file", seconds, str(file), place, **mode)
        )

    def _write(self, path: str, put: Callable[..., object]) -> bool:
        """Write a file, unless it exists: exclusively, if the store can do that."""
        place = self._place(path)
        if self._is_async and self._is_exclusive:
            try:
                put(place, mode="create")
            except RemoteError as error:
                if not _is_unsupported(error.__cause__):
                    if self._exists(path):
                        return False
                    raise
                self._is_exclusive = False
            else:
                return True
        if self._exists(path):
            return False
        if self._is_async:
            put(place)
            return True
        return self._write_and_rename(path, put)

    def _write_and_rename(self, path: str, put: Callable[..., object]) -> bool:
        place = self._place(path)
        folder, _, name = place.rpartition("/")
        aside = f"{folder}/.tmp-{os.getpid()}-{os.urandom(8).hex()}-{name}"
        with suppress(RemoteError):  # somebody else makes it
            self._call("makedirs", PATIENCE, folder, exist_ok=True)
        try:
            put(aside)
            self._call("mv", 2 * PATIENCE, aside, place)
        except RemoteError:
            with suppress(RemoteError):
                self._call("rm_file", PATIENCE, aside)
            if self._exists(path):  # somebody else was faster
                return False
            raise
        return True

    def remove(self, path: str) -> None:
        with suppress(FileMissingError):
            self._call("rm_file", PATIENCE, self._place(path))

    def _exists(self, path: str) -> bool:
        if self._is_async:
            self._fs.invalidate_cache()
        return bool(self._call("exists", PATIENCE, self._place(path)))

    def _place(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _call(self, method: str, seconds: float, *arguments: Any, **more: Any) -> Any:
        """Call a method of the file system, which is cancelled or left alone after some time."""
        if not self._is_async:

            def call() -> Any:
                with self._alone() as files:
                    return getattr(files, method)(*arguments, **more)

            try:
                return within(seconds, call)
            except RemoteError:
                raise
            except Exception as error:
                raise _error(error) from error
        future = self._start(method, *arguments, **more)
        try:
            return future.result(seconds)
        except FutureTimeoutError:
            future.cancel()
            raise RemoteError(f"it did not answer within {seconds:.0f} seconds") from None
        except Exception as error:
            raise _error(error) from error

    @contextmanager
    def _alone(self) -> Iterator[Any]:
        """Lend a connection to one thread: that of SFTP loses answers if several use it."""
        with self._free:
            try:
                files = self._idle.pop()
            except IndexError:
                files, _ = self._make()
            files.invalidate_cache()
            try:
                yield files
            finally:
                self._idle.append(files)

    def _start(self, method: str, *arguments: Any, **more: Any) -> Any:
        work = getattr(self._fs, f"_{method}")(*arguments, **more)
        return asyncio.run_coroutine_threadsafe(work, self._fs.loop)


def _is_unsupported(error: BaseException | None) -> bool:
    """Return whether a store says that it cannot create files exclusively."""
    if isinstance(error, NotImplementedError | TypeError):  # the latter of an older client
        return True
    return getattr(error, "errno", None) in UNSUPPORTED or "IfNoneMatch" in str(error)


def _entries(found: Mapping[str, Any], place: str, most: int | None = MOST_NAMES) -> list[Entry]:
    cut = len(place.strip("/")) + 1
    listed = [*found.items()][:most]
    return [Entry(name.strip("/")[cut:], one.get("size"), _time(one)) for name, one in listed]


def _time(info: Mapping[str, Any]) -> float | None:
    for key in _TIMES:
        value = info.get(key)
        if isinstance(value, str):
            with suppress(ValueError):
                value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if isinstance(value, datetime):
            return value.timestamp()
        if isinstance(value, int | float):
            return float(value)
    return None


def _error(error: BaseException) -> RemoteError:
    text = re.sub(r"^\[Errno -?\w+\] ", "", " ".join(str(error).split())) or type(error).__name__
    kind = FileMissingError if isinstance(error, FileNotFoundError) else RemoteError
    return kind(textwrap.shorten(text, _LONGEST, placeholder="…"))
