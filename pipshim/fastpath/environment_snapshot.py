"""Restore a missing environment of an unchanged project from the store, without pip.

A command that makes an environment notes its contents in pipshim's cache: each distribution's
unpacked wheel, and its notes. If the environment, or that of a copy of the project, is missing
later, it is linked again if command, variables, all relevant files and the Python are the same.
Otherwise the command runs as usual and writes a new note.
"""
# Paths are strings here, and imports late: what is not recognised should not pay for this.
# ruff: noqa: PTH120, PTH123, PLC0415

from __future__ import annotations

import os
import sys
import time
from hashlib import sha256

from pipshim.base.atomic_write import write_cache_file
from pipshim.base.light import jsons
from pipshim.fastpath import up_to_date

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    from packaging.utils import NormalizedName

    from pipshim.fastpath.restore import LayoutPaths
    from pipshim.model.interpreter import Target
    from pipshim.sync.transaction import Ready

FOLDER = "again"
"""Where the notes are, in pipshim's cache."""

_FORMAT = 9
_PATHS = ("python", "prefix", "purelib", "platlib", "scripts", "data", "headers")


def attempt(
    arguments: Sequence[str], environ: Mapping[str, str], *, guard: Callable[..., int]
) -> int | None:
    """Restore the environment, if it is missing and a note has its contents.

    Args:
        arguments: of the command line, without the program.
        guard: calls a function, shows its errors, and returns the exit status.

    Returns:
        the exit status; None if the command has to run as usual. ``run`` does not return when it
            becomes
        its command.

    """
    command, words = up_to_date.split(arguments)
    if command not in ("sync", "run") or environ.get("VIRTUAL_ENV"):
        return None
    started = time.perf_counter()
    cache = os.path.dirname(up_to_date.cache_folder(environ))
    is_run = command == "run"
    for prefix in up_to_date.environments(words, environ):
        note = None if os.path.lexists(prefix) else _read(_path(cache, prefix))
        if note is not None and _is_asked(note, prefix, words, environ, is_run=is_run):
            break
    else:
        return None
    root = os.path.dirname(prefix)
    files = {_there(path, root): known for path, known in note["files"].items()}
    # Their states come first: a file that changes now is noticed by the next command.
    states = [f"{up_to_date.state(path)} {path}" for path in files]
    if any(digest(path) != known for path, known in files.items()):
        return None
    stamps: list[up_to_date.Stamp] = []

    def make() -> int:
        from pipshim.fastpath.restore import LayoutPaths, restore

        paths = {name: _there(path, prefix) for name, path in note["place"].items()}
        place = LayoutPaths(version=note["version"], bytecode=note["abi"], **paths)
        found = restore(note, place, note["python"], cache, started=started)
        if found is not None:
            stamps.append(_stamp(note, place, states, command))
            sys.stderr.write(_cached(note) if is_run else _cached(note) + found)
        return 0

    status = guard(make, no_color=note["no_color"])
    if status or not stamps:
        return status or None
    if is_run:
        return up_to_date.become(words[len(note["options"]) :], stamps[0], environ)
    return 0


def write(
    cache: Path,
    *,
    files: Iterable[str],
    lock: Path,
    target: Target,
    ready: Mapping[NormalizedName, Ready],
    requested: Collection[str],
    env_files: Sequence[str],
    **said: object,
) -> None:
    """Note the contents of a new environment, if the cache can be written.

    Args:
        cache: pipshim's.
        files: those that determine what is installed.
        lock: the lock file.
        ready: its distributions.
        env_files: files of variables for the command.
        said: of the command: its ``options`` before the words to run, ``link_mode``, whether
            ``bytecode`` was installed, ``no_color``, what ``sync`` would ``say`` if nothing has
            changed, and the ``inputs`` of built wheels (`pipshim.fastpath.build_inputs`).

    """
    import json

    from pipshim.store.shared_paths import find_shared, losing_paths

    shared = find_shared({name: one.tree for name, one in ready.items()}, target)
    skip = losing_paths(shared)
    prefix, root = str(target.prefix), str(target.prefix.parent)
    directory = _here(os.getcwd(), root)  # noqa: PTH109
    note = {
        **said,
        "format": _FORMAT,
        "variables": up_to_date.variables(os.environ),
        "prefix": prefix if _is_bound(directory, ready.values()) else None,
        "directory": directory,
        **_interpreter(target, prefix),
        "files": {_here(path, root): digest(path) for path in (*files, str(lock))},
        "env_files": [_here(path, root) for path in env_files],
        "shared": {_here(one.path, prefix): one.owners for one in shared},
        "packages": [
            {
                **_package(one),
                "name": name,
                "skip": [_here(path, prefix) for path in sorted(skip.get(name, ()))],
                "requested": name in requested,
            }
            for name, one in ready.items()
        ],
    }
    write_cache_file(_path(str(cache), prefix), json.dumps(note).encode("ascii"))


def _interpreter(target: Target, prefix: str) -> dict[str, Any]:
    from pipshim.envs.interpreter_fingerprint import signature

    python = str(target.base_python)
    return {
        "own": os.path.realpath(sys.executable),
        "python": python,
        "signature": signature(python),
        "version": target.version,
        "abi": target.bytecode,
        "place": {name: _here(str(getattr(target, name)), prefix) for name in _PATHS},
    }


def _package(ready: Ready) -> dict[str, Any]:
    return {
        "version": ready.tree.version,
        "weight": ready.tree.weight,
        "sha256": ready.tree.sha256,
        "origin": {**ready.origin, "wheel": ready.tree.sha256},
        "source": "index" if ready.source == "index" else "cached",
        "mode": ready.mode,
        "direct_url": ready.direct_url,
        "built": ready.built,
    }


def _is_bound(directory: str, ready: Iterable[Ready]) -> bool:
    """Return whether an environment depends on where its project is."""
    return directory[0] != "." or any(
        one.direct_url and one.direct_url["url"].startswith("file:") for one in ready
    )


def _cached(note: Mapping[str, Any]) -> str:
    """Report for each wheel that a build made why it is reused, as ``sync`` does."""
    from pipshim.progress.formatting import Columns, join, painted, use_color

    color = use_color(sys.stderr, no_color=note["no_color"])
    columns = Columns()
    builds = [one for one in note["packages"] if one["built"] is not None]
    for one in builds:
        columns.widen(f"{one['name']} {one['version']}", one["built"][0])
    lines = []
    for one in builds:
        chosen_by, why = one["built"]
        package = f"{one['name']} {one['version']}"
        parts = columns.line("cached", package, one["mode"], chosen_by, "wheel", f"({why})")
        lines.append(f"{painted(parts) if color else join(parts)}\n")
    return "".join(lines)


def digest(path: str) -> str | None:
    """Digest a file's contents; None if it is missing."""
    try:
        with open(path, "rb") as file:
            return sha256(file.read()).hexdigest()
    except OSError:
        return None


def _path(cache: str, prefix: str) -> str:
    root = os.path.dirname(prefix)
    known = [digest(f"{root}/{name}") for name in ("pyproject.toml", "pylock.toml")]
    of = os.fsencode(prefix) if None in known else "".join(map(str, known)).encode()
    return f"{cache}/{FOLDER}/{sha256(of).hexdigest()[:32]}.json"


def _here(path: str, root: str) -> str:
    """Make a path below a folder relative, so that it is valid in a copy of the folder."""
    return f".{path[len(root) :]}" if path == root or path.startswith(f"{root}/") else path


def _there(path: str, root: str) -> str:
    """Undo `_here`."""
    return f"{root}{path[1:]}" if path[:1] == "." else path


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            text = file.read()
    except OSError:
        return None
    try:
        note = jsons.loads(text)
    except ValueError:
        return None
    is_ours = isinstance(note, dict) and note.get("format") == _FORMAT
    return note if is_ours else None


def _is_asked(
    note: Mapping[str, Any],
    prefix: str,
    words: list[str],
    environ: Mapping[str, str],
    *,
    is_run: bool,
) -> bool:
    rest = words[len(note["options"]) :]
    return (
        words[: len(note["options"])] == note["options"]
        and (up_to_date.is_command(rest) if is_run else not rest)
        and note["variables"] == up_to_date.variables(environ)
        and note["prefix"] in (None, prefix)
        and _there(note["directory"], os.path.dirname(prefix)) == os.getcwd()  # noqa: PTH109
        and note["own"] == os.path.realpath(sys.executable)
        and up_to_date.inputs_hold(note["inputs"], environ)
    )


def _stamp(
    note: Mapping[str, Any], place: LayoutPaths, states: Sequence[str], command: str
) -> up_to_date.Stamp:
    """Write the stamp for the next command."""
    from pipshim.fastpath.restore import state_files

    folder = f"{place.prefix}/{up_to_date.FOLDER}"
    # It has to be there before the state of the environment is noted.
    os.makedirs(folder, exist_ok=True)  # noqa: PTH103
    there = [f"{up_to_date.state(path)} {path}" for path in state_files(place)]
    root = os.path.dirname(place.prefix)
    stamp = up_to_date.Stamp(
        command=command,
        options=note["options"],
        variables=note["variables"],
        directory=os.getcwd(),  # noqa: PTH109
        prefix=place.prefix,
        python=place.python,
        scripts=place.scripts,
        env_files=[_there(path, root) for path in note["env_files"]],
        say=note["say"] if command == "sync" else "",
        inputs=note["inputs"],
        files=list(dict.fromkeys([*states, *there])),
    )
    stamp.write(folder)
    return stamp
