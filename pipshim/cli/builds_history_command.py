"""``pipshim builds history`` and ``builds log`` as commands of pip."""

from __future__ import annotations

from optparse import SUPPRESS_HELP
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.errors import UsageError
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table
from pipshim.model.option_parsing import name
from pipshim.model.requests import BuildsHistoryRequest, BuildsLogRequest, shim_cache_directory

if TYPE_CHECKING:
    from optparse import Values


class _CacheCommand(PlainCommand):
    """A command that reads pipshim's cache only; no project counts."""

    def add_options(self) -> None:
        """Add the options; ``--project`` is a general one, which may stand anywhere."""
        super().add_options()
        self.cmd_opts.add_option("--project", help=SUPPRESS_HELP)

    def cache(self, options: Values) -> Path | None:
        """Return pipshim's cache folder, if there is one."""
        pip_cache = Path(options.cache_dir) if options.cache_dir else None
        return shim_cache_directory(pip_cache, self.environ)


class BuildsHistoryCommand(_CacheCommand):
    """Show what was built when, how long it took, and how much memory.

    These are the builds of wheels by all commands on this machine, the
    newest last: duration, processor time, the most memory that all processes
    of a build used together, and how it ended. pipshim plans builds by it.

    For example:
      pipshim builds history
      pipshim builds history flash-attn --output-format json
    """

    usage = """
      %prog [options] [<package> ...]"""

    declared = option_table.BUILDS_HISTORY

    def run(self, options: Values, args: list[str]) -> int:
        """Show the builds.

        Raises:
            PipshimError: there is no cache.

        """
        from pipshim.cli import builds_history  # noqa: PLC0415 not needed for help and completion

        return builds_history.main(
            BuildsHistoryRequest(
                **self.declared.fields("history", options),
                cache=self.cache(options),
                names=tuple(map(name, args)),
                as_json=options.output_format == "json",
                no_color=bool(options.no_color),
            )
        )


class BuildsLogCommand(_CacheCommand):
    """Show what the last build of a package printed.

    On a terminal a pager shows it (PAGER).

    For example:
      pipshim builds log flash-attn
    """

    usage = """
      %prog [options] <package>"""

    declared = option_table.BUILDS_LOG

    def run(self, options: Values, args: list[str]) -> int:
        """Show the log.

        Raises:
            UsageError: no package is named, or several are.
            PipshimError: there is no log of it.

        """
        from pipshim.cli import builds_history  # noqa: PLC0415 not needed for help and completion

        if len(args) != 1:
            problem = "no package is named" if not args else "name one package"
            raise UsageError(f"builds log: {problem}", hint="pipshim builds log NAME")
        return builds_history.show_log(BuildsLogRequest(self.cache(options), name(args[0])))
