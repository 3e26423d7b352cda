"""A resolution of resolvelib's whose rounds cost as much as what they change.

resolvelib copies its state for each pin, and looks at all packages in each round. With 3,000 of
them that is a gigabyte and most of the time. Here the copies share what they have in common, and a
round looks at what is not known to be satisfied. The result is the same.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Collection, MutableMapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pip._internal.resolution.resolvelib.requirements import (
    RequiresPythonRequirement,
    SpecifierRequirement,
)
from pip._vendor.resolvelib.resolvers.criterion import Criterion
from pip._vendor.resolvelib.resolvers.resolution import Resolution, Resolver, _build_result
from pip._vendor.resolvelib.structs import RequirementInformation, State

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pip._vendor.resolvelib.resolvers.abstract import Result

K = TypeVar("K")
V = TypeVar("V")

_BITS = 5
_ABSENT: Any = object()
_EMPTY: list[Any] = [_ABSENT] * (1 << _BITS)


class SharedMapping(MutableMapping[K, V]):
    """A mapping in pages; its copies share them until one writes.

    Keys have the order in which they were first added to it or to any copy.
    """

    def __init__(self, other: SharedMapping[K, V] | None = None) -> None:
        self._numbers: dict[K, int] = {} if other is None else other._numbers  # noqa: SLF001 of all copies
        self._pages: list[list[V]] = [] if other is None else other._pages[:]  # noqa: SLF001

    def copy(self) -> SharedMapping[K, V]:
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


class Pins(SharedMapping[str, Any]):
    """Candidates by package, in the order of the pins."""

    def __init__(self, other: Pins | None = None) -> None:
        super().__init__(other)
        self._last: tuple[str, Any] | None = None if other is None else other._last  # noqa: SLF001

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if value is not _ABSENT:
            self._last = key, self._last

    def popitem(self) -> tuple[str, Any]:
        key = next(self._backwards(), None)
        if key is None:
            raise KeyError
        return key, self.pop(key)

    def in_order(self) -> dict[str, Any]:
        return {key: self[key] for key in reversed(dict.fromkeys(self._backwards()))}

    def _backwards(self) -> Iterator[str]:
        """Return the pinned packages, the last one first; one pinned again comes twice."""
        place = self._last
        while place is not None:
            key, place = place
            if key in self:
                yield key


class Criteria(SharedMapping[str, Any]):
    """Criteria by package; `items` has only those that may have no pin that satisfies them.

    resolvelib looks at all of them in each round. What the newest state knows to be satisfied is
    left out until it changes; earlier states know nothing.
    """

    def __init__(self, other: Criteria | None = None) -> None:
        super().__init__(other)
        self._open: set[str] | None = None
        if other is not None:
            self._open, other._open = other._open, None  # noqa: SLF001

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if self._open is not None:
            self._open.add(key)

    def leave_out(self, key: str) -> None:
        """Note that a criterion is satisfied."""
        if self._open is not None:
            self._open.discard(key)

    def items(self) -> Any:
        if self._open is None:
            self._open = set(self)
        return [(key, self[key]) for key in self._open]


class _Information(Collection[Any]):
    """The start of a list that criteria share; the next one may go on in it."""

    def __init__(self, items: list[Any], length: int) -> None:
        self._items = items
        self._length = length

    @classmethod
    def of(cls, items: Collection[Any]) -> _Information:
        return items if isinstance(items, cls) else cls([*items], len(items))

    def followed_by(self, item: Any) -> _Information:
        is_whole = len(self._items) == self._length
        items = self._items if is_whole else self._items[: self._length]
        items.append(item)
        return _Information(items, self._length + 1)

    def __iter__(self) -> Iterator[Any]:
        return islice(self._items, self._length)

    def __len__(self) -> int:
        return self._length

    def __contains__(self, item: object) -> bool:
        return any(one is item for one in self)


class _Criterion(Criterion[Any, Any]):
    """A criterion that knows the texts of the requirements that its candidates satisfy.

    A thousand packages may require the same package, but not in a thousand ways.
    """

    def __init__(
        self, before: Criterion[Any, Any], information: Collection[Any], texts: set[str]
    ) -> None:
        super().__init__(before.candidates, information, before.incompatibilities)
        self.texts = texts


def _texts(criterion: Any) -> Any:
    """Return an object that is the same for criteria with requirements of the same texts."""
    return criterion.texts if isinstance(criterion, _Criterion) else criterion


class IncrementalResolution(Resolution[Any, Any, Any]):
    """resolvelib's resolution, which knows from round to round what is satisfied."""

    def __init__(self, provider: Any, reporter: Any) -> None:
        super().__init__(provider, reporter)
        self._preferences: dict[str, tuple[Any, bool, Any]] = {}
        self._satisfied: dict[str, tuple[Any, Any]] = {}

    def resolve(self, requirements: Iterable[Any], max_rounds: int) -> State[Any, Any, Any]:
        state = super().resolve(requirements, max_rounds)
        pins, criteria = cast("Pins", state.mapping), state.criteria
        return state._replace(
            mapping=pins.in_order(), criteria={one: criteria[one] for one in criteria}
        )

    def _push_new_state(self) -> None:
        made: Any = self.state.mapping
        if not isinstance(made, Pins):  # the root state, which resolvelib made
            criteria = Criteria()
            criteria.update(self.state.criteria)
            self._states = [State(cast("Any", Pins()), cast("Any", criteria), [])]
        super()._push_new_state()

    def _get_preference(self, name: str) -> Any:
        """Return the earlier answer for requirements of the same texts."""
        texts = _texts(self.state.criteria[name])
        is_promoted = name in self._p._conflict_promoted  # type: ignore[attr-defined]  # noqa: SLF001
        known = self._preferences.get(name)
        if known is None or known[0] is not texts or known[1] is not is_promoted:
            known = self._preferences[name] = texts, is_promoted, super()._get_preference(name)
        return known[2]

    def _is_current_pin_satisfying(self, name: str, criterion: Any) -> bool:
        """Return the earlier answer for the same pin and requirements of the same texts."""
        pin = self.state.mapping.get(name)
        if pin is None:
            return False
        texts = _texts(criterion)
        known = self._satisfied.get(name)
        if known is None or known[0] is not pin or known[1] is not texts:
            if not super()._is_current_pin_satisfying(name, criterion):
                return False
            self._satisfied[name] = pin, texts
        cast("Criteria", self.state.criteria).leave_out(name)
        return True

    def _get_updated_criteria(self, candidate: Any) -> dict[str, Any]:
        """Return what a candidate changes in the criteria."""
        criteria = ChainMap[str, Any]({}, cast("Any", self.state.criteria))
        for requirement in self._p.get_dependencies(candidate=candidate):
            self._add_to_criteria(cast("Any", criteria), requirement, parent=candidate)
        return cast("dict[str, Any]", criteria.maps[0])

    def _add_to_criteria(self, criteria: Any, requirement: Any, parent: Any) -> None:
        """Add a requirement; the candidates stay if the same is required already.

        Those of a package with extras depend on the requirements of the package too.
        """
        name = self._p.identify(requirement)
        before, text = criteria.get(name), str(requirement)
        texts = before.texts if isinstance(before, _Criterion) else None
        is_by_text = parent is not None and type(requirement) in _BY_TEXT and "[" not in name
        if before is not None and texts is not None and text in texts and is_by_text:
            self._r.adding_requirement(requirement=requirement, parent=parent)
            information = _Information.of(before.information)
            added = information.followed_by(RequirementInformation(requirement, parent))
            criteria[name] = _Criterion(before, added, texts)
            return
        super()._add_to_criteria(criteria, requirement, parent)
        after = criteria[name]
        if texts is None:
            texts = set(map(str, after.iter_requirement()))
        criteria[name] = _Criterion(after, after.information, texts | {text})

    def _remove_information_from_criteria(self, criteria: Any, parents: Collection[str]) -> None:
        for name in [*criteria] if parents else ():
            criterion = criteria[name]
            left = [
                one
                for one in criterion.information
                if one.parent is None or self._p.identify(one.parent) not in parents
            ]
            if len(left) < len(criterion.information):
                criteria[name] = Criterion(criterion.candidates, left, criterion.incompatibilities)


_BY_TEXT = {SpecifierRequirement, RequiresPythonRequirement}
"""The requirements that mean the same if their texts are the same."""


class IncrementalResolver(Resolver[Any, Any, Any]):
    """resolvelib's resolver, with this resolution."""

    def resolve(  # type: ignore[override]
        self, requirements: Iterable[Any], max_rounds: int = 100
    ) -> Result[Any, Any, Any]:
        resolution = IncrementalResolution(self.provider, self.reporter)
        return _build_result(resolution.resolve(requirements, max_rounds))
