"""Distributions that install the same file: the last one by name wins, and each is whole alone."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.files import distributions, listing
from tests.support.pipshim import make_venv, site_packages

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

WARNING = "aa and zz both install common.py, common/data.txt; zz's are used"


@pytest.fixture
def venv(project_dir: Path) -> Path:
    """Give where the project's own environment is, or will be."""
    return project_dir / ".venv"


@pytest.fixture
def rivals(index: Index, tmp_path: Path) -> None:
    """Publish aa and zz, which share files: some differ, and some are the same."""
    for name in ("aa", "zz"):
        files = {
            "common.py": f"who = '{name}'\n",
            "common/data.txt": name,
            "space/__init__.py": "",
            f"space/{name}.py": "",
        }
        index.add(wheel(tmp_path, name, "1.0", files=files))
        newer = {**files, "common.py": f"who = '{name} 2'\n"}
        index.add(wheel(tmp_path, name, "2.0", files=newer))
        index.add(wheel(tmp_path, name, "3.0", files={f"space/{name}.py": ""}))


def state(venv: Path) -> dict[str, str]:
    """Give the contents of the files that aa and zz share."""
    site = site_packages(venv)
    names = ("common.py", "common/data.txt", "space/__init__.py")
    found = {name: (site / name).read_text() for name in names if (site / name).exists()}
    return {name: text.removeprefix("who = ").strip() for name, text in found.items()}


def files(venv: Path) -> dict[str, object]:
    """Give the contents of all files; the times of folders change when a change is undone."""
    found = listing(venv, without=(".pipshim.lock",))
    return {path: entry[-1] for path, entry in found.items()}


AA = {"common.py": "'aa'", "common/data.txt": "aa", "space/__init__.py": ""}
ZZ = {"common.py": "'zz'", "common/data.txt": "zz", "space/__init__.py": ""}


@pytest.mark.usefixtures("rivals")
@pytest.mark.parametrize("first", [["aa==1", "zz==1"], ["aa==1"], ["zz==1"]])
@pytest.mark.parametrize("options", [[], ["--compile", "--link-mode", "copy"]])
def test_last_by_name_wins_whatever_comes_first(
    cli: Cli, make_project: MakeProject, venv: Path, first: list[str], options: list[str]
) -> None:
    make_project(dependencies=first)
    before = cli.ok("sync", *options).err
    make_project(dependencies=["aa==1", "zz==1"])
    after = cli.ok("sync", *options).err
    assert (before + after).count(f"warning: {WARNING}") == 1
    assert distributions(venv) == ["aa-1.0", "zz-1.0"]
    assert state(venv) == ZZ
    assert "up to date" in cli.ok("sync", *options).err

    make_project(dependencies=["aa==1"])
    cli.ok("sync", *options)
    assert state(venv) == AA
    make_project(dependencies=["aa==1", "zz==1"])
    cli.ok("sync", *options)
    make_project(dependencies=["zz==1"])
    cli.ok("sync", *options)
    assert state(venv) == ZZ
    make_project()
    cli.ok("sync", *options)
    assert state(venv) == {}
    assert not (site_packages(venv) / "common").exists()
    assert not (venv / ".pipshim-shared.json").exists()


@pytest.mark.usefixtures("rivals")
def test_versions_come_and_go_beside_each_other(
    cli: Cli, make_project: MakeProject, venv: Path
) -> None:
    make_project(dependencies=["aa==1", "zz==1"])
    cli.ok("sync")
    for versions, owner in (
        (("2", "1"), "'zz'"),
        (("1", "2"), "'zz 2'"),
        (("1", "3"), "'aa'"),  # zz 3.0 does not have the file
        (("2", "3"), "'aa 2'"),
        (("3", "1"), "'zz'"),
        (("1", "1"), "'zz'"),
    ):
        make_project(dependencies=[f"aa=={versions[0]}", f"zz=={versions[1]}"])
        cli.ok("sync")
        assert state(venv)["common.py"] == owner
    cli.ok("sync", "--reinstall-package", "aa")
    assert state(venv) == ZZ
    cli.ok("sync", "--reinstall")
    assert state(venv) == ZZ


@pytest.mark.usefixtures("rivals")
def test_file_is_restored_when_the_store_has_lost_its_wheel(
    cli: Cli, make_project: MakeProject, venv: Path
) -> None:
    make_project(dependencies=["aa==1", "zz==1"])
    cli.ok("sync")
    shutil.rmtree(cli.shim_cache)
    make_project(dependencies=["aa==1"])
    cli.ok("sync")
    assert state(venv) == AA


@pytest.mark.usefixtures("rivals")
@pytest.mark.parametrize("goes", ["aa", "zz"])
def test_sync_restores_what_pip_has_removed(
    cli: Cli, make_project: MakeProject, venv: Path, goes: str
) -> None:
    stays = {"aa": "zz", "zz": "aa"}[goes]
    make_project(dependencies=["aa==1", "zz==1"])
    cli.ok("sync")
    cli.ok("--python", venv, "uninstall", "-y", goes)
    assert "common.py" not in state(venv)
    make_project(dependencies=[f"{stays}==1"])
    result = cli.ok("sync")
    assert f"{stays} 1.0" in result.err
    assert state(venv) == {"aa": AA, "zz": ZZ}[stays]
    assert "up to date" in cli.ok("sync").err


@pytest.mark.usefixtures("rivals")
def test_sync_restores_what_pip_has_overwritten(
    cli: Cli, make_project: MakeProject, venv: Path
) -> None:
    make_project(dependencies=["aa==1", "zz==1"])
    cli.ok("sync")
    cli.ok("--python", venv, "install", "--force-reinstall", "--no-deps", "aa==1")
    assert state(venv)["common.py"] == "'aa'"
    cli.ok("sync")
    assert state(venv) == ZZ
    assert "up to date" in cli.ok("sync").err
    make_project(dependencies=["aa==1"])
    cli.ok("sync")
    assert state(venv) == AA


@pytest.mark.usefixtures("rivals")
def test_what_pip_installed_keeps_its_own_file_when_another_goes(
    cli: Cli, make_project: MakeProject, venv: Path
) -> None:
    make_venv(venv)
    cli.ok("--python", venv, "install", "aa==1")
    make_project(dependencies=["aa==1", "zz==1"])
    cli.ok("sync")
    assert state(venv) == ZZ
    make_project(dependencies=["aa==1"])
    cli.ok("sync")
    assert state(venv) == AA
    make_project(dependencies=["zz==1"])
    cli.ok("sync", "--inexact")
    assert state(venv) == ZZ
    make_project()
    result = cli.ok("sync")  # aa is in no lock, and pip has installed it
    assert "of aa cannot be restored" in result.err
    assert distributions(venv) == ["aa-1.0"]


@pytest.mark.usefixtures("rivals")
def test_failed_change_gives_shared_files_back(
    cli: Cli, index: Index, make_project: MakeProject, venv: Path, tmp_path: Path
) -> None:
    make_project(dependencies=["aa==1", "zz==1"])
    cli.ok("sync")
    before = files(venv)
    index.add(wheel(tmp_path, "bad", "1.0", files={"common.py/x.py": ""}))
    make_project(dependencies=["aa==1", "bad"])
    cli.fails("sync")
    assert files(venv) == before


@pytest.mark.usefixtures("rivals")
def test_environment_made_again_has_the_same_files(
    cli: Cli, make_project: MakeProject, venv: Path
) -> None:
    make_project(dependencies=["aa==1", "zz==1"])
    cli.ok("sync")
    shutil.rmtree(venv)
    cli.ok("sync")
    assert state(venv) == ZZ
    cli.ok("--python", venv, "uninstall", "-y", "zz")
    make_project(dependencies=["aa==1"])
    cli.ok("sync")
    assert state(venv) == AA


@pytest.mark.usefixtures("rivals")
def test_layer_and_build_environment_may_share_files(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    backend = Backend(imports=["common"])
    index.add(sdist(tmp_path, "built", "1.0", backend=backend, build_requires=["zz==1", "aa==1"]))
    make_project(dependencies=["built"])
    cli.ok("sync")
    code = "import common; print(common.who)"
    result = cli.ok("run", "--with", "zz==1", "--with", "aa==1", "python", "-c", code)
    assert result.out.strip() == "zz"
    assert WARNING in result.err
