"""Full disks and folders that may not be written: said in words, and nothing is changed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from pipshim.base.write_errors import mount_point, name_full, reason
from tests.support.dists import wheel
from tests.support.files import distributions
from tests.support.pipshim import site_packages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.index import Index
    from tests.support.pipshim import Cli

_OVERRIDING = "-dac_override,-dac_read_search"
"""The capabilities of root by which permissions do not count."""


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Mount a file system of four megabytes."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(folder)]
    if (
        sys.platform != "linux"
        or subprocess.run(mount, capture_output=True, check=False).returncode
    ):
        pytest.skip("no file system can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with (folder / "filler").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)


def run(cli: Cli, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a command for which permissions count, whoever runs the tests."""
    prefix: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may write anywhere")
        prefix = ["setpriv", f"--inh-caps={_OVERRIDING}", f"--bounding-set={_OVERRIDING}"]
    return subprocess.run(
        [*prefix, sys.executable, "-m", "pipshim", *args],
        cwd=cli.cwd,
        env=cli.env,
        capture_output=True,
        text=True,
        check=False,
    )


@contextmanager
def unwritable(folder: Path) -> Iterator[None]:
    mode = folder.stat().st_mode
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(mode)


@pytest.fixture
def project(project_dir: Path, index: Index, tmp_path: Path) -> Path:
    """Give a project; what it depends on is on the index."""
    index.add(wheel(tmp_path / "dists", "app", "1.0"), wheel(tmp_path / "dists", "app", "2.0"))
    require(project_dir, "app<2")
    return project_dir


def require(project: Path, requirement: str) -> None:
    (project / "pyproject.toml").write_text(
        f'[project]\nname = "demo"\nversion = "1"\ndependencies = ["{requirement}"]\n'
    )


def state(project: Path) -> object:
    """Tell what must stay: the lock, the environment and the names of what is in the project."""
    lock = project / "pylock.toml"
    return (
        lock.read_bytes() if lock.exists() else None,
        {
            path: path.read_bytes() if path.is_file() and not path.is_symlink() else None
            for path in (project / ".venv").rglob("*")
            if path.name != ".pipshim.lock"
            and not {".pipshim-fresh", "__pycache__"} & {*path.parts}
        },
        sorted(path.name for path in project.iterdir()),
    )


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("folder", "named"),
    [
        (lambda project, _: project, "pylock.toml"),
        (lambda project, _: project / ".venv", ".venv"),
        (lambda project, _: site_packages(project / ".venv"), "site-packages"),
        (lambda _, cli: cli.shim_cache / "trees-v2", "trees-v2"),
    ],
    ids=["project", "environment", "site-packages", "store"],
)
def test_a_folder_that_may_not_be_written_is_named(
    folder: Callable[[Path, Cli], Path], named: str, cli: Cli, project: Path
) -> None:
    cli.ok("sync")
    require(project, "app>=2")
    before = state(project)
    with unwritable(folder(project, cli)):
        done = run(cli, "sync")
    assert done.returncode == 1, done.stderr
    assert named in done.stderr
    assert "Permission denied" in words(done.stderr)
    assert state(project) == before
    cli.ok("sync")
    assert distributions(project / ".venv") == ["app-2.0"]


def test_a_lock_that_cannot_be_written_changes_no_environment(cli: Cli, project: Path) -> None:
    with unwritable(project):
        done = run(cli, "sync")
    assert "pylock.toml: cannot be written: Permission denied" in words(done.stderr)
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("command", [("lock",), ("sync",), ("add", "app>=2")])
def test_a_full_project_folder_is_named(command: tuple[str, ...], cli: Cli, project: Path) -> None:
    pyproject = (project / "pyproject.toml").read_text()
    with small_disk(project):
        (project / "pyproject.toml").write_text(pyproject)
        cli.ok("sync")
        if command[0] != "add":
            require(project, "app>=2")
        fill(project)
        before = state(project)
        failed = cli.fails(*command)
        assert state(project) == before
    assert "No space left on device" in words(failed.err)
    assert f"{project}/" in "".join(failed.err.split())


def test_a_full_environment_is_named_and_stays(cli: Cli, project: Path, tmp_path: Path) -> None:
    cli.ok("sync")
    kept = shutil.copytree(project / ".venv", tmp_path / "kept", symlinks=True)
    with small_disk(project / ".venv"):
        shutil.copytree(kept, project / ".venv", symlinks=True, dirs_exist_ok=True)
        require(project, "app>=2")
        fill(project / ".venv")
        before = state(project)
        failed = cli.fails("sync")
        assert state(project) == before
    assert "No space left on device" in words(failed.err)
    assert f"{project}/.venv" in "".join(failed.err.split())


@pytest.mark.parametrize("command", [("sync",), ("install", "--target", "target", "app<2")])
def test_a_full_folder_for_temporary_files_is_named(
    command: tuple[str, ...], cli: Cli, project: Path, index: Index, tmp_path: Path
) -> None:
    large = {"app/data": os.urandom(200_000)}
    index.add(wheel(tmp_path / "large", "app", "1.1", files=large))
    temporary = tmp_path / "small"
    with small_disk(temporary):
        fill(temporary)
        os.truncate(temporary / "filler", 4 * 1024 * 1024 - 100_000)
        before = state(project)
        failed = cli.fails(*command, env={"TMPDIR": str(temporary)})
        assert state(project) == before
    shown = words(failed.err)
    assert "No space left on device" in shown
    assert str(temporary) in shown


def test_a_full_file_system_is_told_by_its_mount(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    with small_disk(disk):
        fill(disk)
        nameless = OSError(errno.ENOSPC, "No space left on device")
        name_full(nameless, [tmp_path / "absent", tmp_path, disk])
        assert nameless.filename == str(disk)
        assert mount_point(str(disk / "absent" / "file")) == str(disk)
        assert reason(nameless) == f"No space left on device (the file system mounted at {disk})"
    read_only = OSError(errno.EROFS, "Read-only file system", "/")
    assert reason(read_only) == "Read-only file system (the file system mounted at /)"
    assert reason(OSError(errno.EACCES, "Permission denied", "/x")) == "Permission denied"
