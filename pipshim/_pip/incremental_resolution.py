"""Resolve like resolvelib, in rounds that cost as much as what they change.

resolvelib copies its state for each pin, and looks at all packages in each round. With 3,000 of
them that is a gigabyte and most of the time. Here the copies share what they have in common, and a
round looks at what is not known to be satisfied. The result is the same.
"""

from __future__ import annotations

from collections import ChainMap, defaultdict
from typing import TYPE_CHECKING, Any, cast

from pip._internal.resolution.resolvelib.requirements import (
    RequiresPythonRequirement,
    SpecifierRequirement,
)
from pip._vendor.resolvelib.resolvers.abstract import Result
from pip._vendor.resolvelib.resolvers.criterion import Criterion
from pip._vendor.resolvelib.resolvers.resolution import Resolution, Resolver
from pip._vendor.resolvelib.structs import DirectedGraph, RequirementInformation, State

from pipshim.base.copy_on_write import CopyOnWriteMapping, OrderedCopyOnWriteMapping

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class Criteria(CopyOnWriteMapping[str, Any]):
    """Criteria by package; `items` has only those that may have no pin that satisfies them.

    resolvelib looks at all of them in each round. What the newest state knows to be satisfied is
    left out until it changes; earlier states know nothing.

    Attributes:
        unknown: these items; None for all.

    """

    def __init__(self, other: Criteria | None = None) -> None:
        super().__init__(other)
        self.unknown: dict[str, Any] | None = None
        if other is not None:
            self.unknown, other.unknown = other.unknown, None

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, value)
        if self.unknown is not None:
            self.unknown[key] = value

    def items(self) -> Any:
        if self.unknown is None:
            self.unknown = {key: self[key] for key in self}
        return [*self.unknown.items()]

    def keys(self) -> Any:
        """Return all, and keys of other copies: resolvelib asks only which were there before."""
        return self._numbers.keys()


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
        pins, criteria = cast("OrderedCopyOnWriteMapping[str, Any]", state.mapping), state.criteria
        return state._replace(
            mapping=pins.in_order(), criteria={one: criteria[one] for one in criteria}
        )

    def _push_new_state(self) -> None:
        made: Any = self.state.mapping
        if not isinstance(made, OrderedCopyOnWriteMapping):  # the root state, which resolvelib made
            criteria = Criteria()
            criteria.update(self.state.criteria)
            self._states = [
                State(cast("Any", OrderedCopyOnWriteMapping()), cast("Any", criteria), [])
            ]
        super()._push_new_state()

    def _get_preference(self, name: str) -> Any:
        """Return the earlier answer for requirements of the same texts."""
        texts = _texts(cast("Any", self.state.criteria).unknown[name])
        is_promoted = name in self._p._conflict_promoted  # type: ignore[attr-defined]  # noqa: SLF001
        known = self._preferences.get(name)
        if known is None or known[0] is not texts or known[1] is not is_promoted:
            known = self._preferences[name] = texts, is_promoted, super()._get_preference(name)
        return known[2]

    def _is_current_pin_satisfying(self, name: str, criterion: Any) -> bool:
        """Return the earlier answer for the same pin and requirements of the same texts.

        Where nothing required ``foo[bar]`` for a while, its pin is ``foo``: pip asserts that it is
        never asked about that.
        """
        pin = self.state.mapping.get(name)
        if pin is None or (criterion.information and self._p.identify(pin) != name):
            return False
        texts = _texts(criterion)
        known = self._satisfied.get(name)
        if known is None or known[0] is not pin or known[1] is not texts:
            if not super()._is_current_pin_satisfying(name, criterion):
                return False
            self._satisfied[name] = pin, texts
        cast("Any", self.state.criteria).unknown.pop(name)
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
            added = RequirementInformation(requirement, parent)
            criteria[name] = _Criterion(before, [*before.information, added], texts)
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
        return _result_of(resolution.resolve(requirements, max_rounds))


def _result_of(state: State[Any, Any, Any]) -> Result[Any, Any, Any]:
    """Return the pins that a root leads to.

    resolvelib's own function ends in a `RecursionError` if packages that require each other, and
    that nothing else requires any more, are left from a version that was given up. And it loses
    requirements of ``foo`` if ``foo[bar]`` is left: without ``bar`` that is the same candidate.
    """
    is_left = {key for key, criterion in state.criteria.items() if not criterion.information}
    keys = {id(one): key for key, one in state.mapping.items() if key not in is_left}
    children = defaultdict(list)
    for key, criterion in state.criteria.items():
        for parent in criterion.iter_parent():
            if parent is None or id(parent) in keys:
                children[keys.get(id(parent))].append(key)
    graph: DirectedGraph[str | None] = DirectedGraph()
    graph.add(None)
    reached: list[str | None] = [None]
    for parent in reached:
        for key in children[parent]:
            if key not in graph:
                graph.add(key)
                reached.append(key)
            graph.connect(parent, key)
    mapping = {key: candidate for key, candidate in state.mapping.items() if key in graph}
    return Result(mapping, graph, state.criteria)
