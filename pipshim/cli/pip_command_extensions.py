"""pip's ``cache``, ``completion`` and ``debug``, with what pipshim adds to their output.

``pipshim.cli.pip_main`` registers them instead of pip's.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING

from pipshim._pip import extended_commands as pips
from pipshim._pip import pip_texts
from pipshim._pip.commands import program
from pipshim.cli.supported_pip import version_text, versions

if TYPE_CHECKING:
    from optparse import Values


class CacheCommand(pips.CacheCommand):  # noqa: D101 it has that of pip
    __doc__ = pips.CacheCommand.__doc__ and pips.CacheCommand.__doc__.replace(
        pip_texts.PURGE_HELP.text,
        f"{pip_texts.PURGE_HELP.text}    - store: Inspect and clear what pipshim adds to it.\n",
    )
    usage = f"{pips.CacheCommand.usage.rstrip()}\n        %prog store --help\n    "


class CompletionCommand(pips.CompletionCommand):  # noqa: D101 it has that of pip
    __doc__ = pips.CompletionCommand.__doc__

    def run(self, options: Values, args: list[str]) -> int:
        """Print pip's script, for the name that pipshim was called by."""
        script = StringIO()
        with redirect_stdout(script):
            status = super().run(options, args)
        text, prog = script.getvalue(), program()
        if prog.endswith(" -m pipshim"):
            # A shell completes the command by its name, however this script was made.
            text, prog = text.replace(prog, "pipshim"), "pipshim"
        sys.stdout.write(_for_program(text, prog))
        return status


def _for_program(script: str, prog: str) -> str:
    """Adapt pip's script to another program; only zsh's has a pattern of names for it.

    Without ``--``, zsh's takes the words to offer for options of its own.
    """
    start = pip_texts.COMPLETION_START.text
    script = script.replace(f"{start}\n", f"{start}: {versions()}\n")
    script = script.replace(pip_texts.COMPLETION_OF_ZSH.text, "compadd -- $(")
    if not prog.startswith("pipshim"):
        return script
    for original, other in (
        (pip_texts.NAMES_IN_ZSH, prog),
        (pip_texts.NAME_OF_ZSH_SCRIPT, prog),
        (pip_texts.COMPLETED_PROGRAM, f"# {prog} "),
        (pip_texts.COMPLETION_FUNCTION, "_pipshim"),
    ):
        script = script.replace(original.text, other)
    return script


class DebugCommand(pips.DebugCommand):  # noqa: D101 it has that of pip
    __doc__ = pips.DebugCommand.__doc__

    def run(self, options: Values, args: list[str]) -> int:
        pips.show_value("pipshim version", version_text())
        return super().run(options, args)
