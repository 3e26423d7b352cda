"""Commands that need neither index nor environment: pip's general options and configuration only.

They import a part of pip's machinery: what parses, not what resolves and installs.
"""

from __future__ import annotations

import os
from functools import partial
from inspect import cleandoc
from typing import TYPE_CHECKING

from pipshim._pip import patches
from pipshim._pip.commands import Command
from pipshim._pip.parser import ProjectParser
from pipshim.base.errors import UsageError
from pipshim.cli import option_values
from pipshim.cli.error_boundary import run_guarded
from pipshim.model import options as option_table
from pipshim.model.requests import SelectionOptions, TreeRequest, WhyRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from optparse import Option, Values
    from typing import Any

    from pipshim.model.project import Project
    from pipshim.model.pylock import Lock


class PlainCommand(Command):
    """What these commands have in common.

    Attributes:
        own: pipshim's options, which PIPSHIM_* variables set too.

    """

    ignore_require_venv = True
    parser: ProjectParser
    own: Sequence[Option] = ()

    def __init__(self, name: str, summary: str, isolated: bool = False) -> None:
        super().__init__(name, summary, isolated)
        self.environ: Mapping[str, str] = {} if isolated else os.environ
        # pip makes its parser itself and has no place to name another class.
        patches.become(self.parser, ProjectParser)
        self.parser.description = cleandoc(self.__doc__ or "")

    def add_options(self) -> None:
        """Add pipshim's options, before pip's general ones."""
        for option in self.own:
            self.cmd_opts.add_option(option)
        self.parser.insert_option_group(0, self.cmd_opts)

    def parse_args(self, args: list[str]) -> tuple[Values, list[str]]:
        """Parse; variables of pipshim's are between pip's and the command line.

        Raises:
            UsageError: a variable says nothing sensible.

        """
        values = self.parser.get_default_values()
        option_table.read_variables(self.own, values, self.environ)
        values, rest = self.parser.parse_args(args, values)
        values.python = None  # no environment is served
        return values, rest

    def _run_wrapper(self, level_number: int, options: Values, args: list[str]) -> int:  # noqa: ARG002
        return run_guarded(
            partial(self.run, options, args),
            debug=options.debug_mode,
            no_color=bool(options.no_color),
        )


class TreeCommand(PlainCommand):
    """Show what the lock has as a tree: what needs what.

    Without names it begins at the project, with all of its extras and
    dependency groups; options that choose some of them mean what they mean
    for sync. With names it begins at these packages. (*) marks what has been
    shown above.

    For example:
      pipshim tree --depth 1                what the project requires itself
      pipshim tree --builds flash-attn      what it is built with, too
      pipshim tree --invert numpy           what needs numpy
    """

    usage = """
      %prog [options]
      %prog [options] <package> ...
      %prog [options] --invert <package> ..."""

    def __init__(self, name: str, summary: str, isolated: bool = False) -> None:
        self.own = (*option_table.tree_options(), *option_table.explain_options())
        super().__init__(name, summary, isolated)

    def run(self, options: Values, args: list[str]) -> int:
        """Show the tree.

        Raises:
            PipshimError: there is no lock, or it does not have what is asked for.

        """
        from pipshim.cli import tree  # noqa: PLC0415 not needed for help and completion

        chosen = option_values.choice_of(options)
        return tree.main(
            TreeRequest(
                **_explaining(self, options, args),
                selection=chosen if chosen != SelectionOptions() else None,
                invert=bool(options.invert),
                builds=bool(options.builds),
                depth=options.depth,
                dedupe=not options.no_dedupe,
            )
        )


class WhyCommand(PlainCommand):
    """Say why a package is in the lock: the chains that lead to it.

    The shortest come first, and those of build environments last. Each
    package is followed by what is asked of it: versions, marker, and the
    project's extra or dependency group.

    For example:
      pipshim why numpy
      pipshim why numpy --limit 50 --output-format json
    """

    usage = """
      %prog [options] <package> ..."""

    def __init__(self, name: str, summary: str, isolated: bool = False) -> None:
        self.own = (*option_table.why_options(), *option_table.explain_options())
        super().__init__(name, summary, isolated)

    def run(self, options: Values, args: list[str]) -> int:
        """Say why.

        Raises:
            UsageError: no package is named.
            PipshimError: there is no lock, or it does not have the package.

        """
        from pipshim.cli import why  # noqa: PLC0415 not needed for help and completion

        if not args:
            raise UsageError("why: no package is named", hint="pipshim why NAME")
        return why.main(WhyRequest(**_explaining(self, options, args), limit=options.limit))


def _explaining(command: PlainCommand, options: Values, args: Sequence[str]) -> dict[str, Any]:
    return {
        "names": tuple(map(option_table.name, args)),
        "project": options.project,
        "lock": options.lock,
        "as_json": options.output_format == "json",
        "no_color": bool(options.no_color),
        "verbosity": command.verbosity,
        "inputs_now": partial(_inputs_now, isolated=options.isolated_mode),
    }


def _inputs_now(project: Project, lock: Lock, *, isolated: bool) -> str:
    from pipshim.cli.project_commands import inputs_now  # noqa: PLC0415 imports all of pip's machinery

    return inputs_now(project, lock, isolated=isolated)
