"""Projects made up at random: what a lock has for a combination is what it would be resolved to.

The packages are such that the answer is known without a resolver: what a package requires is the
same for all of its versions, and upper bounds can always be met, so the newest version within all
bounds is the right one. Agreement may take an older one, which another combination has.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import pytest
from packaging.markers import Marker, default_environment
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
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from pipshim.model.project import Project
    from tests.conftest import MakeProject
    from tests.support.pipshim import Cli

EXTRAS = ("e0", "e1", "e2", "e3")
GROUPS = ("g0", "g1")
TARGETS = ("linux-x86_64-cp311", "macos-arm64-cp311", "windows-x86_64-cp312")
LINUX = 'sys_platform == "linux"'
ROUTED = ("r0", "r1")


@dataclass
class Universe:
    """What indexes have, what packages require, and a project.

    Attributes:
        versions: by index and package.
        requires: by package.
        origins: by extra, group and ``project``, what the project requires.
        sources: by package, entries of index, extra or group (or None) and marker (or None).
        conflicts: sets of extras and groups.
        includes: the extra that another one includes.
        targets: those of the lock.
    """

    versions: dict[str, dict[str, list[str]]]
    requires: dict[str, list[str]]
    origins: dict[str, list[str]]
    sources: dict[str, list[tuple[str, str | None, str | None]]]
    conflicts: list[list[str]]
    includes: dict[str, str] = field(default_factory=dict)
    targets: list[str] = field(default_factory=list)


def universe(random: Random) -> Universe:
    names = [f"p{number}" for number in range(7)]

    def some(among: Collection[str], most: int) -> list[str]:
        found = []
        for name in random.sample(sorted(among), random.randint(0, min(most, len(among)))):
            bound = random.choice(("", "", "<3", "<2")) if name not in ROUTED else ""
            marker = f"; {LINUX}" if random.random() < 0.2 else ""
            found.append(f"{name}{bound}{marker}")
        return found

    requires = {name: some([*names[at + 1 :], *ROUTED], 3) for at, name in enumerate(names)}
    requires |= {name: some(names[5:], 1) for name in ROUTED}
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
        versions={
            "main": {
                **{name: ["1.0", "2.0", "3.0"] for name in names},
                **{name: ["9.0"] for name in ROUTED},
            },
            "a": {"r0": ["1.0+a", "2.0+a"], "r1": ["9.0"], "p0": ["7.0"]},
            "b": {"r0": ["2.0+b"], "r1": ["9.0", "8.0"], "p1": ["7.0"]},
        },
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


def written(made: Universe, make_project: MakeProject, indexes: Mapping[str, Index]) -> Path:
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
        dependencies=made.origins["project"],
        extras=of("extra"),
        groups=of("group"),
    )


class Answer:
    """What a combination is resolved to on a target, by rule."""

    def __init__(
        self, made: Universe, chosen: Collection[str], off: Collection[str], env: Mapping[str, str]
    ) -> None:
        self.made, self.chosen, self.env = made, chosen, env
        self.on = [origin for origin in made.origins if origin not in off]

    def reached(self, origins: Collection[str]) -> dict[str, list[str]]:
        """Tell what is required from some origins on, each with its bounds."""
        found: dict[str, list[str]] = {}
        waiting = [
            text
            for origin in origins
            for one in (origin, self.made.includes.get(origin, origin))
            for text in self.made.origins[one]
        ]
        while waiting:
            requirement = Requirement(waiting.pop())
            if requirement.marker is not None and not requirement.marker.evaluate(dict(self.env)):
                continue
            if requirement.name not in found:
                waiting += self.made.requires[requirement.name]
            found.setdefault(requirement.name, []).append(str(requirement.specifier))
        return found

    def admitted(self, name: str) -> list[str]:
        """Tell the versions that all bounds admit, of the index that counts; the newest last."""
        index = "main"
        for other, origin, marker in self.made.sources.get(name, ()):
            if origin in (None, *self.chosen) and (
                marker is None or Marker(marker).evaluate(dict(self.env))
            ):
                index = other
        bounds = ",".join(filter(None, self.reached(self.on)[name]))
        fits = Requirement(f"x{bounds}").specifier
        versions = [one for one in self.made.versions[index][name] if fits.contains(one)]
        return sorted(versions, key=Version)


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


def check(made: Universe, project: Path) -> None:
    lock = Pylock.from_dict(tomllib.loads((project / "pylock.toml").read_text(encoding="utf-8")))
    loaded = load_project(project)
    answers = {}
    for combination in loaded.conflicts.combinations():
        off = loaded.conflicts.left_out(combination)
        for target in made.targets or [""]:
            python = TargetName.parse(target).python if target else None
            env = (
                python.markers
                if python is not None
                else {key: str(value) for key, value in default_environment().items()}
            )
            answers[combination, target] = Answer(made, combination.chosen, off, env)
    newest = {
        (name, one.admitted(name)[-1]) for one in answers.values() for name in one.reached(one.on)
    }
    for (combination, target), answer in answers.items():
        tags = (
            [tag for text in TargetName.parse(target).python.tags for tag in parse_tag(text)]
            if target
            else None
        )
        off = loaded.conflicts.left_out(combination)
        for selection in selections(loaded, combination.chosen, off):
            found = {
                package.name: str(package.version)
                for package, _ in lock.select(
                    environment=dict(answer.env),  # type: ignore[arg-type]
                    tags=tags,
                    extras=[one.split()[1] for one in selection if one.startswith("extra")],
                    dependency_groups=[
                        one.split()[1] for one in selection if one.startswith("group")
                    ],
                )
            }
            where = f"{combination} on {target or 'this Python'}, selecting {sorted(selection)}"
            assert set(found) == set(answer.reached(["project", *selection])), where
            for name, version in found.items():
                admitted = answer.admitted(name)
                assert version in admitted, f"{where}: {name}"
                is_shared = (name, version) in newest
                assert version == admitted[-1] or is_shared, f"{where}: {name} {version}"


COUNT, MANY = 2, 60
SEEDS = [
    *range(COUNT),
    *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(COUNT, MANY)),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_every_combination_has_what_it_would_be_resolved_to(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, seed: int
) -> None:
    made = universe(Random(seed))  # noqa: S311 no secret
    with Index() as a, Index() as b:
        indexes = {"main": index, "a": a, "b": b}
        for name, packages in made.versions.items():
            for package, versions in packages.items():
                for version in versions:
                    indexes[name].add(
                        wheel(tmp_path / name, package, version, requires=made.requires[package])
                    )
        project = written(made, make_project, indexes)
        cli.ok("lock")
        check(made, project)
        assert cli("lock", "--check").status == 0
