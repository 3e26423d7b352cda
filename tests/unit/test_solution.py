"""The solution that follows from a resolver's choices."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.pylock import Package
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.model.solution import ChosenRoot, Pin, ResolutionGraph, solution_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from pipshim.model.solution import Solution

NAMES = {one: canonicalize_name(one.partition("[")[0]) for one in ("app", "lib", "lib[fast]", "c")}
GRAPH = ResolutionGraph(
    NAMES, {"app": {"lib", "lib[fast]"}, "lib": set(), "lib[fast]": {"lib", "c"}, "c": set()}
)
REQUIRES = {
    NAMES["app"]: [Requirement("lib[fast]>=1")],
    NAMES["lib"]: [Requirement("c; extra == 'fast'")],
}


def pin(identifier: str, needs: Iterable[NormalizedName]) -> Pin:
    entry = Package(
        name=NAMES[identifier],
        version=Version("1"),
        dependencies=[{"name": one} for one in sorted(needs)] or None,
    )
    return Pin(entry, Version("1"), None, editable=False, platform_specific=False)


def solved(*roots: ChosenRoot) -> Solution:
    return solution_of(GRAPH, roots, REQUIRES, pin)


def root(
    origin: str, identifier: str, requirement: str, *, is_left_out: bool = False
) -> ChosenRoot:
    stated = {identifier: Requirement(requirement)}
    return ChosenRoot(frozenset({origin}), left_out=is_left_out, stated=stated)


def test_needs_are_of_distributions_whatever_extras_ask_for_them() -> None:
    assert GRAPH.needs()[NAMES["app"]] == {"lib"}
    assert GRAPH.needs()[NAMES["lib"]] == {"c"}


def test_a_requirement_has_the_identifiers_of_its_extras() -> None:
    assert [*GRAPH.identifiers(NAMES["lib"], [])] == ["lib"]
    assert [*GRAPH.identifiers(NAMES["lib"], ["Fast", "other"])] == ["lib", "lib[fast]"]
    assert [*GRAPH.identifiers(canonicalize_name("nosuch"), [])] == []


def test_pins_know_who_asks_for_them() -> None:
    solution = solved(root("project", "app", "app"), root("group dev", "c", "c>=1"))
    assert solution.origins == {
        "app": {"project"},
        "lib": {"project"},
        "c": {"project", "group dev"},
    }
    assert solution.roots == {"group dev": ("c>=1",), "project": ("app",)}


def test_pins_have_the_requirements_that_their_metadata_states() -> None:
    solution = solved(root("project", "app", "app"))
    assert solution.pins[NAMES["app"]].package.tool == {"pipshim": {"requires": ["lib[fast]>=1"]}}
    assert solution.pins[NAMES["c"]].package.tool is None


def test_of_what_is_left_out_only_the_requirements_remain() -> None:
    solution = solved(root("project", "app", "app", is_left_out=True))
    assert solution.left_out == {"app"}
    assert sorted(solution.pins) == ["c", "lib"]
    assert solution.roots == {"project": ("lib[fast]>=1",)}
