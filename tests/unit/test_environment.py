from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from packaging.specifiers import SpecifierSet

from pipshim.base.errors import TargetError
from pipshim.envs.discovery import running
from pipshim.envs.environment_choice import EnvironmentChoice, EnvironmentSearch
from pipshim.envs.interpreter import query
from pipshim.envs.venv import Environment, create
from pipshim.envs.venv_template import INCOMPLETE
from tests.unit.fake_python import answering

BASE = running(None)
NOW = ".".join(map(str, sys.version_info[:3]))
MINOR = ".".join(map(str, sys.version_info[:2]))


@dataclass
class Case:
    """A project folder, and the call with its usual arguments."""

    tmp_path: Path
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": ""})

    @property
    def project(self) -> Path:
        return self.tmp_path / "project"

    @property
    def own(self) -> Path:
        return self.project / ".venv"

    def arguments(self, changes: dict[str, Any]) -> dict[str, Any]:
        usual: dict[str, Any] = {
            "python": None,
            "project": self.project,
            "environ": self.environ,
            "requires_python": None,
            "cache_dir": self.tmp_path / "cache",
        }
        return usual | changes

    def choose(self, **changes: Any) -> EnvironmentChoice:
        before = self.files()
        lock_only = changes.pop("lock_only", False)
        choice = EnvironmentSearch(**self.arguments(changes)).choose(lock_only=lock_only)
        assert self.files() == before, "choosing must not write"
        return choice

    def find(self, **changes: Any) -> Environment:
        return EnvironmentSearch(**self.arguments(changes)).find()

    def refused(self, **changes: Any) -> TargetError:
        before = self.files()
        with pytest.raises(TargetError) as caught:
            EnvironmentSearch(**self.arguments(changes)).find()
        assert self.files() == before, "what is refused must not be changed"
        assert caught.value.hint
        return caught.value

    def files(self) -> set[Path]:
        found = self.tmp_path.rglob("*")
        return {path for path in found if not path.is_relative_to(self.tmp_path / "cache")}

    def plain(self, name: str) -> Path:
        """Make an environment that pipshim did not make."""
        directory = self.tmp_path / name
        subprocess.run([BASE.python, "-m", "venv", "--without-pip", directory], check=True)
        return directory

    def own_of_another_version(self) -> None:
        """Make an own environment that says it is Python 3.99.1."""
        create(self.own, BASE, cache_dir=None)
        python = self.own / "bin/python"
        python.unlink()
        answering(
            python, "3.99.1", is_venv=True, prefix=str(self.own), base_python=str(BASE.python)
        )


@pytest.fixture
def case(tmp_path: Path) -> Case:
    (tmp_path / "project").mkdir()
    return Case(tmp_path)


# .venv


def test_missing_is_made_with_the_running_python(case: Case) -> None:
    assert case.choose() == EnvironmentChoice(BASE, case.own, False, True, "project")
    environment = case.find()
    assert environment.created_now
    assert environment.directory == case.own
    assert environment.target.base_prefix == BASE.prefix
    target = environment.target
    assert case.choose() == EnvironmentChoice(target, case.own, True, True, "project")
    assert case.find() == Environment(target, False)


def test_missing_is_made_with_what_python_asks_for(case: Case) -> None:
    for python in (MINOR, str(BASE.python), str(BASE.prefix)):
        assert case.find(python=python).target.version == BASE.version
        shutil.rmtree(case.own)


def test_missing_with_python_of_another_version(case: Case) -> None:
    python = answering(case.tmp_path / "bin/python3.99", "3.99.1")
    case.environ["PATH"] = str(python.parent)
    for asked in ("3.99", "python3.99", str(python)):
        choice = case.choose(python=asked)
        assert choice.target.python == python
        assert (choice.directory, choice.exists) == (case.own, False)


def test_missing_with_requires_python_that_only_another_satisfies(case: Case) -> None:
    python = answering(case.tmp_path / "bin/python3.99", "3.99.1")
    case.environ["PATH"] = str(python.parent)
    assert case.choose(requires_python=SpecifierSet(">=3.99")).target.python == python
    assert case.choose(requires_python=SpecifierSet("<3.99")).target == BASE


def test_missing_and_no_python_is_admitted(case: Case) -> None:
    assert ">=3.99" in case.refused(requires_python=SpecifierSet(">=3.99")).message


def test_missing_and_python_is_not_admitted(case: Case) -> None:
    error = case.refused(python=MINOR, requires_python=SpecifierSet(">=3.99"))
    assert ">=3.99" in error.message
    assert NOW in error.message


def test_environment_of_another_tool_is_served(case: Case) -> None:
    case.plain("project/.venv")
    environment = case.find()
    assert not environment.created_now
    assert case.choose().exists


def test_relative_project(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case.tmp_path)
    assert case.find(project=Path("project")).directory == case.own


def test_not_admitted_by_requires_python(case: Case) -> None:
    create(case.own, BASE, cache_dir=None)
    error = case.refused(requires_python=SpecifierSet(">=3.99"))
    assert str(case.own) in error.message
    assert NOW in error.message
    assert ">=3.99" in error.message
    assert f"remove {case.own}" in str(error.hint)


def test_not_ones_own_is_not_to_be_removed(case: Case) -> None:
    active = case.plain("active")
    case.environ["VIRTUAL_ENV"] = str(active)
    error = case.refused(requires_python=SpecifierSet(">=3.99"))
    assert str(active) in error.message
    assert "remove" not in str(error.hint)


@pytest.mark.parametrize("python", [MINOR, NOW, f"python{MINOR}", "3", str(BASE.python)])
def test_python_that_the_environment_has(python: str, case: Case) -> None:
    create(case.own, BASE, cache_dir=None)
    choice = case.choose(python=python)
    assert (choice.exists, choice.directory, choice.origin) == (True, case.own, "project")


def test_python_that_the_environment_has_need_not_be_on_path(case: Case) -> None:
    case.own_of_another_version()
    assert case.choose(python="3.99").target.version == (3, 99, 1)
    assert case.choose(python="python3.99.1").exists


def test_python_that_the_environment_has_not(case: Case) -> None:
    case.own_of_another_version()
    for python in (MINOR, str(BASE.python)):
        error = case.refused(python=python)
        assert "3.99.1" in error.message
        assert MINOR in error.message
        assert str(case.own) in error.message
        assert f"remove {case.own}" in str(error.hint)


def test_python_of_another_micro_version(case: Case) -> None:
    create(case.own, BASE, cache_dir=None)
    python = answering(case.tmp_path / "bin/python", f"{MINOR}.99")
    assert f"{MINOR}.99" in case.refused(python=str(python)).message
    assert f"{MINOR}.99" in case.refused(python=f"{MINOR}.99").message


def test_python_of_another_implementation(case: Case) -> None:
    create(case.own, BASE, cache_dir=None)
    python = answering(case.tmp_path / "bin/pypy3", NOW, implementation="pypy")
    case.environ["PATH"] = str(python.parent)
    for asked in ("pypy3", str(python)):
        assert "pypy" in case.refused(python=asked).message


def test_file_and_foreign_folder(case: Case) -> None:
    case.own.touch()
    assert "not a folder" in case.refused().message
    case.own.unlink()
    case.own.mkdir()
    (case.own / "file").touch()
    assert "not a virtual environment" in case.refused().message


def test_half_made_is_made_anew(case: Case) -> None:
    case.plain("project/.venv")
    (case.own / INCOMPLETE).touch()
    assert not case.choose().exists
    assert case.find().created_now


def test_broken_one_that_pipshim_made_is_made_anew(case: Case) -> None:
    create(case.own, BASE, cache_dir=None)
    (case.own / "bin/python").unlink()
    choice = case.choose()
    assert (choice.exists, choice.target) == (False, BASE)
    assert case.find().created_now
    assert case.find().target.version == BASE.version


def test_broken_one_of_another_tool(case: Case) -> None:
    case.plain("project/.venv")
    (case.own / "bin/python").unlink()
    assert "its Python is gone" in case.refused().message


def test_interpreter_that_uses_another_environment(case: Case) -> None:
    other = case.plain("other")
    case.plain("project/.venv")
    python = case.own / "bin/python"
    python.unlink()
    python.write_text(f'#!/bin/sh\nexec {other}/bin/python "$@"\n')
    python.chmod(0o755)
    assert f"uses {other}" in case.refused().message
    python.write_text(f'#!/bin/sh\nexec {BASE.python} "$@"\n')
    assert f"uses {BASE.prefix}" in case.refused().message


# VIRTUAL_ENV


def test_active_environment_goes_before_the_own(case: Case) -> None:
    create(case.own, BASE, cache_dir=None)
    active = case.plain("active")
    case.environ["VIRTUAL_ENV"] = str(active)
    environment = case.find()
    assert environment.directory == active
    assert case.choose().origin == "VIRTUAL_ENV"
    assert case.choose(project=None).directory == active


def test_python_goes_before_the_active_environment(case: Case) -> None:
    case.environ["VIRTUAL_ENV"] = str(case.plain("active"))
    asked = case.plain("asked")
    assert case.choose(python=str(asked)).directory == asked
    assert case.choose(python=MINOR).directory == case.own


def test_nothing_is_active(case: Case) -> None:
    case.environ["VIRTUAL_ENV"] = ""
    assert case.choose().directory == case.own


def test_active_and_own_are_the_same(case: Case) -> None:
    """The folder was removed while it was active: it is made as if it were not."""
    (case.tmp_path / "link").symlink_to(case.project)
    case.environ["VIRTUAL_ENV"] = str(case.tmp_path / "link/.venv")
    assert case.find().created_now
    assert case.choose().origin == "project"
    case.own_of_another_version()
    assert f"remove {case.own}" in str(case.refused(python=MINOR).hint)


def test_active_is_no_environment(case: Case) -> None:
    folder = case.tmp_path / "folder"
    folder.mkdir()
    (folder / "file").touch()
    case.environ["VIRTUAL_ENV"] = str(folder)
    error = case.refused()
    assert str(folder) in error.message
    assert "VIRTUAL_ENV" in str(error.hint)


def test_active_is_missing(case: Case) -> None:
    case.environ["VIRTUAL_ENV"] = str(case.tmp_path / "gone")
    error = case.refused()
    assert "VIRTUAL_ENV" in error.message
    assert str(case.tmp_path / "gone") in error.message


# --python


def test_python_names_an_environment(case: Case) -> None:
    directory = case.plain("env")
    for python in (directory, directory / "bin/python", directory / "bin/python3"):
        for project in (case.project, None):
            choice = case.choose(python=str(python), project=project)
            assert (choice.directory, choice.exists) == (directory, True)
            assert choice.origin == "--python"
            assert choice.target.python == directory / "bin/python"
    assert not case.own.exists()


def test_python_names_an_environment_relatively(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = case.plain("env")
    monkeypatch.chdir(case.tmp_path)
    assert case.find(python="env").directory == directory
    monkeypatch.chdir(directory / "bin")
    assert case.find(python="python").directory == directory


def test_python_names_an_environment_that_is_not_admitted(case: Case) -> None:
    directory = case.plain("env")
    error = case.refused(python=str(directory), requires_python=SpecifierSet(">=3.99"))
    assert str(directory) in error.message
    assert ">=3.99" in error.message


def test_python_names_a_broken_environment(case: Case) -> None:
    directory = case.plain("env")
    (directory / "bin/python").unlink()
    assert "its Python is gone" in case.refused(python=str(directory)).message


def test_python_names_an_empty_folder(case: Case) -> None:
    (case.tmp_path / "env").mkdir()
    assert case.find(python=str(case.tmp_path / "env")).created_now


def test_python_names_a_folder_that_is_no_environment(case: Case) -> None:
    error = case.refused(python=str(case.tmp_path))
    assert str(case.tmp_path) in error.message
    assert "pyvenv.cfg" in error.message


def test_python_names_nothing(case: Case) -> None:
    assert "no/such" in case.refused(python="no/such").message
    assert "3.99" in case.refused(python="3.99").message
    assert "brand-new" in case.refused(python="brand-new").message


def test_base_interpreter_is_never_served(case: Case) -> None:
    for python in (str(BASE.python), str(BASE.prefix), MINOR):
        choice = case.choose(python=python, project=None)
        assert (choice.target.version, choice.directory) == (BASE.version, None)
        error = case.refused(python=python, project=None)
        assert "not in a virtual environment" in error.message


def test_wrapper_of_an_environment_serves_it(case: Case) -> None:
    directory = case.plain("env")
    wrapper = case.tmp_path / "wrapper"
    wrapper.write_text(f'#!/bin/sh\nexec {directory}/bin/python "$@"\n')
    wrapper.chmod(0o755)
    assert case.choose(python=str(wrapper)).directory == directory


# No project


def test_neither_project_nor_environment(case: Case) -> None:
    assert case.choose(project=None) == EnvironmentChoice(BASE, None, False, False, "project")
    assert "no environment to change" in case.refused(project=None).message


# For a lock


def test_lock_does_not_mind_what_the_environment_is(case: Case) -> None:
    case.own.touch()
    assert case.choose(lock_only=True).target == BASE
    case.own.unlink()
    case.environ["VIRTUAL_ENV"] = str(case.tmp_path / "gone")
    assert case.choose(lock_only=True) == EnvironmentChoice(BASE, None, False, False, "project")


def test_lock_for_another_python_than_the_environment_has(case: Case) -> None:
    case.own_of_another_version()
    assert case.choose(lock_only=True).target.version == (3, 99, 1)
    choice = case.choose(lock_only=True, python=MINOR)
    assert (choice.target.version, choice.directory) == (BASE.version, None)
    older = case.choose(lock_only=True, requires_python=SpecifierSet("<3.99"))
    assert older.target == BASE


def test_lock_uses_the_environment_that_can_be_served(case: Case) -> None:
    create(case.own, BASE, cache_dir=None)
    assert case.choose(lock_only=True) == case.choose()


@pytest.mark.parametrize("python", ["no/such", "3.99", "."])
def test_lock_for_a_python_that_is_not_there(
    python: str, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(case.tmp_path)
    with pytest.raises(TargetError):
        case.choose(lock_only=True, python=python)


def test_answers_are_kept(case: Case) -> None:
    case.find()
    assert len(os.listdir(case.tmp_path / "cache/interpreters")) >= 2  # noqa: PTH208
    assert query(case.own / "bin/python", case.tmp_path / "cache").prefix == case.own
