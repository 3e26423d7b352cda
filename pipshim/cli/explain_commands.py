"""``pipshim tree`` and ``why`` as commands of pip."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pipshim.base.errors import UsageError
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table
from pipshim.model.option_parsing import name
from pipshim.model.requests import SelectionOptions, TreeRequest, WhyRequest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from optparse import Values
    from typing import Any

    from pipshim.model.project import Project
    from pipshim.model.pylock import Lock


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

    declared = option_table.TREE

    def run(self, options: Values, args: list[str]) -> int:
        from pipshim.cli import tree  # noqa: PLC0415 not needed for help and completion

        selection = SelectionOptions(**self.declared.fields("selection", options))
        return tree.main(
            TreeRequest(
                **_explaining(self, options, args),
                **self.declared.fields("tree", options),
                selection=selection if selection != SelectionOptions() else None,
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

    declared = option_table.WHY

    def run(self, options: Values, args: list[str]) -> int:
        from pipshim.cli import why  # noqa: PLC0415 not needed for help and completion

        if not args:
            raise UsageError("why: no package given", hint="pipshim why NAME")
        return why.main(
            WhyRequest(**_explaining(self, options, args), **self.declared.fields("why", options))
        )


def _explaining(command: PlainCommand, options: Values, args: Sequence[str]) -> dict[str, Any]:
    common = command.declared.fields("common", options)
    return {
        **command.declared.fields("explain", options),
        "names": tuple(map(name, args)),
        "project": common["project"],
        "as_json": common["output_format"] == "json",
        "no_color": bool(options.no_color),
        "verbosity": command.verbosity,
        "inputs_now": partial(_inputs_now, isolated=options.isolated_mode),
    }


def _inputs_now(project: Project, lock: Lock, *, isolated: bool) -> str:
    from pipshim.cli.project_commands import inputs_now  # noqa: PLC0415 imports all of pip's machinery

    return inputs_now(project, lock, isolated=isolated)
