"""Create virtual environments by copying an empty one made by ``venv``.

Environments of a Python differ only in their path, which a few files name. Copying the first one
saves importing venv, which takes as long as all the rest.
"""
# Paths are strings: `pipshim.fastpath.restore` uses this, and has no time to import pathlib.
# ruff: noqa: PTH102, PTH115, PTH123, PTH211

from __future__ import annotations

import os
from zlib import crc32

from pipshim import __version__
from pipshim.base.atomic_write import write_cache_file
from pipshim.base.cache_folders import INTERPRETERS
from pipshim.base.light import jsons

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

INCOMPLETE = ".pipshim-incomplete"
"""A file in an environment that pipshim has begun to make; whatever else is in there may go."""

LOCK = ".pipshim.lock"
"""The file in an environment that is locked while a command changes it; it stays."""

CHANGE = ".pipshim-change"
"""The folder in an environment that is there while it is changed, or if that was cut short."""

_FORMAT = 2
_NAME = "/.venv"  # what the prompt of a shell says
_PLAIN = frozenset("/._-+")


def find(cache: str, python: str, prefix: str, signature: list[Any]) -> Mapping[str, Any] | None:
    """Return the template for an environment at ``prefix``; None if there is none.

    Args:
        signature: of the interpreter (`pipshim.envs.interpreter_fingerprint`).

    """
    known = jsons.read(_path(cache, python))
    is_good = isinstance(known, dict) and known.get("key") == [_FORMAT, __version__, signature]
    return known if is_good and _is_plain(prefix) else None


def keep(cache: str, python: str, prefix: str, signature: list[Any]) -> None:
    """Cache a new, empty environment as a template, if the cache can be written.

    The arguments are those of `find`.
    """
    if not _is_plain(prefix):
        return
    import json  # noqa: PLC0415 whoever finds what is kept needs none

    path = _path(cache, python)
    try:
        known = {
            "key": [_FORMAT, __version__, signature],
            # As the files of `pipshim.envs.interpreter` say it, beside which this one lies.
            "answer": {"python": python},
            "prefix": prefix,
            **_read(prefix),
        }
        if not all(_is_apart(prefix, text) for text in known["files"].values()):
            return
    except (OSError, UnicodeError):
        return
    write_cache_file(path, json.dumps(known).encode("ascii"))


def make(prefix: str, known: Mapping[str, Any]) -> None:
    """Make an environment in an empty folder; the caller removes the file `INCOMPLETE` in it."""
    old = known["prefix"]
    _write(
        f"{prefix}/{INCOMPLETE}",
        "pipshim is creating this environment. If interrupted, it starts again.\n",
    )
    for name in known["folders"]:
        os.mkdir(f"{prefix}/{name}")
    for name, leads_to in known["links"].items():
        os.symlink(leads_to.replace(old, prefix), f"{prefix}/{name}")
    for name, text in known["files"].items():
        _write(f"{prefix}/{name}", text.replace(old, prefix))


def _write(path: str, text: str) -> None:
    with open(path, "x", encoding="utf-8", newline="") as file:
        file.write(text)


def _is_plain(prefix: str) -> bool:
    """Return whether no text quotes a path, so that another one can replace it."""
    return (
        prefix.endswith(_NAME)
        and prefix.count("/") > 1
        and prefix.isascii()
        and all(letter in _PLAIN or letter.isalnum() for letter in prefix)
    )


def _is_apart(prefix: str, text: str) -> bool:
    """Return whether a path is nowhere the beginning of a longer name."""
    return not any(
        rest[:1] in _PLAIN - {"/"} or rest[:1].isalnum() for rest in text.split(prefix)[1:]
    )


def _path(cache: str, python: str) -> str:
    return f"{cache}/{INTERPRETERS}/empty-{crc32(os.fsencode(os.path.realpath(python))):08x}.json"


def _read(prefix: str) -> dict[str, Any]:
    folders: list[str] = []
    links: dict[str, str] = {}
    files: dict[str, str] = {}
    for entry in _walk(prefix):
        name = entry.path[len(prefix) + 1 :]
        if entry.is_symlink():
            links[name] = os.readlink(entry.path)
        elif entry.is_dir():
            folders.append(name)
        elif name not in {INCOMPLETE, LOCK}:
            with open(entry.path, encoding="utf-8", newline="") as file:
                files[name] = file.read()
    return {"folders": folders, "links": links, "files": files}


def _walk(folder: str) -> Iterator[os.DirEntry[str]]:
    """Yield all entries, each folder before its contents."""
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path)
