"""``pipshim run``: lock and sync if needed, then execute the given command."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.errors import TargetError, UsageError
from pipshim.cli.command_report import reporting
from pipshim.cli.context import Context, open_context
from pipshim.cli.error_boundary import Replacement
from pipshim.cli.project_commands import FollowingCommand
from pipshim.cli.stamp_writer import stamp, typed
from pipshim.cli.sync import report_sync, sync, write_notes
from pipshim.envs.base_environment import BaseEnvironment
from pipshim.envs.layers import programs
from pipshim.fastpath import up_to_date
from pipshim.model import option_table
from pipshim.model.project import STDIN, Project
from pipshim.model.requests import (
    LockOptions,
    RunOptions,
    RunRequest,
    SelectionOptions,
    SyncOptions,
)
from pipshim.model.requirements import separated
from pipshim.project import env_files
from pipshim.project.pyproject import load_script

if TYPE_CHECKING:
    from collections.abc import Sequence
    from optparse import Values

    from pipshim.cli.command_base import PipCommand
    from pipshim.model.interpreter import Target
    from pipshim.model.pylock import Lock


class RunCommand(FollowingCommand):
    """Run a command in the project's environment.

    The lock and the environment are updated first, if they are out of date.
    Options of pipshim come before the command: everything after its name
    belongs to the command.

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

    def request(self, options: Values, args: list[str]) -> RunRequest:
        return RunRequest(**self.installing(options), run=_run_options(options, args))

    def act(self, request: RunRequest, pip: PipCommand) -> Replacement:
        """Prepare the environment, and return the process to become.

        Raises:
            PipshimError: the environment cannot be prepared, or there is no such command.

        """
        asked = request.run
        source = _source(request)
        script = _script(request, source)
        # What says itself what it needs, or is for Python alone to run, needs no project.
        word = asked.command[0] if asked.module is None else ""
        optional = asked.over.given or asked.script or word == "-" or up_to_date.is_script(word)
        with (
            reporting(request, pip.mask, "run") as report,
            open_context(
                request, pip, report.observer, script, optional=optional, isolated=asked.isolated
            ) as context,
        ):
            options = _typed(request, script)
            lock = None
            if context.bare or asked.no_sync:
                target = _as_it_is(context)
                idle = _idle(request) if context.bare else []
                if idle:
                    verb = "has" if len(idle) == 1 else "have"
                    context.say(
                        f"{' and '.join(idle)} {verb} no effect without a project", "warning"
                    )
                options = None if asked.no_sync else options
            else:
                outcome = sync(context, request, exact=context.place is not None)
                target, lock = outcome.target, outcome.lock
                report_sync(report, context, outcome)
                if not asked.over.given:
                    write_notes(context, request, outcome, command="run", options=options)
            folders: Sequence[Path] = [target.scripts]
            if asked.over.given:
                target, folders = _over(context, request, target, lock, options)
        return _replacement(request, target, folders, source)


def _run_options(values: Values, arguments: Sequence[str]) -> RunOptions:
    if values.module is None and not arguments:
        raise UsageError(
            "run: no command given", hint="pipshim run COMMAND…, or pipshim run -m MODULE…"
        )
    module, *words = values.module or (None, *arguments)
    files = _all_separated(values.with_requirements)
    scripts = tuple(one for one in files if one.endswith((".py", ".pyw")))
    return RunOptions(
        **option_table.RUN.fields(RunOptions, values),
        module=module,
        command=tuple(words),
        over=LockOptions(
            requirements=_all_separated(getattr(values, "with")),
            requirement_files=tuple(one for one in files if one not in scripts),
            scripts=scripts,
            editables=_all_separated(values.with_editable),
        ),
    )


def _all_separated(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(part for value in values for part in separated(value))


def _over(
    context: Context,
    request: RunRequest,
    target: Target,
    lock: Lock | None,
    options: tuple[str, ...] | None,
) -> tuple[Target, Sequence[Path]]:
    """Make a layer over the environment, unless that has everything; return its programs too."""
    below = BaseEnvironment(target)
    common = request.lock
    given = replace(
        request.run.over, constraints=common.constraints, preferences=common.preferences
    )
    layer = context.over(below, given)
    folders: Sequence[Path] = [target.scripts]
    if not layer.has_below():
        made = replace(
            request,
            lock=layer.request.lock,
            selection=SelectionOptions(compile=request.selection.compile),
            sync=SyncOptions(),
        )
        target = sync(layer, made, exact=True).target
        folders = programs(target, below)
    stamp(context, request, lock, target, command="run", options=options, layer=layer)
    return target, folders


def _source(request: RunRequest) -> bytes | None:
    """Read the script from standard input, if it comes from there."""
    if request.run.module is None and request.run.command[0] == "-":
        return sys.stdin.buffer.read()
    return None


def _script(request: RunRequest, source: bytes | None) -> Project | None:
    """Read the metadata of the script to run, if there is one with metadata."""
    if source is not None:
        return load_script(STDIN, source)
    asked = request.run
    if asked.module is not None:
        return None
    path = Path(asked.command[0])
    is_file = asked.script or (up_to_date.is_script(asked.command[0]) and path.is_file())
    return load_script(path) if is_file and path.suffix != ".pyz" else None


def _typed(request: RunRequest, script: Project | None) -> tuple[str, ...] | None:
    """Return the options before the command to run; None if they cannot be told apart."""
    asked = request.run
    if script is None:
        # Without metadata and without a name that says so it is a script for this option alone.
        return None if asked.script else typed("run", len(asked.command), module=asked.module)
    if script.script == STDIN:
        return None  # to know it is to read it
    return typed("run", len(asked.command) - 1)


def _idle(request: RunRequest) -> list[str]:
    """Return the options about the project's extras, groups or lock."""
    selection, asked = request.selection, request.sync
    given = {
        "--extra": selection.extras,
        "--all-extras": selection.all_extras,
        "--group": selection.groups,
        "--only-group": selection.only_groups,
        "--all-groups": selection.all_groups,
        "--locked": asked.locked,
        "--frozen": asked.frozen,
    }
    return [name for name, value in given.items() if value]


def _as_it_is(context: Context) -> Target:
    choice = context.choice
    if context.place is not None:
        context.place.use()
    if not choice.exists and not context.bare:
        raise TargetError(
            f"there is no environment to run in: {choice.directory or 'none is chosen'}",
            hint="leave out --no-sync, or create it: pipshim sync",
        )
    return choice.target


def _replacement(
    request: RunRequest, target: Target, folders: Sequence[Path], source: bytes | None
) -> Replacement:
    asked = request.run
    added = env_files.read(map(str, asked.env_files), os.environ)
    prefix = str(target.prefix) if target.is_venv else ""
    variables = up_to_date.activated(
        {**os.environ, **added}, prefix, os.pathsep.join(map(str, folders))
    )
    words = list(asked.command if asked.module is None else ("-m", asked.module, *asked.command))
    program, words = up_to_date.process(
        words, str(target.python), variables["PATH"], as_script=asked.script
    )
    if not target.is_venv and words[0] in {"python", "python3"}:
        program = str(target.python)
    if program is None:
        raise UsageError(
            _why_not(words[0], target),
            hint="add the package that provides it to the project, or pass --with NAME; "
            f"the commands of the environment are in {target.scripts}",
        )
    return Replacement(program, tuple(words), variables, source)


def _why_not(name: str, target: Target) -> str:
    path = Path(name)
    if os.sep in name and path.is_file() and not os.access(path, os.X_OK):
        return f"{name} is not executable"
    if path.suffix == ".py" and not path.exists():
        return f"there is no file or command named {name}"
    return f"command {name!r} was not found, neither in {target.prefix} nor on PATH"
