"""A layer over an environment (``run --with``): an environment that sees the one below.

Its packages win over those below, and the scripts of both are on PATH. It is kept in pipshim's
cache (`pipshim.envs.cached_environments`), and the environment below is never changed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import replace_file
from pipshim.base.errors import FileError, InstallError
from pipshim.base.write_errors import reason
from pipshim.envs.scripts import is_interpreter, shebang

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipshim.envs.base_environment import BaseEnvironment
    from pipshim.model.interpreter import Target

SCRIPTS = "scripts"
"""The folder, beside the layer's environment, of the scripts from below it."""

_PATH_FILE = "zz_pipshim_below.pth"  # after the layer's own, which are read by name


def connect(layer: Target, below: BaseEnvironment) -> None:
    """Let a layer see the current environment below it.

    The scripts below run with a Python that does not see the layer, so copies of them run with the
    layer's.
    """
    lines = [f"{site_line(folder)}\n" for folder in below.folders]
    try:
        _write(layer.purelib / _PATH_FILE, "".join(lines).encode(), 0o644)
        folder = layer.prefix.parent / SCRIPTS
        folder.mkdir(exist_ok=True)
        wanted = dict(_copies(layer, below))
        for name, (content, mode) in wanted.items():
            _write(folder / name, content, mode)
        for path in folder.iterdir():
            if path.name not in wanted:
                path.unlink()
    except OSError as error:
        where = error.filename or layer.prefix
        raise FileError(os.fsdecode(where), f"cannot be written: {reason(error, where)}") from error


def site_line(folder: Path) -> str:
    """Return the line of a .pth file that adds a folder with its own .pth files.

    It is ASCII: Python before 3.13 reads .pth files in the encoding of the locale.
    """
    return f"import os, site; site.addsitedir(os.fsdecode({os.fsencode(folder)!r}))"


def programs(layer: Target, below: BaseEnvironment) -> list[Path]:
    """Return the folders that a layer has on PATH."""
    return [layer.scripts, layer.prefix.parent / SCRIPTS, *below.programs]


def _copies(layer: Target, below: BaseEnvironment) -> Iterator[tuple[str, tuple[bytes, int]]]:
    """Return copies of the scripts below that start the layer's Python."""
    for folder in below.programs:
        for entry in os.scandir(folder):
            if not entry.is_file() or is_interpreter(entry.name):
                continue
            path = Path(entry.path)
            try:
                with path.open("rb") as file:
                    found = file.read(2) == b"#!" and b"#!" + file.read()
            except OSError:
                continue  # one that cannot be read can be run as it is, if at all
            changed = found and with_python(found, str(folder), layer.python)
            if changed:
                yield entry.name, (changed, entry.stat().st_mode & 0o777)


def with_python(script: bytes, folder: str, python: Path) -> bytes | None:
    """Let a script that starts a Python of this folder start another; None for other scripts.

    The forms of its first lines are distlib's (`pipshim.envs.scripts.shebang`).
    """
    first, _, rest = script.partition(b"\n")
    path = first[2:].strip()
    if path == b"/bin/sh" and rest.startswith(b"'''exec' "):
        second, _, rest = rest.partition(b"\n")
        _, _, rest = rest.partition(b"\n")
        path = second.removeprefix(b"'''exec' ").rpartition(b' "$0"')[0].strip(b'"')
    there, _, name = path.rpartition(b"/")
    if not is_interpreter(os.fsdecode(name)):
        return None
    if os.path.realpath(os.fsdecode(there)) != os.path.realpath(folder):
        return None
    try:
        return shebang(python) + rest
    except InstallError:
        return None  # the layer is where no script can name it


def _write(path: Path, content: bytes, mode: int) -> None:
    """Write a file atomically, if its content changes."""
    try:
        if path.read_bytes() == content:
            return
    except OSError:
        pass
    replace_file(path, content, mode=mode)
