"""Let pip's commands act on the active environment if pipshim is installed elsewhere.

pip acts on the environment that it is installed in. A pipshim on PATH may serve many environments
without one: called by its name, it serves the active one, as pipshim's own commands do. tox with
``install_command = pipshim install {opts} {packages}`` needs that.
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
    """Return the options that make pip act on the active environment; none if it does by itself.

    Args:
        environ: VIRTUAL_ENV, PATH and PIP_PYTHON count.
        program: what was started (``sys.argv[0]``): only a script found on PATH serves the active
            environment.

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
