"""Read a large wheel while it is being downloaded, so that it can be unpacked meanwhile.

A wheel says at its end what is in it: in the directory of the ZIP file, and in ``.dist-info``,
which PEP 427 wants to be last. So the end is requested on its own, and another thread unpacks the
file as if it were complete, and waits for what has not come yet.
"""

from __future__ import annotations

import logging
import os
import threading
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from typing_extensions import Self

    from pipshim.store.unpacked_wheel import UnpackedWheel

LARGE = 1 << 23
"""From which size on, in bytes, this is worth a thread and a request: 8 MB."""

_SHARE, _LEAST, _MOST = 64, 1 << 16, 1 << 24
"""What is requested as the end: a part of the wheel, and its limits in bytes.

torch's directory and ``.dist-info`` are four fifths of that; most wheels have less.
"""

logger = logging.getLogger(__name__)


class GivenUp(Exception):  # noqa: N818 the user does not see it
    """The wheel cannot be unpacked before it is complete."""


class WheelStream:
    """A wheel file of which `read` waits for what has not come yet.

    The thread that downloads it enters the stream, calls `grow` meanwhile, and `accept` when the
    file is complete and has the right hash. After it has left, `tree` is the unpacked wheel. It is
    None if the wheel is small, or if anything went wrong: unpacking the complete file then works,
    or says what is wrong.

    Args:
        name: the file's.
        fetch_end: returns as many bytes of the end.
        unpack: unpacks the stream, in another thread, and calls `wait_until_accepted` before
            anyone may use the result.

    """

    def __init__(
        self,
        name: str,
        fetch_end: Callable[[int], bytes],
        unpack: Callable[[WheelStream], UnpackedWheel],
    ) -> None:
        self.name = name
        self.tree: UnpackedWheel | None = None
        self._fetch_end = fetch_end
        self._unpack = unpack
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()  # held while the next two are
        self._received = 0
        self._accepted: bool | None = None
        self._size = self._position = 0
        self._end = b""
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._decide(accepted=False)
        if self._thread is not None:
            self._thread.join()

    # For the thread that downloads

    def grow(self, path: str, received: int, size: int | None) -> None:
        """Note how many bytes of a file are there, and how many there will be."""
        if size is None or size < LARGE or self._accepted is not None:
            return
        if not self._received:
            self._begin(path, size)
        elif received < self._received or size != self._size:  # it begins anew
            self._decide(accepted=False)
        with self._changed:
            self._received = received
            self._changed.notify_all()

    def accept(self) -> None:
        """Note that the file is complete and the right one."""
        self._decide(accepted=True)

    def _begin(self, path: str, size: int) -> None:
        self._size = size
        run = partial(copy_context().run, self._run, path)
        try:
            self._end = self._fetch_end(min(max(size // _SHARE, _LEAST), _MOST))
            # A daemon, as those of `pipshim.base.tasks` that download.
            thread = threading.Thread(target=run, daemon=True)
            thread.start()
        except Exception as error:  # noqa: BLE001 the download may work, or says why not
            self._give_up(error)
            self._decide(accepted=False)
        else:
            self._thread = thread

    def _decide(self, *, accepted: bool) -> None:
        """Accept the file or not, if that is not decided yet."""
        with self._changed:
            if self._accepted is None:
                self._accepted = accepted
            self._changed.notify_all()

    # For the thread that unpacks

    def _run(self, path: str) -> None:
        try:
            with open(path, "rb") as self._file:  # noqa: PTH123 pip gives a string
                self.tree = self._unpack(self)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 see the class
            self._give_up(error)

    def _give_up(self, error: BaseException) -> None:
        logger.debug("%s is not unpacked while it is downloaded: %r", self.name, error)

    def wait_until_accepted(self) -> None:
        """Wait until the file is complete, and compare its end with what was read as that.

        Raises:
            GivenUp: it is not the right file, or has another end.

        """
        with self._changed:
            self._changed.wait_for(lambda: self._accepted is not None)
        end, self._end = self._end, b""
        self.seek(-len(end), os.SEEK_END)
        if self.read() != end:
            raise GivenUp("the server gave another end of it")

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Set the position, and return it."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = start + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def read(self, count: int = -1) -> bytes:
        """Return as many bytes, or all; wait for them.

        Raises:
            GivenUp: they will not come.

        """
        start = self._position
        stop = self._size if count < 0 else min(start + count, self._size)
        end_starts = self._size - len(self._end)
        if start >= end_starts:
            data = self._end[start - end_starts : stop - end_starts]
        else:
            data = self._read_file(start, stop)
        self._position += len(data)
        return data

    def _read_file(self, start: int, stop: int) -> bytes:
        if self._received < stop:
            with self._changed:
                self._changed.wait_for(lambda: self._received >= stop or self._accepted is False)
        if self._accepted is False:
            raise GivenUp("it does not come, or is not the right file")
        assert self._file is not None
        self._file.seek(start)
        return self._file.read(stop - start)
