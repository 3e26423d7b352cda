"""``builds show``: what a wheel was built from, and whether it would be reused now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dists import sdist, wheel

if TYPE_CHECKING:
    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli


@pytest.fixture
def synced(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path) -> MakeProject:
    """Sync a project with one build and a wheel."""
    for version in ("1.0", "2.0"):
        index.add(wheel(tmp_path, "fakelib", version, tag="native"))
    index.add(sdist(tmp_path, "needy", "1.0", build_requires=["fakelib"]))
    make_project(dependencies=["needy", "fakelib<2"])
    cli.ok("sync")
    return make_project


def shown(cli: Cli, *args: str) -> Any:
    document = json.loads(cli.ok("builds", "show", *args, "--output-format", "json").out)
    return document["packages"][0]


@pytest.mark.usefixtures("synced")
def test_a_build_is_shown_with_its_log_and_would_be_reused(cli: Cli) -> None:
    (build,) = shown(cli, "Needy")["builds"]
    assert (build["name"], build["version"]) == ("needy", "1.0")
    assert build["reused"] is True
    assert build["reason"] == "built earlier against the same fakelib 1.0"
    assert build["installed"] is True
    assert build["record"]["against"]["fakelib"]["version"] == "1.0"
    assert Path(build["log"]).name.startswith("needy-1.0-wheel-")
    out = cli.ok("builds", "show", "needy").out
    assert out.startswith("needy 1.0, built 20")
    assert "reused: built earlier against the same fakelib 1.0" in out
    assert build["log"] in out


def test_the_reason_says_what_differs(cli: Cli, synced: MakeProject) -> None:
    synced(dependencies=["needy", "fakelib>=2"])
    cli.ok("lock")
    (build,) = shown(cli, "needy")["builds"]
    assert build["reused"] is False
    assert build["reason"] == "built against fakelib 1.0, the lock has 2.0"
    cli.ok("sync")
    builds = shown(cli, "needy")["builds"]
    assert [one["reused"] for one in builds] == [True, False]
    assert [one["installed"] for one in builds] == [True, False]


def test_what_the_lock_does_not_build_is_said(
    cli: Cli, synced: MakeProject, index: Index, tmp_path: Path
) -> None:
    assert "fakelib: 1.0 is installed from a wheel" in cli.ok("builds", "show", "fakelib").out
    assert "does not have nothing" in cli.fails("builds", "show", "nothing").err
    index.add(sdist(tmp_path, "needy", "2.0", build_requires=["fakelib"]))
    synced(dependencies=["needy", "fakelib<2"])
    cli.ok("lock", "-U")
    assert "1 build of other versions" in cli.ok("builds", "show", "needy").out
    (build,) = shown(cli, "needy", "--all")["builds"]
    assert build["reason"] == "another source"
    (cli.cwd / "pylock.toml").unlink()
    (build,) = shown(cli, "needy")["builds"]
    assert build["reused"] is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "hint: one of: "),
        (["shwo"], "did you mean show?"),
        (["show"], "pipshim builds show NAME"),
        (["show", "not a name"], "not a valid name"),
    ],
)
def test_mistakes_are_explained(cli: Cli, words: list[str], said: str) -> None:
    assert said in cli.fails("builds", *words, status=2).err


def test_each_subcommand_has_a_help(cli: Cli) -> None:
    assert "show: Show what a wheel was built from" in cli.ok("builds", "--help").out
    assert "pipshim builds show [options] <package>" in cli.ok("builds", "show", "--help").out
