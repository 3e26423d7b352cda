"""``pipshim builds`` and its subcommands as a command of pip."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.base.errors import UsageError
from pipshim.base.spelling import nearest
from pipshim.cli.command_base import PlainCommand
from pipshim.cli.command_names import SUBCOMMANDS
from pipshim.model import option_table

if TYPE_CHECKING:
    from optparse import Values

SUMMARIES = {word: one.summary for word, one in SUBCOMMANDS["builds"].items()}


class BuildsCommand(PlainCommand):  # noqa: D101 made of the subcommands
    __doc__ = "\n".join(
        [
            "Show what was built, and from what.",
            "",
            *(f"- {word}: {summary}" for word, summary in SUMMARIES.items()),
            "",
            "For more help: pipshim builds show --help",
        ]
    )

    declared = option_table.BUILDS._replace(arguments=lambda *_: [*SUMMARIES])
    usage = "\n".join(["", *(f"      %prog {word} ..." for word in SUMMARIES)])

    def run(self, options: Values, args: list[str]) -> int:  # noqa: ARG002 all subcommands are elsewhere
        if not args:
            raise UsageError("builds: no subcommand given", hint=f"one of: {', '.join(SUMMARIES)}")
        raise UsageError(
            f"builds: there is no {args[0]!r}", hint=f"did you mean {nearest(args[0], SUMMARIES)}?"
        )
