"""Mappings whose copies share their contents until one of them is changed."""

from __future__ import annotations

from collections.abc import MutableMapping
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

K = TypeVar("K")
V = TypeVar("V")

_ABSENT: Any = object()
_EMPTY: list[Any] = [_ABSENT] * 32


class CopyOnWriteMapping(MutableMapping[K, V]):
    """A mapping in pages; its copies share them until one writes.

    Keys have the order in which they were first added to it or to any copy.
    """

    def __init__(self, other: CopyOnWriteMapping[K, V] | None = None) -> None:
        self._numbers: dict[K, int] = {} if other is None else other._numbers  # noqa: SLF001 of all copies
        self._pages: list[list[V]] = [] if other is None else other._pages[:]  # noqa: SLF001

    def copy(self) -> CopyOnWriteMapping[K, V]:
        return type(self)(self)

    def __getitem__(self, key: K) -> V:
        page, at = divmod(self._numbers[key], len(_EMPTY))
        value = self._pages[page][at] if page < len(self._pages) else _ABSENT
        if value is _ABSENT:
            raise KeyError(key)
        return value

    def __setitem__(self, key: K, value: V) -> None:
        number = self._numbers.setdefault(key, len(self._numbers))
        page, at = divmod(number, len(_EMPTY))
        self._pages += [_EMPTY] * (page + 1 - len(self._pages))
        self._pages[page] = written = self._pages[page][:]
        written[at] = value

    def __delitem__(self, key: K) -> None:
        self[key]
        self[key] = _ABSENT

    def __iter__(self) -> Iterator[K]:
        values = chain.from_iterable(self._pages)
        return (key for key, value in zip(self._numbers, values) if value is not _ABSENT)  # noqa: B905 new keys of copies

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)


class OrderedCopyOnWriteMapping(CopyOnWriteMapping[K, V]):
    """The same, which knows the order in which keys were last written."""

    def __init__(self, other: OrderedCopyOnWriteMapping[K, V] | None = None) -> None:
        super().__init__(other)
        self._last: tuple[K, Any] | None = None if other is None else other._last  # noqa: SLF001

    def __setitem__(self, key: K, value: V) -> None:
        super().__setitem__(key, value)
        if value is not _ABSENT:
            self._last = key, self._last

    def popitem(self) -> tuple[K, V]:
        """Remove and return the item that was written last."""
        key = next(self._backwards(), None)
        if key is None:
            raise KeyError
        return key, self.pop(key)

    def in_order(self) -> dict[K, V]:
        return {key: self[key] for key in reversed(dict.fromkeys(self._backwards()))}

    def _backwards(self) -> Iterator[K]:
        """Return the keys, the last one first; one written again comes twice."""
        place = self._last
        while place is not None:
            key, place = place
            if key in self:
                yield key
