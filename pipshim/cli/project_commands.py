"""Define pipshim's commands on top of pip's parser, session and folders.

pip's parser reads its configuration files and PIP_* variables (``pip._internal.cli.parser``);
PIPSHIM_* variables come between these and the command line.
"""

from __future__ import annotations

import gc
import os
import sys
from dataclasses import replace
from functools import partial
from optparse import OptionGroup, Values
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from packaging.pylock import is_valid_pylock_path

from pipshim._pip import compat
from pipshim._pip import requirement_commands as pips
from pipshim.base.errors import UsageError
from pipshim.base.masking import Mask
from pipshim.cli import pip_messages
from pipshim.cli.command_base import DeclaredCommand, PipCommand, use_project_parser
from pipshim.cli.error_boundary import Replacement, run_guarded
from pipshim.cli.known_credentials import known_credentials
from pipshim.cli.recorded_preferences import NotedOptions
from pipshim.model.option_parsing import CommandOptions, Option, decide_between, long_names
from pipshim.model.option_table import keep_abbreviations
from pipshim.model.requests import LockOptions, LockRequest, SelectionOptions, SyncOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipshim._pip.session_setup import Agent
    from pipshim.cli.command_base import ProjectParser
    from pipshim.model.selection_preferences import GivenPreferences

Action: TypeAlias = "Callable[[Any, PipCommand], int | Replacement]"
"""What does the work of a command."""

_LOCK_ONLY = (
    "--output",
    "--requirement",
    "--requirements-from-script",
    "--no-deps",
    "--only-deps",  # since 26.2
    "--editable",
    "--src",
    "--ignore-requires-python",
    "--require-hashes",
    "--no-require-hashes",  # since 26.2
)
"""Options of ``pip lock`` that sync, run and export do not have, or not all of them."""

_OTHER_HELP = {
    "--debug": "Show tracebacks.",
    "--no-build-isolation": "Build in the project's environment, without installing the "
    "declared build requirements.",
    "--python": "The Python interpreter or environment to use.",
    "--require-virtualenv": "Change only virtual environments; fail otherwise.",
}


class ProjectCommand(DeclaredCommand, pips.LockCommand):
    """What the commands that lock, or follow a lock, have in common.

    They have the options, the session and the temporary folders of pip's ``lock``.

    Attributes:
        action: replaces `act`.
        replacement: the process to become after ``main``, if the action returned one.
        agent: has begun to prepare pip's session, for commands that usually ask an index.

    """

    # Whose environment is served is for pipshim to check, not where pipshim itself runs.
    ignore_require_venv = True

    is_pips: ClassVar[bool] = False
    """Whether pip has a command of this name, whose options keep their meaning."""

    kept_apart: ClassVar[tuple[str, ...]] = (
        "build_isolation",
        "no_build_isolation_package",
        "build_constraints",
        "index_url",
        "resolution",
    )
    """What the parser stores for which it matters whether it was typed."""

    parser: ProjectParser

    def __init__(self, name: str, summary: str, isolated: bool = False) -> None:
        self._python: str | None = None
        self._mask = Mask()
        self.action: Action | None = None
        self.replacement: Replacement | None = None
        self.agent: Agent | None = None
        super().__init__(name, summary, isolated)
        self._change_options()
        use_project_parser(self)
        self.parser.set_defaults(output_file=None, compile=None, isolated_mode=isolated)
        # Some of pip's lists are made once for all parsers, and its parser appends to them.
        lists = {
            dest: [*value]
            for dest, value in self.parser.defaults.items()
            if isinstance(value, list)
        }
        self.parser.set_defaults(**lists)
        self._noted = NotedOptions(self.parser)

    def _change_options(self) -> None:
        """Add pipshim's options to pip's ``lock``, and remove options of no use here."""
        parser, declared = self.parser, self.declared
        if self.is_pips:
            keep_abbreviations(parser, long_names(declared.all), elsewhere=("--extra", "--index"))
        else:
            # --version (pip 26.1 and 26.2) does nothing there.
            unused = {*_LOCK_ONLY, *long_names(declared.all), "--version"}
            for flag in unused - set(declared.keeps):
                if parser.has_option(flag):
                    parser.remove_option(flag)
        if declared.runs_program:
            parser.disable_interspersed_args()
        group = OptionGroup(parser, "Build Options")
        group.add_options(self.own_build)
        parser.insert_option_group(1, group)
        self.cmd_opts.add_options(self.own)
        for flag, text in {**_OTHER_HELP, **declared.helps}.items():
            option = parser.get_option(flag)
            if option is not None:
                option.help = text.replace("{verb}", declared.verb)

    def parse_args(self, args: list[str]) -> tuple[Values, list[str]]:
        """Parse; keep the command line, variables and pip.conf apart.

        Raises:
            UsageError: options that exclude each other, or a variable with an invalid value.
            SystemExit: the parser has shown what is wrong, or the help.

        """
        values = self.default_values()
        exclusive = self.declared.exclusive
        apart = [*self.kept_apart, *(one.destination for pair in exclusive for one in pair)]
        below = {name: getattr(values, name) for name in apart}
        for name in apart:
            setattr(values, name, None)
        with self._noted.typing(values):
            values, rest = self.parser.parse_args(args, values)

        for pair in exclusive:
            _decide(pair, values, below)
        if values.default_index:
            values.index_url = values.default_index
            self._noted.typed.add("index-url")
        elif values.index_url is None:
            values.index_url = below["index_url"]
        if values.build_constraints and values.build_isolation is False:
            raise UsageError(
                "--build-constraint cannot be used with --no-build-isolation",
                hint="name the packages to build without isolation: "
                "--no-build-isolation-package NAME",
            )
        values.build_constraints = [*below["build_constraints"], *(values.build_constraints or ())]
        if values.resolution is None:
            values.resolution = below["resolution"]
        else:
            self._noted.typed.add("resolution")
        self.note_layers(values)
        # pip would refuse it here: it runs itself in the other Python
        self._python, values.python = values.python, None
        values.no_build_isolation_package = below["no_build_isolation_package"]
        return values, rest

    def request(self, options: Values, args: list[str]) -> LockRequest:
        raise NotImplementedError

    def act(self, request: Any, pip: PipCommand) -> int | Replacement:
        """Do the work of the command."""
        raise NotImplementedError

    def _run_wrapper(self, level_number: int, options: Values, args: list[str]) -> int:  # noqa: ARG002
        """Run the action; unlike pip's, show errors in pipshim's way."""
        pip_messages.quieten(self.verbosity, log=options.log is not None)
        self._mask = known_credentials(options, args, self.parser.config.items(), os.environ)
        pip_messages.mask(self._mask.hide)
        return run_guarded(
            partial(self.run, options, args),
            debug=options.debug_mode,
            no_color=bool(options.no_color),
            hide=self._mask.hide,
            as_json=options.progress == "json",
        )

    @pips.with_cleanup
    def run(self, options: Values, args: list[str]) -> int:
        """Let pip check its options, then act."""
        compat.check_lock_options(options)
        if not options.no_input and (sys.stdin is None or not sys.stdin.isatty()):
            # What can be read there is not an answer to pip's questions: it may be run's input.
            options.no_input = options.keyring_may_answer = True
        request = self.request(options, args)
        action = self.action
        if action is None:
            gc.freeze()
            action = self.act
        done = action(request, PipCommand(self, options, self._mask))
        if isinstance(done, Replacement):
            if self.agent is not None:
                self.agent.end()
            self.replacement = done
            return 0
        return done

    def preferences(self, options: Values) -> GivenPreferences:
        """Return which versions and files were chosen."""
        return self._noted.preferences(options, self.environ)

    def common(self, options: Values) -> dict[str, Any]:
        return {
            "common": self.common_options(options, self._python),
            "build": self.build_options(options),
        }


class FollowingCommand(ProjectCommand):
    """What the commands have in common that follow a lock."""

    kept_apart = (*ProjectCommand.kept_apart, "ignore_dependencies")

    def installing(self, options: Values) -> dict[str, Any]:
        """Return the parts that sync, run and export have in common."""
        given = _given(self.declared, options)
        if not given.given:
            if options.ignore_dependencies:
                raise UsageError("--no-deps is for a requirements file", hint="-r FILE --no-deps")
            options.require_hashes = False  # a lock has them anyway; a project cannot state any
        return {
            **self.common(options),
            "lock": replace(given, preferences=self.preferences(options)),
            "selection": SelectionOptions(**self.declared.fields(SelectionOptions, options)),
            "sync": SyncOptions(**self.declared.fields(SyncOptions, options)),
        }

    def following(self, options: Values, args: list[str], hint: str) -> dict[str, Any]:
        """Return the same for a command that reads a lock, and takes no arguments (`hint`)."""
        name = self.name.replace("-", " ")
        if args:
            raise UsageError(f"{name} takes no arguments: {' '.join(args)}", hint=hint)
        made = self.installing(options)
        if made["lock"].given:
            files = " ".join(f"-r {one}" for one in made["lock"].requirement_files)
            raise UsageError(
                f"{name} reads a lock, and {files} is not one",
                hint=f"lock it first: pipshim lock {files}",
            )
        return made


def _given(options: CommandOptions, values: Values) -> LockOptions:
    """Return what sync follows instead of the project's lock: a lock, or requirements files.

    Raises:
        UsageError: several locks, or both kinds; or ``--upgrade`` with them.

    """
    project = LockOptions(
        **options.fields(LockOptions, values), constraints=tuple(values.constraints)
    )
    files = tuple(values.requirements)
    upgrades = project.upgrade or project.upgrade_packages
    if files and upgrades:
        raise UsageError(
            "-U and -P are for the project's lock, not for what is given with -r",
            hint="leave them out",
        )
    if upgrades and (values.locked or values.frozen):
        raise UsageError(
            "an upgrade changes the lock, which --locked and --frozen forbid",
            hint="leave out -U and -P, or these",
        )
    if not files:
        return project
    locks = [one for one in files if is_valid_pylock_path(Path(one))]
    if not locks:
        return replace(project, requirement_files=files, pinned=True)
    if len(files) > 1:
        raise UsageError(
            f"a lock cannot be combined with other files: {' '.join(files)}",
            hint=f"-r {locks[0]}",
        )
    if "://" in locks[0]:
        raise UsageError(f"a lock is read from a file, not from a URL: {locks[0]}")
    return replace(project, output=locks[0])


def _decide(pair: tuple[Option, Option], values: Values, below: Mapping[str, object]) -> None:
    """Store which of two exclusive options holds."""
    names = [one.destination for one in pair]
    decided = decide_between(
        *(one.name for one in pair),
        typed=(bool(getattr(values, names[0])), bool(getattr(values, names[1]))),
        below=(bool(below[names[0]]), bool(below[names[1]])),
    )
    for name, value in zip(names, decided, strict=True):
        setattr(values, name, value)
