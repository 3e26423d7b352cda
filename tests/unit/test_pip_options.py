"""pip's options, their aliases and their abbreviations, on pip's commands that pipshim extends."""

from __future__ import annotations

import importlib
import os
from copy import deepcopy
from optparse import AmbiguousOptionError, BadOptionError
from typing import TYPE_CHECKING, Any

import pytest
from pip._internal.cli import cmdoptions, main_parser
from pip._internal.commands import create_command
from pip._internal.req import req_file

from pipshim._pip import commands
from pipshim._pip.requirements import accepting_build_options
from pipshim.cli import pip_main
from pipshim.model.build_settings import BuildLines

if TYPE_CHECKING:
    from collections.abc import Iterator
    from optparse import Option, OptionParser, Values

    from pip._internal.cli.base_command import Command

COMMANDS = ("install", "wheel", "download", "lock", "cache", "completion", "debug")
BUILDING = COMMANDS[:4]

WHOLE_NAMES = {
    # pipshim's own, which also takes the values of --progress-bar (docs/reference/commands.md)
    "--progress": BUILDING,
    # --check-build-dependencies can be shortened to --chec (docs/reference/commands.md)
    "--check": ("lock",),
    # options of other commands, which would mean --extra-index-url and --index-url
    "--extra": ("lock",),
    "--index": ("lock",),
}
"""Options of pipshim whose names abbreviate one of pip's, and the commands that have them."""

SAMPLES = {
    "abis": "cp311",
    "config_settings": "key=value",
    "dependency_groups": "pyproject.toml:dev",
    "format_control": "six",
    "platforms": "any",
    "python_version": "3.11",
    "release_control": "six",
    "uploaded_prior_to": "2024-01-01",
}


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith(("PIP_", "PIPSHIM_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


def pips(name: str) -> Command:
    """Make pip's own command, which `create_command` gives no longer."""
    module = importlib.import_module(f"pip._internal.commands.{name}")
    command: Command = getattr(module, f"{name.title()}Command")(name, "")
    return command


def ours(name: str) -> Command:
    pip_main.register()
    return create_command(name)


def long_options(parser: OptionParser) -> dict[str, Option]:
    return dict(vars(parser)["_long_opt"])


def matched(parser: Any, typed: str) -> str | None:
    """Give the name that an abbreviation stands for; None if it stands for none, or for several."""
    try:
        name: str = parser._match_long_opt(typed)
    except (AmbiguousOptionError, BadOptionError):
        return None
    return name


def abbreviations(parser: OptionParser) -> Iterator[tuple[str, str]]:
    """Give every option's name, every abbreviation of only one, and what each stands for."""
    for name in long_options(parser):
        for length in range(len("--x"), len(name) + 1):
            typed = name[:length]
            if matched(parser, typed) == name:
                yield typed, name


def meaning(option: Option) -> dict[str, Any]:
    parts = ("dest", "action", "type", "nargs", "const", "choices")
    return {part: getattr(option, part) for part in parts}


@pytest.mark.parametrize("name", COMMANDS)
def test_options_mean_what_they_mean_in_pip(name: str) -> None:
    theirs, extended = pips(name).parser, ours(name).parser
    for table in ("_short_opt", "_long_opt"):
        found = vars(extended)[table]
        for typed, option in vars(theirs)[table].items():
            assert meaning(found[typed]) == meaning(option), typed


@pytest.mark.parametrize("name", COMMANDS)
def test_abbreviations_stand_for_what_they_stand_for_in_pip(name: str) -> None:
    theirs, extended = pips(name).parser, ours(name).parser
    count = 0
    for typed, full in abbreviations(theirs):
        if name not in WHOLE_NAMES.get(typed, ()):
            assert matched(extended, typed) == full, typed
        count += 1
    assert count > 100


def test_abbreviations_before_the_command() -> None:
    pip_main.register()
    parser = main_parser.create_main_parser()
    for typed, full in abbreviations(commands._create_main_parser()):
        assert matched(parser, typed) == full
    assert matched(parser, "--proj") == "--project"


def test_abbreviations_in_requirements_files() -> None:
    theirs = [*abbreviations(req_file.build_parser())]
    with accepting_build_options(BuildLines()):
        parser = req_file.build_parser()
    for typed, full in theirs:
        assert matched(parser, typed) == full
    assert matched(parser, "--extra-b") == "--extra-build-dependency"
    assert matched(parser, "--config-settings-") == "--config-settings-package"


@pytest.mark.parametrize("name", BUILDING)
def test_options_of_pipshim_can_be_abbreviated_where_pip_has_no_such_option(name: str) -> None:
    parser = ours(name).parser
    assert matched(parser, "--extra-b") == "--extra-build-dependency"
    assert matched(parser, "--no-build-isolation-") == "--no-build-isolation-package"
    assert matched(parser, "--timi") == "--timings"
    assert matched(parser, "--j") == "--jobs"


@pytest.mark.parametrize("name", BUILDING)
def test_values_are_stored_as_in_pip(name: str) -> None:
    options = {id(one): one for one in long_options(pips(name).parser).values()}
    for option in options.values():
        if option.dest in (None, "help", "version"):
            continue
        if option.dest == "python":  # before the command, in pip
            continue
        for typed in words(option, pips(name).parser):
            theirs, extended = parsed(pips(name), typed), parsed(ours(name), typed)
            assert stored(extended, option) == stored(theirs, option), typed


def words(option: Option, parser: OptionParser) -> Iterator[list[str]]:
    """Give ways to type an option: its names, and the shortest abbreviation of each."""
    shortest: dict[str, str] = {}
    for typed, full in abbreviations(parser):
        shortest.setdefault(full, typed)
    names = [*vars(option)["_short_opts"], *vars(option)["_long_opts"]]
    for name in dict.fromkeys([*names, *(shortest.get(one, one) for one in names)]):
        yield [name, sample(option)] if option.takes_value() else [name]


def sample(option: Option) -> str:
    if option.choices:
        return str(option.choices[-1])
    if option.type in ("int", "float"):
        return "3"
    return SAMPLES.get(option.dest or "", "sample")


def parsed(command: Command, typed: list[str]) -> Values:
    # Some lists are made once for all parsers.
    command.parser.defaults = deepcopy(command.parser.defaults)
    values, rest = command.parse_args(typed)
    assert rest == []
    return values


def stored(values: Values, option: Option) -> Any:
    found = getattr(values, option.dest or "")
    return vars(found) if hasattr(found, "__dict__") else found


@pytest.mark.parametrize("name", BUILDING)
@pytest.mark.parametrize(
    ("value", "bar", "progress"),
    [("off", "off", "auto"), ("raw", "raw", "auto"), ("auto", "auto", "auto")],
)
def test_progress_takes_the_values_of_pips_progress_bar(
    name: str, value: str, bar: str, progress: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_PROGRESS_BAR", "on")
    values = parsed(ours(name), ["--progress", value])
    assert (values.progress_bar, values.progress) == (bar, progress)
    values = parsed(ours(name), ["--progress=json"])
    assert (values.progress_bar, values.progress) == ("on", "json")


def test_pip_knows_config_settings_by_one_name() -> None:
    # What --config-setting, which the documentation of pip names too, is an abbreviation of.
    assert matched(pips("install").parser, "--config-setting") == "--config-settings"
    assert cmdoptions.config_settings()._long_opts == ["--config-settings"]
