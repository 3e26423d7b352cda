"""pipshim's commands as commands of pip: its parser, its configuration, its session, its folders.

pip's parser reads its configuration files and PIP_* variables (``pip._internal.cli.parser``);
between these and the command line come the PIPSHIM_* variables.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from inspect import cleandoc
from optparse import OptionGroup
from typing import TYPE_CHECKING, Any, ClassVar

from pip._internal.cli import cmdoptions
from pip._internal.cli.req_command import with_cleanup
from pip._internal.commands import lock as pip_lock
from pip._internal.utils.logging import RichPipStreamHandler

from pipshim._pip import compat, logs, patches
from pipshim._pip.parser import (
    ProjectParser,
    file_layers,
    isolates,
    keep_abbreviations,
    variable_layers,
)
from pipshim.base.errors import UsageError
from pipshim.base.masking import Mask
from pipshim.cli import option_values
from pipshim.cli.error_boundary import Replacement, run_guarded
from pipshim.cli.known_credentials import known_credentials
from pipshim.cli.noted_options import Noted
from pipshim.envs.interpreter import end_asking
from pipshim.lock import inputs_digest
from pipshim.model import options as option_table
from pipshim.model import preferences
from pipshim.model.build_mode import IsolationLayer
from pipshim.model.build_settings import combine
from pipshim.model.requests import LockRequest, RunRequest, SyncRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from optparse import Option, Values
    from typing import TypeAlias

    from pip._internal.cli.req_command import RequirementCommand

    from pipshim._pip.user_agent import Agent
    from pipshim.model.preferences import Said
    from pipshim.model.project import Project
    from pipshim.model.pylock import Lock
    from pipshim.model.requests import LockOptions

    Action: TypeAlias = "Callable[[Any], int | Replacement]"


_ACTIONS = {"add": ("edit", "add"), "remove": ("edit", "remove")}
_NEW_OBJECTS = 20_000
"""How many there are to be before garbage is looked for: most of what resolving makes is kept."""

_OTHER_HELP = {
    "--debug": "Show tracebacks.",
    "--no-build-isolation": "Build in the project's environment, without installing what the "
    "build declares that it requires.",
    "--python": "The Python interpreter, or the environment, to serve.",
    "--require-virtualenv": "Serve nothing but a virtual environment.",
}


@dataclass(frozen=True)
class PipCommand:
    """pip's part of a request, for ``pipshim._pip`` alone to look into.

    Attributes:
        command: the command, which has the session and the temporary folders.
        options: what pip's parser stored; ``build_isolation`` is what variables, files and the
            command line amount to, without pyproject.toml.
        mask: knows the credentials in them.

    """

    command: RequirementCommand
    options: Values
    mask: Mask

    def giving(self, given: LockOptions) -> PipCommand:
        """Give the same with other requirements."""
        options = copy(self.options)
        options.requirements = list(given.requirement_files)
        options.requirements_from_scripts = list(given.scripts)
        options.editables = list(given.editables)
        options.dependency_groups = []
        return replace(self, options=options)


@dataclass(frozen=True)
class _Typed:
    """What `parse_args` keeps apart from what pip's parser stores."""

    python: str | None = None
    above: tuple[IsolationLayer, ...] = ()
    below: tuple[IsolationLayer, ...] = ()


class ProjectCommand(pip_lock.LockCommand):
    """What pipshim's commands have in common.

    Attributes:
        action: does the work, given the request; what it raises is shown by
            ``pipshim.cli.error_boundary``.
        replacement: the process to become after ``main``, if the action gave one.
        agent: what pip calls itself, asked for early, where an index is asked more often than not.

    """

    # Whose environment is served is for pipshim to check, not where pipshim itself runs.
    ignore_require_venv = True

    _IS_PIPS: ClassVar[bool] = False
    """Whether pip has a command of this name, whose options keep their meaning."""

    _EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = ()
    _TYPED: ClassVar[tuple[str, ...]] = (
        "build_isolation",
        "no_build_isolation_package",
        "build_constraints",
        "resolution",
    )

    parser: ProjectParser

    def __init__(self, name: str, summary: str, isolated: bool = False) -> None:
        self._own: list[Option] = []
        self._typed = _Typed()
        self._mask = Mask()
        self.replacement: Replacement | None = None
        self.agent: Agent | None = None
        self.action: Action = partial(_default_action, name)
        super().__init__(name, summary, isolated)
        self._environ: Mapping[str, str] = {} if isolated else os.environ
        self._add_own_options()
        # pip makes its parser itself and has no place to name another class.
        patches.become(self.parser, ProjectParser)
        self.parser.description = cleandoc(self.__doc__ or "")
        self.parser.set_defaults(
            output_file=None,
            output_format="text",
            script=None,
            compile=None,
            module=None,
            module_arguments=(),
            isolated_mode=isolated,
        )
        # Some of pip's lists are made once for all parsers, and its parser appends to them.
        lists = {
            dest: [*value]
            for dest, value in self.parser.defaults.items()
            if isinstance(value, list)
        }
        self.parser.set_defaults(**lists)
        self._noted = Noted(self.parser)
        if self._IS_PIPS:
            keep_abbreviations(self.parser, option_table.long_names(self._own))
        elif self.parser.has_option("--version"):  # pip 26.1 and 26.2, where it does nothing
            self.parser.remove_option("--version")
        for long_name, text in _OTHER_HELP.items():
            option = self.parser.get_option(long_name)
            if option is not None:
                option.help = text

    def _add_own_options(self) -> None:
        group = OptionGroup(self.parser, "Build Options")
        self._add(group, option_table.build_options())
        self.parser.insert_option_group(1, group)
        self._add(self.cmd_opts, option_table.resolution_options())
        self._add(self.cmd_opts, option_table.common_options())

    def _add(self, group: OptionGroup, options: Iterable[Option]) -> None:
        for option in options:
            group.add_option(option)
            self._own.append(option)

    def parse_args(self, args: list[str]) -> tuple[Values, list[str]]:
        """Parse; keep apart what was typed, what variables say, and what pip.conf says.

        Raises:
            UsageError: options that exclude each other, a variable that says nothing sensible.
            SystemExit: the parser has shown what is wrong, or the help.

        """
        values = self.parser.get_default_values()
        option_table.read_variables(self._own, values, self._environ)
        apart = [*self._TYPED, *(name for pair in self._EXCLUSIVE for name in pair)]
        below = {name: getattr(values, name) for name in apart}
        for name in apart:
            setattr(values, name, None)
        with self._noted.typing(values):
            values, rest = self.parser.parse_args(args, values)

        for one, other in self._EXCLUSIVE:
            decided = option_table.decide_between(
                f"--{one}",
                f"--{other}",
                typed=(bool(getattr(values, one)), bool(getattr(values, other))),
                below=(bool(below[one]), bool(below[other])),
            )
            setattr(values, one, decided[0])
            setattr(values, other, decided[1])
        typed = IsolationLayer(
            option_table.COMMAND_LINE,
            None if values.build_isolation is None else not values.build_isolation,
            frozenset(values.no_build_isolation_package or ()),
        )
        if values.build_constraints and typed.no_build_isolation:
            raise UsageError(
                "--build-constraint cannot be used with --no-build-isolation",
                hint="name the packages to build without isolation: "
                "--no-build-isolation-package NAME",
            )
        values.build_constraints = [*below["build_constraints"], *(values.build_constraints or ())]
        said = [typed] if typed != IsolationLayer(option_table.COMMAND_LINE) else []
        if values.resolution is None:
            values.resolution = below["resolution"]
        else:
            self._noted.typed.add("resolution")
        above = (*said, *variable_layers(self.parser, self._environ))
        self._typed = _Typed(values.python, above, file_layers(self.parser))
        values.python = None  # pip would refuse it here: it runs itself in the other Python
        values.build_isolation = isolates((*above, *self._typed.below))
        values.no_build_isolation_package = below["no_build_isolation_package"]
        return values, rest

    def _run_wrapper(self, level_number: int, options: Values, args: list[str]) -> int:  # noqa: ARG002
        """Run the action; pip's own would print what it raises in pip's way."""
        _quieten(self.verbosity, log=options.log is not None)
        self._mask = known_credentials(options, args, self.parser.config.items(), os.environ)
        logs.mask(self._mask.hide)
        return run_guarded(
            partial(self.run, options, args),
            debug=options.debug_mode,
            no_color=bool(options.no_color),
            hide=self._mask.hide,
            as_json=options.progress == "json",
        )

    @with_cleanup
    def run(self, options: Values, args: list[str]) -> int:
        """Do the work.

        Raises:
            PipshimError: as the action does.

        """
        cmdoptions.check_release_control_exclusive(options)
        compat.check_lock_options(options)
        if not options.no_input and (sys.stdin is None or not sys.stdin.isatty()):
            # What can be read there is not an answer to pip's questions: it may be run's input.
            options.no_input = options.keyring_may_answer = True
        request = self.request(options, args)
        done = self.action(request)
        if isinstance(done, Replacement):
            if self.agent is not None:
                self.agent.end()
            end_asking()
            self.replacement = done
            return 0
        return done

    def request(self, options: Values, args: list[str]) -> LockRequest:
        """Say what was asked, in pipshim's own terms."""
        return LockRequest(
            **self._common(options), lock=option_values.lock_of(options, args, self._said(options))
        )

    def _said(self, options: Values) -> Said:
        return self._noted.said(options, self._environ)

    def _common(self, options: Values) -> dict[str, Any]:
        typed = self._typed
        return {
            "pip": PipCommand(self, options, self._mask),
            "common": option_values.common_of(
                options, python=typed.python, verbosity=self.verbosity, environ=self._environ
            ),
            "build": option_values.build_of(options, typed.above, typed.below),
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

    _IS_PIPS = True

    def _add_own_options(self) -> None:
        super()._add_own_options()
        self._add(self.cmd_opts, option_table.lock_options())
        self._add(self.cmd_opts, option_table.output_options())

    def request(self, options: Values, args: list[str]) -> LockRequest:
        """Say what was asked.

        Raises:
            UsageError: the lock and the result are both to go to standard output; a script and
                requirements are both to be locked.

        """
        if options.output_file == "-" and options.output_format == "json":
            raise UsageError(
                "-o - and --output-format json both write to standard output",
                hint="leave one of them out",
            )
        request = super().request(options, args)
        if request.lock.script is not None and request.lock.given:
            raise UsageError(
                "--script locks what the script requires, and nothing besides",
                hint="leave out the requirements, or --script",
            )
        return request


class SyncCommand(ProjectCommand):
    """Make the environment what the lock says.

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

    _EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (("locked", "frozen"), ("exact", "inexact"))
    _KEPT: ClassVar[tuple[str, ...]] = ("--requirement", "--no-deps", "--require-hashes")
    _TYPED = (*ProjectCommand._TYPED, "ignore_dependencies")  # noqa: SLF001 a class of this one's

    def _add_own_options(self) -> None:
        for name in (*compat.LOCK_ONLY, "--group"):
            if self.parser.has_option(name) and name not in self._KEPT:
                self.parser.remove_option(name)
        self._say_what_is_given()
        super()._add_own_options()
        self._add(self.cmd_opts, option_table.selection_options())
        self._add(self.cmd_opts, option_table.compile_options())
        self._add_last_options()

    def _say_what_is_given(self) -> None:
        for name, text in {
            "--requirement": "Follow this lock (pylock.toml, pylock.NAME.toml), or install what "
            "this requirements file pins. Requirements files can be given several times.",
            "--no-deps": "With a requirements file: do not ask what the pins themselves need.",
        }.items():
            option = self.parser.get_option(name)
            if option is not None:
                option.help = text

    def _add_last_options(self) -> None:
        self._add(self.cmd_opts, option_table.sync_options())
        self._add(self.cmd_opts, option_table.output_options())

    def request(self, options: Values, args: list[str]) -> SyncRequest:
        """Say what was asked.

        Raises:
            UsageError: arguments were given; so were both a script and a file to follow.

        """
        if args:
            raise UsageError(
                f"sync takes no arguments: {' '.join(args)}",
                hint="it installs what is locked: pipshim lock",
            )
        if options.script is not None and options.requirements:
            raise UsageError(
                "--script makes the environment of a script, and -r follows a file",
                hint="leave one of them out",
            )
        request = SyncRequest(**self._installing(options))
        return replace(request, lock=replace(request.lock, script=options.script))

    def _installing(self, options: Values) -> dict[str, Any]:
        given = option_values.given_of(options)
        if not given.given:
            if options.ignore_dependencies:
                raise UsageError("--no-deps is for a requirements file", hint="-r FILE --no-deps")
            options.require_hashes = False  # a lock has them anyway; a project cannot state any
        return {
            **self._common(options),
            "lock": replace(given, said=self._said(options)),
            "selection": option_values.selection_of(options),
            "sync": option_values.sync_of(options),
        }


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

    _EXCLUSIVE = (("locked", "frozen"),)
    _KEPT = ()

    def _add_last_options(self) -> None:
        self.parser.remove_option("--isolated")
        self._add(self.cmd_opts, option_table.run_options())
        self.parser.set_defaults(exact=False, inexact=False, check=False, dry_run=False)
        self.parser.disable_interspersed_args()

    def request(self, options: Values, args: list[str]) -> RunRequest:
        """Say what was asked.

        Raises:
            UsageError: there is nothing to run.

        """
        return RunRequest(**self._installing(options), run=option_values.run_of(options, args))


def inputs_now(project: Project, lock: Lock, *, isolated: bool) -> str:
    """Digest what ``pipshim lock --check`` would compare a project's lock with.

    Args:
        project: what pyproject.toml says.
        lock: the lock; what it was told to choose counts.
        isolated: heed neither variables nor the user's configuration.

    """
    command = LockCommand("lock", "", isolated)
    command.verbosity = 0
    request = command.request(*command.parse_args([]))
    configuration = project.configuration
    return inputs_digest.digest(
        project,
        combine(request.build, configuration),
        request.lock,
        request.build.build_constraints,
        preferences.combine(request.lock.said, configuration, lock.options, keeps=True).values,
        {*configuration.target_environments, *lock.targets_asked},
    )


def _default_action(name: str, request: LockRequest) -> int | Replacement:
    place, function = _ACTIONS.get(name, (name, "main"))
    module = import_module(f"pipshim.cli.{place}")
    gc.freeze()
    gc.set_threshold(_NEW_OBJECTS)
    gc.enable()
    done: int | Replacement = getattr(module, function)(request)
    return done


def _quieten(verbosity: int, *, log: bool) -> None:
    """Keep standard output for the command's own, and pip's progress for ``-v``."""
    root = logging.getLogger()
    ours = [handler for handler in root.handlers if isinstance(handler, RichPipStreamHandler)]
    stderr = next((one.console for one in ours if one.console.file is sys.stderr), None)
    for handler in ours:
        if stderr is not None:
            handler.console = stderr
        if verbosity == 0:
            handler.setLevel(max(handler.level, logging.WARNING))
    if verbosity == 0 and not log:
        root.setLevel(logging.WARNING)
