"""``pipshim builds show`` as a command of pip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.base.errors import UsageError
from pipshim.cli.project_commands import SyncCommand
from pipshim.model import option_table
from pipshim.model.option_parsing import name
from pipshim.model.requests import BuildsShowRequest

if TYPE_CHECKING:
    from optparse import Values

    from pipshim.cli.project_commands import Action


class BuildsShowCommand(SyncCommand):
    """Show what a wheel was built from, and whether it would be reused now.

    These are the wheels that the cache has of a package: the source, the
    settings and the distributions that each was built from and against, the
    log of its build, and whether sync would reuse it now. What differs is
    told in words. Nothing is locked, built or installed.

    For example:
      pipshim builds show flash-attn
      pipshim builds show --all flash-attn    those of other sources too
    """

    usage = """
      %prog [options] <package> ..."""

    declared = option_table.BUILDS_SHOW

    def load_action(self) -> Action:
        """Import what does the work."""
        from pipshim.cli.builds_show import main  # noqa: PLC0415 not needed for help and completion

        return main

    def request(self, options: Values, args: list[str]) -> BuildsShowRequest:
        """Return what was asked.

        Raises:
            UsageError: no package is named.

        """
        if not args:
            raise UsageError("builds show: no package given", hint="pipshim builds show NAME")
        return BuildsShowRequest(
            **self.installing(options),
            **self.declared.fields("show", options),
            names=tuple(map(name, args)),
        )
