"""Work on several items at once, in forks of this process.

A fork has everything that this process had, so only arguments and results are sent (by `pickle`).
It asks this process what only this one can answer, and passes on its events. It is made when it is
needed, and kept for later work on the same item. If several items fail, the error is the first
item's, as if they had been done one after the other.
"""

from __future__ import annotations

import _thread
import os
import pickle
import signal
import sys
import threading
import time
import traceback
import warnings
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pipshim.base.errors import PipshimError
from pipshim.base.forked_process import can_fork
from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

    from pipshim.model.events import Event, Observer

AVAILABLE = can_fork()

_PATIENCE_SECONDS = 0.5
"""How long a fork waits for threads that may be another library's."""

Item = TypeVar("Item")
Asked = TypeVar("Asked")
Found = TypeVar("Found")


class ParentProcess:
    """The process that a fork comes from, as seen by the fork."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._alone = threading.Lock()

    def observe(self, event: Event, /) -> None:
        """Pass on an event."""
        self.tell("event", event)

    def ask(self, question: object) -> Any:
        """Ask that process."""
        self.tell("question", question)
        kind, value = self._connection.recv()
        if kind == "failed":
            raise value
        return value

    def tell(self, kind: str, value: object) -> None:
        """Send a message; messages sent while it is pickled go before it."""
        text = pickle.dumps((kind, value))
        with self._alone:
            self._connection.send_bytes(text)


@dataclass(eq=False)
class _Fork:
    """A fork.

    Attributes:
        items: those that it has worked on, or is going to.
        left: those that it is asked for now, the one that it works on first.

    """

    process: BaseProcess
    connection: Connection
    items: set[object] = field(default_factory=set)
    left: list[Any] = field(default_factory=list)

    def send(self, value: object) -> None:
        with suppress(ConnectionError):  # it has ended: that shows when it is listened to
            self.connection.send(value)


@dataclass
class Forks(Generic[Item, Asked, Found]):
    """Forks of this process.

    Attributes:
        work: called in a fork with an item and its arguments.
        settle: called in a new fork with its origin.
        answer: answers the questions of forks.
        observer: receives the forks' events.
        explain: turns any error into one of pipshim's.
        before: called before this process forks, to end its threads.
        at_once: the maximum number of forks.

    """

    work: Callable[[Item, Asked], Found]
    settle: Callable[[ParentProcess], object]
    answer: Callable[[Any], object]
    observer: Observer
    explain: Callable[[Exception], PipshimError]
    before: Callable[[], object]
    at_once: int
    _forks: list[_Fork] = field(default_factory=list, init=False)

    def each(self, asked: Mapping[Item, Asked]) -> dict[Item, Found]:
        """Work on each item, several at once; a fork keeps the items it had before.

        Raises:
            PipshimError: of the first item that failed; the following ones are abandoned.

        """
        from multiprocessing.connection import wait  # noqa: PLC0415 seldom needed

        order = list(asked)
        for item in order:
            self._fork_of(item).left.append(item)
        for fork in self._forks:
            fork.send([(item, asked[item]) for item in fork.left])
        found: dict[Item, Found] = {}
        failed: dict[Item, PipshimError] = {}
        while working := {fork.connection: fork for fork in self._forks if fork.left}:
            for connection in wait(list(working)):
                fork = working[connection]  # type: ignore[index]
                kind, value = self._receive(fork)
                if kind == "event":
                    self.observer(value)
                elif kind == "question":
                    fork.send(self._answered(value))
                elif kind == "done":
                    found[fork.left.pop(0)] = value
                else:
                    error, trace = value
                    error.__cause__ = _ForkTraceback(f"in another process\n{trace}")
                    failed[fork.left.pop(0)] = error
            if failed:
                first = min(map(order.index, failed))
                busy = [fork for fork in self._forks if fork.left]
                if all(order.index(fork.left[0]) > first for fork in busy):
                    for fork in busy:
                        self._end(fork)
                    raise failed[order[first]]
        return {item: found[item] for item in order}

    def close(self) -> None:
        """End all forks, whatever they are doing."""
        for fork in list(self._forks):
            self._end(fork)

    def _fork_of(self, item: Item) -> _Fork:
        """Return the fork that had an item before, else one with few."""
        known = next((fork for fork in self._forks if item in fork.items), None)
        if known is None and len(self._forks) < self.at_once:
            known = self._begin()
        fork = known or min(self._forks, key=lambda one: len(one.items))
        fork.items.add(item)
        return fork

    def _begin(self) -> _Fork:
        import multiprocessing  # noqa: PLC0415 seldom needed

        self.before()
        context: Any = multiprocessing.get_context("fork")
        here, there = context.Pipe()
        process = context.Process(target=self._serve, args=(there, here), daemon=True)
        wait_for_ended_threads()
        with warnings.catch_warnings():
            # Python 3.12 warns of threads. Those that are left are observers': they hold nothing
            # that a fork uses.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        there.close()
        fork = _Fork(process, here)
        self._forks.append(fork)
        return fork

    def _end(self, fork: _Fork) -> None:
        self._forks.remove(fork)
        fork.process.kill()
        fork.process.join()
        fork.connection.close()

    def _receive(self, fork: _Fork) -> tuple[str, Any]:
        try:
            message: tuple[str, Any] = fork.connection.recv()
        except (EOFError, ConnectionError):
            fork.process.join()
            status = fork.process.exitcode or 0
            self._end(fork)
            how = f"by signal {-status}" if status < 0 else f"with status {status}"
            error = PipshimError(
                f"{fork.left[0]}: its process has ended {how}",
                hint="if memory ran out, run fewer at once: -j 1",
            )
            return "failed", (error, "")
        return message

    def _answered(self, question: object) -> tuple[str, object]:
        try:
            return "answer", self.answer(question)
        except Exception as error:  # noqa: BLE001 whoever asked has to know
            return "failed", self.explain(error)

    # In the fork

    def _serve(self, connection: Connection, here: Connection) -> None:
        # An interrupt at the terminal reaches this process too; the other one ends it.
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if sys.platform != "win32":
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
        # Observers alone write to the terminal, and one of their threads may be about it right now.
        sys.stdout = sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 to the end
        # With these open, nobody would notice that the other process has gone.
        for other in (here, *(fork.connection for fork in self._forks)):
            other.close()
        try:
            origin = ParentProcess(connection)
            self.settle(origin)
            while True:
                for item, asked in connection.recv():
                    try:
                        origin.tell("done", self.work(item, asked))
                    except Exception as error:  # noqa: BLE001 it is raised where it was asked for
                        trace = "".join(traceback.format_exception(error))
                        origin.tell("failed", (self.explain(error), trace))
        finally:
            # Nothing of what the other process would do at its end is done here.
            os._exit(1)


def wait_for_ended_threads() -> None:
    """Wait until joined threads have ended for the system too.

    OpenSSL frees a thread's data after Python has joined it, while it holds a lock: a fork made at
    that moment could never open a connection with TLS.
    """
    tasks = Path("/proc/self/task")
    latest = time.monotonic() + _PATIENCE_SECONDS
    # Python's count has threads that `threading` does not know, and lacks the main one.
    while tasks.is_dir() and len(list(tasks.iterdir())) > 1 + _thread._count():  # noqa: SLF001
        if time.monotonic() > latest:
            return
        time.sleep(0.001)


class _ForkTraceback(Exception):  # noqa: N818 it is the cause of an error, never raised itself
    """The traceback of an error in a fork, for ``--debug``."""
