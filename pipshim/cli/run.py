"""``pipshim run``: lock and sync where that is due, then become the command."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim import env_files, fresh
from pipshim.cli.boundary import Replacement
from pipshim.cli.report import reporting
from pipshim.cli.sync import remember, sync, tell
from pipshim.context import Context, opened
from pipshim.errors import TargetError, UsageError
from pipshim.project import STDIN, load_script
from pipshim.stamping import typed

if TYPE_CHECKING:
    from pipshim.cli.options import RunRequest
    from pipshim.project import Project
    from pipshim.target import Target


def main(request: RunRequest) -> Replacement:
    """Make the environment ready, and say what to become.

    Raises:
        PipshimError: the environment cannot be made ready, or there is no such command.

    """
    source = _source(request)
    script = _script(request, source)
    with reporting(request, "run") as report, opened(request, report.observer, script) as context:
        if context.place is not None:
            context.place.use()
        if request.run.no_sync:
            target = _as_it_is(context)
        else:
            outcome = sync(context, request, exact=context.place is not None)
            target = outcome.target
            tell(report, context, outcome)
            remember(context, request, outcome, command="run", options=_typed(request, script))
    return _replacement(request, target, source)


def _source(request: RunRequest) -> bytes | None:
    """Read the script that comes from standard input, if one does."""
    if request.run.module is None and request.run.command[0] == "-":
        return sys.stdin.buffer.read()
    return None


def _script(request: RunRequest, source: bytes | None) -> Project | None:
    """Read the metadata of the script that is to be run, if it is one that has some."""
    if source is not None:
        return load_script(STDIN, source)
    asked = request.run
    if asked.module is not None:
        return None
    path = Path(asked.command[0])
    is_file = asked.script or (fresh.is_script(asked.command[0]) and path.is_file())
    return load_script(path) if is_file and path.suffix != ".pyz" else None


def _typed(request: RunRequest, script: Project | None) -> tuple[str, ...] | None:
    """Tell what was typed before what is the command's own; None if there is no telling."""
    asked = request.run
    if script is None:
        # Without metadata and without a name that says so it is a script for this option alone.
        return None if asked.script else typed("run", len(asked.command), module=asked.module)
    if script.script == STDIN:
        return None  # to know it is to read it
    if sys.argv[1:2] != ["run"]:
        return None
    return tuple(sys.argv[2 : len(sys.argv) - len(asked.command) + 1])


def _as_it_is(context: Context) -> Target:
    choice = context.choice
    if not choice.exists:
        raise TargetError(
            f"there is no environment to run in: {choice.directory or 'none is chosen'}",
            hint="leave out --no-sync, or make it: pipshim sync",
        )
    return choice.target


def _replacement(request: RunRequest, target: Target, source: bytes | None) -> Replacement:
    asked = request.run
    added = env_files.read(map(str, asked.env_files), os.environ)
    variables = fresh.activated({**os.environ, **added}, str(target.prefix), str(target.scripts))
    words = list(asked.command if asked.module is None else ("-m", asked.module, *asked.command))
    program, words = fresh.process(
        words, str(target.python), variables["PATH"], as_script=asked.script
    )
    if program is None:
        raise UsageError(
            _why_not(words[0], target),
            hint=f"add the package that brings it to the project, or see what is in "
            f"{target.scripts}",
        )
    return Replacement(program, tuple(words), variables, source)


def _why_not(name: str, target: Target) -> str:
    path = Path(name)
    if os.sep in name and path.is_file() and not os.access(path, os.X_OK):
        return f"{name} is not executable"
    if path.suffix == ".py" and not path.exists():
        return f"there is no file {name}, and no command of that name either"
    return f"there is no command {name!r} in the environment {target.prefix}, nor on PATH"
