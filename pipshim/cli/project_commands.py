"""Define pipshim's commands on top of pip's parser, session and folders.

pip's parser reads its configuration files and PIP_* variables (``pip._internal.cli.parser``);
PIPSHIM_* variables come between these and the command line.
"""

from __future__ import annotations

import gc
import os
import shlex
import sys
from dataclasses import replace
from functools import partial
from importlib import import_module
from optparse import OptionGroup, Values
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pipshim._pip import compat
from pipshim._pip import requirement_commands as pips
from pipshim.base.errors import UsageError
from pipshim.base.masking import Mask
from pipshim.cli import pip_messages, request_assembly
from pipshim.cli.command_base import (
    DeclaredCommand,
    PipCommand,
    use_project_parser,
)
from pipshim.cli.error_boundary import Replacement, run_guarded
from pipshim.cli.known_credentials import known_credentials
from pipshim.cli.recorded_preferences import NotedOptions
from pipshim.lock import lock_inputs
from pipshim.model import option_table, selection_preferences
from pipshim.model.build_settings import combine
from pipshim.model.option_parsing import (
    Option,
    decide_between,
    long_names,
)
from pipshim.model.option_table import keep_abbreviations
from pipshim.model.requests import (
    LockOptions,
    LockRequest,
    RunRequest,
    SelectionOptions,
    SyncOptions,
    SyncRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pipshim._pip.session_setup import Agent
    from pipshim.cli.project_parser import ProjectParser
    from pipshim.model.project import Project
    from pipshim.model.pylock import Lock
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
    "--no-build-isolation": "Build in the project's environment, without installing what the "
    "build declares that it requires.",
    "--python": "The Python interpreter or environment to use.",
    "--require-virtualenv": "Change only virtual environments; fail otherwise.",
}


class ProjectCommand(DeclaredCommand, pips.LockCommand):
    """What the commands that lock, or follow a lock, have in common.

    They have the options, the session and the temporary folders of pip's ``lock``.

    Attributes:
        action: does the work, given the request and pip's part of it; None for that of `module`.
        replacement: the process to become after ``main``, if the action returned one.
        agent: has begun to prepare pip's session, for commands that usually ask an index.

    """

    # Whose environment is served is for pipshim to check, not where pipshim itself runs.
    ignore_require_venv = True

    is_pips: ClassVar[bool] = False
    """Whether pip has a command of this name, whose options keep their meaning."""

    module: ClassVar[str]
    """The module whose ``main`` does the work; help and completion do not import it."""

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
        """Let pip check its options, then run the action."""
        compat.check_lock_options(options)
        if not options.no_input and (sys.stdin is None or not sys.stdin.isatty()):
            # What can be read there is not an answer to pip's questions: it may be run's input.
            options.no_input = options.keyring_may_answer = True
        request = self.request(options, args)
        if self.action is None:
            self.action = import_module(self.module).main
            gc.freeze()
        done = self.action(request, PipCommand(self, options, self._mask))
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


class LockCommand(ProjectCommand):
    """Lock the project, or the given requirements, with all that they need.

    Without requirements, what pyproject.toml requires is locked: its
    dependencies, its extras and its dependency groups. The lock is a
    pylock.toml (PEP 751), which pip installs too.

    For example:
      pipshim lock                          lock the project
      pipshim lock --check                  fail if the lock is out of date
      pipshim lock -P numpy                 a newer numpy; all else as it is
      pipshim lock -r requirements.txt      lock requirements, without a project
      pipshim lock --no-build-isolation-package flash-attn
    """

    usage = """
      %prog [options]
      %prog [options] <requirement specifier> [package-index-options] ...
      %prog [options] -r <requirements file> [package-index-options] ...
      %prog [options] [-e] <local project path> ...
      %prog [options] <archive url/path> ..."""

    declared = option_table.LOCK
    is_pips = True
    module = "pipshim.cli.lock"

    def request(self, options: Values, args: list[str]) -> LockRequest:
        if options.output_file == "-" and options.output_format == "json":
            raise UsageError(
                "-o - and --output-format json both write to standard output",
                hint="leave one of them out",
            )
        lock = LockOptions(
            **self.declared.fields(LockOptions, options),
            requirements=tuple(args),
            requirement_files=tuple(options.requirements),
            scripts=tuple(options.requirements_from_scripts),
            editables=tuple(options.editables),
            constraints=tuple(options.constraints),
            groups=tuple(options.dependency_groups),
            output=options.output_file,
            preferences=self.preferences(options),
        )
        if lock.script is not None and lock.given:
            raise UsageError(
                "--script locks only what the script requires",
                hint="leave out the requirements, or --script",
            )
        return LockRequest(**self.common(options), lock=lock)


class SyncCommand(ProjectCommand):
    """Make the environment match the lock.

    If the lock is missing or out of date, it is made first. The environment
    is the one that --python names, else the active one, else .venv beside
    pyproject.toml, which is made if it is missing.

    With -r, a lock that is given is followed as it is, whoever made it; a
    requirements file too, if it pins all that it names.

    For example:
      pipshim sync                          lock if out of date, then install
      pipshim sync --locked --check         change nothing; fail if it differs
      pipshim sync --extra gpu --no-group dev
      pipshim sync --frozen --no-editable --compile
      pipshim sync --script tool.py         the environment of a script
      pipshim sync --timings timings.html   where the time went
    """

    usage = """
      %prog [options]
      %prog [options] --script <script.py>
      %prog [options] -r <lock file>
      %prog [options] -r <requirements file> ..."""

    declared = option_table.SYNC
    module = "pipshim.cli.sync"
    kept_apart = (*ProjectCommand.kept_apart, "ignore_dependencies")

    def request(self, options: Values, args: list[str]) -> SyncRequest:
        if args:
            raise UsageError(
                f"sync takes no arguments: {' '.join(args)}",
                hint=_instead_of_arguments(args),
            )
        if options.script is not None and options.requirements:
            raise UsageError(
                "--script and -r cannot be used together",
                hint="leave one of them out",
            )
        request = SyncRequest(**self.installing(options))
        exact = None if options.exact == options.inexact else bool(options.exact)
        return replace(request, selection=replace(request.selection, exact=exact))

    def installing(self, options: Values) -> dict[str, Any]:
        """Return the parts that sync, run and export have in common."""
        given = request_assembly.given_of(self.declared, options)
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


class RunCommand(SyncCommand):
    """Run a command in the project's environment.

    If the lock is missing or out of date, it is made first; then the
    environment is made what it says. Options end at the command's name:
    whatever follows belongs to the command.

    For example:
      pipshim run python train.py --epochs 3
      pipshim run -m pytest -q
      pipshim run --group docs -- sphinx-build docs html
      pipshim run --no-sync python          in the environment as it is
    """

    usage = """
      %prog [options] [--] <command> ...
      %prog [options] [--] <script.py> ...
      %prog [options] -m <module> ...
      %prog [options] - < <script>"""

    declared = option_table.RUN
    module = "pipshim.cli.run"

    def request(self, options: Values, args: list[str]) -> RunRequest:
        return RunRequest(**self.installing(options), run=request_assembly.run_of(options, args))


def inputs_now(project: Project, lock: Lock, *, isolated: bool) -> str:
    """Return the digest that ``pipshim lock --check`` would compare a lock with.

    Args:
        lock: the lock; its preferences count.
        isolated: ignore variables and the user's configuration.

    """
    command = LockCommand("lock", "", isolated)
    command.verbosity = 0
    request = command.request(*command.parse_args([]))
    configuration = project.configuration
    return lock_inputs.digest(
        project,
        combine(request.build, configuration),
        request.lock,
        request.build.build_constraints,
        selection_preferences.combine(
            request.lock.preferences, configuration, lock.options, keeps=True
        ).values,
        {*configuration.target_environments, *lock.targets_asked},
    )


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


def _instead_of_arguments(args: list[str]) -> str:
    """Return the hint for arguments that ``pipshim sync`` does not take."""
    if all(map(os.path.isfile, args)):
        files = " ".join(f"-r {shlex.quote(arg)}" for arg in args)
        return f"to install what a file locks or pins: pipshim sync {files}"
    return f"to add to the project: pipshim add {shlex.join(args)}"
