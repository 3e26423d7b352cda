"""The environment of an unchanged project is made again without pip, and is the same one."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.base import forked_process
from pipshim.base.errors import InstallError
from pipshim.envs.venv_template import INCOMPLETE, LOCK
from pipshim.fastpath import restore
from tests.support.dists import sdist, wheel
from tests.support.pipshim import site_packages
from tests.test_interrupted import KILLS, Killing
from tests.test_up_to_date import imported, is_recognised

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli


@pytest.fixture
def synced(cli: Cli, index: Index, project_dir: Path, tmp_path: Path) -> Path:
    """A project with a wheel, a script, and a wheel that was built; its environment is made."""
    index.add(
        wheel(tmp_path, "one", "1.0", entry_points={"console_scripts": {"one": "one:main"}}),
        wheel(tmp_path, "under", "1.0"),
        sdist(tmp_path, "made", "1.0", requires=["under"]),
    )
    (project_dir / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "1"\ndependencies = ["one", "made"]\n'
    )
    cli.ok("sync", cwd=project_dir)
    return project_dir


_ACTIVATED = ". .venv/bin/activate && command -v one && python -c 'import sys; print(sys.prefix)'"


def is_made_without_pip(cli: Cli, project: Path, *args: str, **variables: str) -> bool:
    shutil.rmtree(project / ".venv")
    modules = imported(cli, project, *args, env=variables)
    assert (site_packages(project / ".venv") / "one-1.0.dist-info").exists()
    return not {one.partition(".")[0] for one in modules} & {"pip", "rich"}


def contents(environment: Path) -> dict[str, str]:
    site = site_packages(environment)
    found = {
        path.relative_to(site).as_posix(): path.read_text(errors="replace")
        for path in site.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    return {
        path: json.dumps(json.loads(text), sort_keys=True) if path.endswith(".json") else text
        for path, text in found.items()
    }


def test_the_same_environment_is_made(cli: Cli, synced: Path) -> None:
    before = contents(synced / ".venv")
    assert any(path.endswith("REQUESTED") for path in before)
    assert '"record"' in before["made-1.0.dist-info/pipshim.json"]
    assert is_made_without_pip(cli, synced, "sync")
    assert contents(synced / ".venv") == before
    shutil.rmtree(synced / ".venv")
    # (An editable pipshim has pathlib imported before anything else, and coverage much more.)
    slow = {"pip", "rich", "dataclasses", "inspect", "venv", "subprocess", "shutil", "logging"}
    uncovered = {"COVERAGE_PROCESS_START": "", "COVERAGE_PROCESS_CONFIG": ""}
    assert not imported(cli, synced, "sync", env=uncovered) & slow
    # What it leaves is what a sync leaves: a stamp, and nothing more to do.
    assert is_recognised(cli, synced, "sync")
    assert cli.ok("sync", "-v", cwd=synced).err.startswith("up to date (3 packages")

    code = "import made, one, under; print(one.__file__)"
    assert is_made_without_pip(cli, synced, "run", "python", "-c", code)
    assert contents(synced / ".venv") == before
    shutil.rmtree(synced / ".venv")
    told = cli.ok("sync", cwd=synced)
    assert [line for line in told.err.splitlines() if line.startswith("+")] == [
        "+ made 1.0",
        "+ one 1.0",
        "+ under 1.0",
    ]
    assert "3 added, 1 built earlier in" in told.err
    assert told.err.startswith("cached   made 1.0  isolated      default  (built earlier)\n")


def test_distributions_that_share_files_are_made_so_too(
    cli: Cli, index: Index, synced: Path, tmp_path: Path
) -> None:
    # As the wheels of CUDA do, on which torch depends.
    for name in ("nvidia-cublas", "nvidia-cudnn"):
        own = f"nvidia/{name.removeprefix('nvidia-')}/__init__.py"
        index.add(wheel(tmp_path, name, "1.0", files={"nvidia/__init__.py": "", own: ""}))
    pyproject = synced / "pyproject.toml"
    needs = '"one", "nvidia-cublas", "nvidia-cudnn"'
    pyproject.write_text(pyproject.read_text().replace('"one"', needs))
    cli.ok("sync", cwd=synced)
    shutil.rmtree(synced / ".venv")
    cli.ok("sync", cwd=synced)  # a note is of an environment that was made at once
    before = contents(synced / ".venv")
    assert is_made_without_pip(cli, synced, "sync")
    assert contents(synced / ".venv") == before


@pytest.mark.parametrize(("folder", "is_made_again"), [("copy", True), ("with space", False)])
def test_a_copy_of_the_project_gets_its_environment_from_the_same_note(
    cli: Cli, synced: Path, tmp_path: Path, folder: str, is_made_again: bool
) -> None:
    before = contents(synced / ".venv")
    copy = tmp_path / folder / "deep"
    copy.mkdir(parents=True)
    for name in ("pyproject.toml", "pylock.toml"):
        shutil.copy(synced / name, copy)
    modules = {one.partition(".")[0] for one in imported(cli, copy, "sync")}
    # A path that activate scripts quote is left to venv.
    assert ("pip" not in modules) == is_made_again
    after = contents(copy / ".venv")
    at_home = json.dumps(str(synced / ".venv"))
    moved = {p: t.replace(at_home, json.dumps(str(copy / ".venv"))) for p, t in before.items()}
    # The script's first line has another path in it, and so another hash.
    assert {path for path in moved if moved[path] != after[path]} == {"one-1.0.dist-info/RECORD"}
    assert str(copy / ".venv") in (copy / ".venv" / "bin" / "one").read_text().split("__main__")[0]
    assert is_recognised(cli, copy, "sync")
    assert len(list((cli.shim_cache / "again").iterdir())) == 1


def plain_files(environment: Path) -> dict[str, str]:
    """What an environment has of venv's, with its path left out."""
    found = {
        path.relative_to(environment).as_posix(): str(path.readlink())
        if path.is_symlink()
        else "folder"
        if path.is_dir()
        else f"{stat.filemode(path.stat().st_mode)} {path.read_text()}"
        for path in [*environment.iterdir(), *(environment / "bin").iterdir()]
        if path.name not in {".pipshim-fresh", "one"}
    }
    return {name: text.replace(str(environment), "HERE") for name, text in found.items()}


def test_the_environment_itself_is_as_venv_made_it(cli: Cli, synced: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(synced, copy, ignore=shutil.ignore_patterns(".venv"))
    cli.ok("sync", cwd=copy)
    made = plain_files(copy / ".venv")
    assert made == plain_files(synced / ".venv")
    assert {"pyvenv.cfg", ".gitignore", "bin/activate", "bin/python", "include"} <= made.keys()
    told = subprocess.run(
        [
            "bash",
            "-c",
            ". .venv/bin/activate && command -v one && python -c 'import sys; print(sys.prefix)'",
        ],
        cwd=copy,
        check=True,
        capture_output=True,
        text=True,
    )
    assert told.stdout.splitlines() == [f"{copy}/.venv/bin/one", f"{copy}/.venv"]


def test_a_copy_with_an_archive_of_its_own_goes_the_long_way(
    cli: Cli, project_dir: Path, tmp_path: Path
) -> None:
    made = wheel(tmp_path, "one", "1.0")
    copies = [project_dir, tmp_path / "copy"]
    copies[1].mkdir()
    for folder in copies:
        shutil.copy(made, folder)
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "demo"\nversion = "1"\ndependencies = ["one"]\n'
            f'[tool.pipshim]\nsources = {{ one = {{ path = "{made.name}" }} }}\n'
        )
    cli.ok("sync", cwd=copies[0])
    shutil.copy(copies[0] / "pylock.toml", copies[1])
    assert is_made_without_pip(cli, copies[0], "sync")
    modules = imported(cli, copies[1], "sync")
    assert "pip" in {one.partition(".")[0] for one in modules}
    note = site_packages(copies[1] / ".venv") / "one-1.0.dist-info" / "direct_url.json"
    assert json.loads(note.read_text())["url"] == (copies[1] / made.name).as_uri()


def edit_pyproject(project: Path) -> None:
    path = project / "pyproject.toml"
    path.write_text(path.read_text() + "\n")


def edit_lock(project: Path) -> None:
    path = project / "pylock.toml"
    path.write_text(path.read_text() + "\n")


def remove_lock(project: Path) -> None:
    (project / "pylock.toml").unlink()


def add_setup_cfg(project: Path) -> None:
    (project / "setup.cfg").write_text("[metadata]\n")


@pytest.mark.parametrize("change", [edit_pyproject, edit_lock, remove_lock, add_setup_cfg])
def test_a_change_goes_the_long_way_once(
    cli: Cli, synced: Path, change: Callable[[Path], None]
) -> None:
    change(synced)
    assert not is_made_without_pip(cli, synced, "sync")
    assert is_made_without_pip(cli, synced, "sync")


def test_other_options_and_variables_go_the_long_way(cli: Cli, synced: Path) -> None:
    assert not is_made_without_pip(cli, synced, "sync", "--no-editable")
    cli.fails("sync", "--no-such-option", cwd=synced, status=2)
    shutil.rmtree(synced / ".venv")
    cli.ok("sync", cwd=synced)
    assert not is_made_without_pip(cli, synced, "sync", PIPSHIM_NO_BUILD_ISOLATION="1")


def test_what_is_gone_from_the_cache_is_fetched_and_built_again(cli: Cli, synced: Path) -> None:
    (tree,) = {
        path.parents[1] for path in (cli.shim_cache / "trees-v2").rglob("under-1.0.dist-info")
    }
    shutil.rmtree(tree)
    assert not is_made_without_pip(cli, synced, "sync")
    cli.ok("cache", "store", "remove", "made", cwd=synced)
    shutil.rmtree(synced / ".venv")
    assert "1 built (1 isolated)" in cli.ok("sync", cwd=synced).err


def test_a_damaged_note_is_passed_over(cli: Cli, synced: Path) -> None:
    (note,) = (cli.shim_cache / "again").iterdir()
    for text in ("{", "[]", '{"format": 0}'):
        note.write_text(text)
        assert not is_made_without_pip(cli, synced, "sync")


def test_a_note_holds_no_credentials(cli: Cli, synced: Path) -> None:
    shutil.rmtree(synced / ".venv")
    cli.ok("sync", cwd=synced, env={"PIP_EXTRA_INDEX_URL": "http://user:s3cret@127.0.0.1:1/simple"})
    assert all("s3cret" not in path.read_text() for path in (cli.shim_cache / "again").iterdir())


# --- with so many files that several processes link them


@pytest.fixture
def large(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path) -> Path:
    names = ["one", "two", "three", "four"]
    for name in names:
        files = {f"{name}/m{n}/x.py": f"x = {n}\n" for n in range(100)}
        points = {"console_scripts": {name: f"{name}.m0.x:main"}}
        index.add(wheel(tmp_path / name, name, "1.0", files=files, entry_points=points))
    project = make_project(dependencies=names)
    cli.ok("sync", cwd=project)
    return project


@pytest.fixture
def made_again(cli: Cli, large: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str | None]:
    """Make the environment again, in this process and two of its own."""
    monkeypatch.setattr(forked_process, "available_cores", lambda: 3)
    (note,) = (json.loads(path.read_text()) for path in (cli.shim_cache / "again").iterdir())
    venv = large / ".venv"
    paths = {name: f"{venv}{path[1:]}" for name, path in note["place"].items()}
    place = restore.LayoutPaths(version=(3, 99, 0), bytecode="none", **paths)
    shutil.rmtree(venv)
    cache = str(cli.shim_cache)
    return lambda: restore.restore(note, place, note["python"], cache, started=0.0)


def test_each_process_links_its_share(
    large: Path, made_again: Callable[[], str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    fork = os.fork

    def counted() -> int:
        started.append(fork())
        return started[-1]

    monkeypatch.setattr(os, "fork", counted)
    told = made_again()
    assert told is not None
    assert told.splitlines()[:4] == ["+ four 1.0", "+ one 1.0", "+ three 1.0", "+ two 1.0"]
    assert len(started) == 2
    site = site_packages(large / ".venv")
    assert len(list(site.rglob("x.py"))) == 400
    assert not (large / ".venv" / INCOMPLETE).exists()
    for pid in started:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.parametrize("where", ["here", "elsewhere"])
@pytest.mark.parametrize(
    "error", [InstallError("the disk is full", hint="make room"), KeyboardInterrupt()]
)
def test_what_goes_wrong_in_any_process_leaves_nothing(
    large: Path,
    made_again: Callable[[], str | None],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    error: BaseException,
) -> None:
    own = os.getpid()
    link = restore._link

    def fail(*arguments: Any) -> str | None:
        done = link(*arguments)
        if (os.getpid() == own) == (where == "here"):
            raise error
        return done

    monkeypatch.setattr(restore, "_link", fail)
    is_lost = where == "elsewhere" and isinstance(error, KeyboardInterrupt)
    with pytest.raises(InstallError if is_lost else type(error)) as caught:
        made_again()
    if isinstance(error, InstallError):
        assert isinstance(caught.value, InstallError)
        assert (caught.value.message, caught.value.hint) == (error.message, error.hint)
    assert [one.name for one in (large / ".venv").iterdir()] == [LOCK]


def test_a_tree_that_is_damaged_is_noticed_by_the_process_that_links_it(
    cli: Cli, large: Path, made_again: Callable[[], str | None]
) -> None:
    for path in (cli.shim_cache / "trees-v2").rglob("m7/x.py"):
        path.unlink()
    assert made_again() is None
    assert [one.name for one in (large / ".venv").iterdir()] == [LOCK]
    cli.ok("sync", cwd=large)
    assert len(list(site_packages(large / ".venv").rglob("x.py"))) == 400


def test_after_a_kill_at_any_moment_the_next_sync_makes_the_whole(
    cli: Cli, large: Path, tmp_path: Path
) -> None:
    killing = Killing(cli, large, tmp_path)
    shutil.rmtree(killing.venv)
    total = killing.moments()
    never_killed = killing.state()
    dice = random.Random(20261126)  # noqa: S311 the same every time
    for moment in dice.sample(range(1, total + 1), KILLS):
        shutil.rmtree(killing.venv)
        # The process that comes to this moment first may be one that links for the other.
        assert killing.sync(moment).status in {-signal.SIGKILL, 1}
        cli.ok("sync", cwd=large)
        assert killing.state() == never_killed, f"killed at {moment} of {total}"
        assert is_recognised(cli, large, "sync")
