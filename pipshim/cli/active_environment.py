"""Which environment a command of pip's acts on, where pipshim is not in the active one.

pip acts on the environment that it is installed in, and so does pipshim. But a pipshim on PATH may
serve many environments, which need not have one: called by its name, it serves the active one, as
pipshim's own commands do. tox with ``install_command = pipshim install {opts} {packages}`` is so.
"""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ACTING = frozenset(
    {
        "check",
        "download",
        "freeze",
        "inspect",
        "install",
        "list",
        "show",
        "uninstall",
        "wheel",
    }
)
"""Commands of pip's that read or change an environment, or look for files that suit its Python."""


def options(
    command: str | None, before: Sequence[str], environ: Mapping[str, str], program: str
) -> list[str]:
    """Give the options that make pip act on the active environment; none where it does by itself.

    Args:
        command: pip's command.
        before: what was typed before it.
        environ: VIRTUAL_ENV, PATH and PIP_PYTHON count.
        program: what was started (``sys.argv[0]``): the script on PATH, or something else, such as
            a script of a named environment or ``-m``, which then is the one that is meant.

    """
    active = environ.get("VIRTUAL_ENV")
    if command not in _ACTING or not active or environ.get("PIP_PYTHON"):
        return []
    if any(one.partition("=")[0] == "--python" for one in before):
        return []
    if not os.path.isfile(f"{active}/pyvenv.cfg") or _is_same(active, sys.prefix):  # noqa: PTH113
        return []
    found = shutil.which(os.path.basename(program), path=environ.get("PATH"))  # noqa: PTH119
    if found is None or not _is_same(found, program):
        return []
    return ["--python", active]


def _is_same(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
