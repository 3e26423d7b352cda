"""What is completed, asked as pip's scripts for shells ask it."""

from __future__ import annotations

from optparse import SUPPRESS_HELP
from typing import TYPE_CHECKING

import pytest
from pip._internal.commands import create_command

from pipshim.cli.command_names import OWN_COMMANDS
from pipshim.cli.pip_main import create, pass_through

if TYPE_CHECKING:
    from collections.abc import Callable
    from optparse import OptionParser
    from pathlib import Path


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src").mkdir()
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("pyproject.toml", "main.py", "src/module.py", ".venv/bin/python", ".venv/bin/tox"):
        (tmp_path / name).touch()
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def completed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str], list[str]]:
    """Complete the last word of a line, which is empty if the line ends with a space."""

    def ask(line: str) -> list[str]:
        monkeypatch.setenv("PIP_AUTO_COMPLETE", "1")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(line.split(" ")) - 1))
        with pytest.raises(SystemExit):
            pass_through([], until_exit=False)
        return capsys.readouterr().out.split()

    return ask


def listed(parser: OptionParser) -> set[str]:
    groups = [parser.option_list, *(group.option_list for group in parser.option_groups)]
    return {
        f"{name}{'=' * (option.nargs or 0)}"
        for group in groups
        for option in group
        if option.help != SUPPRESS_HELP
        for name in option._long_opts
    }


def test_every_command_is_named(completed: Callable[[str], list[str]]) -> None:
    names = completed("pipshim ")
    assert names[: len(OWN_COMMANDS)] == [*OWN_COMMANDS]
    assert {"install", "cache", "help"} < {*names}
    assert completed("pipshim loc") == ["lock"]
    assert completed("pipshim --proj") == ["--project"]
    assert {*completed("pipshim --project ")} == {".venv/", "src/"}


@pytest.mark.parametrize("command", [*OWN_COMMANDS])
def test_every_option_of_every_command_is_there(
    command: str, completed: Callable[[str], list[str]]
) -> None:
    options = completed(f"pipshim {command} --")
    assert {*options} == listed(create_command(command).parser)
    assert "--project=" in options


def test_every_option_of_the_stores_is_there(completed: Callable[[str], list[str]]) -> None:
    assert {*completed("pipshim -v cache store prune --")} == listed(create("cache store").parser)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("sync --link-mode ", "reflink hardlink copy"),
        ("sync --link-mode h", "hardlink"),
        ("sync --link-mode=h", "--link-mode=hardlink"),
        ("sync --link-mode =", "reflink hardlink copy"),  # to bash, the equals sign is a word
        ("sync --link-mode = h", "hardlink"),
        ("sync -q --progress p", "plain"),
        ("sync --timings m", "main.py"),
        ("sync --timings=sr", "--timings=src/"),
        ("sync --project s", "src/"),
        ("sync --extra ", ""),
        ("sync --locked --lock", ""),
        ("cache s", "store"),
        ("cache store ", "info list remove prune verify push pull"),
        ("cache store pr", "prune"),
        ("cache ver", "verify"),
        ("cache prune --day", "--days="),
        ("cache store --format ", "text json"),
        ("cache store list na", ""),
        ("builds ", "list show plan run history log keygen trust"),
        ("builds show --out", "--output-format="),
        ("builds show --output-format j", "json"),
        ("run p", "python pyproject.toml"),
        ("run -- p", "python pyproject.toml"),
        ("run --group test p", "python pyproject.toml"),
        ("run --group = test p", "python pyproject.toml"),
        ("run --link-mode = c", "copy"),
        ("run --lo", "--locked --log= --log-file= --local-log="),
        ("run python ma", "main.py"),
        ("run python src/", "src/module.py"),
        ("run python --lo", ""),
        ("run -- -", ""),
        ("run -m pytest --lo", ""),
        ("run pip install m", "main.py"),
        ("install m", "main.py"),
        ("completion --z", "--zsh"),
    ],
)
def test_the_word_is_completed_by_what_it_may_be(
    line: str, answer: str, completed: Callable[[str], list[str]]
) -> None:
    assert completed(f"pipshim {line}") == answer.split()


def test_scripts_of_the_active_environment_are_completed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, completed: Callable[[str], list[str]]
) -> None:
    (folder / "active/bin").mkdir(parents=True)
    (folder / "active/bin/pyright").touch()
    monkeypatch.setenv("VIRTUAL_ENV", str(folder / "active"))
    assert completed("pipshim run py") == ["pyright", "pyproject.toml"]
