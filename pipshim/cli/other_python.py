"""``--python`` of pip's building commands: run pipshim again in that Python."""

from __future__ import annotations

import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim._pip import compat
from pipshim._pip.commands import interpreter_at, parse_general_options

if TYPE_CHECKING:
    from collections.abc import Sequence

_RUNNING = "_PIP_RUNNING_IN_SUBPROCESS"
"""pip's own mark of a process that it has started in the other Python."""

_MODULES = (
    *("pip", "pipshim", "packaging", "pyproject_hooks", "dotenv", "tomli", "tomli_w"),
    *("rich", "markdown_it", "mdurl", "pygments"),
)
"""All that pipshim imports and what that imports, but for the standard library."""


def continue_in_other_python(arguments: Sequence[str]) -> None:
    """Replace this process by pipshim in the Python of ``--python``, if it is given.

    pip would wait for a child process, and kill it at an interrupt, before it has ended its builds.
    """
    if _RUNNING in os.environ:
        return
    options, _ = parse_general_options(arguments)
    interpreter = interpreter_at(options.python or "")
    if interpreter is None:
        return  # pip says what is wrong
    runner = Path(__file__).with_name("__pipshim-runner__.py")
    modules = json.dumps(dict(_folders()))
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execve(  # noqa: S606
            interpreter,
            [interpreter, str(runner), *arguments],
            {**os.environ, _RUNNING: "1", "_PIPSHIM_MODULES": modules},
        )
    except OSError:
        return  # pip fails too, and says why


def _folders() -> list[tuple[str, str]]:
    found = []
    for name in _MODULES:
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            package = spec.submodule_search_locations is not None
            folder = Path(spec.origin).parent
            found.append((name, str(folder.parent if package else folder)))
    if "tomli" not in dict(found):
        # pipshim was installed for a newer Python, which needs none; pip brings its own.
        found.append(("tomli", str(Path(compat.folder(), "_vendor"))))
    return found
