"""``pipshim run``: lock and sync where that is due, then become the command."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.cli.boundary import Replacement
from pipshim.cli.report import reporting
from pipshim.cli.sync import remember, sync, tell
from pipshim.context import Context, opened
from pipshim.errors import TargetError, UsageError
from pipshim.stamping import typed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipshim.cli.options import RunRequest
    from pipshim.target import Target


def main(request: RunRequest) -> Replacement:
    """Make the environment ready, and say what to become.

    Raises:
        PipshimError: the environment cannot be made ready, or there is no such command.

    """
    with reporting(request, "run") as report, opened(request, report.observer) as context:
        if request.run.no_sync:
            target = _as_it_is(context)
        else:
            outcome = sync(context, request, exact=False)
            target = outcome.target
            tell(report, context, outcome)
            remember(
                context,
                request,
                outcome,
                command="run",
                options=typed("run", len(request.run.command), module=request.run.module),
            )
    return _replacement(request, target)


def _as_it_is(context: Context) -> Target:
    choice = context.choice
    if not choice.exists:
        raise TargetError(
            f"there is no environment to run in: {choice.directory or 'none is chosen'}",
            hint="leave out --no-sync, or make it: pipshim sync",
        )
    return choice.target


def _replacement(request: RunRequest, target: Target) -> Replacement:
    variables = _variables(target)
    arguments = request.run.command
    if request.run.module is not None:
        arguments = ("-m", request.run.module, *arguments)
        return Replacement(target.python, (str(target.python), *arguments), variables)
    name = arguments[0]
    program = shutil.which(name, path=variables["PATH"])
    if program is None:
        raise UsageError(
            _why_not(name, target),
            hint=f"add the package that brings it to the project, or see what is in "
            f"{target.scripts}",
        )
    # As it is: a Path would say tool for ./tool, and scripts see that as their $0.
    return Replacement(program, (name, *arguments[1:]), variables)


def _why_not(name: str, target: Target) -> str:
    path = Path(name)
    if os.sep in name and path.is_file() and not os.access(path, os.X_OK):
        return f"{name} is not executable"
    if path.suffix == ".py" and path.is_file():
        return f"{name} is a script, not a command: run python {name}"
    return f"there is no command {name!r} in the environment {target.prefix}, nor on PATH"


def _variables(target: Target) -> Mapping[str, str]:
    """Make the environment's variables as its activation script would."""
    variables = {key: value for key, value in os.environ.items() if key != "PYTHONHOME"}
    variables["VIRTUAL_ENV"] = str(target.prefix)
    variables["PATH"] = os.pathsep.join([str(target.scripts), os.environ.get("PATH", os.defpath)])
    return variables
