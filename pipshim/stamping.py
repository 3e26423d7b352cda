"""After a command: noting what it read, so that the next one can tell that nothing changed."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim import fresh, journal
from pipshim._pip.configuration import configuration_files
from pipshim.notes import site_folders
from pipshim.project import PYPROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipshim.cli.options import SyncRequest
    from pipshim.context import Context
    from pipshim.lockfile import Lock
    from pipshim.target import Target

_FOLDER_FILES = (PYPROJECT, "setup.py", "setup.cfg")


def stamp(
    context: Context,
    request: SyncRequest,
    lock: Lock,
    target: Target,
    *,
    command: str,
    options: tuple[str, ...] | None,
    say: str,
) -> None:
    """Write the stamp of a command that has left nothing to do.

    Nothing is written where the next command could not tell: ``--python`` asks PATH, a project
    that is installed as a copy is installed anew every time; nor where it has more to say than
    that nothing has changed.

    Args:
        context: the command's parts.
        request: what was asked.
        lock: what was installed.
        target: where.
        command: ``run`` or ``sync``.
        options: what was typed before the command to run; None if that is not known.
        say: what the command would say if run again.

    """
    copied = request.selection.no_editable and lock.folders
    again = request.selection.reinstall or request.selection.reinstall_packages
    if options is None or not _is_recognisable(context, lock) or copied or again:
        return
    read = list(dict.fromkeys(_read(context, lock)))
    if any(_is_new(path, context) for path in read):
        return
    made = [
        str(context.lock_path),
        str(target.prefix / "pyvenv.cfg"),
        *map(str, site_folders(target)),
        *(str(path) for site in site_folders(target) for path in site.glob("*.dist-info")),
        str(target.scripts),
        str(target.python),
        os.path.realpath(target.python),
        # Not there; another command may be at work by now, and be killed.
        str(target.prefix / journal.FOLDER),
    ]
    if journal.is_open(target):
        return
    # The stamps' folder has to be there before the state of the environment is noted.
    folder = target.prefix / fresh.FOLDER
    folder.mkdir(exist_ok=True)
    for torn in folder.glob("*.*"):
        torn.unlink(missing_ok=True)  # its process was killed
    fresh.Stamp(
        command=command,
        options=options,
        variables=fresh.variables(os.environ),
        directory=str(Path.cwd()),
        prefix=str(target.prefix),
        python=str(target.python),
        scripts=str(target.scripts),
        say=say,
        files=_states([*read, *made]),
    ).write(str(folder))


def stamp_check(context: Context, lock: Lock, *, options: tuple[str, ...] | None, say: str) -> None:
    """Write the stamp of a ``lock --check`` that has found the lock to be up to date.

    As for `stamp`, nothing is written where the next command could not tell; nor for requirements
    that were given, which may name any number of files.
    """
    request, choice = context.request, context.choice
    if options is None or not _is_recognisable(context, lock) or request.lock.given:
        return
    cache = fresh.cache_folder(os.environ)
    if request.common.shim_cache is None or Path(cache).parent != request.common.shim_cache:
        return
    read = list(dict.fromkeys([*_read(context, lock), str(context.lock_path)]))
    if any(_is_new(path, context) for path in read):
        return
    python = str(choice.target.python)
    own = os.path.realpath(sys.executable)
    if not choice.exists and os.path.realpath(python) != own:
        return  # it was looked for on PATH
    environment = [] if choice.directory is None else [str(choice.directory / "pyvenv.cfg")]
    made = [python, os.path.realpath(python), *environment]
    fresh.Stamp(
        command="lock",
        options=options,
        variables=fresh.variables(os.environ),
        directory=str(Path.cwd()),
        say=say,
        files=_states([*read, *made]),
    ).write(cache)


def _is_recognisable(context: Context, lock: Lock) -> bool:
    common = context.request.common
    says_more = common.timings or "json" in (common.progress, common.output_format)
    folders = any(package.directory is not None for package in lock.packages)
    return not (common.python or says_more or folders)


def _is_new(path: str, context: Context) -> bool:
    """Whether a file was written after the command began, which may have read it before that."""
    time = fresh.state(path).split(" ")[0]
    return time != "-" and int(time) >= context.started


def _states(paths: Sequence[str]) -> list[str]:
    return [f"{fresh.state(path)} {path}" for path in dict.fromkeys(paths)]


def typed(command: str, words: int = 0, *, module: str | None = None) -> tuple[str, ...] | None:
    """Tell the options between a command's name and the words of the command to run.

    Args:
        command: ``run``, ``sync`` or ``lock``.
        words: how many words at the end belong to the command to run.
        module: what ``-m`` says.

    """
    if sys.argv[1:2] != [command]:
        return None
    rest = sys.argv[2 : len(sys.argv) - words]
    if module is not None:
        return tuple(rest[:-2]) if rest[-2:] == ["-m", module] else None
    if command == "run" and rest[-1:] == ["--"]:
        rest = rest[:-1]
    return tuple(rest)


def _read(context: Context, lock: Lock) -> Iterator[str]:
    """Tell the files whose change could change what is to be done."""
    request = context.request
    yield from configuration_files()
    yield fresh.__file__
    for path in (*request.lock.constraints, *request.build.build_constraints):
        if "://" not in path:
            yield str(Path(path).absolute())
    directories = [context.directory]
    directories += [context.lock_path.parent / folder.path for folder in lock.folders]
    for directory in directories:
        for name in _FOLDER_FILES:
            yield str(directory / name)
