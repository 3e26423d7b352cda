"""Sdists whose builds need other sdists, which have to be built first: a lock always ends."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import sdist, wheel
from tests.support.locks import read_lock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

BOUND = 120
"""Seconds after which a command counts as hanging."""


BACKEND = """
import sys

def __getattr__(hook):
    if hook not in HOOKS:
        raise AttributeError(hook)
    def call(*args):
        sys.path.insert(0, "_backend")
        import engine
        return getattr(engine, hook)(*args)
    return call

HOOKS = ["get_requires_for_build_wheel", "prepare_metadata_for_build_wheel", "build_wheel"]
"""
"""The tests' backend as a wheel, which is imported once for many builds."""


def dynamic(directory: Path, name: str, build_requires: Sequence[str] = ()) -> Path:
    """Write an sdist whose metadata only its backend knows."""
    return sdist(directory, name, "1", build_requires=build_requires, static_metadata=False)


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_an_sdist_is_locked_whose_build_needs_an_sdist_whose_build_needs_another(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, jobs: int
) -> None:
    files = tmp_path / "files"
    index.add(dynamic(files, "aa", ["bb"]), dynamic(files, "bb", ["cc", "dd"]))
    index.add(dynamic(files, "cc"), wheel(files, "dd", "1"))
    project = make_project(dependencies=["aa"])

    cli.ok("lock", "-j", str(jobs), timeout=BOUND)

    assert read_lock(project).environment("aa") == ["bb==1"]


class Graph:
    """Random sdists of which each may need those below it, to build and to run."""

    def __init__(self, seed: int, *, depth: int, fan_out: int, width: int) -> None:
        dice = random.Random(seed)  # noqa: S311 the same every time
        self.levels = [[f"p{level}-{n}" for n in range(width)] for level in range(depth)]
        self.build: dict[str, list[str]] = {}
        self.runtime: dict[str, list[str]] = {}
        for level, names in enumerate(self.levels):
            below = [one for lower in self.levels[level + 1 :] for one in lower]
            for name in names:
                self.build[name] = dice.sample(below, min(dice.randint(0, fan_out), len(below)))
                self.runtime[name] = dice.sample(below, min(dice.randint(0, 2), len(below)))
        self.dynamic = {name for name in self.build if dice.random() < 3 / 4}

    def publish(self, index: Index, directory: Path) -> None:
        for name in self.build:
            needs = json.dumps([*self.build[name], "quick-backend"])
            system = f'[build-system]\nbuild-backend = "quick_backend"\nrequires = {needs}\n'
            index.add(
                sdist(
                    directory,
                    name,
                    "1",
                    requires=self.runtime[name],
                    static_metadata=name not in self.dynamic,
                    files={"pyproject.toml": system},
                )
            )
        index.add(wheel(directory, "quick-backend", "1", files={"quick_backend.py": BACKEND}))

    def needed(self, roots: Sequence[str]) -> set[str]:
        """Tell what a run-time closure has."""
        found, waiting = set(), [*roots]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += self.runtime[name]
        return found


@pytest.mark.parametrize("isolation", [True, False], ids=["isolated", "no-isolation"])
@pytest.mark.parametrize(("jobs", "seed"), [(1, 1), (2, 2), (8, 3)])
def test_random_graphs_of_nested_sdists_are_locked(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    jobs: int,
    seed: int,
    isolation: bool,
) -> None:
    graph = Graph(seed, depth=5, fan_out=4, width=2)
    roots = graph.levels[0]
    if not isolation:  # what is needed to build has to be installed beside it
        for name, needs in graph.build.items():
            graph.runtime[name] += needs
        roots = [*roots, "quick-backend"]
        graph.runtime["quick-backend"] = []
    graph.publish(index, tmp_path / "files")
    project = make_project(dependencies=roots)
    options = [] if isolation else ["--no-build-isolation"]

    cli.ok("lock", "-j", str(jobs), *options, timeout=BOUND)

    assert set(read_lock(project).versions) == graph.needed(roots)


@pytest.mark.slow
def test_a_random_graph_of_two_hundred_nested_sdists_is_locked(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    graph = Graph(3, depth=5, fan_out=4, width=40)
    graph.publish(index, tmp_path / "files")
    project = make_project(dependencies=graph.levels[0])

    cli.ok("lock", timeout=900)

    assert set(read_lock(project).versions) == graph.needed(graph.levels[0])


@pytest.mark.parametrize("jobs", [1, 2, 8])
def test_sdists_that_need_each_other_for_their_builds_are_an_error_that_names_the_cycle(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, jobs: int
) -> None:
    files = tmp_path / "files"
    index.add(dynamic(files, "aa", ["bb"]), dynamic(files, "bb", ["cc"]))
    index.add(dynamic(files, "cc", ["aa"]))
    make_project(dependencies=["aa", "bb", "cc"])

    failed = cli.fails("lock", "-j", str(jobs), timeout=BOUND)

    assert re.search(r"form a cycle: (\w\w 1) -> \w\w 1 -> \w\w 1 -> \1", failed.err), failed


def test_an_sdist_that_needs_itself_for_its_build_is_an_error_that_says_so(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(dynamic(tmp_path / "files", "aa", ["aa"]))
    make_project(dependencies=["aa"])

    failed = cli.fails("lock", timeout=BOUND)

    assert "form a cycle: aa 1 -> aa 1" in failed.err
