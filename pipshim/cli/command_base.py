"""The base of pipshim's commands: declared options, their variables, and errors.

Importing this imports pip's parser, but not what resolves and installs.
"""

from __future__ import annotations

import os
import sys
from copy import copy
from dataclasses import replace
from functools import partial
from inspect import cleandoc
from optparse import AmbiguousOptionError, BadOptionError, OptionValueError
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from pipshim._pip import commands, compat, patches
from pipshim._pip.commands import Command, CommandInfo
from pipshim._pip.configuration import ConfigOptionParser, says
from pipshim.base.errors import UsageError
from pipshim.base.light.dataclasses import dataclass
from pipshim.cli.command_names import SUBCOMMANDS, OwnCommand
from pipshim.cli.error_boundary import run_guarded
from pipshim.model.build_mode import IsolationLayer
from pipshim.model.option_parsing import (
    COMMAND_LINE,
    CommandOptions,
    isolation_layer,
    own_layers,
    parser_options,
    read_variables,
)
from pipshim.model.option_table import ALL_FLAGS, UnknownOptionError
from pipshim.model.requests import BuildOptions, CommonOptions, LockOptions, shim_cache_directory

if TYPE_CHECKING:
    from collections.abc import Mapping
    from optparse import Option, Values

    from pipshim._pip.requirement_commands import RequirementCommand
    from pipshim.base.masking import Mask


_UNWRAPPED = 100_000


class DeclaredCommand(Command):
    """A command with options of pipshim.

    Attributes:
        layers: the isolation settings above those of the project, and below them.

    """

    declared: ClassVar[CommandOptions]

    def __init__(self, name: str, summary: str, isolated: bool = False) -> None:
        self.own = parser_options(self.declared.options, self.declared.verb)
        self.own_build = parser_options(self.declared.build, self.declared.verb)
        self.environ: Mapping[str, str] = {} if isolated else os.environ
        self.layers: tuple[tuple[IsolationLayer, ...], ...] = ((), ())
        super().__init__(name, summary, isolated)

    def default_values(self) -> Values:
        """Return the values without a command line: pip's variables, then pipshim's.

        Raises:
            UsageError: a variable has a value that its option does not take.

        """
        values = self.parser.get_default_values()
        read_variables([*self.own_build, *self.own], values, self.environ)
        return values

    def common_options(self, values: Values, python: str | None = None) -> CommonOptions:
        return CommonOptions(
            **self.declared.fields(CommonOptions, values),
            python=python,
            verbosity=self.verbosity,
            no_color=bool(values.no_color) or "NO_COLOR" in os.environ,
            progress_bar=getattr(values, "progress_bar", "on"),
            shim_cache=shim_cache_directory(values.cache_dir, self.environ),
            require_virtualenv=bool(values.require_venv),
        )

    def note_layers(self, values: Values) -> None:
        """Note the isolation settings of the command line and variables, and those of pip.conf."""
        typed = isolation_layer(COMMAND_LINE, values)
        said = [typed] if typed.packages or typed.no_build_isolation is not None else []
        self.layers = ((*said, *self._variable_layers()), self._file_layers())
        found = (one.no_build_isolation for layers in self.layers for one in layers)
        values.build_isolation = not next((one for one in found if one is not None), False)

    def build_options(self, values: Values) -> BuildOptions:
        above, below = self.layers
        return BuildOptions(
            **self.declared.fields(BuildOptions, values),
            layers_above=above,
            layers_below=below,
            config_settings=dict(getattr(values, "config_settings", None) or {}),
            build_constraints=tuple(values.build_constraints),
            check_build_dependencies=bool(values.check_build_deps),
        )

    def _variable_layers(self) -> tuple[IsolationLayer, ...]:
        """Return the isolation settings of variables, those for single packages first."""
        layers = [*own_layers(self.environ)]
        packages = says(self.parser, "no-build-isolation-package", environment=True)
        if packages:
            layers.append(
                IsolationLayer("PIP_NO_BUILD_ISOLATION_PACKAGE", packages=frozenset(packages))
            )
        for key in ("no-build-isolation", "build-isolation"):
            isolation = says(self.parser, key, environment=True)
            if isolation is not None:
                name = "PIP_" + key.upper().replace("-", "_")
                layers.append(IsolationLayer(name, no_build_isolation=not isolation))
        return tuple(sorted(layers, key=lambda layer: not layer.packages))

    def _file_layers(self) -> tuple[IsolationLayer, ...]:
        """Return the isolation settings of pip's configuration files."""
        packages = says(self.parser, "no-build-isolation-package", environment=False)
        isolation = says(self.parser, "no-build-isolation", environment=False)
        if isolation is None:
            isolation = says(self.parser, "build-isolation", environment=False)
        layer = IsolationLayer(
            "pip.conf", None if isolation is None else not isolation, frozenset(packages or ())
        )
        return () if layer == IsolationLayer("pip.conf") else (layer,)


@dataclass(frozen=True)
class PipCommand:
    """pip's part of a request.

    Attributes:
        command: the command, which has the session and the temporary folders.
        options: what pip's parser stored; ``build_isolation`` combines variables, files and the
            command line, without pyproject.toml.

    """

    command: RequirementCommand
    options: Values
    mask: Mask

    def giving(self, given: LockOptions) -> PipCommand:
        """Return the same with other requirements."""
        options = copy(self.options)
        options.requirements = list(given.requirement_files)
        options.requirements_from_scripts = list(given.scripts)
        options.editables = list(given.editables)
        options.dependency_groups = []
        return replace(self, options=options)


class ProjectParser(ConfigOptionParser):
    """pip's parser, whose errors are usage errors of pipshim's, with status 2."""

    def error(self, msg: str) -> NoReturn:
        usage = compat.plain_markup(self.get_usage())
        self.exit(UsageError.exit_status, f"{usage}\n{msg}\n")

    def print_help(self, file: Any = None) -> None:
        """Show the help, wrapped only on a terminal, or if COLUMNS is set."""
        if sys.stdout.isatty() or "COLUMNS" in os.environ:
            super().print_help(file)
            return
        self.formatter.width = _UNWRAPPED
        os.environ["COLUMNS"] = str(_UNWRAPPED)  # for rich, which wraps what pip prints again
        try:
            super().print_help(file)
        finally:
            del os.environ["COLUMNS"]

    def exit(self, status: int = 0, msg: str | None = None) -> NoReturn:
        """End; pip's message about a broken configuration file lacks an end of line."""
        super().exit(status, msg and f"{msg.rstrip()}\n")

    def _match_long_opt(self, opt: str) -> str:
        """Expand an abbreviation, unless it is an option of another command of pipshim's."""
        if opt in ALL_FLAGS and opt not in self._long_opt:
            raise UnknownOptionError(opt, self)
        try:
            return super()._match_long_opt(opt)
        except AmbiguousOptionError:
            raise
        except BadOptionError:
            raise UnknownOptionError(opt, self) from None

    def check_default(self, option: Option, key: str, val: Any) -> Any:
        """Check a value from a variable or a file.

        Raises:
            UsageError: the option would not take it (pip ends with status 3).

        """
        try:
            return option.check_value(key, val)
        except OptionValueError as error:
            raise UsageError(
                f"pip's configuration: {error}",
                hint=f"look for {key} in: pip config debug",
            ) from None


class PlainCommand(DeclaredCommand):
    """A command that needs neither index nor environment."""

    ignore_require_venv = True
    parser: ProjectParser

    def __init__(self, name: str, summary: str, isolated: bool = False) -> None:
        super().__init__(name, summary, isolated)
        use_project_parser(self)

    def add_options(self) -> None:
        """Add pipshim's options, before pip's general ones."""
        self.cmd_opts.add_options(self.own)
        self.parser.insert_option_group(0, self.cmd_opts)

    def parse_args(self, args: list[str]) -> tuple[Values, list[str]]:
        """Parse options; ``--python`` is ignored."""
        values, rest = self.parser.parse_args(args, self.default_values())
        values.python = None
        return values, rest

    def _run_wrapper(self, level_number: int, options: Values, args: list[str]) -> int:  # noqa: ARG002
        """Run the command; unlike pip's, show errors in pipshim's way."""
        return run_guarded(
            partial(self.run, options, args),
            debug=options.debug_mode,
            no_color=bool(options.no_color),
        )


def register_subcommand(name: str) -> str:
    """Make pip know a subcommand (``builds show``); return its name there and in pip.conf."""
    group, _, word = name.partition(" ")
    key = f"{group}-{word}"
    commands.add(key, command_info(name, SUBCOMMANDS[group][word]))
    return key


def command_info(name: str, own: OwnCommand) -> CommandInfo:
    """Describe a command to pip; its class is named after it: ``BuildsShowCommand``."""
    class_name = "".join(map(str.title, [*name.split(), "command"]))
    return CommandInfo(f"pipshim.cli.{own.module}", class_name, own.summary)


def use_project_parser(command: Command) -> None:
    """Give a command pipshim's parser, with its docstring as the description."""
    # pip makes its parser itself and has no place to name another class.
    patches.become(command.parser, ProjectParser)
    command.parser.description = cleandoc(command.__doc__ or "")
