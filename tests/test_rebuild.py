"""``--rebuild``: building a package now, although an earlier build could be reused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.facts import calls
from tests.support.pipshim import make_venv, site_packages

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Give the file that the backends note their hooks in."""
    return tmp_path / "hooks.log"


@pytest.fixture
def synced(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, log: Path) -> Path:
    """Sync a project of two builds and a wheel; give its folder."""
    backend = Backend(log=str(log))
    index.add(
        sdist(tmp_path, "first", "1.0", backend=backend),
        sdist(tmp_path, "second", "1.0", backend=backend),
        wheel(tmp_path, "fakelib", "1.0"),
    )
    project = make_project(dependencies=["first", "second", "fakelib"])
    cli.ok("sync")
    return project


def built(log: Path) -> list[str]:
    """Give the packages that were built since the last time, sorted."""
    found = [one for one in calls(log) if one.event == "start" and one.hook == "build_wheel"]
    log.unlink()
    return sorted(one.name for one in found)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--rebuild", "first"], ["first"]),
        (["--rebuild", "First", "--rebuild=second"], ["first", "second"]),
        (["--rebuild", ":all:"], ["first", "second"]),
    ],
)
def test_sync_builds_what_is_up_to_date(
    cli: Cli, synced: Path, log: Path, options: Sequence[str], expected: list[str]
) -> None:
    assert built(log) == ["first", "second"]
    info = site_packages(synced / ".venv") / "first-1.0.dist-info"
    before = info.stat().st_mtime_ns
    plan = cli.ok("sync", "--dry-run", *options)
    assert "rebuild: asked for" in plan.err + plan.out
    assert not log.exists()
    cli.ok("sync", *options)
    assert built(log) == expected
    assert info.stat().st_mtime_ns != before
    assert "up to date" in cli.ok("sync").err
    listed = json.loads(cli.ok("cache", "store", "list", "--format=json").out)
    assert sorted(one["name"] for one in listed) == ["first", "second"]


def test_reinstall_takes_the_cached_wheel_and_builds_only_what_the_cache_has_lost(
    cli: Cli, synced: Path, log: Path
) -> None:
    assert built(log) == ["first", "second"]
    cli.ok("sync", "--reinstall-package", "first")
    assert not log.exists()
    out = cli.ok("cache", "store", "remove", "first").out
    assert "pipshim sync --rebuild first" in out
    assert "up to date" in cli.ok("sync").err
    assert not log.exists()
    cli.ok("sync", "--reinstall-package", "first")
    assert built(log) == ["first"]
    assert (site_packages(synced / ".venv") / "first").is_dir()


@pytest.mark.usefixtures("synced")
def test_run_lock_install_and_wheel_rebuild_too(cli: Cli, log: Path, tmp_path: Path) -> None:
    built(log)
    cli.ok("run", "--rebuild", "first", "python", "-c", "import first")
    assert built(log) == ["first"]
    cli.ok("wheel", "--no-deps", "--rebuild", "second", "-w", tmp_path / "out", "first", "second")
    assert built(log) == ["second"]
    python = make_venv(tmp_path / "other")
    cli.ok("--python", python, "install", "first")
    assert not log.exists()
    cli.ok("--python", python, "install", "--force-reinstall", "--rebuild", "first", "first")
    assert built(log) == ["first"]
    cli.ok("lock", "--rebuild", "first")


@pytest.mark.usefixtures("synced")
def test_rebuild_of_what_is_not_built_is_an_error(cli: Cli) -> None:
    result = cli.fails("sync", "--rebuild", "fisrt", status=2)
    assert "does not include fisrt" in result.err
    assert "did you mean --rebuild first?" in result.err
    result = cli.fails("sync", "--rebuild", "fakelib", status=2)
    assert "fakelib 1.0 is installed from a wheel" in result.err


def test_project_in_a_folder_is_rebuilt(cli: Cli, make_project: MakeProject, log: Path) -> None:
    make_project(backend=Backend(log=str(log)))
    cli.ok("sync")
    before = len(calls(log))
    cli.ok("sync")
    assert len(calls(log)) == before
    cli.ok("sync", "--rebuild", "demo")
    assert len(calls(log)) > before
