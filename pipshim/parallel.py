"""Doing the same for many things at once, in threads, with errors and interrupts kept in order."""

from __future__ import annotations

from concurrent.futures import (
    FIRST_COMPLETED,
    FIRST_EXCEPTION,
    Future,
    ThreadPoolExecutor,
    wait,
)
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, TypeVar

from pipshim.errors import together

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")

sharing: ContextVar[int] = ContextVar("sharing", default=1)
"""How many pieces of work share the machine's cores, the one done here included."""


def each(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    at_once: int,
    interrupted: Callable[[], object] | None = None,
) -> list[Result]:
    """Call ``work`` for each item, several at once; answer the results in the items' order.

    After a failure nothing new is started, what is running is let finish, and what failed is
    raised, together if it is more than one (`pipshim.errors.together`). Context variables are those
    of the caller.

    Args:
        work: what to do.
        items: what to do it for.
        at_once: how many threads.
        interrupted: called when the caller is interrupted, before waiting for the threads.

    """
    if len(items) < 2 or at_once < 2:  # noqa: PLR2004 nothing to do at once
        return [work(item) for item in items]
    with ThreadPoolExecutor(min(at_once, len(items))) as pool:
        futures = [pool.submit(copy_context().run, work, item) for item in items]
        try:
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            if interrupted is not None:
                interrupted()
            raise
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
    """Call ``work`` for each item once those that it waits for are done, several at once.

    Of the items that may start, the first ones of the mapping do. Failures and interrupts are
    treated as `each` does. ``sharing`` tells the work how many are at it.

    Args:
        work: what to do.
        waits_for: by item, what it waits for; what is no item itself does not count. No cycles.
        at_once: how many threads.
        is_work: whether an item needs the machine's cores; others do not count for ``sharing``.
        interrupted: called when the caller is interrupted, before waiting for the threads.

    """
    left = {item: set(others) & set(waits_for) for item, others in waits_for.items()}
    running: dict[Future[Result], Item] = {}
    results: dict[Item, Result] = {}
    errors: dict[Item, BaseException] = {}
    with ThreadPoolExecutor(at_once) as pool:
        try:
            while left or running:
                ready = [item for item, others in left.items() if others <= results.keys()]
                width = min(at_once, sum(map(is_work, (*running.values(), *ready))))
                for item in ready[: 0 if errors else at_once - len(running)]:
                    del left[item]
                    context = copy_context()
                    context.run(sharing.set, max(1, width))
                    running[pool.submit(context.run, work, item)] = item
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    item = running.pop(future)
                    if (error := future.exception()) is not None:
                        errors[item] = error
                    else:
                        results[item] = future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            if interrupted is not None:
                interrupted()
            raise
    if errors:
        raise together(errors[item] for item in waits_for if item in errors)
    return results
