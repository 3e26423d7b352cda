"""Doing the same for many things at once, in threads, with errors and interrupts kept in order."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    at_once: int,
    interrupted: Callable[[], object] | None = None,
) -> list[Result]:
    """Call ``work`` for each item, several at once; answer the results in the items' order.

    After a failure nothing new is started, what is running is let finish, and the failure of the
    first item that failed is raised. Context variables are those of the caller.

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
        for future in futures:
            if not future.cancelled() and (error := future.exception()) is not None:
                raise error
        return [future.result() for future in futures]
