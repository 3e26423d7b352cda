"""Projects made up at random: what a lock has for a combination is what it has when locked alone.

Each combination is locked alone on each target: a project with just its extras and groups, and just
its sources. Agreement may take another version than that, but only one that another combination or
target has, or the newest one that fits what was agreed on, and that everything in this one admits.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from itertools import count
from random import Random
from typing import TYPE_CHECKING

import pytest
from packaging.markers import default_environment
from packaging.pylock import Pylock
from packaging.requirements import Requirement
from packaging.tags import parse_tag
from packaging.version import Version

from pipshim.model.targets import TargetName
from pipshim.project.workspaces import load_project
from tests.support.dists import wheel
from tests.support.index import Index

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from pathlib import Path

    from pipshim.model.project import Project
    from tests.conftest import MakeProject
    from tests.support.pipshim import Cli

EXTRAS = ("e0", "e1", "e2", "e3")
GROUPS = ("g0", "g1")
TARGETS = ("linux-x86_64-cp311", "macos-arm64-cp311", "windows-x86_64-cp312")
LINUX = 'sys_platform == "linux"'
ROUTED = ("r0", "r1")
DIFFERING = 0.3
"""How likely a version requires something else than the other versions do."""


@dataclass
class Universe:
    """What indexes have, what packages require, and a project.

    Attributes:
        versions: by index and package.
        requires: by package and version.
        origins: by extra, group and ``project``, what the project requires.
        sources: by package, entries of index, extra or group (or None) and marker (or None).
        conflicts: sets of extras and groups.
        includes: the extra that another one includes.
        targets: those of the lock.
    """

    versions: dict[str, dict[str, list[str]]]
    requires: dict[tuple[str, str], list[str]]
    origins: dict[str, list[str]]
    sources: dict[str, list[tuple[str, str | None, str | None]]]
    conflicts: list[list[str]]
    includes: dict[str, str] = field(default_factory=dict)
    targets: list[str] = field(default_factory=list)

    def alone(self, chosen: Collection[str], off: Collection[str], target: str) -> Universe:
        """Return what is left of it for a combination, on a target."""
        return replace(
            self,
            origins={origin: of for origin, of in self.origins.items() if origin not in off},
            sources={
                name: [
                    (index, None, marker)
                    for index, origin, marker in entries
                    if origin in (None, *chosen)
                ]
                for name, entries in self.sources.items()
            },
            conflicts=[],
            includes={by: of for by, of in self.includes.items() if not {by, of} & set(off)},
            targets=[target] if target else [],
        )


def universe(random: Random) -> Universe:
    names = [f"p{number}" for number in range(7)]

    def some(among: Collection[str], most: int) -> list[str]:
        found = []
        for name in random.sample(sorted(among), random.randint(0, min(most, len(among)))):
            bound = random.choice(("", "", "<3", "<2")) if name not in ROUTED else ""
            marker = f"; {LINUX}" if random.random() < 0.2 else ""
            found.append(f"{name}{bound}{marker}")
        return found

    versions = {
        "main": {
            **{name: ["1.0", "2.0", "3.0"] for name in names},
            **{name: ["9.0"] for name in ROUTED},
        },
        "a": {"r0": ["1.0+a", "2.0+a"], "r1": ["9.0"], "p0": ["7.0"]},
        "b": {"r0": ["2.0+b"], "r1": ["9.0", "8.0"], "p1": ["7.0"]},
    }
    of_all = {name: some([*names[at + 1 :], *ROUTED], 3) for at, name in enumerate(names)}
    of_all |= {name: some(names[5:], 1) for name in ROUTED}
    requires = {
        # Some versions require something else than the others.
        (name, one): some(names[5:], 2) if random.random() < DIFFERING and at < 5 else of_all[name]
        for at, name in enumerate([*names, *ROUTED])
        for one in sorted({one for of in versions.values() for one in of.get(name, ())})
    }
    members = [*(f"extra {one}" for one in EXTRAS), *(f"group {one}" for one in GROUPS)]
    random.shuffle(members)
    size = random.choice((2, 3))
    conflicts = [members[:size]]
    if random.random() < 0.6:
        conflicts.append(members[size : size + 2])
    first, second = conflicts[0][:2]
    sources: dict[str, list[tuple[str, str | None, str | None]]] = {
        "r0": [("a", first, None), ("b", second, LINUX if random.random() < 0.3 else None)],
        "r1": [("b", None, LINUX)] if random.random() < 0.5 else [("a", first, None)],
    }
    conflicting = {member for each in conflicts for member in each}
    includes = {}
    free = [f"extra {one}" for one in EXTRAS if f"extra {one}" not in conflicting]
    included = [one for one in conflicting if one.startswith("extra ")]
    if free and included:
        includes[random.choice(free)] = random.choice(sorted(included))
    return Universe(
        versions=versions,
        requires=requires,
        origins={origin: some([*names, *ROUTED], 3) for origin in ("project", *sorted(members))},
        sources=sources,
        conflicts=conflicts,
        includes=includes,
        targets=random.choice(([], [], list(TARGETS[:2]), list(TARGETS))),
    )


def settings(made: Universe, indexes: Mapping[str, Index]) -> str:
    def member(origin: str) -> str:
        kind, name = origin.split()
        return f'{kind} = "{name}"'

    text = "".join(
        f'[[tool.pipshim.index]]\nname = "{name}"\nurl = "{indexes[name].url}"\nexplicit = true\n'
        for name in ("a", "b")
    )
    text += "[tool.pipshim.sources]\n"
    for name, entries in made.sources.items():
        if not entries:
            continue
        items = [
            ", ".join(
                [
                    f'index = "{index}"',
                    *([member(origin)] if origin else []),
                    *([f"marker = '{marker}'"] if marker else []),
                ]
            )
            for index, origin, marker in entries
        ]
        text += f"{name} = [{', '.join(f'{{ {item} }}' for item in items)}]\n"
    sets = [f"[{', '.join(f'{{ {member(one)} }}' for one in each)}]" for each in made.conflicts]
    text += f"[tool.pipshim]\ndefault-groups = []\nconflicts = [{', '.join(sets)}]\n"
    return text + (f"target-environments = {made.targets}\n" if made.targets else "")


def written(
    made: Universe, make_project: MakeProject, indexes: Mapping[str, Index], folder: str = "project"
) -> Path:
    def of(kind: str) -> dict[str, list[str]]:
        found = {
            origin.split()[1]: list(texts)
            for origin, texts in made.origins.items()
            if origin.startswith(f"{kind} ")
        }
        for by, included in made.includes.items():
            if by.startswith(f"{kind} "):
                found[by.split()[1]].append(f"demo[{included.split()[1]}]")
        return found

    return make_project(
        settings(made, indexes),
        folder=folder,
        dependencies=made.origins["project"],
        extras=of("extra"),
        groups=of("group"),
    )


Selected = dict[str, tuple[str, str]]
"""By package, its version and index."""


@dataclass(frozen=True)
class Locked:
    """A lock, read as PEP 751 says, with packaging's own reader."""

    lock: Pylock

    @classmethod
    def of(cls, project: Path) -> Locked:
        text = (project / "pylock.toml").read_text(encoding="utf-8")
        return cls(Pylock.from_dict(tomllib.loads(text)))

    def select(self, target: str, selection: Collection[str]) -> Selected:
        """Give what is installed on a target with these extras and groups."""
        python = TargetName.parse(target).python if target else None
        tags = None
        if python is not None:
            tags = [tag for text in python.tags for tag in parse_tag(text)]
        found = self.lock.select(
            environment=dict(environment(target)),  # type: ignore[arg-type]
            tags=tags,
            extras=[one.split()[1] for one in selection if one.startswith("extra")],
            dependency_groups=[one.split()[1] for one in selection if one.startswith("group")],
        )
        return {one.name: (str(one.version), str(one.index)) for one, _ in found}


def environment(target: str) -> dict[str, str]:
    if target:
        return dict(TargetName.parse(target).python.markers)
    return {key: str(value) for key, value in default_environment().items()}


def selections(
    project: Project, chosen: Collection[str], off: Collection[str]
) -> Iterator[set[str]]:
    """Give what may be selected in a combination: as little as there is, and as much."""
    yield {*chosen}
    every = {f"extra {one}" for one in EXTRAS} | {f"group {one}" for one in GROUPS}
    yield every - set(off)
    for member in chosen:  # by what includes it
        by = project.conflicts.included_by.get(member, ())
        if by:
            yield {*chosen, by[0]} - {member}


def admitted(made: Universe, selected: Selected, target: str) -> dict[str, list[Requirement]]:
    """Give the requirements on each package, of the project and of what is selected."""
    texts = [text for of in made.origins.values() for text in of]
    texts += [
        text for name, (version, _) in selected.items() for text in made.requires[name, version]
    ]
    found: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, texts):
        if requirement.marker is None or requirement.marker.evaluate(environment(target)):
            found.setdefault(requirement.name, []).append(requirement)
    return found


def is_newest(version: str, needs: Collection[Requirement], versions: Iterable[str]) -> bool:
    fitting = [v for v in versions if all(one.specifier.contains(v) for one in needs)]
    return version == max(fitting, key=Version)


def check(
    made: Universe,
    project: Path,
    alone: Callable[[Universe], Path],
    indexes: Mapping[str, str],
) -> None:
    """Compare a lock with one for each combination and target alone.

    Args:
        made: what is locked.
        project: the folder of its lock.
        alone: locks a part of it, and gives the folder.
        indexes: by URL, the names of indexes.
    """
    lock, loaded = Locked.of(project), load_project(project)
    cases = [
        (combination, loaded.conflicts.left_out(combination), target)
        for combination in loaded.conflicts.combinations()
        for target in made.targets or [""]
    ]
    every = {f"extra {one}" for one in EXTRAS} | {f"group {one}" for one in GROUPS}
    all_of = {case: lock.select(case[2], every - case[1]) for case in cases}
    for case, everything in all_of.items():
        combination, off, target = case
        own = made.alone(combination.chosen, off, target)
        by_itself = Locked.of(alone(own))
        others = {
            (name, *what)
            for other, its in all_of.items()
            if other != case
            for name, what in its.items()
        }
        needs = admitted(own, everything, target)
        before = by_itself.select(target, every - off)
        agreed = {
            name
            for name, (version, index) in everything.items()
            if name not in before or version != before[name][0]
        }
        for selection in selections(loaded, combination.chosen, off):
            where = f"{combination} on {target or 'this Python'}, selecting {sorted(selection)}"
            found, expected = lock.select(target, selection), by_itself.select(target, selection)
            if not agreed:
                assert found == expected, where
            for name, (version, index) in found.items():
                assert all(one.specifier.contains(version) for one in needs[name]), (
                    f"{where}: {name}"
                )
                if found[name] != expected.get(name):
                    is_agreed = (name, version, index) in others or is_newest(
                        version, needs[name], made.versions[indexes[index]][name]
                    )
                    assert is_agreed, f"{where}: {name} {version}"


COUNT, MANY = 2, 60
SEEDS = [
    *range(COUNT),
    *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(COUNT, MANY)),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_combination_has_what_it_has_when_it_is_locked_alone(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, seed: int
) -> None:
    made = universe(Random(seed))  # noqa: S311 no secret
    with Index() as a, Index() as b:
        indexes = {"main": index, "a": a, "b": b}
        for name, packages in made.versions.items():
            for package, versions in packages.items():
                for version in versions:
                    needs = made.requires[package, version]
                    indexes[name].add(wheel(tmp_path / name, package, version, requires=needs))

        def alone(own: Universe) -> Path:
            folder = written(own, make_project, indexes, folder=f"alone-{next(numbers)}")
            cli.ok("lock", cwd=folder)
            return folder

        numbers = count()
        project = written(made, make_project, indexes)
        cli.ok("lock")
        check(made, project, alone, {one.url: name for name, one in indexes.items()})
        assert cli("lock", "--check").status == 0
