"""``pipshim export``: the lock as a requirements file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import write_file
from pipshim.base.errors import UsageError
from pipshim.cli.command_report import reporting
from pipshim.cli.context import open_context
from pipshim.cli.project_commands import FollowingCommand
from pipshim.cli.sync import lock_of, write_lock
from pipshim.lock.requirements_export import Where, write, write_build
from pipshim.model import option_table
from pipshim.model.requests import ExportOptions, ExportRequest, SelectionOptions
from pipshim.model.selection import chosen_of
from pipshim.model.universal_lock import lock_for
from pipshim.model.workspace_selection import selected
from pipshim.progress.formatting import plural

if TYPE_CHECKING:
    from optparse import Values

    from pipshim.cli.command_base import PipCommand


class ExportCommand(FollowingCommand):
    """Write the lock as a requirements file, with hashes.

    If the lock is missing or out of date, it is made first. The project
    itself is left out: its hash changes with every edit.
    """

    usage = """
      %prog [options]
      %prog [options] -r <lock file>"""

    declared = option_table.EXPORT

    def request(self, options: Values, args: list[str]) -> ExportRequest:
        made = self.following(options, args, "it exports the lock: pipshim lock makes one")
        export = ExportOptions(**self.declared.fields(ExportOptions, options))
        if export.build is not None and made["selection"] != SelectionOptions(exact=None):
            raise UsageError(
                "--build exports one build environment; leave out the options that select extras, "
                "groups or packages"
            )
        return ExportRequest(**made, export=export)

    def act(self, request: ExportRequest, pip: PipCommand) -> int:
        """Write the lock as requirements; make it first if needed.

        Raises:
            PipshimError: it cannot be locked or written; existing files are unchanged.

        """
        asked = request.export
        output = None if asked.output in (None, "-") else Path(str(asked.output))
        with (
            reporting(request, pip.mask, "export") as report,
            open_context(request, pip, report.observer) as context,
        ):
            lock = lock_of(context, request)
            where = Where(context.lock_path, Path.cwd())
            selection = selected(request.selection, context.project, lock)
            if asked.build is not None:
                chosen = chosen_of(lock, selection, context.lock_path)
                combination = lock.conflicts.chosen_by(chosen.origins)
                part = lock_for(lock, context.target.markers, combination)
                text = write_build(part, asked.build, asked, where)
            else:
                project = context.project.name if context.project is not None else None
                text = write(lock, selection, asked, where, project)
            write_lock(context, lock)
            if output is None:
                sys.stdout.write(text)
            else:
                write_file(output, text)
                count = sum(line[0] not in "# " for line in text.splitlines())
                report.text = f"exported {plural(count, 'requirement')} to {output}\n"
        return 0
