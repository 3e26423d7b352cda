"""Without fcntl, termios, resource, pty and os.fork: every import, wheels locked and synced."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import wheel

if TYPE_CHECKING:
    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

TAKEN_AWAY = """
import os, sys
import subprocess  # looks for msvcrt itself
import fcntl
for name in ("fcntl", "termios", "resource", "pty", "tty"):
    sys.modules[name] = None
del os.fork, os.forkpty, os.register_at_fork
"""

WINDOWS_LOCKS = """
from types import ModuleType

def locking(file, mode, size):
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, size, os.lseek(file, 0, os.SEEK_CUR))
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None

sys.modules["msvcrt"] = ModuleType("msvcrt")
vars(sys.modules["msvcrt"]).update(locking=locking, LK_NBLCK=2)
"""

IMPORT_ALL = """
import importlib, pkgutil, pipshim
names = [one.name for one in pkgutil.walk_packages(pipshim.__path__, "pipshim.")]
assert len(names) > 100
for name in names:
    if not name.endswith(("__main__", "__pipshim-runner__")):
        importlib.import_module(name)
"""

LOCK = """
import sys
from pipshim.base.file_lock import FileLock

def waiting():
    print("waits", flush=True)

with FileLock(sys.argv[1], waiting, shared=sys.argv[2] == "shared"):
    print("has it", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(params=["", WINDOWS_LOCKS], ids=["no locks", "msvcrt"])
def elsewhere(request: pytest.FixtureRequest, cli: Cli, tmp_path: Path) -> Cli:
    """Give `cli` where these modules cannot be imported; in one case there is msvcrt instead."""
    folder = tmp_path / "taken-away"
    folder.mkdir()
    folder.joinpath("sitecustomize.py").write_text(TAKEN_AWAY + request.param, encoding="utf-8")
    cli.env["PYTHONPATH"] = f"{folder}:{cli.env.get('PYTHONPATH', '')}".rstrip(":")
    return cli


def test_every_module_can_be_imported(elsewhere: Cli) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IMPORT_ALL],
        capture_output=True,
        check=False,
        cwd=elsewhere.cwd,
        encoding="utf-8",
        env=elsewhere.env,
    )
    assert done.returncode == 0, done.stderr


def test_list_lock_and_sync(
    elsewhere: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0", requires=["other"]), wheel(tmp_path, "other", "2"))
    folder = make_project(dependencies=["fakelib"])
    python = Path(sys.executable)
    for args in (["list"], ["lock"], ["sync"], ["sync"], ["sync", "--reinstall"]):
        done = elsewhere(*args, python=python)
        assert done.status == 0, str(done)
    there = {path.name for path in folder.glob(".venv/lib/*/site-packages/*.dist-info")}
    assert {"fakelib-1.0.dist-info", "other-2.dist-info"} <= there


@pytest.mark.parametrize("elsewhere", [WINDOWS_LOCKS], indirect=True)
@pytest.mark.parametrize(
    ("first", "second", "waits"),
    [("alone", "alone", True), ("shared", "alone", True), ("shared", "shared", False)],
)
def test_locks_of_windows(
    elsewhere: Cli, first: str, second: str, waits: bool, tmp_path: Path
) -> None:
    def start(how: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-u", "-c", LOCK, str(tmp_path / "lock"), how],
            env=elsewhere.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with start(first) as one:
        assert said(one) == "has it"
        with start(second) as two:
            assert said(two) == ("waits" if waits else "has it")
            one.communicate("\n")
            if waits:
                assert said(two) == "has it"
            two.communicate("\n")


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
