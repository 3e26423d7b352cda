"""Syncs that are killed, at moments counted in their work on the environment's files."""

from __future__ import annotations

import os
import random
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from pipshim.envs.venv_template import CHANGE
from tests.support import killer
from tests.support.dists import wheel
from tests.support.files import distributions, listing
from tests.test_up_to_date import is_recognised

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli, Result

KILLS = int(os.environ.get("PIPSHIM_TEST_KILLS", "3"))
"""At how many moments; 50 takes some minutes."""

SHARED = {"space/__init__.py": "__path__ = __import__('pkgutil').extend_path(__path__, __name__)\n"}
BEFORE = ["grows==1", "shrinks==1", "goes==1", "same==1", "loses==1", "space-one==1", "space-two"]
AFTER = ["grows==2", "shrinks==2", "comes==1", "same==1", "wins==1", "loses==2", "space-one==2"]
AFTER += ["space-two"]


class Killing:
    """A project whose environment is to be changed in every way, as often as a test wants."""

    def __init__(self, cli: Cli, project: Path, scratch: Path) -> None:
        self.cli = cli
        self.project = project
        self.venv = project / ".venv"
        self._pristine = scratch / "pristine"
        self._count = scratch / "count"
        shutil.copytree(self.venv, self._pristine, symlinks=True)

    def restore(self) -> None:
        """Put the environment back as it was before the change."""
        shutil.rmtree(self.venv)
        shutil.copytree(self._pristine, self.venv, symlinks=True)

    def sync(self, moment: int, *arguments: str) -> Result:
        """Sync, and be killed at a moment of the change; 0 is never."""
        path = os.pathsep.join([*killer.__path__, self.cli.env.get("PYTHONPATH", "")])
        return self.cli(
            *(arguments or ("sync",)),
            cwd=self.project,
            env={
                "PYTHONPATH": path.rstrip(os.pathsep),
                "KILL_BELOW": f"{self.venv}{os.sep}",
                "KILL_AT": str(moment),
                "KILL_COUNT": str(self._count),
            },
        )

    def moments(self) -> int:
        """Sync to the end, and tell how many moments that has."""
        result = self.sync(0)
        assert result.status == 0, result
        return int(self._count.read_text())

    def killed(self, moment: int, *arguments: str) -> None:
        result = self.sync(moment, *arguments)
        assert result.status == -signal.SIGKILL, result

    def killed_halfway(self) -> None:
        middle = self.moments() // 2
        self.restore()
        self.killed(middle)

    def state(self) -> Mapping[str, object]:
        """Tell all that the environment has: kinds, modes and contents, no times."""
        found = listing(self.venv, without=(".pipshim-fresh",))
        return {path: one if one[0] == "link" else (one[0], one[2]) for path, one in found.items()}


@pytest.fixture
def killing(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path) -> Killing:
    def add(name: str, version: str, files: Mapping[str, str], script: str | None = None) -> None:
        points = {"console_scripts": {script: f"{name}:main"}} if script else None
        index.add(wheel(tmp_path / name, name, version, files=files, entry_points=points))

    add("grows", "1", {"grows/__init__.py": "1", "grows/old.py": "", "grows/a/b/c.py": "1"}, "g")
    add("grows", "2", {"grows/__init__.py": "2", "grows/new.py": "", "grows/a/b/c.py": "2"}, "g")
    add("shrinks", "1", {f"shrinks/m{n}/x.py": str(n) for n in range(8)}, "s")
    add("shrinks", "2", {"shrinks/m0/x.py": "0"})
    add("goes", "1", {"goes/__init__.py": "", "goes-1.data/data/share/goes/x": "data"}, "goes")
    add("comes", "1", {"comes/__init__.py": "", "comes-1.data/data/share/comes/x": "data"}, "comes")
    add("same", "1", {"same.py": "same"}, "same")
    add("loses", "1", {"loses.py": "", "contested.py": "of loses"})
    add("loses", "2", {"loses.py": ""})
    add("wins", "1", {"wins.py": "", "contested.py": "of wins"})
    add("space-one", "1", {**SHARED, "space/one.py": "1"})
    add("space-one", "2", {**SHARED, "space/one.py": "2"})
    add("space-two", "1", {**SHARED, "space/two.py": "2"})
    cli.env["PIP_COMPILE"] = "1"
    project = make_project(dependencies=BEFORE)
    cli.ok("sync")
    (project / "pylock.toml").unlink()
    make_project(dependencies=AFTER)
    cli.ok("lock")
    return Killing(cli, project, tmp_path)


def test_after_a_kill_at_any_moment_the_next_sync_ends_as_if_there_had_been_none(
    killing: Killing,
) -> None:
    total = killing.moments()
    never_killed = killing.state()
    assert any(path.endswith(".pyc") for path in never_killed)
    dice = random.Random(20261123)  # noqa: S311 the same every time
    for moment in dice.sample(range(1, total + 1), KILLS):
        killing.restore()
        killing.killed(moment)
        if dice.random() < 1 / 2:
            # What takes the change back may be killed too, before it gets to the new one.
            killing.sync(dice.randrange(1, moment + 1))
        killing.cli.ok("sync", cwd=killing.project)
        assert killing.state() == never_killed, f"killed at {moment} of {total}"
        assert not [*killing.venv.glob(".pipshim-fresh/*.*")]
        assert is_recognised(killing.cli, killing.project, "sync")


def test_run_completes_it_too_and_check_tells_that_it_is_due(killing: Killing) -> None:
    killing.cli.ok("sync", cwd=killing.project)
    never_killed = killing.state()
    killing.restore()
    killing.killed_halfway()
    assert (killing.venv / CHANGE).is_dir()
    before = listing(killing.venv)
    checked = killing.cli.fails("sync", "--check", "--inexact", cwd=killing.project)
    assert "interrupted" in checked.err
    assert listing(killing.venv) == before

    # run removes nothing, so what was to go is back
    killing.cli.ok("run", "true", cwd=killing.project)
    assert "goes-1" in distributions(killing.venv)
    assert not (killing.venv / CHANGE).exists()
    killing.cli.ok("sync", cwd=killing.project)
    assert killing.state() == never_killed


def test_an_open_change_is_noticed_though_all_else_is_as_it_was(killing: Killing) -> None:
    killing.cli.ok("sync", cwd=killing.project)
    assert is_recognised(killing.cli, killing.project, "sync")
    (killing.venv / CHANGE).mkdir()
    assert not is_recognised(killing.cli, killing.project, "sync")
    assert not (killing.venv / CHANGE).exists()


def test_what_a_killed_sync_could_not_place_is_given_back_first(
    killing: Killing, index: Index
) -> None:
    """The environment is whole even if the next sync fails: the index is gone, and the cache."""
    before = killing.state()
    killing.killed_halfway()
    shutil.rmtree(killing.cli.shim_cache)
    shutil.rmtree(killing.cli.cache)
    index.stop()
    killing.cli.fails("sync", cwd=killing.project)
    assert killing.state() == before


def test_a_change_that_another_version_began_is_refused(killing: Killing) -> None:
    killing.killed_halfway()
    (killing.venv / CHANGE / "journal").write_text("pipshim change 7\n{}\n")
    before = listing(killing.venv, without=(".pipshim.lock",))
    failed = killing.cli.fails("sync", cwd=killing.project)
    assert "another version of pipshim" in failed.err
    assert listing(killing.venv, without=(".pipshim.lock",)) == before
