"""The interface of the stores that remotes keep their files in, and its errors."""

from __future__ import annotations

import errno
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from pipshim.base.write_errors import reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from threading import Event

Result = TypeVar("Result")

PATIENCE = 3.0
"""After how many seconds without an answer a remote is given up on."""

CHUNK = 1 << 20
"""How many bytes are copied at once."""

MOST_NAMES = 20_000
"""How many names a folder may have; what has more is not a folder of records."""


UNSUPPORTED = frozenset({errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""The errors of what a file system or store cannot do at all."""


class RemoteError(Exception):
    """A remote cannot be reached, read or written; the message says why.

    Attributes:
        hint: how to repair that, if it is known.

    """

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class FileMissingError(RemoteError):
    """A remote does not have a file (any more)."""


class Entry(NamedTuple):
    """A file in a folder of a remote.

    Attributes:
        name: its name, or path below the folder.
        size: in bytes; None if the remote does not say it.
        time: when it was written, in seconds since the epoch; None likewise.

    """

    name: str
    size: int | None = None
    time: float | None = None


class FileStore(Protocol):
    """The files of a remote, by relative paths with ``/``, for any number of threads.

    All methods raise `RemoteError`. What takes ``seconds`` gives up after that time.
    """

    @property
    def is_writable(self) -> bool:
        """Whether files can be created and removed."""

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:
        """List the files of a folder whose names begin so; none if it does not exist."""

    def walk(self, folder: str) -> list[Entry]:
        """List the files below a folder at any depth, by paths that are relative to it."""

    def read(self, path: str, most: int, seconds: float) -> bytes:
        """Read a file, and at most one byte more than ``most``."""

    def fetch(self, path: str, into: Path, most: int, stop: Event) -> None:
        """Write a file into one here, and not much more than ``most`` bytes of it.

        Ends soon after ``stop`` is set, by whoever watches the file grow.
        """

    def create(self, path: str, content: bytes, seconds: float) -> bool:
        """Write a file, unless it exists; return whether it was written."""

    def upload(self, path: str, file: Path, seconds: float) -> bool:
        """Do the same with the content of a file here."""

    def remove(self, path: str) -> None:
        """Remove a file, if it exists."""


def copy(pieces: Iterable[bytes], into: Path, most: int, stop: Event) -> None:
    """Write pieces into a file, for `FileStore.fetch`.

    Raises:
        RemoteError: the file cannot be written, or becomes too long.

    """
    size = 0
    try:
        with into.open("wb") as file:
            for piece in pieces:
                size += len(piece)
                if stop.is_set():
                    return
                if size > most:
                    raise RemoteError("it is longer than its record says")
                file.write(piece)
    except OSError as error:
        raise RemoteError(reason(error)) from error


def within(seconds: float, work: Callable[[], Result]) -> Result:
    """Call `work` in a thread, which is left to itself if it takes too long.

    Raises:
        RemoteError: it did; or as `work` does.

    """
    try:
        return started(work).result(seconds)
    except FutureTimeoutError:
        raise late(seconds) from None


def late(seconds: float) -> RemoteError:
    """Return the error of a remote that took longer than so many seconds."""
    return RemoteError(f"it did not answer within {seconds:.0f} seconds")


def started(work: Callable[[], Result]) -> Future[Result]:
    """Call `work` in a thread that does not keep the program from ending."""
    future: Future[Result] = Future()

    def call() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 whoever waits for it raises it
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return future
