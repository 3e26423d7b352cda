"""Follow the edges of a graph."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

T = TypeVar("T")


def distances(start: Iterable[T], following: Callable[[T], Iterable[T]]) -> dict[T, int]:
    """Return what can be reached from some nodes, the nearest first, and in how many steps."""
    found = dict.fromkeys(start, 0)
    waiting = deque(found)
    while waiting:
        node = waiting.popleft()
        for other in following(node):
            if other not in found:
                found[other] = found[node] + 1
                waiting.append(other)
    return found
