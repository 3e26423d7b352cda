"""Lists of files in the store, in a form that is fast to place and check.

A sync of forty wheels reads, checks and links seven thousand files. So files are grouped by folder,
and RECORD's lines are made when a wheel is unpacked.
"""

from __future__ import annotations

import os
import stat

from pipshim.base.light.named_tuples import NamedTuple
from pipshim.envs import dist_info
from pipshim.envs.dist_info import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any


class TreeFile(NamedTuple):
    """A file of a wheel, as the store has it.

    Attributes:
        scheme: ``purelib``, ``platlib``, ``scripts``, ``headers`` or ``data``.
        path: below the scheme's folder, with ``/``.
        size: in bytes.
        hash: as in the wheel's RECORD; empty for RECORD's signatures.
        executable: whether everyone may execute it.
        python: whether its first line has to name the environment's Python.

    """

    scheme: str
    path: str
    size: int
    hash: str
    executable: bool = False
    python: bool = False


class Group(NamedTuple):
    """The files of one folder.

    Attributes:
        scheme: as `TreeFile` has it.
        folder: below the scheme's folder, with ``/`` at its end; empty for that itself.
        names: of the files.
        sizes: of each, in bytes.

    """

    scheme: str
    folder: str
    names: list[str]
    sizes: list[int]


class FileManifest(NamedTuple):
    """Files below one folder of the store, which has a folder for each scheme.

    Attributes:
        time: the modification time of all, in seconds since the epoch.
        groups: the files, by folder.
        folders: scheme and path of all folders, each after its parent.
        record: the lines of RECORD for the scheme of ``.dist-info``, sorted.
        executable: ``scheme/path`` of those that everyone may execute.

    """

    time: int
    groups: list[Group]
    folders: list[tuple[str, str]]
    record: list[str]
    executable: list[str]

    @classmethod
    def of(cls, files: Iterable[TreeFile], time: int, root: str) -> FileManifest:
        """Group files.

        Args:
            time: the modification time of all.
            root: the scheme that RECORD is in.

        """
        files = sorted(files)
        groups: dict[tuple[str, str], Group] = {}
        folders: dict[tuple[str, str], None] = {}
        for file in files:
            folder, _, name = file.path.rpartition("/")
            folder = f"{folder}/" if folder else ""
            group = groups.setdefault((file.scheme, folder), Group(file.scheme, folder, [], []))
            group.names.append(name)
            group.sizes.append(file.size)
            ends = [at for at, letter in enumerate(file.path) if letter == "/"]
            folders.update(((file.scheme, file.path[:end]), None) for end in ends)
        rows = (file_row(file, file.path) for file in files if file.scheme == root)
        return cls(
            time,
            list(groups.values()),
            list(folders),
            [dist_info.record_line(row) for row in rows],
            [f"{file.scheme}/{file.path}" for file in files if file.executable],
        )

    @classmethod
    def from_json(cls, data: Any) -> FileManifest:
        """Read the output of `to_json`; raise ValueError, KeyError or TypeError for damage."""
        return cls(
            int(data["time"]),
            [Group._make(group) for group in data["groups"]],
            [(scheme, path) for scheme, path in data["folders"]],
            data["record"],
            data["executable"],
        )

    def to_json(self) -> Any:
        return self._asdict()

    @property
    def schemes(self) -> set[str]:
        """The schemes of all files."""
        return {group.scheme for group in self.groups}

    def touched(self, folder: str) -> list[str] | None:
        """Return the files, as ``scheme/path``, that may have been written to.

        Returns:
            None if one certainly was, or is gone.

        """
        touched = []
        lstat = os.lstat
        time = self.time * 1_000_000_000
        for scheme, below, names, sizes in self.groups:
            start = f"{folder}/{scheme}/{below}"
            try:
                for name, size in zip(names, sizes, strict=True):
                    found = lstat(start + name)
                    if found.st_size != size or not stat.S_ISREG(found.st_mode):
                        return None
                    if found.st_mtime_ns != time:
                        touched.append(f"{scheme}/{below}{name}")
            except OSError:
                return None
        return touched


class Compiled(NamedTuple):
    """The bytecode of a wheel for one kind of Python.

    Attributes:
        folder: where it is, with one folder for each scheme.
        bundle: the files.
        hashes: of the files, as RECORD spells them, by ``scheme/path``; RECORD has none.

    """

    folder: str
    bundle: FileManifest
    hashes: dict[str, str]


def file_row(file: TreeFile, path: str) -> Row:
    """Return RECORD's row of a file at ``path``, relative to RECORD."""
    return Row(path, file.hash, str(file.size) if file.hash else "")
