"""Register pipshim's commands with pip, and start pip's commands and parsers.

Importing this imports pip's parser, but not what resolves and installs.
"""

from __future__ import annotations

import locale
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING

from pip._internal.cli import autocompletion, base_command, main_parser
from pip._internal.cli.autocompletion import auto_complete_paths as auto_complete_paths  # noqa: PLC0414 to be imported from here
from pip._internal.cli.base_command import Command as Command  # noqa: PLC0414 to be imported from here
from pip._internal.commands import CommandInfo as CommandInfo  # noqa: PLC0414 to be imported from here
from pip._internal.commands import commands_dict
from pip._internal.commands import create_command as create_command  # noqa: PLC0414 to be imported from here
from pip._internal.utils import deprecation, misc
from pip._internal.utils.logging import BrokenStdoutLoggingError as BrokenStdoutLoggingError  # noqa: PLC0414 to be imported from here

from pipshim._pip import patches

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from optparse import OptionParser, Values

BROKEN_STDOUT = 120
"""The status that pip ends with where nobody reads what it writes."""

_create_main_parser = main_parser.create_main_parser
_get_prog = misc.get_prog


def register(
    own: Mapping[str, CommandInfo],
    extended: Mapping[str, str],
    extend_main_parser: Callable[[OptionParser], object],
) -> None:
    """Add pipshim's commands to pip's help and completion.

    Args:
        own: commands that pip does not have; they come first.
        extended: the modules of commands that replace pip's.
        extend_main_parser: changes the parser of general options.

    """
    pips = {name: info for name, info in commands_dict.items() if name not in own}
    commands_dict.clear()
    commands_dict.update({**own, **pips})
    for name, path in extended.items():
        commands_dict[name] = commands_dict[name]._replace(module_path=path)

    def create_main_parser() -> OptionParser:
        parser = _create_main_parser()
        extend_main_parser(parser)
        return parser

    for module in (main_parser, autocompletion):
        patches.replace(module, create_main_parser=create_main_parser)
    for module in (misc, base_command, main_parser):
        patches.replace(module, get_prog=program)


def add(name: str, command: CommandInfo) -> None:
    commands_dict[name] = command


def has(name: str) -> bool:
    return name in commands_dict


def program() -> str:
    """Return how pipshim was called, as pip does: the script's name, or the Python and ``-m``."""
    called = _get_prog()
    return f"{called}shim" if called.endswith(" -m pip") else called


def parse_general_options(arguments: Sequence[str]) -> tuple[Values, list[str]]:
    """Parse the options before the command; return the rest with the command too.

    Raises:
        SystemExit: an option is unknown; pip has reported it.

    """
    return main_parser.create_main_parser().parse_args(list(arguments))


def interpreter_at(place: str) -> str | None:
    """Find the interpreter that ``--python`` names."""
    return main_parser.identify_python_interpreter(place)


def begin() -> None:
    """Prepare like pip's main function before it makes a command (pip._internal.cli.main)."""
    warnings.filterwarnings("ignore", category=DeprecationWarning, module=".*pkg_resources")
    deprecation.install_warning_logger()
    with suppress(locale.Error):
        locale.setlocale(locale.LC_ALL, "")
