"""An environment's scripts: their names and shebang lines."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH123

from __future__ import annotations

import os
import sys

from pipshim.base.errors import InstallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_BINARY: int = getattr(os, "O_BINARY", 0)  # Windows
_LONGEST = 512 if sys.platform == "darwin" else 127
_VERSIONED = {
    "pip": ("", r"pip(\d+(\.\d+)?)?"),
    "easy_install": ("-", r"easy_install(-\d+\.\d+)?"),
}


def is_interpreter(name: str) -> bool:
    """Return whether a script of this name would replace the environment's Python."""
    import re  # noqa: PLC0415 its import takes as long as placing ten wheels, as below

    return re.fullmatch(r"(python|pypy)w?[0-9.]*t?(\.exe)?", name, re.IGNORECASE) is not None


def check_script_name(name: str, wheel: str) -> None:
    """Raise InstallError if ``wheel`` may not install a script of this name."""
    if is_interpreter(name):
        raise InstallError(f"{wheel}: its script {name!r} would overwrite the interpreter")
    if name in {"", ".", ".."} or "/" in name or "\\" in name or "\0" in name:
        raise InstallError(f"{wheel}: its script {name!r} would be outside the scripts folder")


def shebang(python: Path | str) -> bytes:
    """Return the first lines that make a script run with ``python``.

    The rule is ``distlib.scripts.ScriptMaker._build_shebang``'s, which pip uses: a plain line, or
    ``/bin/sh`` that starts Python if the kernel could not (the path is too long, has a space, or is
    a script). It is restated here because importing pip takes longer than installing forty wheels.

    """
    path = str(python)
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        raw = b""
    if not raw or "\n" in path or "\\" in path:
        raise InstallError(f"no script can start {path!r}", hint="make the environment elsewhere")
    if " " not in path and len(raw) + 3 <= _LONGEST and not _is_script(path):
        return b"#!" + raw + b"\n"
    import re  # noqa: PLC0415

    if re.fullmatch(r"[\w@%+=:,./~-]+", path):
        word = path
    elif set(path).isdisjoint('"$`'):
        word = f'"{path}"'
    else:
        import shlex  # noqa: PLC0415 few paths need it

        word = shlex.quote(path)
    return f"#!/bin/sh\n'''exec' {word} \"$0\" \"$@\"\n' '''\n".encode()


def _is_script(path: str) -> bool:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def versioned_names(names: Iterable[str], version: tuple[int, ...]) -> dict[str, str]:
    """Return the scripts to write, each with the entry point that it runs.

    Only the scripts of pip and easy_install are renamed, as their wheels name the Python that built
    them (``pip._internal.operations.install.wheel.get_console_script_specs``).
    """
    wanted = {name: name for name in names}
    if wanted.keys().isdisjoint(_VERSIONED):
        return wanted
    import re  # noqa: PLC0415

    major, minor = version[:2]
    for name, (separator, variants) in _VERSIONED.items():
        if name not in wanted:
            continue
        for other in [n for n in wanted if re.fullmatch(variants, n)]:
            del wanted[other]
        wanted[name] = name
        if name == "pip":
            wanted[f"pip{major}"] = name
        wanted[f"{name}{separator}{major}.{minor}"] = name
    return wanted


def write_executable(path: str, content: bytes) -> None:
    """Write a new script that everyone may run, as pip's script maker does."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o777)
    with open(descriptor, "wb") as file:
        file.write(content)
        if sys.platform != "win32":
            os.fchmod(descriptor, (os.fstat(descriptor).st_mode | 0o555) & 0o7777)
