"""Taking distributions out of an environment, so that they can be put back."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH102, PTH103, PTH105, PTH106, PTH108, PTH120

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from pipshim.distinfo import RECORD, SUFFIX
from pipshim.errors import InstallError
from pipshim.linking import is_within

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

from pipshim.installed import Installed, paths_of, read_text, recorded

BACKUP = ".pipshim-backup-"
"""How the folders begin that hold what has been removed from an environment, in its prefix."""

_KEPT_FOLDERS = ("bin", "Scripts", "include", "lib", "lib64")


def remove(
    installed: Installed,
    prefix: Path,
    *,
    others: Iterable[Installed] = (),
    besides: Iterable[str] = (),
) -> Removed:
    """Take a distribution out of an environment, so that it can be put back.

    Its files are moved into a folder in ``prefix`` that begins with ``BACKUP`` and has them
    under their paths relative to ``prefix``.

    Args:
        installed: what `scan` found.
        prefix: the environment's folder: nothing outside it is touched.
        others: all distributions of the environment; a file that the RECORD of another one has
            as well stays. Those that have been removed do not count.
        besides: absolute paths of more files that are its own; they need not be there. One
            that has lost its RECORD cannot tell.

    Raises:
        InstallError: a file may not be moved, or cannot, or the distribution is not
            ``removable``; all is as before.

    """
    if not installed.removable:
        raise InstallError(
            f"{installed.name} {installed.version} was installed without a list of its files: "
            f"{installed.dist_info}",
            hint=f"remove it by hand, or with: pip uninstall {installed.name}",
        )
    paths = paths_of(installed, prefix, besides)
    for other in others:
        if other.name != installed.name:
            for path in _shared(paths, installed, other):
                paths.pop(path, None)
    removed = Removed(os.path.realpath(prefix), os.path.realpath(installed.dist_info.parent))
    try:
        removed.take(paths)
    except OSError as error:
        removed.rollback()
        raise InstallError(
            f"{installed.name} {installed.version} cannot be removed: "
            f"{error.filename or prefix}: {error.strerror}"
        ) from error
    except BaseException:
        removed.rollback()
        raise
    return removed


def _shared(paths: Collection[str], installed: Installed, other: Installed) -> list[str]:
    """List those of ``paths`` that the RECORD of ``other`` names too."""
    site = os.path.realpath(installed.dist_info.parent) + os.sep
    tops = {path[len(site) :].partition("/")[0] for path in paths if path.startswith(site)}
    # Most distributions share no folder, which is cheaper to see than to compare all paths.
    text = "\n" + read_text(str(other.dist_info / RECORD))
    if not any(f"\n{top}" in text for top in tops):
        return []
    return [path for path in recorded(other.dist_info) if path in paths]


def take_aside(paths: Iterable[str], site: Path, prefix: Path) -> Removed:
    """Take files of no distribution out of an environment, so that they can be put back.

    Args:
        paths: absolute and real.
        site: the folder of site-packages.
        prefix: the environment's folder.

    Raises:
        InstallError: one cannot be moved; all are as before.

    """
    removed = Removed(os.path.realpath(prefix), os.path.realpath(site))
    try:
        removed.take(dict.fromkeys(paths))
    except OSError as error:
        removed.rollback()
        where = error.filename or prefix
        raise InstallError(f"{where} is in the way: {error.strerror}") from error
    except BaseException:
        removed.rollback()
        raise
    return removed


class Removed:
    """A distribution that has been moved aside: exactly one of the two methods ends that.

    Attributes:
        backup: the folder with its files.
        paths: where they were.

    """

    def __init__(self, prefix: str, site: str) -> None:
        self.backup = f"{prefix}/{BACKUP}{secrets.token_hex(4)}"
        self.paths: list[str] = []
        self._prefix = prefix
        self._site = site

    def take(self, paths: Iterable[str]) -> None:
        """Move these files aside; raise OSError if one cannot be moved."""
        os.mkdir(self.backup)
        made = {self.backup}
        for path in paths:
            aside = self._aside(path)
            parent = os.path.dirname(aside)
            if parent not in made:
                os.makedirs(parent, exist_ok=True)
                made.add(parent)
            _move(path, aside)
            self.paths.append(path)
        # An empty one would still count as a distribution.
        tops = {path[len(self._site) + 1 :].partition("/")[0] for path in self.paths}
        for name in tops:
            if name.endswith(SUFFIX):
                _remove_empty(f"{self._site}/{name}")

    def _aside(self, path: str) -> str:
        return f"{self.backup}/{path[len(self._prefix) :].lstrip('/')}"

    def rollback(self) -> None:
        """Put every file back; one that has been put in its place meanwhile is replaced.

        Raises:
            InstallError: a file cannot be put back; it and the others are in ``backup``.

        """
        while self.paths:
            path = self.paths[-1]
            try:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                _move(self._aside(path), path)
            except OSError as error:
                raise InstallError(
                    f"{path} cannot be put back: {error.strerror}",
                    hint=f"what was removed is in {self.backup}",
                ) from error
            self.paths.pop()
        shutil.rmtree(self.backup, ignore_errors=True)

    def commit(self) -> None:
        """Delete the files for good, and the folders that are empty without them."""
        shutil.rmtree(self.backup, ignore_errors=True)
        stay = {self._prefix, *(f"{self._prefix}/{name}" for name in _KEPT_FOLDERS)}
        folder = self._site
        while is_within(folder, self._prefix):
            stay.add(folder)
            folder = os.path.dirname(folder)
        for folder in sorted({os.path.dirname(path) for path in self.paths}, key=len, reverse=True):
            parent = folder
            while parent not in stay and is_within(parent, self._prefix):
                try:
                    os.rmdir(parent)
                except OSError as error:
                    if error.errno != errno.ENOENT:
                        break
                parent = os.path.dirname(parent)
        self.paths.clear()


def _remove_empty(folder: str) -> None:
    for directory, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)


def _move(source: str, destination: str) -> None:
    try:
        os.replace(source, destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # A folder of the environment may be a mount of its own.
        shutil.copy2(source, destination, follow_symlinks=False)
        os.unlink(source)
