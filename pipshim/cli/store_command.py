"""``pipshim cache store`` as a command of pip: its parser, general options and configuration."""

from __future__ import annotations

import os
from functools import partial
from inspect import cleandoc
from optparse import SUPPRESS_HELP
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim._pip import patches
from pipshim._pip.commands import Command, program
from pipshim._pip.parser import ProjectParser
from pipshim.cli import cache
from pipshim.cli.error_boundary import run_guarded
from pipshim.model import options as option_table
from pipshim.model.requests import StoreRequest, shim_cache_directory

if TYPE_CHECKING:
    from optparse import Values


class StoreCommand(Command):
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

    ignore_require_venv = True
    usage = """
      %prog info [--format text|json]
      %prog list [<pattern>] [--format text|json]
      %prog remove [--dry-run] <name>[==<version>] ...
      %prog prune [--days <n>] [--dry-run]
      %prog verify [--dry-run]"""

    parser: ProjectParser

    def __init__(
        self,
        # One name for pip's configuration (``[cache]`` is that of its own command).
        name: str = "cache-store",
        summary: str = "Inspect and clear pipshim's cache.",
        isolated: bool = False,
    ) -> None:
        super().__init__(name, summary, isolated)
        self._environ = {} if isolated else os.environ
        patches.become(self.parser, ProjectParser)
        self.parser.prog = f"{program()} cache store"
        self.parser.description = cleandoc(self.__doc__ or "")

    def add_options(self) -> None:
        """Add what other commands do not have."""
        self.cmd_opts.title = "Store Options"
        self._own = option_table.store_options()
        for option in self._own:
            self.cmd_opts.add_option(option)
        # It is a general option, which may stand anywhere; no project counts here.
        self.cmd_opts.add_option("--project", help=SUPPRESS_HELP)
        self.parser.insert_option_group(0, self.cmd_opts)

    def parse_args(self, args: list[str]) -> tuple[Values, list[str]]:
        """Parse; variables of pipshim's are between pip's and the command line.

        Raises:
            UsageError: a variable says nothing sensible.

        """
        values = self.parser.get_default_values()
        option_table.read_variables(self._own, values, self._environ)
        values, rest = self.parser.parse_args(args, values)
        values.python = None  # no environment is served
        return values, rest

    def _run_wrapper(self, level_number: int, options: Values, args: list[str]) -> int:  # noqa: ARG002
        return run_guarded(
            partial(self.run, options, args),
            debug=options.debug_mode,
            no_color=bool(options.no_color),
        )

    def run(self, options: Values, args: list[str]) -> int:
        """Do the work.

        Raises:
            PipshimError: what was asked for cannot be done.

        """
        pip_cache = Path(options.cache_dir) if options.cache_dir else None
        return cache.main(
            StoreRequest(
                cache=shim_cache_directory(pip_cache, self._environ),
                action=args[0] if args else "",
                arguments=tuple(args[1:]),
                days=options.days,
                dry_run=options.dry_run,
                as_json=options.output_format == "json",
                verbosity=self.verbosity,
            )
        )
