"""Which environment pip's commands act on, by how pipshim was called."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from pipshim.cli.active_environment import options

if TYPE_CHECKING:
    from pathlib import Path


class Case:
    """An active environment, and a pipshim on PATH that is not in it."""

    def __init__(self, tmp_path: Path) -> None:
        self.active = tmp_path / "active"
        self.program = tmp_path / "bin" / "pipshim"
        for path in (self.active / "pyvenv.cfg", self.program, self.active / "bin" / "other"):
            path.parent.mkdir(exist_ok=True)
            path.touch(0o755)
        self.environ = {
            "VIRTUAL_ENV": str(self.active),
            "PATH": f"{self.active / 'bin'}:{self.program.parent}",
        }

    def __call__(self, command: str | None, *before: str) -> list[str]:
        return options(command, before, self.environ, str(self.program))


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


@pytest.mark.parametrize("command", ["install", "uninstall", "list", "freeze", "wheel"])
def test_the_active_environment_is_served(case: Case, command: str) -> None:
    assert case(command) == ["--python", str(case.active)]
    assert case(command, "-q") == ["--python", str(case.active)]


@pytest.mark.parametrize("command", ["cache", "config", "help", None])
def test_what_acts_on_no_environment_is_left_alone(case: Case, command: str | None) -> None:
    assert case(command) == []


def test_what_is_said_is_meant(case: Case) -> None:
    assert case("install", "--python", "x") == case("install", "--python=x") == []
    case.environ["PIP_PYTHON"] = "x"
    assert case("install") == []


def test_without_an_active_environment_it_is_pips_own(case: Case) -> None:
    (case.active / "pyvenv.cfg").unlink()
    assert case("install") == []
    case.environ["VIRTUAL_ENV"] = sys.prefix
    assert case("install") == []
    del case.environ["VIRTUAL_ENV"]
    assert case("install") == []


def test_a_pipshim_that_was_named_is_the_one_that_is_meant(case: Case, tmp_path: Path) -> None:
    named = tmp_path / "named" / "bin" / "pipshim"
    for program in (str(named), "/x/pipshim/__main__.py"):
        assert options("install", [], case.environ, program) == []
    # Under another name, as for `pip` that is a link to it.
    link = case.program.with_name("pip")
    link.symlink_to(case.program)
    assert options("install", [], case.environ, str(link)) == ["--python", str(case.active)]
