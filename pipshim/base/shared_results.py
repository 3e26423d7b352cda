"""Results that several threads need: the first one computes, the others wait.

No lock is held during a computation, so it may ask for other results, in threads of its own too. If
computations wait for each other in a circle, that is an error, not a deadlock.
"""

from __future__ import annotations

import copy
import threading
from concurrent.futures import Future
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

T = TypeVar("T")


class CycleError(Exception):
    """Results that need each other.

    Attributes:
        path: the steps of the circle, in order; the last one needs the first.

    """

    def __init__(self, path: tuple[Hashable, ...]) -> None:
        super().__init__(" -> ".join(map(str, (*path, *path[:1]))))
        self.path = path


class _Computation:
    """A running computation.

    Attributes:
        path: the steps from the outermost one to this one.
        future: the result.
        waits_for: other computations that this one needs, each with the steps that lead to it.

    """

    def __init__(self, path: tuple[Hashable, ...]) -> None:
        self.path = path
        self.future: Future[Any] = Future()
        self.waits_for: list[tuple[_Computation, tuple[Hashable, ...]]] = []


_current: ContextVar[_Computation | None] = ContextVar("current_computation", default=None)
_edges = threading.Lock()
"""Guards `_Computation.waits_for`."""


class SharedResults(Generic[T]):
    """Results by key.

    Args:
        keep: whether results stay; otherwise only those who ask during the computation share it.
        keep_errors: whether errors stay too, so that nothing is tried again.

    """

    def __init__(self, *, keep: bool = True, keep_errors: bool = False) -> None:
        self._keep = keep
        self._keep_errors = keep_errors
        self._computations: dict[Hashable, _Computation] = {}
        self._guard = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._computations

    def peek(self, key: Hashable, *, wait: bool = False) -> T | None:
        """Return a result if there is one; ``wait`` for it if it is being computed."""
        with self._guard:
            computation = self._computations.get(key)
        if computation is None or not (wait or computation.future.done()):
            return None
        future: Future[T] = computation.future
        return future.result() if future.exception() is None else None

    def get(
        self,
        key: Hashable,
        compute: Callable[[], T],
        *,
        path: tuple[Hashable, ...] | None = None,
    ) -> T:
        """Return the result for a key; compute it if nobody else does.

        Args:
            compute: called by whoever asks first.
            path: the steps from the outermost one on; without it, this step is `key`.

        Raises:
            CycleError: the result needs itself.

        """
        current = _current.get()
        if path is None:
            path = (*(current.path if current is not None else ()), key)
        with self._guard:
            computation = self._computations.get(key)
            is_mine = computation is None
            if computation is None:
                computation = self._computations[key] = _Computation(path)
        if not is_mine and computation.future.done() and computation.future.exception() is None:
            result: T = computation.future.result()
            return result
        edge = (computation, path[len(current.path) :] if current is not None else ())
        if current is not None:
            _add(current, edge)
        try:
            return self._compute(key, computation, compute) if is_mine else _wait(computation)
        finally:
            if current is not None:
                with _edges:
                    current.waits_for.remove(edge)

    def _compute(self, key: Hashable, computation: _Computation, compute: Callable[[], T]) -> T:
        token = _current.set(computation)
        try:
            result = compute()
        except BaseException as error:
            if not self._keep_errors:
                self._forget(key)
            computation.future.set_exception(error)
            raise
        finally:
            _current.reset(token)
        if not self._keep:
            self._forget(key)
        computation.future.set_result(result)
        return result

    def _forget(self, key: Hashable) -> None:
        with self._guard:
            del self._computations[key]


def _add(waiting: _Computation, edge: tuple[_Computation, tuple[Hashable, ...]]) -> None:
    """Note that a computation waits for another.

    Raises:
        CycleError: the other one waits for it already.

    """
    needed, steps = edge
    with _edges:
        way_back = _way(needed, waiting, set())
        if way_back is not None:
            raise CycleError((*steps, *way_back))
        waiting.waits_for.append(edge)


def _way(
    start: _Computation, end: _Computation, seen: set[_Computation]
) -> tuple[Hashable, ...] | None:
    """Return the steps by which a computation waits for another, if it does."""
    if start is end:
        return ()
    seen.add(start)
    for needed, steps in start.waits_for:
        if needed not in seen:
            rest = _way(needed, end, seen)
            if rest is not None:
                return (*steps, *rest)
    return None


def _wait(computation: _Computation) -> Any:
    error = computation.future.exception()
    if error is None:
        return computation.future.result()
    try:
        mine = copy.copy(error)  # whoever catches it may add to its message
    except Exception:  # noqa: BLE001 not every exception can be copied
        raise error from None
    raise mine from error
