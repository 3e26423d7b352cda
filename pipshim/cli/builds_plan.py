"""``pipshim builds plan``: what a sync would have to build, as JSON for any machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import write_file
from pipshim.base.errors import UsageError
from pipshim.builds.plan_writer import PlanWriter
from pipshim.cli.command_report import reporting
from pipshim.cli.context import Context, open_context
from pipshim.cli.project_commands import FollowingCommand
from pipshim.cli.sync import lock_of, part_of, write_lock
from pipshim.model import option_table
from pipshim.model.requests import BuildsPlanRequest
from pipshim.progress.formatting import plural
from pipshim.sync.synchronizer import Sync

if TYPE_CHECKING:
    from optparse import Values

    from pipshim.cli.command_base import PipCommand
    from pipshim.model.plan_file import PlanFile


class BuildsPlanCommand(FollowingCommand):
    """Write what a sync would have to build as JSON, for any machine.

    The plan has all that builds need: sources and build environments as URLs
    and hashes, settings, and what each build needs of another. Nothing is
    built or installed. ``pipshim builds run`` builds it on any machine with
    the same Python and platform. With -o, the names of the packages that are
    built are printed, one a line.

    For example:
      pipshim builds plan -o plan.json
      pipshim builds plan --missing         without what is built already
      pipshim builds plan --tool nvcc       for machines with the same nvcc
    """

    usage = """
      %prog [options]
      %prog [options] -r <lock file>"""

    declared = option_table.BUILDS_PLAN

    def request(self, options: Values, args: list[str]) -> BuildsPlanRequest:
        hint = "select packages with --extra and --group, or name them to builds run"
        made = self.following(options, args, hint)
        return BuildsPlanRequest(**made, **self.declared.fields(BuildsPlanRequest, options))

    def act(self, request: BuildsPlanRequest, pip: PipCommand) -> int:
        """Write the plan; make the lock first if needed.

        Raises:
            PipshimError: it cannot be locked or written; existing files are unchanged.

        """
        output = None if request.output in (None, "-") else Path(str(request.output))
        with (
            reporting(request, pip.mask, "builds plan") as report,
            open_context(request, pip, report.observer) as context,
        ):
            lock = lock_of(context, request)
            part, selection = part_of(context, request, lock)
            sync = Sync(context, part, selection, request.selection, exact=None)
            plan = _plan(context, sync, request)
            write_lock(context, lock)
            for one in plan.left_out:
                label = f"{one.name} {one.version or ''}".rstrip()
                context.say(f"{label} is not in the plan: {one.reason}", "warning")
            if output is None:
                sys.stdout.write(plan.write())
            else:
                write_file(output, plan.write())
                names = dict.fromkeys(one.name for one in plan.builds)
                sys.stdout.write("".join(f"{name}\n" for name in names))
                report.text = f"planned {plural(len(plan.builds), 'build')} in {output}\n"
        return 0


def _plan(context: Context, sync: Sync, request: BuildsPlanRequest) -> PlanFile:
    target = context.target if context.choice.exists else None
    sync.plan(target)  # tells what builds without isolation see of the environment
    sync.builds.start()
    writer = PlanWriter(context.builder)
    solution = sync.builds.solution
    for pin in solution.pins.values():
        if pin.source is None:
            continue
        build = sync.builds.request(pin.source, solution)
        if request.missing and context.builder.origin(build) != "built":
            continue
        writer.add(build)
    for folder in sync.selection.folders:
        writer.leave_out(folder.name, "", "it is built from its folder")
    return writer.plan(_tools(context, request.tools))


def _tools(context: Context, names: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for name in names:
        tool = context.builder.records.tool(name)
        if tool is None:
            raise UsageError(f"--tool {name}: there is no {name} on this machine")
        found[name] = tool.version
    return found
