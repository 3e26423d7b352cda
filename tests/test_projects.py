"""Several projects in one repository: by path, as editables, and served by ``--project``."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.backend import Backend
from tests.support.dists import wheel
from tests.support.files import distributions
from tests.support.locks import read_lock
from tests.support.pipshim import site_packages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

SOURCES = """
[tool.pipshim.sources]
core = { path = "../core", editable = true }
base = { path = "../base" }
"""


@pytest.fixture
def repository(make_project: MakeProject, index: Index, tmp_path: Path) -> Path:
    """Give a repository: app requires core, an editable, which requires base, a folder."""
    index.add(wheel(tmp_path / "dists", "lib", "1.0"), wheel(tmp_path / "dists", "base", "9.0"))
    make_project(folder="base", name="base", version="1.1", dependencies=["lib"], backend=Backend())
    make_project(folder="core", name="core", dependencies=["base>=1"], backend=Backend())
    return make_project(
        SOURCES, folder="app", name="app", dependencies=["core>0"], backend=Backend()
    ).parent


def test_projects_depend_on_each_other_by_relative_paths(
    cli: Cli, index: Index, repository: Path, tmp_path: Path
) -> None:
    cli.ok("sync", "--project", repository / "app")
    venv = repository / "app" / ".venv"
    assert distributions(venv) == ["app-0.1", "base-1.1", "core-0.1", "lib-1.0"]
    assert not (site_packages(venv) / "core").exists()
    assert (site_packages(venv) / "base").exists()
    lock = read_lock(repository / "app")
    assert sorted(lock.packages) == ["base", "lib"]
    assert lock.packages["base"]["directory"] == {"path": "../base"}
    assert [one["path"] for one in lock.tool["folders"]] == [".", "../core"]
    assert str(tmp_path) not in lock.text
    assert not [
        one for one in index.requests if one.startswith(("GET /simple/base", "GET /simple/core"))
    ]

    # The repository is moved; the lock and its digest hold.
    shutil.rmtree(venv)
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("app", "core", "base"):
        (repository / name).rename(moved / name)
    index.stop()
    cli.ok("lock", "--check", cwd=moved / "app")
    cli.ok("sync", "--locked", cwd=moved / "app")
    assert distributions(moved / "app" / ".venv") == ["app-0.1", "base-1.1", "core-0.1", "lib-1.0"]


def test_a_neighbour_that_changes_makes_the_lock_out_of_date_and_must_fit(
    cli: Cli, make_project: MakeProject, repository: Path
) -> None:
    app = repository / "app"
    cli.ok("lock", cwd=app)
    make_project(folder="base", name="base", version="1.2", backend=Backend())
    cli.fails("lock", "--check", cwd=app)
    cli.ok("sync", cwd=app)
    assert distributions(app / ".venv") == ["app-0.1", "base-1.2", "core-0.1"]
    make_project(folder="core", name="core", dependencies=["base>=2"], backend=Backend())
    refused = cli.fails("lock", cwd=app)
    assert "base" in refused.err
    shutil.rmtree(repository / "base")
    assert "there is no" in cli.fails("lock", cwd=app).err


def test_what_is_no_editable_is_installed_anew_and_that_is_said(cli: Cli, repository: Path) -> None:
    app = repository / "app"
    cli.ok("sync", cwd=app)
    checked = cli("sync", "--check", cwd=app)
    assert checked.status == 1
    assert "~ base 1.1 (installed from a folder)\nwould change 1\n" in checked.err
    assert "~ base 1.1 (installed from a folder)\n" in cli.ok("sync", cwd=app).err


def test_parts_of_them_are_left_out(cli: Cli, repository: Path) -> None:
    app = repository / "app"
    cli.ok("sync", "--no-install-project", "--no-install-package", "Base", cwd=app)
    assert distributions(app / ".venv") == ["core-0.1", "lib-1.0"]
    cli.ok("sync", "--no-editable", cwd=app)
    assert (site_packages(app / ".venv") / "core").exists()
    cli.ok("sync", cwd=app)
    assert not (site_packages(app / ".venv") / "core").exists()


def test_each_project_has_its_own_lock_and_environment(cli: Cli, repository: Path) -> None:
    for name in ("app", "base"):
        cli.ok("run", "--project", repository / name, "python", "-c", "import lib", cwd=repository)
    assert distributions(repository / "base" / ".venv") == ["base-1.1", "lib-1.0"]
    assert not (repository / ".venv").exists()
    where = "import core, base; print(core.__file__)"
    told = cli.ok("run", "--project", repository / "app", "python", "-c", where, cwd=repository)
    assert told.out.startswith(str(repository / "core"))
