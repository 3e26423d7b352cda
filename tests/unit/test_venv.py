from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pipshim import __version__
from pipshim.base.errors import TargetError
from pipshim.envs import venv
from pipshim.envs.discovery import running
from pipshim.envs.venv import Environment, create, inspect_folder
from pipshim.envs.venv_template import INCOMPLETE, LOCK
from tests.support.pipshim import PATIENCE
from tests.unit.fake_python import script

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipshim.model.interpreter import Target

BASE = running(None)


def make(directory: Path) -> Environment:
    return create(directory, BASE, cache_dir=None)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Give an environment that no test may change."""
    return make(tmp_path_factory.mktemp("shared") / "env")


def plain(directory: Path) -> Path:
    """Make an environment that pipshim did not make."""
    subprocess.run([BASE.python, "-m", "venv", "--without-pip", directory], check=True)
    return directory


def settings(directory: Path) -> list[str]:
    return (directory / "pyvenv.cfg").read_text().splitlines()


# Making


def test_made_environment(shared: Environment) -> None:
    assert shared.created_now
    assert shared.target.is_venv
    assert shared.target.version == sys.version_info[:3]
    assert shared.directory == shared.target.prefix
    assert shared.target.python == shared.directory / "bin/python"
    assert list(shared.target.purelib.iterdir()) == []
    assert settings(shared.directory)[-1] == f"pipshim = {__version__}"
    assert (shared.directory / ".gitignore").read_text() == "# Created by pipshim\n*\n"
    assert not (shared.directory / INCOMPLETE).exists()
    assert inspect_folder(shared.directory, "project") == venv.FolderState("ready", True)


def test_activation_names_the_environment(shared: Environment) -> None:
    code = f". {shared.directory}/bin/activate && echo $VIRTUAL_ENV && command -v python"
    output = subprocess.run(["sh", "-c", code], check=True, capture_output=True, text=True).stdout
    assert output.split() == [str(shared.directory), f"{shared.directory}/bin/python"]


def test_parents_are_made(tmp_path: Path) -> None:
    assert make(tmp_path / "a/b").directory == tmp_path / "a/b"


def test_made_with_the_base_of_an_environment(shared: Environment, tmp_path: Path) -> None:
    made = create(tmp_path / "env", shared.target, cache_dir=None)
    assert made.target.base_prefix == BASE.prefix
    home = next(line for line in settings(made.directory) if line.startswith("home"))
    assert str(shared.directory) not in home


def test_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch()
    assert make(tmp_path).created_now


def test_ready_environment_is_taken_as_it_is(tmp_path: Path) -> None:
    make(tmp_path / "env")
    (tmp_path / "env/mine").touch()
    again = make(tmp_path / "env")
    assert not again.created_now
    assert (tmp_path / "env/mine").exists()


def test_half_made_is_made_anew(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    directory = tmp_path / "env"
    (directory / "lib").mkdir(parents=True)
    (directory / "lib/rest").touch()
    (directory / "link").symlink_to(outside)
    (directory / "rest").touch()
    (directory / INCOMPLETE).touch()
    assert inspect_folder(directory, "project").state == "incomplete"
    assert make(directory).created_now
    assert not (directory / "rest").exists()
    assert not (directory / "lib/rest").exists()
    assert not os.path.lexists(directory / "link")
    assert (outside / "file").exists()


def test_interrupted_making_is_seen_and_ended_the_next_time(tmp_path: Path) -> None:
    body = f'mkdir "$5"/bin; kill -9 $$; exec {BASE.python} "$@"'
    base = dead_base(tmp_path, body)
    with pytest.raises(TargetError):
        create(tmp_path / "env", base, cache_dir=None)
    assert (tmp_path / "env/bin").exists()
    assert inspect_folder(tmp_path / "env", "project").state == "incomplete"
    assert make(tmp_path / "env").created_now


def test_made_by_pipshim_and_broken_is_made_anew(tmp_path: Path) -> None:
    directory = make(tmp_path / "env").directory
    (directory / "bin/python").unlink()
    (directory / "bin/python").symlink_to(tmp_path / "gone")
    (directory / "rest").touch()
    assert inspect_folder(directory, "project") == venv.FolderState("broken", True)
    assert make(directory).created_now
    assert not (directory / "rest").exists()


def test_two_at_once_make_it_once(tmp_path: Path) -> None:
    made: list[Environment] = []
    threads = [
        threading.Thread(target=lambda: made.append(make(tmp_path / "env"))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.created_now for each in made) == [False, False, True]


def test_foreign_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(TargetError, match=r"it has no pyvenv\.cfg"):
        make(tmp_path)
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208


def test_foreign_content_that_comes_meanwhile_is_not_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = inspect_folder

    def late(directory: Path, origin: venv.Origin) -> venv.FolderState:
        monkeypatch.setattr(venv, "inspect_folder", real)
        found = real(directory, origin)
        directory.mkdir()
        (directory / "mine").touch()
        return found

    monkeypatch.setattr(venv, "inspect_folder", late)
    with pytest.raises(TargetError):
        make(tmp_path / "env")
    assert (tmp_path / "env/mine").exists()
    assert not (tmp_path / "env/bin").exists()


def dead_base(tmp_path: Path, body: str) -> Target:
    """Give a Target whose interpreter has come to be a script that does this."""
    from dataclasses import replace  # noqa: PLC0415

    python = script(tmp_path / "python", body)
    return replace(BASE, python=python, base_python=python)


@pytest.mark.parametrize(
    ("body", "said", "hint"),
    [
        ("echo 'python: No module named venv' >&2; exit 1", "No module named venv", "apt install"),
        ("echo Error: no space >&2; exit 1", "Error: no space", None),
        ("echo Error: on stdout; exit 1", "Error: on stdout", None),
        ("exit 3", "exit status 3", None),
    ],
)
def test_venv_that_fails(body: str, said: str, hint: str | None, tmp_path: Path) -> None:
    with pytest.raises(TargetError) as caught:
        create(tmp_path / "env", dead_base(tmp_path, body), cache_dir=None)
    assert caught.value.message.endswith(said)
    assert "\n" not in caught.value.message
    assert (hint is None) == (caught.value.hint is None)
    assert (hint or "") in (caught.value.hint or "")


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TargetError, match="Not a directory"):
        make(tmp_path / "file/env")


def test_interpreter_that_cannot_be_run(tmp_path: Path) -> None:
    base = dead_base(tmp_path, "")
    base.python.unlink()
    with pytest.raises(TargetError, match="cannot create the environment"):
        create(tmp_path / "env", base, cache_dir=None)


# Looking


def test_states_that_are_no_environment_yet(tmp_path: Path) -> None:
    assert inspect_folder(tmp_path / "env", "project") == venv.FolderState("absent", True)
    assert inspect_folder(tmp_path, "project") == venv.FolderState("absent", True)


def test_environment_of_another_tool(tmp_path: Path) -> None:
    assert inspect_folder(plain(tmp_path / "env"), "project") == venv.FolderState("ready", False)


def no_cfg(directory: Path) -> None:
    (directory / "pyvenv.cfg").unlink()


def cfg_without_home(directory: Path) -> None:
    (directory / "pyvenv.cfg").write_text("version = 3.11\nhome\n")


def cfg_of_bytes(directory: Path) -> None:
    (directory / "pyvenv.cfg").write_bytes(b"\xff\xfe\x00=")


def cfg_is_a_folder(directory: Path) -> None:
    no_cfg(directory)
    (directory / "pyvenv.cfg").mkdir()


def home_is_gone(directory: Path) -> None:
    (directory / "pyvenv.cfg").write_text(f"home = {directory}/gone\n")


def interpreter_is_gone(directory: Path) -> None:
    (directory / "bin/python").unlink()
    (directory / "bin/python").symlink_to(directory / "gone")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (no_cfg, "has no pyvenv.cfg"),
        (cfg_without_home, "names no home"),
        (cfg_of_bytes, "names no home"),
        (cfg_is_a_folder, "names no home"),
        (home_is_gone, "its Python is gone"),
        (interpreter_is_gone, "its Python is gone"),
    ],
)
def test_refused(damage: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    directory = plain(tmp_path / "env")
    damage(directory)
    before = set(directory.rglob("*"))
    for refuse in (lambda: inspect_folder(directory, "project"), lambda: make(directory)):
        with pytest.raises(TargetError) as caught:
            refuse()
        assert said in caught.value.message
        assert str(directory) in caught.value.message
        assert caught.value.hint
    assert set(directory.rglob("*")) == before


@pytest.mark.parametrize("damage", [home_is_gone, interpreter_is_gone])
def test_the_same_in_ones_own_is_made_anew(damage: Callable[[Path], None], tmp_path: Path) -> None:
    directory = plain(tmp_path / "env")
    damage(directory)
    with (directory / "pyvenv.cfg").open("a") as file:
        file.write("pipshim = 0.1\n")
    assert inspect_folder(directory, "project") == venv.FolderState("broken", True)


def test_file_and_dangling_link(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name in ("file", "link"):
        with pytest.raises(TargetError, match="is not a folder"):
            inspect_folder(tmp_path / name, "project")


def test_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(directory: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", str(directory))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(TargetError, match=r"cannot read .*: Permission denied"):
        inspect_folder(tmp_path, "project")


def test_link_to_an_environment_is_one(shared: Environment, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(shared.directory)
    assert inspect_folder(tmp_path / "link", "project").state == "ready"


def test_hint_fits_what_named_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    hints = set()
    for origin in venv.HINTS:
        with pytest.raises(TargetError) as caught:
            inspect_folder(tmp_path, origin)
        hints.add(caught.value.hint)
    assert len(hints) == 3


# Locking


def test_lock_waits_for_another_process_and_says_so_once(shared: Environment) -> None:
    code = (
        "import sys; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print('had', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, shared.directory / LOCK],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "had\n"
        said: list[int | None] = []

        def waiting() -> None:
            said.append(other.poll())
            assert other.stdin is not None
            other.stdin.close()

        with shared.lock(waiting):
            assert other.wait(timeout=PATIENCE) == 0
        assert said == [None]


def test_free_lock_says_nothing_and_can_be_had_again(shared: Environment) -> None:
    for _ in range(2):
        with shared.lock(lambda: pytest.fail("it is free")):
            pass


def test_lock_is_let_go_on_an_error(shared: Environment) -> None:
    with pytest.raises(KeyError), shared.lock():
        raise KeyError
    with shared.lock(lambda: pytest.fail("it is free")):
        pass


def test_environment_that_cannot_be_written(
    shared: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root may write everywhere but on what is mounted read-only."""
    real = os.access
    refused = shared.target.purelib
    monkeypatch.setattr(
        os,
        "access",
        lambda path, mode: real(path, mode) and not (mode & os.W_OK and path == refused),
    )
    with pytest.raises(TargetError, match="cannot be written") as caught, shared.lock():
        pytest.fail("it was locked")
    assert str(refused) in caught.value.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_environment_that_really_cannot_be_written(tmp_path: Path) -> None:
    environment = make(tmp_path / "env")
    environment.directory.chmod(0o555)
    try:
        with pytest.raises(TargetError, match="cannot be written"), environment.lock():
            pass
    finally:
        environment.directory.chmod(0o755)


def test_lock_file_that_cannot_be_opened(tmp_path: Path) -> None:
    environment = make(tmp_path / "env")
    (environment.directory / LOCK).unlink()
    (environment.directory / LOCK).mkdir()
    with pytest.raises(TargetError, match="cannot be written"), environment.lock():
        pass


def test_environment_that_has_gone(tmp_path: Path) -> None:
    environment = make(tmp_path / "env")
    shutil.rmtree(environment.directory)
    with pytest.raises(TargetError, match="is gone"), environment.lock():
        pass
    assert not environment.directory.exists()
