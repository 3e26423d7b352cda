"""Find out whether a build compiled for the processor of this machine (``-march=native``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.model.build_variables import COMPILER_VARIABLES
from pipshim.model.machine_needs import is_native

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.builds.hooks import Hooks


def is_for_this_processor(hooks: Hooks) -> bool:
    """Return whether a compiler of the build was told to compile for this machine's processor.

    That shows in the command lines that Python started, in those that were running when the build
    was sampled, in the variables that compilers read, and in what the build printed.
    """
    flags = [value for name, value in hooks.variables.items() if COMPILER_VARIABLES.match(name)]
    return (
        hooks.usage.is_native
        or any(map(is_native, hooks.trace.options))
        or any(map(is_native, flags))
        or log_is_native(hooks.log)
    )


def log_is_native(log: Path) -> bool:
    """Return whether a log has command lines that compile for this machine's processor."""
    try:
        with log.open(encoding="utf-8", errors="replace") as file:
            return any(map(is_native, file))
    except OSError:
        return False
