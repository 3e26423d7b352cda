"""The resolution of many packages chooses what resolvelib's own does, in the same order."""

from __future__ import annotations

import random
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from pip._internal.resolution.resolvelib.provider import PipProvider
from pip._vendor.resolvelib import BaseReporter, ResolutionImpossible, ResolutionTooDeep
from pip._vendor.resolvelib.resolvers.resolution import Resolution

from pipshim._pip import incremental_resolution
from pipshim._pip.incremental_resolution import IncrementalResolution
from pipshim.base.copy_on_write import CopyOnWriteMapping

if TYPE_CHECKING:
    from collections.abc import Iterator


class Candidate(NamedTuple):
    name: str
    version: int


class Required(NamedTuple):
    """The versions of a package that something admits."""

    name: str
    versions: range

    def __str__(self) -> str:
        return f"{self.name} {self.versions}"

    def get_candidate_lookup(self) -> tuple[None, None]:
        return None, None


class Provider(PipProvider):
    """pip's provider, whose packages are made up."""

    def __init__(self, index: dict[str, list[list[Required]]]) -> None:
        settings: dict[str, Any] = {
            "factory": None,
            "constraints": {},
            "ignore_dependencies": False,
            "only_dependencies": False,
            "upgrade_strategy": "",
            "user_requested": {},
        }
        # Which of them there are depends on pip: only_dependencies is new in 26.2.
        super().__init__(**{name: settings[name] for name in signature(PipProvider).parameters})
        self._index = {
            Candidate(name, version): required
            for name, versions in index.items()
            for version, required in enumerate(versions)
        }

    def find_matches(self, identifier: Any, requirements: Any, incompatibilities: Any) -> Any:
        required = [one.versions for one in requirements[identifier]]
        wrong = {*incompatibilities[identifier]}
        return [
            one
            for one in reversed(self._index)
            if one.name == identifier
            and one not in wrong
            and all(one.version in versions for versions in required)
        ]

    @staticmethod
    def is_satisfied_by(requirement: Any, candidate: Any) -> bool:  # type: ignore[override]
        return candidate.version in requirement.versions

    def get_dependencies(self, candidate: Any) -> Any:
        return self._index[candidate]


class Reporter(BaseReporter[Any, Any, Any]):
    def __init__(self) -> None:
        self.pins: list[Candidate] = []

    def pinning(self, candidate: Any) -> None:
        self.pins.append(candidate)


def generated(number: int) -> dict[str, list[list[Required]]]:
    """Make packages with up to four versions; most require some others, in all or some versions."""
    chance = random.Random(number)  # noqa: S311 the same graphs everywhere
    names = [f"p{at}" for at in range(chance.randrange(5, 30))]

    def required() -> Iterator[Required]:
        for _ in range(chance.choice((0, 1, 2, 4))):
            first = chance.choice((0, 0, 0, 1))
            yield Required(chance.choice(names), range(first, chance.choice((2, 3, 9, 9))))

    return {name: [[*required()] for _ in range(chance.randrange(1, 5))] for name in names}


def resolved(kind: Any, index: dict[str, list[list[Required]]]) -> Any:
    reporter = Reporter()
    roots = [Required(name, range(9)) for name in list(index)[:4]]
    try:
        state = kind(Provider(index), reporter).resolve(roots, 200)
    except ResolutionImpossible as error:
        return reporter.pins, {str(one.requirement) for one in error.causes}
    except ResolutionTooDeep:
        return reporter.pins, set()
    return (
        reporter.pins,
        list(state.mapping.items()),
        {name: [*criterion.information] for name, criterion in state.criteria.items()},
    )


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_chooses_what_resolvelib_chooses(first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(incremental_resolution, "_BY_TEXT", {Required})
    outcomes = set()
    for number in range(first, first + 50):
        index = generated(number)
        found = resolved(IncrementalResolution, index)
        assert found == resolved(Resolution, index), f"graph {number}"
        outcomes.add((len(found), len(found[0]) > len(found[1])))
    assert len(outcomes) > 2, "some graphs have conflicts, and some have no solution"


def test_copies_of_a_mapping_are_independent() -> None:
    first: CopyOnWriteMapping[str, int] = CopyOnWriteMapping()
    first.update({str(number): number for number in range(100)})
    second = first.copy()
    second["7"] = 0
    del second["8"]
    second["new"] = 1
    assert dict(first) == {str(number): number for number in range(100)}
    assert len(second) == 100
    assert "8" not in second
    assert "new" not in first
    assert list(second)[-1] == "new"
