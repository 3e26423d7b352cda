"""Run tasks in threads, with ordered results, errors and prompt interrupts."""

from __future__ import annotations

import time
from collections import deque
from concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import partial
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Any, TypeVar

from pipshim.base.errors import together

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from typing_extensions import Self

Item = TypeVar("Item")
Result = TypeVar("Result")


class Sharing:
    """How many pieces of work share the machine's cores.

    Attributes:
        count: how many do now, or are about to; at least one.

    """

    def __init__(self, count: int = 1) -> None:
        self.count = count


_ALONE = Sharing()
sharing: ContextVar[Sharing] = ContextVar("sharing", default=_ALONE)
"""Those that the work done here is one of."""

_pauses: ContextVar[_Pauses | None] = ContextVar("_pauses", default=None)

_PATIENCE_SECONDS = 0.5
"""How long an interrupt waits for threads; their connections are shut, their processes ended."""


class _Pauses:
    """Counts the work of `in_order` that is paused.

    Attributes:
        count: how much is.
        change: is done at the next change of the count.

    """

    def __init__(self) -> None:
        self.count = 0
        self.change: Future[None] = Future()
        self._guard = Lock()

    def add(self, count: int) -> None:
        with self._guard:
            self.count += count
            change, self.change = self.change, Future()
        change.set_result(None)


@contextmanager
def paused() -> Iterator[None]:
    """Let other work of `in_order` begin while this work only waits."""
    pauses = _pauses.get()
    if pauses is None:
        yield
        return
    pauses.add(1)
    try:
        yield
    finally:
        pauses.add(-1)


class TaskGroup:
    """Threads that run tasks, and end with the ``with`` block.

    At an interrupt, tasks that have not begun are dropped, and the others are waited for only
    briefly.

    Args:
        interrupted: called at an interrupt; it ends what tasks may wait for.

    """

    def __init__(self, at_once: int, interrupted: Callable[[], object] | None = None) -> None:
        self._at_once = at_once
        self._interrupted = interrupted
        self._threads: list[Thread] = []
        self._tasks: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._idle = 0
        self._closed = False
        self._change = Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        is_interrupt = kind is not None and not issubclass(kind, Exception)
        if kind is not None:
            self.drop()
        with self._change:
            self._closed = True
            self._change.notify_all()
        if not is_interrupt:
            for thread in self._threads:
                thread.join()
            return
        limit = time.monotonic() + _PATIENCE_SECONDS
        if self._interrupted is not None:
            self._interrupted()
        for thread in self._threads:
            thread.join(max(0.0, limit - time.monotonic()))

    def start(self, task: Callable[[], Result]) -> Future[Result]:
        """Run a task with the context variables of the caller."""
        future: Future[Result] = Future()
        context = copy_context()
        with self._change:
            self._tasks.append((future, lambda: context.run(task)))
            if self._idle >= len(self._tasks):
                self._change.notify()
            elif len(self._threads) < self._at_once:
                # Daemons: the process ends though they wait for a server that says nothing.
                thread = Thread(target=self._work, daemon=True)
                try:
                    thread.start()
                except RuntimeError:  # no more processes or memory: those that run do it
                    if not self._threads:
                        self._tasks.clear()
                        raise
                else:
                    self._threads.append(thread)
        return future

    def drop(self) -> None:
        """Drop the tasks that have not begun."""
        with self._change:
            dropped = [*self._tasks]
            self._tasks.clear()
        for future, _ in dropped:
            future.cancel()

    def _work(self) -> None:
        while True:
            with self._change:
                self._idle += 1
                self._change.wait_for(lambda: self._tasks or self._closed)
                self._idle -= 1
                if not self._tasks:
                    return
                future, task = self._tasks.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = task()
            except BaseException as error:  # noqa: BLE001 whoever waits for it raises it
                future.set_exception(error)
            else:
                future.set_result(result)
            del future, task


def each(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    at_once: int,
    interrupted: Callable[[], object] | None = None,
) -> list[Result]:
    """Call ``work`` for each item, several at once; return the results in the items' order.

    After a failure nothing new starts, running work finishes, and the errors are raised, together
    if there are several (`pipshim.base.errors.together`). Context variables are the caller's.

    Args:
        items: what to do it for.
        interrupted: called when the caller is interrupted; it ends what the work may wait for.

    """
    if len(items) < 2 or at_once < 2:  # noqa: PLR2004 nothing to do at once
        return [work(item) for item in items]
    with TaskGroup(min(at_once, len(items)), interrupted) as group:
        futures = [group.start(partial(work, item)) for item in items]
        wait(futures, return_when=FIRST_EXCEPTION)
        for future in futures:
            future.cancel()
        wait([future for future in futures if not future.cancelled()])
    done = [future.exception() for future in futures if not future.cancelled()]
    if failed := [error for error in done if error is not None]:
        raise together(failed)
    return [future.result() for future in futures]


def in_order(
    work: Callable[[Item], Result],
    waits_for: Mapping[Item, Collection[Item]],
    *,
    at_once: int,
    is_work: Callable[[Item], bool] = lambda _: True,
    interrupted: Callable[[], object] | None = None,
) -> dict[Item, Result]:
    """Call ``work`` for each item after those that it waits for, several at once.

    Of the items that may start, the first ones of the mapping do. Failures and interrupts are
    treated as in `each`. ``sharing`` tells the work how many run at once, without those that are
    `paused`. They let as much other work begin, up to ``at_once`` more.

    Args:
        waits_for: by item, what it waits for; others than items are ignored. No cycles.
        is_work: whether an item needs the machine's cores; others do not count for ``sharing``.
        interrupted: called when the caller is interrupted; it ends what the work may wait for.

    """
    left = {item: set(others) & set(waits_for) for item, others in waits_for.items()}
    running: dict[Future[Result], Item] = {}
    results: dict[Item, Result] = {}
    errors: dict[Item, BaseException] = {}
    pauses, shared = _Pauses(), Sharing()
    with TaskGroup(2 * at_once, interrupted) as group:
        while left or running:
            change = pauses.change
            free = max(0, at_once + min(pauses.count, at_once) - len(running))
            ready = [item for item, others in left.items() if others <= results.keys()]
            work_now = sum(map(is_work, (*running.values(), *ready))) - pauses.count
            shared.count = max(1, min(at_once, work_now))
            for item in ready[: 0 if errors else free]:
                del left[item]
                context = copy_context()
                context.run(sharing.set, shared)
                context.run(_pauses.set, pauses)
                running[context.run(group.start, partial(work, item))] = item
            if not running:
                break
            futures: list[Future[Any]] = [*running, change]
            done = wait(futures, return_when=FIRST_COMPLETED).done
            for future in [future for future in running if future in done]:
                item = running.pop(future)
                if (error := future.exception()) is not None:
                    errors[item] = error
                else:
                    results[item] = future.result()
    if errors:
        raise together(errors[item] for item in waits_for if item in errors)
    return results
