"""``pipshim cache store`` as a command of pip."""

from __future__ import annotations

from optparse import SUPPRESS_HELP
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim._pip.commands import program
from pipshim.cli import cache_store
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table
from pipshim.model.requests import StoreRequest, shim_cache_directory

if TYPE_CHECKING:
    from optparse import Values


class StoreCommand(PlainCommand):
    """Inspect and clear what pipshim adds to the cache.

    These are the wheels that it has unpacked, the results of builds with their
    records, the logs of builds, and what it asked of interpreters. All other
    subcommands of "cache" are pip's, for pip's own part.

    - info: Show where it is, and how much there is of what.
    - list: List built wheels, and what they were built against.
    - remove: Remove the results of building a package.
    - prune: Remove what nothing refers to, and what was not used for long.
    - verify: Find files that were edited, and remove what has them.

    A pattern is a name, or a glob of names. Nothing is removed while another
    command of pipshim is at work.
    """

    declared = option_table.STORE
    usage = """
      %prog info [--format text|json]
      %prog list [<pattern>] [--format text|json]
      %prog remove [--dry-run] <name>[==<version>] ...
      %prog prune [--days <n>] [--dry-run]
      %prog verify [--dry-run]"""

    def __init__(
        self,
        # One name for pip's configuration (``[cache]`` is that of its own command).
        name: str = "cache-store",
        summary: str = "Inspect and clear pipshim's cache.",
        isolated: bool = False,
    ) -> None:
        super().__init__(name, summary, isolated)
        self.parser.prog = f"{program()} cache store"

    def add_options(self) -> None:
        self.cmd_opts.title = "Store Options"
        super().add_options()
        # It is a general option, which may stand anywhere; no project counts here.
        self.cmd_opts.add_option("--project", help=SUPPRESS_HELP)

    def run(self, options: Values, args: list[str]) -> int:
        pip_cache = Path(options.cache_dir) if options.cache_dir else None
        return cache_store.main(
            StoreRequest(
                **self.declared.fields("store", options),
                cache=shim_cache_directory(pip_cache, self.environ),
                action=args[0] if args else "",
                arguments=tuple(args[1:]),
                as_json=options.format == "json",
                verbosity=self.verbosity,
            )
        )
