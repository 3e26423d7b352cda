"""Find the command of a command line, and run it: one of pipshim's, or pip."""

from __future__ import annotations

import gc
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from pipshim.base.errors import PipshimError
from pipshim.cli import active_environment, supported_pip
from pipshim.cli.command_names import (
    BUILDING,
    OWN_COMMANDS,
    SETTINGS,
    STORE_ACTIONS,
    SUBCOMMANDS,
)
from pipshim.cli.error_boundary import run_guarded, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipshim._pip.session_setup import Agent

_NEW_OBJECTS = 200_000
"""How many there are to be before garbage is looked for: what is imported and resolved is kept."""


class Line(NamedTuple):
    """A command line: the command's name, if any, and the words before and after."""

    before: list[str]
    command: str | None
    after: list[str]


def dispatch(argv: Sequence[str] | None = None) -> int:
    """Run a command line (by default the process's own); return the exit status.

    Raises:
        SystemExit: pip ended the process, as it does for its help and unknown options.

    """
    arguments = list(sys.argv[1:] if argv is None else argv)

    try:
        if not supported_pip.is_supported():
            return _with_any_pip(arguments, sys.argv[0])
    except PipshimError as error:
        show(error)
        return error.exit_status
    line = split(arguments)
    if any(_asks_of_pip(argument) for argument in line.before):
        return _pip(arguments, None, until_exit=argv is None)
    own = _own_command(line)
    if own is not None:
        return run_guarded(partial(_own, own))
    implied = active_environment.options(line.command, line.before, os.environ, sys.argv[0])
    return _pip([*implied, *arguments], line.command, until_exit=argv is None)


def _with_any_pip(arguments: list[str], program: str) -> int:
    """Run a command of pip's with a pip that pipshim does not support."""
    line = split(arguments)
    if any(argument in ("-V", "--version") for argument in line.before):
        sys.stdout.write(f"{supported_pip.version_text()}\n")
        return 0
    own = _own_command(line)
    if own is not None:
        raise supported_pip.unsupported(f"pipshim {own.command}")
    if line.command in BUILDING:
        from pipshim.model.option_table import typed_for_builds  # noqa: PLC0415 not needed by others

        option = typed_for_builds([*line.before, *line.after])
        if option is not None:
            raise supported_pip.unsupported(f"{line.command} {option}")
    implied = active_environment.options(line.command, line.before, os.environ, program)
    return _run_any_pip([*implied, *arguments])


def _own_command(line: Line) -> Line | None:
    """Return the line with the whole name of a command of pipshim's; None if it is pip's."""
    name = line.command or ""
    inner = split(line.after) if name in SUBCOMMANDS else None
    if inner is not None and name == "cache" and inner.command in STORE_ACTIONS:
        inner = Line(inner.before, "store", [inner.command, *inner.after])
    if inner is not None and inner.command in SUBCOMMANDS[name]:
        return Line(line.before, f"{name} {inner.command}", [*inner.before, *inner.after])
    return line if name in OWN_COMMANDS else None


def split(arguments: Sequence[str]) -> Line:
    """Find the command's name behind pip's general options, which may be abbreviated."""
    words, position = list(arguments), 0
    while position < len(words):
        word = words[position]
        if word == "--":
            _, command, after = split(words[position + 1 :])
            return Line(words[:position], command, after)
        if not word.startswith("-") or word == "-":
            return Line(words[:position], word, words[position + 1 :])
        is_setting = word.startswith("--") and any(one.startswith(word) for one in SETTINGS)
        position += 2 if is_setting else 1
    return Line(words, None, [])


def _asks_of_pip(argument: str) -> bool:
    """Return whether an option, perhaps abbreviated, asks for help or the version."""
    if argument.startswith("--"):
        return any(name.startswith(argument) for name in ("--help", "--version"))
    return set("hqvV").issuperset(argument[1:]) and not set("hV").isdisjoint(argument)


def _own(line: Line) -> int:
    assert line.command is not None  # as the caller made sure
    gc.set_threshold(_NEW_OBJECTS)
    name, before, after = line.command, line.before, line.after
    group, _, word = name.partition(" ")
    command = SUBCOMMANDS[group][word] if word else OWN_COMMANDS[name]
    agent: Agent | None = None
    if command.asks_index and {"-h", "--help"}.isdisjoint(after):
        # What other processes answer while pip is imported.
        from pipshim._pip.session_setup import Agent  # noqa: PLC0415 imports pip

        agent = Agent()
    from pipshim.cli.pip_main import (  # noqa: PLC0415 imports pip
        check_general_options,
        create,
        project_command,
    )

    check_general_options(before)
    isolated = "--isolated" in before
    if command.has_isolated:
        # After the command's name it is the command's own word, and further on the other program's.
        before = [argument for argument in before if argument != "--isolated"]
    else:
        isolated = isolated or "--isolated" in after
    words = [*before, *after]
    if command.is_plain:
        return create(name, isolated=isolated).main(words)
    return project_command(name, words, isolated=isolated, agent=agent)


def _pip(arguments: Sequence[str], command: str | None, *, until_exit: bool) -> int:
    from pipshim.cli.pip_main import pass_through  # noqa: PLC0415 imports pip

    return pass_through(arguments, command=command, until_exit=until_exit)


def _run_any_pip(arguments: Sequence[str]) -> int:
    """Run ``python -m pip``, which works with every version of pip."""
    import runpy  # noqa: PLC0415 seldom needed

    before = sys.argv
    sys.argv = ["pip", *arguments]
    try:
        runpy.run_module("pip", run_name="__main__", alter_sys=True)
    except SystemExit as request:
        if isinstance(request.code, int):
            return request.code
        if request.code is not None:
            raise
    finally:
        sys.argv = before
    return 0
