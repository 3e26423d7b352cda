"""End a command within a second of SIGINT, SIGTERM or SIGHUP.

The first signal raises an exception in the main thread, so that everything cleans up. Meanwhile
another thread ends connections and child processes. It ends the process if the main thread cannot
be reached or does not end in time, or at a second signal.
"""

from __future__ import annotations

import os
import sys
from _thread import LockType, allocate_lock, get_ident, start_new_thread  # threading is slow

from pipshim.base.light import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any


_NUMBERS = signals.ENDING

NAMES = dict(zip(_NUMBERS, ("interrupted", "terminated", "hung up"), strict=False))
"""What each of them does to a command."""

_REACHED_WITHIN = 0.8
"""Seconds that the main thread may stay in a system call, such as the look-up of a host's name."""

_WRITABLE_WITHIN = 0.4
"""Seconds that the terminal may take no output."""

_CLEAN_WITHIN = 5.0
"""Seconds that cleaning up may take."""

_ONE_SIGNAL = 0.1
"""Seconds in which repeated signals count as one: `timeout` and shells send them twice."""


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived; pip treats it like an interrupt."""

    def __init__(self, number: int = signals.SIGTERM) -> None:
        super().__init__()
        self.number = number

    @property
    def exit_status(self) -> int:
        """The exit status that a shell shows for this signal."""
        return 128 + self.number


at_interrupt: list[Callable[[], object]] = []
"""Called in a thread after the first signal: ends what the command waits for."""

at_abandon: list[Callable[[], object]] = []
"""Called before the process is ended without cleaning up: gives the terminal back."""

temporary: set[str] = set()
"""Folders that are removed if the process ends without cleaning up."""


_connections: dict[int, int] = {}
"""By descriptor, the inode of its socket: TLS makes other objects of it."""


def is_ending() -> bool:
    """Return whether a signal is ending the command."""
    return _active is not None and _active.number is not None


class Interruption:
    """Handles the signals in a ``with`` block, unless something else handles them.

    Attributes:
        number: the first signal that has come; None before.

    """

    first: int | None = None
    """The first signal that ended a command in this process; None if none did."""

    number: int | None = None
    _is_reached = False
    _is_left = False
    _ending: LockType | None = None
    _reading: int
    _writing: int
    _main: int

    def __enter__(self) -> Interruption:  # noqa: PYI034 the outermost of several handles them
        global _active  # noqa: PLW0603 there is one main thread
        self._before: dict[int, Any] = {}
        if _active is not None:
            return _active
        try:
            for number in _NUMBERS:
                if signals.getsignal(number) in (signals.SIG_DFL, signals.default_int_handler):
                    self._before[number] = signals.signal(number, self._handle)
        except ValueError:  # only the main thread may
            return self
        if self._before:
            _active = self
            self._children = _children()
            self._looking = allocate_lock()
            self._terminal = _Terminal()
            self._watch()
        return self

    def __exit__(self, *_: object) -> None:
        global _active  # noqa: PLW0603 there is one main thread
        if _active is not self:
            return
        if self.number is not None:
            if self._ending is not None:
                self._ending.acquire(timeout=_CLEAN_WITHIN)
            self._terminal.restore()
        for number, handler in self._before.items():
            signals.signal(number, handler)
        self._unwatch()
        _active = None

    @property
    def status(self) -> int | None:
        """The exit status that the signal asks for; None if there was none."""
        return None if self.number is None else 128 + self.number

    @property
    def error(self) -> KeyboardInterrupt:
        """The exception that the signal raises."""
        return (
            KeyboardInterrupt() if self.number == signals.SIGINT else Terminated(self.number or 0)
        )

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._is_reached = True
        if self.number is None:
            self.number = number
            Interruption.first = number
            raise self.error

    def leave(self) -> None:
        """Restore the signals' earlier handlers in a fork of the process."""
        signals.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signals.signal(number, handler)

    # The thread

    def _watch(self) -> None:
        if sys.platform == "win32":
            return
        self._reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self._writing = writing
        self._woken_before = signals.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._main = get_ident()
        self._ending = allocate_lock()
        self._ending.acquire()
        start_new_thread(self._end_in_time, ())

    def _unwatch(self) -> None:
        if sys.platform == "win32":
            return
        signals.set_wakeup_fd(self._woken_before)
        os.close(self._writing)  # the thread ends

    def _end_in_time(self) -> None:
        import threading  # noqa: PLC0415

        if sys.platform == "win32":
            return
        first = None
        while first is None:
            came = os.read(self._reading, 64)
            if not came:
                os.close(self._reading)
                return
            first = next((one for one in came if one in self._before), None)
        threading.excepthook = lambda _: None  # other threads are ended on purpose
        threading.Thread(target=self._end_others, name="ending", daemon=True).start()
        is_second = self._awaits_second(first)
        if is_second is None:  # nobody handles the signals any more
            os.close(self._reading)
            return
        self._end_children(grace=0)
        _call(at_abandon)
        try:
            if not is_second:
                import shutil  # noqa: PLC0415 only now

                for folder in list(temporary):
                    shutil.rmtree(folder, ignore_errors=True)
            self._terminal.restore()
            write(2, f"pipshim: {NAMES[first]}\n".encode())
        finally:
            if is_second:
                with self._looking:
                    self._is_left = True
                _call([_remove_later])
            os._exit(128 + first)

    def _awaits_second(self, first: int) -> bool | None:
        """Wait while the main thread cleans up; return whether a second signal came.

        None: the command has ended.
        """
        import time  # noqa: PLC0415
        from select import select  # noqa: PLC0415

        start, sent = time.monotonic(), 0
        while (passed := time.monotonic() - start) < _CLEAN_WITHIN:
            if passed >= _REACHED_WITHIN and not self._is_reached:
                break
            if passed >= _WRITABLE_WITHIN and not is_writable(2):
                break
            if not select([self._reading], [], [], 0.05)[0]:
                if sys.platform != "win32" and not self._is_reached:
                    # It came just before a system call began to wait.
                    signals.pthread_kill(self._main, first)
                    sent += 1
                continue
            came = os.read(self._reading, 64)
            if not came:
                return None
            count = sum(one in self._before for one in came)
            sent, count = max(0, sent - count), max(0, count - sent)
            if passed >= _ONE_SIGNAL and count > 0:
                return True
        return False

    def _end_others(self) -> None:
        """End connections and child processes that the command may wait for."""
        assert self._ending is not None
        try:
            _call(at_interrupt)
            self._end_children()
        finally:
            self._ending.release()

    def _end_children(self, grace: float | None = None) -> None:
        from pipshim.base import process_tree  # noqa: PLC0415 only now

        def members() -> set[int]:
            with self._looking:
                if self._is_left:
                    return set()  # what there is now removes temporary files
                return process_tree.started_by(os.getpid(), but_for=self._children)

        seconds = process_tree.GRACE_SECONDS if grace is None else grace
        process_tree.end((), members, grace=seconds)


_active: Interruption | None = None

_REMOVE = """
import shutil, sys
sys.stdin.read()
for folder in sys.argv[1:]:
    shutil.rmtree(folder, ignore_errors=True)
"""


def track_connection(descriptor: int) -> None:
    """Note a connection, to shut it at an interrupt, which does not reach a waiting thread."""
    try:
        _connections[descriptor] = os.fstat(descriptor).st_ino
    except OSError:  # Windows: it is no descriptor
        return


def shut_connections() -> None:
    """Shut all connections: threads that wait for one fail at once."""
    import socket  # noqa: PLC0415 seldom needed

    while _connections:
        descriptor, inode = _connections.popitem()
        try:
            copy = os.dup(descriptor)
            if os.fstat(copy).st_ino != inode:  # closed since, and another file by now
                os.close(copy)
                continue
            with socket.socket(fileno=copy) as same:
                same.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue


def _remove_later() -> None:
    """Let another process remove the folders once this one has ended."""
    if not temporary:
        return
    import subprocess  # noqa: PLC0415 only now

    reading, _ = os.pipe()  # the other end is closed when this process ends
    command = [sys.executable, "-I", "-S", "-c", _REMOVE, *temporary]
    null = subprocess.DEVNULL
    subprocess.Popen(command, stdin=reading, stdout=null, stderr=null, start_new_session=True)


class _Terminal:
    """The terminal's settings, restored if a question is interrupted."""

    def __init__(self) -> None:
        self._descriptor = next((one for one in (0, 2) if _is_terminal(one)), None)
        if self._descriptor is None or sys.platform == "win32":
            return
        try:
            import termios  # noqa: PLC0415 only on a terminal
        except ImportError:
            self._descriptor = None
        else:
            self._attributes = termios.tcgetattr(self._descriptor)

    def restore(self) -> None:
        """Restore the settings, if they have changed."""
        if self._descriptor is None or sys.platform == "win32":
            return
        import termios  # noqa: PLC0415 only on a terminal

        try:
            # In the background it is somebody else's.
            is_ours = os.tcgetpgrp(self._descriptor) == os.getpgrp()
            if is_ours and termios.tcgetattr(self._descriptor) != self._attributes:
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._attributes)
        except (OSError, termios.error):
            return  # it was closed


def is_writable(descriptor: int) -> bool:
    """Return whether a terminal takes output; what is no terminal is assumed to."""
    if not _is_terminal(descriptor):
        return True
    from select import select  # noqa: PLC0415 only now

    return bool(select([], [descriptor], [], 0)[1])


def write(descriptor: int, text: bytes) -> None:
    """Write a few words as the process ends, unless the terminal takes no output."""
    if is_writable(descriptor):
        os.write(descriptor, text)


def _is_terminal(descriptor: int) -> bool:
    return sys.platform != "win32" and os.isatty(descriptor)


def _children() -> frozenset[int]:
    """Return the processes that were started before this command."""
    found: set[int] = set()
    try:
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208 pathlib is not needed yet
            with open(f"/proc/self/task/{thread}/children", "rb") as file:  # noqa: PTH123
                found.update(map(int, file.read().split()))
    except OSError:
        return frozenset()
    return frozenset(found)


def _call(functions: list[Callable[[], object]]) -> None:
    for function in reversed(list(functions)):
        try:
            function()
        except Exception:  # noqa: BLE001, S112 the others count as much
            continue


def _in_fork() -> None:
    """Do not handle signals in a fork."""
    global _active  # noqa: PLW0603 there is one main thread
    if _active is not None:
        _active.leave()
        _active = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_fork)
