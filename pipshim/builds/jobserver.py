"""A GNU make jobserver for all builds of a command, which share the cores.

Each build has a FIFO of its own with the tokens that it may take: a process more for each. What a
build holds is so always known (what it was given less what is in its FIFO), and nothing is lost
when it is killed. A thread moves tokens that a build leaves in its FIFO to those that have used up
theirs. A tool that has more to do takes a token again as soon as it has handed it back: if a build
has too many, the thread waits for that moment, and is faster unless the cores are busy. Each build
may run one process without a token, as make's manual has it.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import field
from threading import Condition, Thread
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipshim.base.tasks import Sharing

_BALANCE_SECONDS = 0.05
_UNUSED_SECONDS = 1.0
"""How long a build that left tokens unused comes last."""

_TOKEN = b"+"


@dataclass(eq=False)
class _Client:
    """A build that takes tokens.

    Attributes:
        path: its FIFO.
        file: the FIFO, open for reading and writing.
        sharing: with how many others it shares the cores.
        given: how many tokens it was given and has not handed back.
        unused_at: when tokens were last seen in its FIFO.

    """

    path: Path
    file: int
    sharing: Sharing
    given: int = 0
    unused_at: float = field(default=-_UNUSED_SECONDS)

    def idle(self) -> int:
        """Count the tokens that it has not taken."""
        count = _readable(self.file)
        if count > self.given:  # a build wrote more tokens than it took
            _read(self.file, count - self.given)
        return min(count, self.given)

    def give(self, count: int) -> None:
        """Put tokens into its FIFO."""
        self.given += os.write(self.file, _TOKEN * count)

    def take(self, count: int) -> None:
        """Take tokens out again, as many as are still there."""
        self.given -= _read(self.file, count)


class Jobserver:
    """Hands out tokens to the builds that run.

    Args:
        folder: where the FIFOs are made.
        cores: how many processes may run at once.

    """

    def __init__(self, folder: Path, cores: int) -> None:
        self._folder = folder
        self._cores = cores
        self._clients: list[_Client] = []
        self._others = 0
        self._count = 0
        self._change = Condition()
        self._thread: Thread | None = None

    @contextmanager
    def client(self, sharing: Sharing) -> Iterator[Path | None]:
        """Let a build take tokens while this lasts; yield its FIFO, None where there are none.

        Args:
            sharing: how many builds run at the same time, or are about to, this one included:
                when one ends, its share is kept for the next one.

        """
        client = self._open(sharing)
        if client is None:
            with self.other():
                yield None
            return
        with self._change:
            self._clients.append(client)
            if self._thread is None:
                self._thread = Thread(target=self._keep, name="jobserver", daemon=True)
                self._thread.start()
            self._balance()
        try:
            yield client.path
        finally:
            with self._change:
                self._clients.remove(client)
                os.close(client.file)
                client.path.unlink(missing_ok=True)
                self._balance()
                self._change.notify()

    @contextmanager
    def other(self) -> Iterator[None]:
        """Count a build that takes no tokens, and runs one process, while this lasts."""
        with self._change:
            self._others += 1
            self._balance()
        try:
            yield
        finally:
            with self._change:
                self._others -= 1
                self._balance()

    @property
    def held(self) -> int:
        """How many tokens builds have taken."""
        with self._change:
            return sum(client.given - client.idle() for client in self._clients)

    def _open(self, sharing: Sharing) -> _Client | None:
        if sys.platform == "win32":
            return None
        with self._change:
            self._count += 1
            path = self._folder / f"jobs-{os.getpid()}-{self._count}"
        with suppress(OSError):  # a file system without FIFOs
            os.mkfifo(path, 0o600)
            file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            return _Client(path, file, sharing)
        return None

    def _keep(self) -> None:
        while True:
            with self._change:
                if not self._clients:
                    self._thread = None
                    return
                self._balance()
                greedy = [(client, os.dup(client.file)) for client in self._greedy()]
                if not greedy:
                    self._change.wait(_BALANCE_SECONDS)
            if greedy:
                self._recall(greedy)

    def _recall(self, greedy: list[tuple[_Client, int]]) -> None:
        """Wait for a token that one of these builds hands back, and take it; close the files."""
        if sys.platform == "win32":
            return
        import select  # noqa: PLC0415 poll is not on Windows

        files = {file: client for client, file in greedy}
        waiting = select.poll()
        for file in files:
            waiting.register(file, select.POLLIN)
        ready = waiting.poll(_BALANCE_SECONDS * 1000)
        taken = [files[file] for file, _ in ready if _read(file, 1)]
        for file in files:
            os.close(file)
        with self._change:
            for client in taken:
                client.given = max(client.given - 1, 0)

    def _greedy(self) -> list[_Client]:
        """Return the builds that hold more tokens than they should, after all were balanced."""
        held = {client: client.given - client.idle() for client in self._clients}
        if sum(held.values()) > self._spare:
            return [client for client in held if held[client]]
        now = time.monotonic()
        poorest = min(
            (held[one] for one in held if now - one.unused_at >= _UNUSED_SECONDS),
            default=self._cores,
        )
        return [client for client in held if held[client] > poorest + 1]

    @property
    def _spare(self) -> int:
        """How many processes may run besides the one of each build."""
        running = len(self._clients) + self._others
        expected = max((client.sharing.count for client in self._clients), default=0)
        return max(self._cores - max(running, expected), 0)

    def _balance(self) -> None:
        """Give what is free to the builds that have used up theirs; all under the lock."""
        spare, now = self._spare, time.monotonic()
        idle = {client: client.idle() for client in self._clients}
        for client in self._clients:
            if idle[client]:
                client.unused_at = now
        free = spare - sum(client.given for client in self._clients)
        goals = self._goals(free + sum(idle.values()), now)
        # First taken, then given: never more than there are.
        for client in self._clients:
            client.take(idle[client] - goals[client])
        free = spare - sum(client.given for client in self._clients)
        for client in self._clients:
            more = min(goals[client] - client.idle(), free)
            if more > 0:
                client.give(more)
                free -= more

    def _goals(self, tokens: int, now: float) -> dict[_Client, int]:
        """Distribute the tokens that nobody holds, one by one, to whom has the fewest."""
        goals = dict.fromkeys(self._clients, 0)
        held = {client: client.given - client.idle() for client in self._clients}
        for _ in range(max(tokens, 0) if self._clients else 0):
            client = min(
                self._clients,
                key=lambda one: (
                    now - one.unused_at < _UNUSED_SECONDS,
                    held[one] + goals[one],
                ),
            )
            goals[client] += 1
        return goals


def _read(file: int, count: int) -> int:
    """Read bytes that are there; return how many."""
    try:
        return len(os.read(file, count)) if count > 0 else 0
    except BlockingIOError:
        return 0


def _readable(file: int) -> int:
    """Count the bytes that can be read from a FIFO."""
    if sys.platform == "win32":
        return 0
    import fcntl  # noqa: PLC0415 not on Windows
    import termios  # noqa: PLC0415

    return int.from_bytes(fcntl.ioctl(file, termios.FIONREAD, b"\0" * 4), sys.byteorder)
