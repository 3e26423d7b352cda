"""Start pip's main function, or one of pipshim's commands."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TYPE_CHECKING

from pipshim._pip import commands
from pipshim._pip.commands import (
    BrokenStdoutLoggingError,
    Command,
    create_command,
    program,
)
from pipshim._pip.compat import pip_entry
from pipshim.base.interruption import Interruption
from pipshim.base.temporary_files import temporary_files
from pipshim.cli.command_base import command_info, register_subcommand
from pipshim.cli.command_names import BUILDING, OWN_COMMANDS
from pipshim.cli.error_boundary import PIPE_CLOSED, give_up_stdout
from pipshim.cli.other_python import continue_in_other_python
from pipshim.cli.supported_pip import version_text, versions
from pipshim.model.option_table import PROJECT, keep_abbreviations

if TYPE_CHECKING:
    from collections.abc import Sequence
    from optparse import OptionParser

    from pipshim._pip.session_setup import Agent
    from pipshim.cli.project_commands import Action

_VARIANTS = ("cache", "completion", "debug")


def register() -> None:
    """Add pipshim's commands to pip's help and completion, before pip's own."""
    added = {name: command_info(name, own) for name, own in OWN_COMMANDS.items()}
    extended = dict.fromkeys(BUILDING, "pipshim.cli.pip_commands")
    extended |= dict.fromkeys(_VARIANTS, "pipshim.cli.pip_command_extensions")
    commands.register(added, extended, _extend_main_parser)


def create(name: str, *, isolated: bool = False) -> Command:
    """Create a command, or a subcommand (``cache store``, ``builds show``)."""
    commands.begin()
    register()
    if " " not in name:
        return create_command(name, isolated=isolated)
    command = create_command(register_subcommand(name), isolated=isolated)
    command.parser.prog = f"{program()} {name}"
    return command


def _extend_main_parser(parser: OptionParser) -> None:
    """Add ``--project`` to pip's parser of general options."""
    parser.version = version_text()
    parser.epilog = f"\n{versions()}\n"
    parser.option_groups[0].add_option("--project", metavar=PROJECT.metavar, help=PROJECT.help)
    keep_abbreviations(parser, ["--project"])


def pass_through(arguments: Sequence[str], *, command: str | None = None, until_exit: bool) -> int:
    """Run pip.

    Args:
        until_exit: the process ends after it: nothing more is imported.

    """
    register()
    if "PIP_AUTO_COMPLETE" in os.environ:
        from pipshim.cli.completion import complete  # noqa: PLC0415 not needed for anything else

        complete(os.environ, OWN_COMMANDS)
    if command in BUILDING:
        continue_in_other_python(arguments)
    stdout = _replace_stdout()
    with Interruption() as interruption:
        try:
            status = pip_entry(until_exit=until_exit)(list(arguments))
        except BrokenPipeError:  # pip's help, which no command of it shows
            give_up_stdout()
            status = PIPE_CLOSED
    if status == commands.BROKEN_STDOUT or (stdout is not None and stdout.is_broken):
        give_up_stdout()
        status = PIPE_CLOSED
    return interruption.status or status


def project_command(
    name: str,
    arguments: Sequence[str],
    *,
    isolated: bool = False,
    action: Action | None = None,
    agent: Agent | None = None,
) -> int:
    """Run one of pipshim's commands; if it ends as another process, this does not return.

    Args:
        arguments: those before its name, then those after it.
        isolated: ignore variables and the user's configuration (pip's ``--isolated``).
        action: what to do; None for the module of the command in ``pipshim.cli``.
        agent: has begun to prepare pip's session.

    """
    from pipshim.cli.project_commands import ProjectCommand  # noqa: PLC0415 imports all of pip's machinery

    command = create(name, isolated=isolated)
    assert isinstance(command, ProjectCommand)
    command.agent = agent
    if action is not None:
        command.action = action
    with temporary_files():
        status = command.main(list(arguments))
    if command.replacement is not None:
        command.replacement.start()
    return status


def check_general_options(words: Sequence[str]) -> None:
    """Check the options before a command.

    Raises:
        SystemExit: an option is unknown; pip has reported it.

    """
    if words:
        register()
        commands.parse_general_options(words)


class _BrokenStdoutError(BrokenStdoutLoggingError, BrokenPipeError):
    """Handled by pip's commands and by its log handler."""


class Stdout(io.TextIOWrapper):
    """Standard output whose errors pip handles like those of its log handler."""

    is_broken = False

    def write(self, text: str, /) -> int:
        """Write text."""
        try:
            return super().write(text)
        except BrokenPipeError as error:
            self.is_broken = True
            raise _BrokenStdoutError(errno.EPIPE, error.strerror) from None


def _replace_stdout() -> Stdout | None:
    """Replace standard output by a `Stdout`; return None if it is not a plain file."""
    original = sys.stdout
    if type(original) is not io.TextIOWrapper:
        return None
    settings = {
        "encoding": original.encoding,
        "errors": original.errors,
        "line_buffering": original.line_buffering,
        "write_through": original.write_through,
    }
    sys.stdout = stdout = Stdout(original.detach(), **settings)  # type: ignore[arg-type]
    return stdout
