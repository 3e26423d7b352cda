"""Fetch a wheel from a remote while that is faster than building it, check it, and add one."""

from __future__ import annotations

import os
import threading
import time
import zipfile
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import TYPE_CHECKING

from pipshim.base.paths import file_size
from pipshim.model import events
from pipshim.remote.file_store import PATIENCE, FileMissingError, FileStore, RemoteError, started

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.model.events import Observer
    from pipshim.model.shared_record import SharedRecord


_POLL_SECONDS = 0.1
_LEAST_UPLOAD, _LEAST_RATE = 60.0, 100_000
"""How long adding a wheel may take, and how many bytes a second are expected beyond that."""

_LEAST_SECONDS = 10.0
"""How long a transfer may take in any case."""


class Pace:
    """Tells whether a file that grows is worth waiting for.

    Args:
        size: how large it will be, in bytes.
        seconds: how long it may take as a whole; it gets 10 seconds at least.

    """

    def __init__(self, size: int, seconds: float, now: float) -> None:
        self._size = size
        self._most = max(seconds, _LEAST_SECONDS)
        self._start = self._since = now
        self._before = 0

    def why_not(self, received: int, now: float) -> str | None:
        """Say why not to wait any longer, given how many bytes there are."""
        if received > self._size:
            return "it is longer than its record says"
        if now - self._since < PATIENCE:
            return None
        rate = (received - self._before) / (now - self._since)
        self._since, self._before = now, received
        if rate == 0:
            return f"no data arrived for {PATIENCE:.0f} seconds"
        if now - self._start + (self._size - received) / rate > self._most:
            return "fetching it takes longer than building it"
        return None


def fetch(
    store: FileStore, path: str, into: Path, shared: SharedRecord, observer: Observer
) -> None:
    """Fetch a wheel, and show how far it is.

    Raises:
        RemoteError: it cannot be fetched, or not in reasonable time.

    """
    wheel = shared.wheel
    stop = threading.Event()
    key = f"remote:{path}"
    observer(events.DownloadStarted(key, wheel.filename, wheel.size))
    future = started(lambda: store.fetch(path, into, wheel.size, stop))
    try:
        _watch(future, into, key, Pace(wheel.size, shared.seconds, time.monotonic()), observer)
    finally:
        stop.set()
        observer(events.DownloadFinished(key, file_size(into)))


def upload(store: FileStore, path: str, file: Path) -> bool:
    """Add a wheel, unless it exists, as long as the remote answers other requests meanwhile."""
    most = _LEAST_UPLOAD + file.stat().st_size / _LEAST_RATE
    future = started(lambda: store.upload(path, file, most))
    while not wait([future], PATIENCE).done:
        with suppress(FileMissingError):
            store.read(path, 0, PATIENCE)
    return future.result()


def _watch(future: Future[None], into: Path, key: str, pace: Pace, observer: Observer) -> None:
    while not wait([future], _POLL_SECONDS).done:
        received = file_size(into)
        observer(events.DownloadProgress(key, received))
        why = pace.why_not(received, time.monotonic())
        if why is not None:
            raise RemoteError(why)
    future.result()


_MOST_DIRECTORY = 64 << 20
"""The largest list of files that is read, in bytes: a wheel with 10,000 files has 1 MB."""

_MOST_RATIO, _ANYWAY = 100, 256 << 20
"""How many times its size a wheel may have when it is unpacked, and how many bytes in any case."""


def why_excessive(wheel: Path) -> str | None:
    """Say why a wheel would fill the memory or the disk when it is unpacked; None if it does not.

    A file that is no archive at all is none of this function's concern.
    """
    try:
        with wheel.open("rb") as file:
            # `ZipFile` reads the whole list of files at once; this, only where it is.
            end = zipfile._EndRecData(file)  # type: ignore[attr-defined] # noqa: SLF001
            if end and end[zipfile._ECD_SIZE] > _MOST_DIRECTORY:  # type: ignore[attr-defined] # noqa: SLF001
                return "its list of files is too long"
            size = file.seek(0, os.SEEK_END)
            with zipfile.ZipFile(file) as archive:
                unpacked = sum(one.file_size for one in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return None
    if unpacked > max(_MOST_RATIO * size, _ANYWAY):
        return f"its {size:,} bytes would be {unpacked:,} bytes when unpacked"
    return None
