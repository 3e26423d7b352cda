"""``pipshim export``: the lock as a requirements file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import write_file
from pipshim.cli.command_report import reporting
from pipshim.cli.context import open_context
from pipshim.cli.sync import lock_of, write_lock
from pipshim.lock.requirements_export import Style, Where, write, write_build
from pipshim.model.selection import combination_of
from pipshim.model.universal_lock import lock_for
from pipshim.model.workspace_selection import selected
from pipshim.progress.formatting import plural

if TYPE_CHECKING:
    from pipshim._pip.commands import PipCommand
    from pipshim.model.requests import ExportRequest


def main(request: ExportRequest, pip: PipCommand) -> int:
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
        style = Style(hashes=asked.hashes, header=asked.header, annotate=asked.annotate)
        where = Where(context.lock_path, Path.cwd())
        if asked.build is not None:
            wanted = selected(request.selection, context.project)
            combination = combination_of(lock, wanted, context.lock_path)
            part = lock_for(lock, context.target.markers, combination)
            text = write_build(part, asked.build, style, where)
        else:
            project = context.project.name if context.project is not None else None
            selection = selected(request.selection, context.project)
            text = write(lock, selection, style, where, project)
        write_lock(context, lock)
        if output is None:
            sys.stdout.write(text)
        else:
            write_file(output, text)
            count = sum(line[0] not in "# " for line in text.splitlines())
            report.text = f"exported {plural(count, 'requirement')} to {output}\n"
    return 0
