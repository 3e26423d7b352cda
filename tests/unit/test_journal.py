"""The journal of a change: taking it back from every state that a killed process may leave."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pipshim.base.errors import InstallError
from pipshim.envs.venv_template import CHANGE
from pipshim.sync import journal
from pipshim.sync.journal import Journal
from tests.unit.test_store import Env

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def env(tmp_path: Path) -> Env:
    env = Env(tmp_path / "env")
    write(env.purelib / "old/a/x.py", "old")
    write(env.purelib / "both.py", "old")
    write(env.purelib / "stays.py", "stays")
    write(env.scripts / "python", "python")
    return env


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def files(env: Env) -> dict[str, str]:
    return {
        str(path.relative_to(env.prefix)): path.read_text() if path.is_file() else ""
        for path in env.prefix.rglob("*")
    }


def begin(env: Env) -> Journal:
    """Take old files out and place new ones; then the process might be killed."""
    change = Journal(env)
    change.take([f"{env.purelib}/old/a/x.py", f"{env.purelib}/both.py"])
    change.announce({str(env.purelib): ["both.py"], f"{env.purelib}/new/b": ["y.py", "z.py"]})
    write(env.purelib / "both.py", "new")
    write(env.purelib / "new/b/y.py", "new")
    return change


def test_a_change_that_is_made_leaves_neither_files_nor_folders(env: Env) -> None:
    begin(env).commit()
    left = files(env)
    assert {path for path, text in left.items() if text == "old"} == set()
    assert str((env.purelib / "old").relative_to(env.prefix)) not in left
    assert (env.purelib / "both.py").read_text() == "new"
    assert CHANGE not in left


@pytest.mark.parametrize("by", ["the change itself", "the next command"])
def test_taking_back_leaves_what_was_there_before(by: str, env: Env) -> None:
    before = files(env)
    change = begin(env)
    assert journal.is_open(env)
    if by == "the change itself":
        change.undo()
    else:
        assert journal.recover(env)
    assert files(env) == before
    assert not journal.recover(env)


def test_site_packages_and_the_scripts_folder_stay_when_they_are_empty(env: Env) -> None:
    every = [*env.purelib.rglob("*.py"), env.scripts / "python"]
    change = Journal(env)
    change.take(map(str, every))
    change.commit()
    assert list(env.purelib.iterdir()) == list(env.scripts.iterdir()) == []


def killed_when_only_the_folder_is_there(env: Env) -> None:
    (env.prefix / CHANGE).mkdir()


def killed_while_the_journal_begins(env: Env) -> None:
    (env.prefix / CHANGE).mkdir()
    (env.prefix / CHANGE / "journal").write_text("pipsh")


def killed_while_a_line_is_written(env: Env) -> None:
    Journal(env).take([f"{env.purelib}/both.py"])
    with (env.prefix / CHANGE / "journal").open("a") as file:
        file.write('{"lib": ["bo')


def killed_while_files_are_put_back(env: Env) -> None:
    begin(env)
    (env.purelib / "new/b/y.py").unlink()
    (env.prefix / CHANGE / "journal").rename(env.prefix / CHANGE / "undoing")
    aside = env.prefix / CHANGE / "old" / env.purelib.relative_to(env.prefix)
    (aside / "both.py").rename(env.purelib / "both.py")


def killed_when_all_is_back(env: Env) -> None:
    killed_while_files_are_put_back(env)
    aside = env.prefix / CHANGE / "old" / env.purelib.relative_to(env.prefix)
    (aside / "old/a/x.py").rename(env.purelib / "old/a/x.py")
    (env.prefix / CHANGE / "undoing").unlink()


@pytest.mark.parametrize(
    "killed",
    [
        killed_when_only_the_folder_is_there,
        killed_while_the_journal_begins,
        killed_while_a_line_is_written,
        killed_while_files_are_put_back,
        killed_when_all_is_back,
    ],
)
def test_every_state_is_taken_back(killed: Callable[[Env], None], env: Env) -> None:
    before = files(env)
    killed(env)
    assert journal.recover(env)
    assert {path: text for path, text in files(env).items() if text} == {
        path: text for path, text in before.items() if text
    }
    assert not journal.is_open(env)


def test_a_change_that_was_made_is_not_taken_back(env: Env) -> None:
    begin(env)
    (env.prefix / CHANGE / "journal").unlink()
    assert journal.recover(env)
    assert (env.purelib / "both.py").read_text() == "new"
    assert not (env.purelib / "old").exists()
    assert not journal.is_open(env)


@pytest.mark.parametrize(
    "text",
    [
        "pipshim change 0\n{}\n",
        "pipshim change 1\n{\n",
        "pipshim change 1\n[]\n",
        'pipshim change 1\n{"../..": ["x"]}\n',
        'pipshim change 1\n{"/etc": ["passwd"]}\n',
        'pipshim change 1\n{"lib": ["../x"]}\n',
        'pipshim change 1\n{"lib": [1]}\n',
    ],
)
def test_a_journal_that_cannot_be_followed_changes_nothing(text: str, env: Env) -> None:
    begin(env)
    (env.prefix / CHANGE / "journal").write_text(text)
    before = files(env)
    with pytest.raises(InstallError, match="another version of pipshim may have begun it"):
        journal.recover(env)
    assert files(env) == before


def test_a_second_change_cannot_begin_before_the_first_has_ended(env: Env) -> None:
    begin(env)
    with pytest.raises(InstallError, match="cannot be changed"):
        Journal(env)


def test_a_link_to_a_folder_is_taken_and_put_back_as_a_link(env: Env, tmp_path: Path) -> None:
    (env.purelib / "link").symlink_to(tmp_path, target_is_directory=True)
    change = Journal(env)
    change.take([f"{env.purelib}/link"])
    assert not os.path.lexists(env.purelib / "link")
    change.undo()
    assert (env.purelib / "link").is_symlink()


def test_what_cannot_be_put_back_is_said_and_tried_again(
    env: Env, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = files(env)
    change = begin(env)

    def fail(source: str, _: str) -> None:
        raise PermissionError(13, "Permission denied", source)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(InstallError, match="cannot be restored") as caught:
            change.undo()
        assert f"{CHANGE}/old" in (caught.value.hint or "")
    assert journal.recover(env)
    assert files(env) == before
