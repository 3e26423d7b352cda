"""A resolution of resolvelib's whose rounds cost as much as what they change.

resolvelib copies its state for each pin, and looks at all packages in each round. With 3,000 of
them that is a gigabyte and most of the time. Here the copies share what they have in common, and a
round looks at what its pin requires. The result is the same.
"""

from __future__ import annotations

from collections.abc import Collection, MutableMapping
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar, cast

from pip._internal.resolution.resolvelib.requirements import (
    RequiresPythonRequirement,
    SpecifierRequirement,
)
from pip._vendor.resolvelib.resolvers.criterion import Criterion
from pip._vendor.resolvelib.resolvers.exceptions import (
    RequirementsConflicted,
    ResolutionImpossible,
    ResolutionTooDeep,
)
from pip._vendor.resolvelib.resolvers.resolution import Resolution, Resolver, _build_result
from pip._vendor.resolvelib.structs import IteratorMapping, RequirementInformation, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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


class _Changes(dict[str, Any]):
    """What a pin changes in the criteria, which stay as they are until it is known to fit.

    Attributes:
        added: the requirements that it adds.

    """

    def __init__(self, criteria: MutableMapping[str, Any]) -> None:
        super().__init__()
        self._criteria = criteria
        self.added: dict[str, list[Any]] = {}

    def __missing__(self, key: str) -> Any:
        return self._criteria[key]

    def __contains__(self, key: object) -> bool:
        return super().__contains__(key) or key in self._criteria

    def get(self, key: str, default: Any = None) -> Any:
        try:
            return self[key]
        except KeyError:
            return default


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


class _Preferences(dict[str, Any]):
    """Preferences of packages, which are computed when they are needed."""

    def __init__(self, preference: Callable[[str], Any]) -> None:
        super().__init__()
        self._preference = preference

    def __missing__(self, name: str) -> Any:
        self[name] = preference = self._preference(name)
        return preference


class IncrementalResolution(Resolution[Any, Any, Any]):
    """resolvelib's resolution, which knows from round to round what is not satisfied."""

    def __init__(self, provider: Any, reporter: Any) -> None:
        super().__init__(provider, reporter)
        self._unsatisfied: set[str] | None = None
        self._preferences = _Preferences(self._get_preference)
        self._satisfied: dict[str, tuple[Any, Any]] = {}
        self._changes = _Changes({})
        self._jumping_since = 0

    def resolve(self, requirements: Iterable[Any], max_rounds: int) -> State[Any, Any, Any]:
        self._begin(requirements)
        for index in range(max_rounds):
            self._r.starting_round(index=index)
            if self._jumps_in_vain(index, max_rounds):
                self._rollback_states()
                continue
            if not self._names():
                self._r.ending(state=self.state)
                pins = cast("Pins", self.state.mapping).in_order()
                return self.state._replace(mapping=pins, criteria=dict(self.state.criteria))
            name = self._next_name()
            conflicts = self._attempt_to_pin_criterion(name)
            if conflicts:
                self._resolve_conflicts(conflicts)
            else:
                self._drop_outdated(self._note_pin(name))
                self._push_new_state()
            self._r.ending_round(index=index, state=self.state)
        raise ResolutionTooDeep(max_rounds)

    def _begin(self, requirements: Iterable[Any]) -> None:
        self._r.starting()
        self._states = [State(cast("Any", Pins()), cast("Any", SharedMapping()), [])]
        for requirement in requirements:
            try:
                self._add_to_criteria(self.state.criteria, requirement, parent=None)
            except RequirementsConflicted as error:
                raise ResolutionImpossible(error.criterion.information) from error
        self._push_new_state()

    def _jumps_in_vain(self, index: int, max_rounds: int) -> bool:
        """Return whether optimistic backjumping has been running for too long."""
        if not self._optimistic_backjumping_ratio or self._save_states is None:
            return False
        self._jumping_since = self._jumping_since or index
        cutoff = int((max_rounds - self._jumping_since) * self._optimistic_backjumping_ratio)
        return index - self._jumping_since >= cutoff

    def _names(self) -> set[str]:
        """Return the packages without a pin that satisfies all requirements."""
        if self._unsatisfied is None:
            self._preferences.clear()
            self._unsatisfied = {
                name
                for name, criterion in self.state.criteria.items()
                if not self._is_current_pin_satisfying(name, criterion)
            }
        return self._unsatisfied

    def _next_name(self) -> str:
        names = self._names()
        if len(names) == 1:
            return next(iter(names))
        criteria, pins = self.state.criteria, self.state.mapping
        narrowed = self._p.narrow_requirement_selection(
            identifiers=names,
            resolutions=pins,
            candidates=IteratorMapping(criteria, lambda one: one.candidates),
            information=IteratorMapping(criteria, lambda one: one.information),
            backtrack_causes=self.state.backtrack_causes,
        )
        # What is not narrowed has been in no conflict, which preferences depend on.
        preference = self._preferences.__getitem__ if narrowed is names else self._get_preference
        name: str = min(narrowed, key=preference)
        return name

    def _is_current_pin_satisfying(self, name: str, criterion: Any) -> bool:
        """Return the earlier answer for the same pin and requirements, which never change."""
        known = self._satisfied.get(name)
        pin = self.state.mapping.get(name)
        if known is not None and known[0] is pin and known[1] is criterion:
            return True
        if not super()._is_current_pin_satisfying(name, criterion):
            return False
        self._satisfied[name] = pin, criterion
        return True

    # Pins

    def _get_updated_criteria(self, candidate: Any) -> dict[str, Any]:
        self._changes = _Changes(self.state.criteria)
        for requirement in self._p.get_dependencies(candidate=candidate):
            self._add_to_criteria(self._changes, requirement, parent=candidate)
            name = self._p.identify(requirement)
            self._changes.added.setdefault(name, []).append(requirement)
        return self._changes

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
        self._preferences.pop(name, None)

    def _note_pin(self, name: str) -> set[str]:
        """Update what is not satisfied; return the packages whose pin no longer satisfies."""
        names = self._names()
        wrong = set()
        for key, added in self._changes.added.items():
            pin = self.state.mapping.get(key)
            if pin is None or not self._satisfies(pin, added):
                wrong.add(key)
        broken = {key for key in wrong - names if key in self.state.mapping}
        names.discard(name)
        names |= wrong
        return broken

    def _satisfies(self, pin: Any, requirements: Iterable[Any]) -> bool:
        return all(self._p.is_satisfied_by(requirement=one, candidate=pin) for one in requirements)

    def _drop_outdated(self, broken: set[str]) -> None:
        """Forget what pins require that are going to change."""
        if broken:
            self._remove_information_from_criteria(self.state.criteria, broken)
            self._unsatisfied = None

    def _remove_information_from_criteria(self, criteria: Any, parents: Collection[str]) -> None:
        for name, criterion in criteria.items():
            left = [
                one
                for one in criterion.information
                if one.parent is None or self._p.identify(one.parent) not in parents
            ]
            if len(left) < len(criterion.information):
                criteria[name] = Criterion(criterion.candidates, left, criterion.incompatibilities)

    def _resolve_conflicts(self, conflicts: list[Any]) -> None:
        """Jump back to where another candidate may fit.

        Raises:
            ResolutionImpossible: there is no such place.

        """
        causes = self._extract_causes(conflicts)
        self._r.resolving_conflicts(causes=causes)
        try:
            success = self._backjump(causes)
        except ResolutionImpossible:
            if not (self._optimistic_backjumping_ratio and self._save_states):
                raise
            success = False
        self._unsatisfied = None
        if not success and self._optimistic_backjumping_ratio and self._save_states:
            self._rollback_states()
            return
        self.state.backtrack_causes[:] = causes
        if not success:
            raise ResolutionImpossible(self.state.backtrack_causes)

    def _rollback_states(self) -> None:
        super()._rollback_states()
        self._unsatisfied = None


_BY_TEXT = {SpecifierRequirement, RequiresPythonRequirement}
"""The requirements that mean the same if their texts are the same."""


class IncrementalResolver(Resolver[Any, Any, Any]):
    """resolvelib's resolver, with this resolution."""

    def resolve(  # type: ignore[override]
        self, requirements: Iterable[Any], max_rounds: int = 100
    ) -> Result[Any, Any, Any]:
        resolution = IncrementalResolution(self.provider, self.reporter)
        return _build_result(resolution.resolve(requirements, max_rounds))
