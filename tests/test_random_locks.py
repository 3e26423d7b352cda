"""Projects made up at random: a lock is what pip's resolver makes of them.

A constraint with a hash leaves the whole resolution to pip's resolver. It is on a package that
nothing requires, so it changes nothing but the digest of the inputs, and that hashes count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

NAMES = tuple(f"p{number}" for number in range(9))
EXTRAS = ("x", "y")
LOOSE = ("", "", "", ">=1", "<9", "!=0.5")
TIGHT = ("<3", "<2", ">=2", ">1", "!=2.0", "==1.*", "~=2.0", ">=3.0a1")
MARKERS = ('python_version >= "3"', 'sys_platform == "nowhere"', 'os_name != ""')
VERSIONS = ("1.0", "2.0", "3.0", "2.5", "4.0a1")


@dataclass
class World:
    """What a project asks for, and how.

    Attributes:
        tightness: how likely a requirement excludes some versions.
        origins: the project's requirements, those of an extra and of a group.

    """

    random: Random
    tightness: float
    origins: dict[str, list[str]] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)

    def requirement(self, name: str) -> str:
        random = self.random
        extras = random.choice(("", "", "", "[x]", "[y]", "[x,y]"))
        marker = f"; {random.choice(MARKERS)}" if random.random() < 0.15 else ""
        bounds = TIGHT if random.random() < self.tightness else LOOSE
        return f"{name}{extras}{random.choice(bounds)}{marker}"

    def some(self, among: tuple[str, ...], most: int) -> list[str]:
        count = self.random.randint(0, min(most, len(among)))
        return [self.requirement(one) for one in self.random.sample(among, count)]

    def publish(self, index: Index, folder: Path, name: str, version: str) -> None:
        """Add a version, whose requirements differ from those of the others now and then."""
        at = NAMES.index(name)
        later = NAMES[at + 1 :] if self.random.random() < 0.9 else NAMES
        extras = {extra: self.some(later, 2) for extra in EXTRAS if self.random.random() < 0.97}
        python = ">=3.99" if self.random.random() < 0.02 else None
        requires = self.some(later, 2)
        index.add(
            wheel(folder, name, version, requires=requires, extras=extras, requires_python=python)
        )

    def change(self) -> None:
        """Change a requirement, add one or remove one; or what else decides on versions."""
        random = self.random
        found = self.origins[random.choice(sorted(self.origins))]
        kind = random.random()
        if kind < 0.3 and found:
            at = random.randrange(len(found))
            found[at] = self.requirement(re.split(r"\W", found[at])[0])
        elif kind < 0.5 and found:
            del found[random.randrange(len(found))]
        elif kind < 0.8:
            found.append(self.requirement(random.choice(NAMES)))
        elif kind < 0.9:
            self.constraints = self.some(NAMES, 1)
            self.constraints = [re.sub(r"\[.*?\]", "", one) for one in self.constraints]
        else:
            self.overrides = self.some(NAMES, 1)

    def write(self, make_project: MakeProject) -> Path:
        settings = (
            f"[tool.pipshim]\nconstraint-dependencies = {self.constraints}\n"
            f"override-dependencies = {self.overrides}\n"
        )
        return make_project(
            settings,
            dependencies=self.origins["project"],
            extras={"more": self.origins["extra"]},
            groups={"dev": self.origins["group"]},
        )


COUNT, MANY = 15, 500
SEEDS = [
    *range(COUNT),
    *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(COUNT, MANY)),
]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_lock_is_what_pips_resolver_makes_of_it(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 no secret
    world = World(random, random.choice((0.05, 0.2, 0.5)))
    for name in NAMES:
        for version in VERSIONS[: random.randint(1, 4)]:
            world.publish(index, tmp_path, name, version)
    world.origins = {one: world.some(NAMES, most) for one, most in (("project", 4), ("extra", 1))}
    world.origins["group"] = world.some(NAMES, 2)
    hashed = tmp_path / "hashed.txt"
    hashed.write_text(f"unrelated==1 --hash=sha256:{'0' * 64}\n", encoding="utf-8")
    lock = world.write(make_project) / "pylock.toml"
    options: list[str] = []
    for _ in range(4):
        before = lock.read_bytes() if lock.exists() else None
        expected = cli("lock", *options, "-c", hashed)
        complete = _contents(lock)
        if before is None:
            lock.unlink(missing_ok=True)
        else:
            lock.write_bytes(before)
        found = cli("lock", *options)
        assert found.status == expected.status, f"{expected}\n{found}"
        if found.status:
            return  # no versions fit
        assert _contents(lock) == complete
        world.change()
        if random.random() < 0.4:
            version = random.choice(("5.0", "6.0", "7.0"))
            world.publish(index, tmp_path, random.choice(NAMES), version)
        options = random.choice(([], [], [], [], ["-P", random.choice(NAMES)]))
        world.write(make_project)


def _contents(lock: Path) -> list[str]:
    lines = lock.read_text(encoding="utf-8").splitlines() if lock.exists() else []
    return [one for one in lines if one and not one.startswith(("inputs = ", "by-hash = "))]
