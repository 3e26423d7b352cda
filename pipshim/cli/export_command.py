"""``pipshim export`` as a command of pip's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.base.errors import UsageError
from pipshim.cli import option_values
from pipshim.cli.project_commands import SyncCommand
from pipshim.model import options as option_table
from pipshim.model.requests import ExportRequest, SelectionOptions

if TYPE_CHECKING:
    from optparse import Values

_INSTALLING = (
    "--reinstall",
    "--reinstall-package",
    "--no-editable",
    "--no-install-project",
    "--compile",
    "--no-compile",
)


class ExportCommand(SyncCommand):
    """Write what is locked as a requirements file, with hashes.

    If the lock is missing or out of date, it is made first. The project
    itself is not written: its hash changes with every change of it.
    """

    usage = """
      %prog [options]
      %prog [options] -r <lock file>"""

    _EXCLUSIVE = (("locked", "frozen"),)
    _KEPT = ("--requirement",)

    def _say_what_is_given(self) -> None:
        option = self.parser.get_option("--requirement")
        assert option is not None
        option.help = "Export this lock (pylock.toml, pylock.NAME.toml), as it is."

    def _add_last_options(self) -> None:
        for name in _INSTALLING:
            self.parser.remove_option(name)
        self._add(self.cmd_opts, option_table.export_options())
        self.parser.set_defaults(exact=False, inexact=False, check=False, dry_run=False)

    def request(self, options: Values, args: list[str]) -> ExportRequest:
        """Say what was asked.

        Raises:
            UsageError: arguments were given, or requirements in place of a lock.

        """
        if args:
            raise UsageError(
                f"export takes no arguments: {' '.join(args)}",
                hint="it exports what is locked: pipshim lock",
            )
        made = self._installing(options)
        if made["lock"].given:
            files = " ".join(f"-r {one}" for one in made["lock"].requirement_files)
            raise UsageError(
                f"export writes what is locked, and {files} is no lock",
                hint=f"lock it first: pipshim lock {files}",
            )
        export = option_values.export_of(options)
        if export.build is not None and made["selection"] != SelectionOptions(exact=None):
            raise UsageError("--build is about one package, not about extras and groups")
        return ExportRequest(**made, export=export)
