"""``pipshim export`` as a command of pip's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.base.errors import UsageError
from pipshim.cli.project_commands import SyncCommand
from pipshim.model import option_table
from pipshim.model.requests import ExportOptions, ExportRequest, SelectionOptions

if TYPE_CHECKING:
    from optparse import Values

    from pipshim.cli.project_commands import Action


class ExportCommand(SyncCommand):
    """Write what is locked as a requirements file, with hashes.

    If the lock is missing or out of date, it is made first. The project
    itself is not written: its hash changes with every change of it.
    """

    usage = """
      %prog [options]
      %prog [options] -r <lock file>"""

    declared = option_table.EXPORT

    def load_action(self) -> Action:
        from pipshim.cli.export import main  # noqa: PLC0415 not needed for help and completion

        return main

    def request(self, options: Values, args: list[str]) -> ExportRequest:
        """Return the request.

        Raises:
            UsageError: arguments were given, or requirements in place of a lock.

        """
        if args:
            raise UsageError(
                f"export takes no arguments: {' '.join(args)}",
                hint="it exports the lock: pipshim lock makes one",
            )
        made = self.installing(options)
        if made["lock"].given:
            files = " ".join(f"-r {one}" for one in made["lock"].requirement_files)
            raise UsageError(
                f"export reads a lock, and {files} is not one",
                hint=f"lock it first: pipshim lock {files}",
            )
        export = ExportOptions(**self.declared.fields("export", options))
        if export.build is not None and made["selection"] != SelectionOptions(exact=None):
            raise UsageError(
                "--build exports one build environment; leave out the options that select extras, "
                "groups or packages"
            )
        return ExportRequest(**made, export=export)
