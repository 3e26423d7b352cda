"""The journal of a change, used to roll it back if it is left unfinished.

While an environment is being changed it has a folder (`venv_template.CHANGE`) with

- ``old/``: the files that were taken out, each under its path below the environment;
- ``journal``: a line for each new distribution with the paths of its files, written after the files
  in their places were taken out, and before the first new one is there.

To roll back, the files in the journal are removed, and those in ``old/`` are put back. A failure
does so at once; after a process was killed, the next command does it before it looks at the
environment. The change is done once ``journal`` is removed; then ``old/`` is only deleted.

A rollback may be killed too, and repeated: between its two halves ``journal`` becomes ``undoing``,
so that a file put back is not taken for a new one.
"""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH102, PTH103, PTH104, PTH105, PTH106, PTH108, PTH110, PTH118, PTH120, PTH123

from __future__ import annotations

import contextlib
import json
import os
import threading
from typing import TYPE_CHECKING, Any

from pipshim.base.errors import InstallError
from pipshim.base.light import jsons
from pipshim.base.paths import is_within
from pipshim.base.write_errors import reason
from pipshim.envs.dist_info import SUFFIX
from pipshim.envs.venv_template import CHANGE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipshim.envs.layout import Layout

_JOURNAL = "journal"
_UNDOING = "undoing"
_OLD = "old"
_FORMAT = b"pipshim change 1"
_NOT_PLACED = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
_KEPT_FOLDERS = ("bin", "Scripts", "include", "lib", "lib64")


class Journal:
    """An open change of one environment: `commit` or `undo` ends it."""

    def __init__(self, env: Layout) -> None:
        """Begin a change.

        Raises:
            InstallError: the environment cannot be written, or has an open change already.

        """
        self._place = _Place(env)
        try:
            os.mkdir(self._place.folder)
            try:
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                self._file = os.open(self._place.journal, flags, 0o666)
                os.write(self._file, _FORMAT + b"\n")
            except OSError:
                self._place.tidy()  # nothing was changed yet
                raise
        except OSError as error:
            raise InstallError(
                f"the environment {env.data} cannot be changed: {error.filename or env.data}: "
                f"{reason(error, env.data)}"
            ) from error
        self._writing = threading.Lock()
        self._made: set[str] = set()

    def take(self, paths: Iterable[str]) -> None:
        """Take files out of the environment.

        Args:
            paths: absolute, and real but for their last parts.

        Raises:
            OSError: one of them cannot be moved; those before it have been.

        """
        infos = set()
        for path in paths:
            aside = f"{self._place.old}/{self._place.below(path)}"
            parent = os.path.dirname(aside)
            if parent not in self._made:
                os.makedirs(parent, exist_ok=True)
                self._made.add(parent)
            os.replace(path, aside)
            folder = os.path.dirname(path)
            if folder.endswith(SUFFIX):
                infos.add(folder)
        for folder in infos:
            # An empty one would still count as a distribution.
            for directory, _, _ in os.walk(folder, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(directory)

    def announce(self, names: Mapping[str, Sequence[str]]) -> None:
        """Note the files that one distribution is about to add, by folder.

        None of them exists any more. Threads may call this at once.
        """
        below = {self._place.below(folder): list(files) for folder, files in names.items()}
        line = f"{json.dumps(below)}\n".encode("ascii")
        with self._writing:
            while line:
                line = line[os.write(self._file, line) :]

    def commit(self) -> None:
        os.close(self._file)
        os.unlink(self._place.journal)
        self._place.tidy()

    def undo(self) -> None:
        """Roll the change back.

        Raises:
            InstallError: a file cannot be restored; the next command tries again.

        """
        os.close(self._file)
        self._place.undo()


def is_open(env: Layout) -> bool:
    """Return whether an environment has an unfinished change."""
    return os.path.lexists(os.path.join(env.data, CHANGE))


def recover(env: Layout) -> bool:
    """Roll back the change of a killed process; return whether there was one.

    The environment must be locked (`pipshim.envs.venv.Environment.lock`).

    Raises:
        InstallError: a file cannot be restored, or the journal cannot be read.

    """
    if not is_open(env):
        return False
    _Place(env).undo()
    return True


class _Place:
    """The folder of a change, and how it ends."""

    def __init__(self, env: Layout) -> None:
        self.prefix = os.path.realpath(env.data)
        self._spelled = str(env.data)
        self.folder = f"{self.prefix}/{CHANGE}"
        self.journal = f"{self.folder}/{_JOURNAL}"
        self.undoing = f"{self.folder}/{_UNDOING}"
        self.old = f"{self.folder}/{_OLD}"
        self._stay = {self.prefix, *(f"{self.prefix}/{name}" for name in _KEPT_FOLDERS)}
        for folder in map(os.path.realpath, (env.purelib, env.platlib, env.scripts)):
            above = folder
            while is_within(above, self.prefix) and above not in self._stay:
                self._stay.add(above)
                above = os.path.dirname(above)

    def below(self, path: str) -> str:
        """Return a path relative to the environment's folder."""
        for start in (self.prefix, self._spelled):
            if is_within(path, start):
                return path[len(start) :].lstrip("/")
        raise InstallError(f"{path} is outside the environment {self.prefix}")

    def undo(self) -> None:
        """Roll the change back, as far as it has come."""
        try:
            if os.path.exists(self.journal):
                for folder, names in self._announced(self.journal):
                    for name in names:
                        with contextlib.suppress(*_NOT_PLACED):
                            os.unlink(f"{folder}/{name}")
                os.rename(self.journal, self.undoing)
            if os.path.exists(self.undoing):
                self._put_back()
                folders = {folder for folder, _ in self._announced(self.undoing)}
                self._remove_empty(folders)
                os.unlink(self.undoing)
        except OSError as error:
            raise InstallError(
                f"{error.filename2 or error.filename} cannot be restored: {reason(error)}",
                hint=f"what was removed is in {self.old}; the next sync tries again",
            ) from error
        self.tidy()

    def tidy(self) -> None:
        """Remove what is left of a finished change."""
        import shutil  # noqa: PLC0415 whoever looks only whether a change is open needs none

        self._remove_empty(self._there(folder) for folder in self._folders(self.old))
        shutil.rmtree(self.folder, ignore_errors=True)

    def _put_back(self) -> None:
        for folder in self._folders(self.old):
            with os.scandir(folder) as entries:
                names = [one.name for one in entries if not one.is_dir(follow_symlinks=False)]
            there = self._there(folder)
            if names:
                os.makedirs(there, exist_ok=True)
            for name in names:
                os.replace(f"{folder}/{name}", f"{there}/{name}")

    def _there(self, folder: str) -> str:
        return self.prefix + folder[len(self.old) :]

    def _folders(self, folder: str) -> Iterator[str]:
        return (directory for directory, _, _ in os.walk(folder))

    def _remove_empty(self, folders: Iterable[str]) -> None:
        """Remove those of these folders and their parents that are empty now."""
        found = set()
        for folder in set(map(os.path.realpath, folders)):
            above = folder
            while above not in found and above not in self._stay and is_within(above, self.prefix):
                found.add(above)
                above = os.path.dirname(above)
        for folder in sorted(found, key=len, reverse=True):
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def _announced(self, path: str) -> list[tuple[str, list[str]]]:
        """Read the folders and names of a journal; an incomplete last line is ignored."""
        with open(path, "rb") as file:
            head, *lines = file.read().split(b"\n")
        if not lines:
            return []
        try:
            found = [item for line in lines[:-1] for item in jsons.loads(line).items()]
            whole = all(map(self._is_sound, found))
        except (ValueError, AttributeError):
            found, whole = [], False
        if head != _FORMAT or not whole:
            raise InstallError(
                f"{path} cannot be read: a change of this environment was interrupted, and "
                "another version of pipshim may have begun it",
                hint=f"sync with that version; or remove {self.prefix}, and sync again",
            )
        return [(os.path.join(self.prefix, below), names) for below, names in found]

    def _is_sound(self, item: tuple[Any, Any]) -> bool:
        below, names = item
        return is_within(os.path.normpath(os.path.join(self.prefix, below)), self.prefix) and all(
            isinstance(name, str) and "/" not in name and name not in {"", ".", ".."}
            for name in names
        )
