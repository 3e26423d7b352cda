"""The lock as a graph: what needs what, and the ways to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from packaging.pylock import Package
from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.cli.tree import Branch, build_tree
from pipshim.model.build_mode import Mode
from pipshim.model.lock_graph import Graph, Node, graph_of
from pipshim.model.pylock import Lock, LockedBuild, LockedFolder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Node("demo", "0.1", "project")


def package(name: str, requires: Sequence[str] = (), version: str = "1") -> Package:
    tool = {"pipshim": {"requires": list(requires)}} if requires else None
    return Package(name=canonicalize_name(name), version=Version(version), tool=tool)


def build(environment: str | None, *requires: str) -> LockedBuild:
    mode = Mode.ISOLATED if environment else Mode.NO_ISOLATION
    return LockedBuild(mode, "default", "backend", requires, environment)


def lock_of(*packages: Package, roots: Mapping[str, Sequence[str]], **parts: Any) -> Lock:
    stated = {origin: tuple(texts) for origin, texts in roots.items()}
    return Lock(packages=packages, origins=parts.pop("origins", {}), roots=stated, **parts)


def drawn(branches: Sequence[Branch]) -> list[Any]:
    """Say trees as nested lists: a name, with its mark, then what is below."""
    return [
        [f"{one.node.kind}:{one.node.name}{one.mark}", *drawn(one.branches)] for one in branches
    ]


def tree(graph: Graph, *roots: Node, **options: Any) -> list[Any]:
    return drawn(
        build_tree(graph, roots or [graph.root], **{"invert": False, "depth": None, **options})
    )


DIAMOND = lock_of(
    package("a", ["c>=1"]),
    package("b", ["c[x]; os_name == 'posix'"]),
    package("c", ["d"]),
    package("d"),
    roots={"project": ["b"], "extra x": ["a<2"], "group dev": ["d"]},
)


def test_what_the_project_asks_comes_first_then_extras_then_groups_and_repeats_are_marked() -> None:
    assert tree(graph_of(DIAMOND, ROOT)) == [
        [
            "project:demo",
            ["package:b", ["package:c", ["package:d"]]],
            ["package:a", ["package:c(*)"]],
            ["package:d"],  # it needs nothing, so there is nothing to repeat
        ]
    ]


def test_a_need_says_extras_condition_and_whose_it_is() -> None:
    graph = graph_of(DIAMOND, ROOT)
    first, second, third = graph.needs[ROOT]
    assert [(need.origin, need.condition) for need in (first, second, third)] == [
        ("project", ""),
        ("extra x", "<2"),
        ("group dev", ""),
    ]
    (need,) = graph.needs[first.node]
    assert (need.extras, need.condition) == (("x",), 'os_name == "posix"')


def test_repeats_can_be_shown_whole_and_levels_limited() -> None:
    graph = graph_of(DIAMOND, ROOT)
    whole = tree(graph, dedupe=False)
    assert whole[0][2] == ["package:a", ["package:c", ["package:d"]]]
    assert tree(graph, depth=1) == [["project:demo", ["package:b"], ["package:a"], ["package:d"]]]


def test_what_a_limit_hides_counts_as_not_shown() -> None:
    lock = lock_of(
        package("a", ["b"]),
        package("b", ["c"]),
        package("c"),
        roots={"project": ["a", "b"]},
    )
    assert tree(graph_of(lock, ROOT), depth=2) == [
        ["project:demo", ["package:a", ["package:b"]], ["package:b", ["package:c"]]]
    ]


def test_backwards_it_leads_to_the_project() -> None:
    graph = graph_of(DIAMOND, ROOT)
    (c,) = graph.named(canonicalize_name("C"))
    assert tree(graph, c, invert=True) == [
        ["package:c", ["package:a", ["project:demo"]], ["package:b", ["project:demo"]]]
    ]
    assert [node.name for node in graph.ends()] == ["d"]


def test_those_that_need_each_other_are_marked_and_reached_from_both_sides() -> None:
    lock = lock_of(package("a", ["b"]), package("b", ["a"]), roots={"project": ["a"]})
    graph = graph_of(lock, ROOT)
    assert tree(graph) == [["project:demo", ["package:a", ["package:b", ["package:a(cycle)"]]]]]
    assert [node.name for node in graph.ends()] == ["demo", "a"]
    (b,) = graph.named(canonicalize_name("b"))
    (chain,) = graph.chains(b)
    assert [need.node.name for need in chain] == ["a", "b"]


def test_a_choice_of_extras_and_groups_leaves_out_what_only_others_ask_for() -> None:
    lock = lock_of(
        package("a", ["b", "c"]),  # c is of a's extra, for which the group alone asks
        package("b"),
        package("c"),
        roots={"project": ["a"], "group dev": ["a[more]"]},
        origins={"a": {"project", "group dev"}, "b": {"project"}, "c": {"group dev"}},
    )
    assert tree(graph_of(lock, ROOT, origins={"project"})) == [
        ["project:demo", ["package:a", ["package:b"]]]
    ]
    assert tree(graph_of(lock, ROOT, origins=set())) == [["project:demo"]]


def test_of_two_versions_the_one_that_fits_is_meant() -> None:
    lock = lock_of(
        package("a", ["c<2"]),
        package("b", ["c>=2"]),
        package("c", version="1.5"),
        package("c", version="1.5"),  # the same for another part of the project, or target
        package("c", version="2.5"),
        roots={"project": ["a", "b"]},
    )
    graph = graph_of(lock, ROOT)
    versions = {
        need.by.name: need.node.version
        for found in graph.needs.values()
        for need in found
        if need.node.name == "c"
    }
    assert versions == {"a": "1.5", "b": "2.5"}
    assert tree(graph)[0][1] == ["package:a", ["package:c"]]


def test_the_shortest_chain_comes_first_and_none_twice() -> None:
    names = [f"p{number}" for number in range(8)]
    # Each needs all that come after it: 2**7 ways lead from the project to the last one.
    packages = [package(name, names[at + 1 :]) for at, name in enumerate(names)]
    graph = graph_of(lock_of(*packages, roots={"project": names[:1]}), ROOT)
    (last,) = graph.named(canonicalize_name("p7"))
    chains = list(graph.chains(last))
    lengths = [len(chain) for chain in chains]
    assert lengths == sorted(lengths)
    assert lengths[0] == 2
    assert len(chains) == len(set(chains)) == 2**6
    assert all(chain[0].by == ROOT and chain[-1].node == last for chain in chains)


def test_the_first_chains_of_very_many_are_found_at_once() -> None:
    names = [f"p{number:03}" for number in range(200)]
    packages = [package(name, names[at + 1 :]) for at, name in enumerate(names)]
    graph = graph_of(lock_of(*packages, roots={"project": names[:1]}), ROOT)
    (last,) = graph.named(canonicalize_name("p199"))
    ways = graph.chains(last)
    assert [len(next(ways)) for _ in range(5)] == [2, 3, 3, 3, 3]


@pytest.fixture
def built() -> Lock:
    """Give a lock whose `s` is built with a tool that needs a library, of other versions."""
    return lock_of(
        package("s", ["lib"]),
        package("lib"),
        roots={"project": ["s"]},
        builds={"s==1": build("e1", "tool>=3"), "more==1": build("e2", "seed")},
        build_packages=(
            package("tool", ["lib"], version="3"),
            package("lib", version="9"),
            package("more", version="1"),
            package("seed"),
            package("dynamic"),
        ),
        environments={
            "e1": ("tool==3", "lib==9", "more==1", "dynamic==1"),
            "e2": ("seed==1",),
        },
    )


def test_builds_are_shown_with_the_packages_of_their_own_environment(built: Lock) -> None:
    name = canonicalize_name("s")
    graph = graph_of(built, ROOT, builds=True, extra={name: ["more"]})
    assert tree(graph) == [
        [
            "project:demo",
            [
                "package:s",
                ["package:lib"],
                [
                    "build:s",
                    ["package:tool", ["package:lib"]],
                    ["package:more", ["build:more", ["package:seed"]]],
                    ["package:dynamic"],
                ],
            ],
        ]
    ]
    libs = graph.named(canonicalize_name("lib"))
    assert [(one.version, one.within) for one in libs] == [("1", None), ("9", "e1")]
    (of_build,) = (node for node in graph if node.kind == "build" and node.name == "s")
    assert [need.origin for need in graph.needs[of_build]] == ["declared", "extra", "backend"]


def test_without_builds_their_environments_play_no_part(built: Lock) -> None:
    assert tree(graph_of(built, ROOT)) == [["project:demo", ["package:s", ["package:lib"]]]]


def test_a_build_without_isolation_needs_the_packages_of_run_time_and_says_what_is_absent() -> None:
    lock = lock_of(
        package("s"),
        package("lib"),
        roots={"project": ["s", "lib"]},
        builds={"s==1": build(None, "lib", "ninja>=1")},
    )
    assert tree(graph_of(lock, ROOT, builds=True)) == [
        [
            "project:demo",
            ["package:s", ["build:s", ["package:lib"], ["absent:ninja"]]],
            ["package:lib"],
        ]
    ]


def test_the_project_and_editables_are_built_too() -> None:
    name, other = canonicalize_name("demo"), canonicalize_name("other")
    origins = frozenset({"project"})
    lock = lock_of(
        package("lib"),
        package("tool"),
        roots={"project": ["other"]},
        folders=(
            LockedFolder(".", name, {None: build("e1", "tool")}, origins),
            LockedFolder("../other", other, {None: build("e1", "tool")}, origins, ("lib",)),
        ),
        environments={"e1": ("tool==1",)},
    )
    assert tree(graph_of(lock, ROOT, builds=True)) == [
        [
            "project:demo",
            ["folder:other", ["package:lib"], ["build:other", ["package:tool"]]],
            ["build:demo", ["package:tool"]],
        ]
    ]
