"""A wheel file, unpacked and verified: what the store keeps of it.

pip installs it. This module adds what pip leaves out: a file must match its hash in the wheel's
RECORD (PEP 427). A file without one is accepted, as pip and uv accept it, and hashed here.
"""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH108, PTH123

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
import re
import shutil
import stat
import time
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.utils import canonicalize_name

from pipshim.base.errors import InstallError
from pipshim.envs import dist_info, scripts
from pipshim.envs.dist_info import METADATA, PER_ENVIRONMENT, RECORD, SIGNATURES, STRONG_HASHES
from pipshim.store.file_manifest import Bundle, TreeFile
from pipshim.store.unpacked_wheel import FILES, Tree, list_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pipshim.envs.dist_info import Row

logger = logging.getLogger(__name__)

_BINARY = re.compile(r"\.(so|pyd|dylib|dll)(\.[0-9.]+)?$")
_PLACEHOLDER = Path("/bin/sh")
"""Stands in the first line of scripts whose other lines are kept; one that needs no quoting."""
_NAMES_SHOWN = 3


def make_tree(wheel: Path, sha256: str, name: str, folder: Path) -> Tree:
    """Unpack a wheel into an empty folder and verify it.

    Raises:
        InstallError: the wheel is invalid, or its files are not those of its RECORD, or would
            be put outside the folder or over the interpreter.
        OSError: the folder cannot be written.

    """
    from pipshim._pip.wheel_unpacking import unpack  # noqa: PLC0415 pip is slow to import

    with _opened(wheel) as archive:
        members = _members(wheel, archive)
        unpack(wheel, name, folder)
        return _Unpacking(wheel, archive, folder, members).tree(sha256, name)


def _opened(wheel: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(wheel)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, UnicodeError) as error:
        raise InstallError(f"{wheel.name} is not a valid wheel: {error}") from error


def _members(wheel: Path, archive: zipfile.ZipFile) -> list[str]:
    """List the files of a wheel; raise InstallError for names that no wheel may have."""
    names = [info.filename for info in archive.infolist() if not info.is_dir()]
    for name in names:
        if name.startswith("/") or ".." in name.split("/"):
            raise InstallError(f"{wheel.name}: {name!r} leads out of the folder to install into")
    if len(set(names)) != len(names):
        double = next(name for name in names if names.count(name) > 1)
        raise InstallError(f"{wheel.name} has two files named {double!r}")
    return names


class _Member(NamedTuple):
    """A file of the wheel, and where pip installs it."""

    name: str
    scheme: str
    path: str

    def at(self, folder: Path) -> str:
        return f"{folder}/{self.scheme}/{self.path}"


class _Unpacking:
    """A wheel that pip has installed into a folder, on its way to a tree."""

    def __init__(
        self, wheel: Path, archive: zipfile.ZipFile, folder: Path, names: list[str]
    ) -> None:
        self.wheel = wheel
        self.archive = archive
        self.folder = folder
        # pip has seen to it that there is one, at the top.
        self.dist_info = next(
            top for top, _, _ in (n.partition("/") for n in names) if top.endswith(".dist-info")
        )
        self.root = "purelib" if (folder / "purelib" / self.dist_info).is_dir() else "platlib"
        self.info = folder / self.root / self.dist_info
        self.now = int(time.time())
        self.members = [self._member(name) for name in names]

    def tree(self, sha256: str, name: str) -> Tree:
        headers = self._headers(name)
        console, gui, bodies = self._scripts()
        left_out = self._left_out({*console, *gui})
        kept = [member for member in self.members if member.name not in left_out]
        self._remove_generated({m.at(self.folder) for m in kept if m.scheme == "scripts"})
        record = self._wheel_record()
        files = [file for member in kept if (file := self._file(member, record)) is not None]
        self._warn_of_record(record)
        self._set_times(files)
        listed = list_of(sorted(files))
        (self.folder / FILES).write_bytes(listed)
        return Tree(
            folder=str(self.folder),
            sha256=sha256,
            name=headers["name"],
            version=headers["version"],
            dist_info=self.dist_info,
            root=self.root,
            binary=any(self._is_binary(file) for file in files),
            console=console,
            gui=gui,
            bodies=bodies,
            bundle=Bundle.of(files, self.now, self.root),
            python=sorted(file.path for file in files if file.python),
            checksum=zlib.crc32(listed),
        )

    def _scripts(self) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
        """Tell the entry points, and what each one's script says after its first line."""
        from pipshim._pip.wheel_unpacking import entry_points, write_scripts  # noqa: PLC0415 as above

        console, gui = entry_points(self.info, wheel=self.wheel.name)
        bodies: dict[str, str] = {}
        if console or gui:
            folder = self.folder / "bodies"
            for path in write_scripts(console, gui, folder, _PLACEHOLDER, wheel=self.wheel.name):
                bodies[path.name] = path.read_text(encoding="utf-8").partition("\n")[2]
            shutil.rmtree(folder)
        return console, gui, bodies

    def _set_times(self, files: Iterable[TreeFile]) -> None:
        """Give all files one time: one number tells whether any of them was written to."""
        for file in files:
            os.utime(f"{self.folder}/{file.scheme}/{file.path}", (self.now, self.now))

    def _member(self, name: str) -> _Member:
        # As pip._internal.operations.install.wheel sorts them.
        top, _, rest = name.partition("/")
        if not top.endswith(".data"):
            return _Member(name, self.root, posixpath.normpath(name))
        _, scheme, path = posixpath.normpath(f"{top}/{rest}").split("/", 2)
        return _Member(name, scheme, path)

    def _headers(self, name: str) -> dict[str, str]:
        try:
            text = (self.info / METADATA).read_text(encoding="utf-8")
        except OSError as error:
            raise self._unreadable(name, f"cannot be read: {error.strerror}") from error
        except UnicodeError as error:
            raise self._unreadable(name, f"is not UTF-8: {error}") from error
        if not text.strip():
            raise self._unreadable(name, "is empty")
        headers = dist_info.read_headers(text)
        if not headers.get("version") or not headers.get("name"):
            raise self._unreadable(name, "has no Name or no Version")
        if canonicalize_name(headers["name"]) != canonicalize_name(name):
            raise InstallError(f"{self.wheel.name} is a wheel of {headers['name']}, not of {name}")
        return headers

    def _unreadable(self, name: str, problem: str) -> InstallError:
        return InstallError(f"{name}: the METADATA of {self.wheel.name} {problem}")

    def _rows(self, text: str) -> list[Row]:
        try:
            return dist_info.parse_record(text)
        except ValueError as error:
            raise InstallError(f"{self.wheel.name}: its RECORD is invalid: {error}") from error

    def _left_out(self, entry_points: Collection[str]) -> set[str]:
        """Name the files that pip did not install: scripts that the entry points replace."""
        from pipshim._pip.wheel_unpacking import replaces_script  # noqa: PLC0415 as above

        scripts = (member for member in self.members if member.scheme == "scripts")
        return {one.name for one in scripts if replaces_script(entry_points, one.path)}

    def _remove_generated(self, kept: set[str]) -> None:
        for directory, _, names in os.walk(self.folder / "scripts"):
            for name in names:
                path = f"{directory}/{name}"
                if path not in kept:
                    os.unlink(path)
        for name in PER_ENVIRONMENT:
            (self.info / name).unlink(missing_ok=True)

    def _wheel_record(self) -> dict[str, Row]:
        try:
            text = self.archive.read(f"{self.dist_info}/{RECORD}").decode("utf-8")
        except (KeyError, UnicodeError, zipfile.BadZipFile, zlib.error) as error:
            raise InstallError(f"{self.wheel.name} has no RECORD that can be read") from error
        rows: dict[str, Row] = {}
        for row in self._rows(text):
            first = rows.setdefault(row.path, row)
            if first.hash and row.hash and first.hash != row.hash:
                raise InstallError(f"{self.wheel.name}: its RECORD has two hashes for {row.path!r}")
            if not first.hash:
                rows[row.path] = row
        unhashed = {f"{self.dist_info}/{name}" for name in PER_ENVIRONMENT | SIGNATURES}
        return {p: row for p, row in rows.items() if p not in unhashed and not p.endswith("/")}

    def _warn_of_record(self, record: Mapping[str, Row]) -> None:
        """Warn of differences between RECORD and the archive that pip accepts."""
        unlisted = {f"{self.dist_info}/{name}" for name in PER_ENVIRONMENT | SIGNATURES}
        names = {member.name for member in self.members} - unlisted
        for found, problem in (
            (names - record.keys(), "does not list"),
            (record.keys() - names, "lists files that the wheel does not contain:"),
        ):
            if found:
                shown = ", ".join(sorted(found)[:_NAMES_SHOWN])
                more = len(found) - _NAMES_SHOWN
                logger.warning(
                    "%s: its RECORD %s %s%s",
                    self.wheel.name,
                    problem,
                    shown,
                    f" and {more} more" if more > 0 else "",
                )

    def _file(self, member: _Member, record: Mapping[str, Row]) -> TreeFile | None:
        info, _, name = member.path.rpartition("/")
        own = member.scheme == self.root and info == self.dist_info
        if own and name in PER_ENVIRONMENT:
            return None
        path = member.at(self.folder)
        python = False
        if member.scheme == "scripts":
            if scripts.is_interpreter(member.path):
                scripts.check_script_name(member.path, self.wheel.name)
            python = self._restore(member, path)
        found = os.lstat(path)
        told = ""
        if not (own and name in SIGNATURES):
            told = self._check(member, path, record.get(member.name))
        executable = bool(stat.S_IMODE(found.st_mode) & 0o111)
        return TreeFile(member.scheme, member.path, found.st_size, told, executable, python)

    def _restore(self, member: _Member, path: str) -> bool:
        """Undo pip's change of a script's first line; tell whether pip changes it."""
        with self.archive.open(member.name) as file:
            python = file.read(len(b"#!python")) == b"#!python"
        if python:
            with open(path, "wb") as script:
                script.write(self.archive.read(member.name))
        return python

    def _check(self, member: _Member, path: str, row: Row | None) -> str:
        """Compare a file with its hash in RECORD, if it has one, and return its hash."""
        algorithm, _, digest = row.hash.partition("=") if row is not None else ("", "", "")
        algorithm = algorithm.lower()
        if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
            return dist_info.hash_file(path)
        told = f"{algorithm}={digest.rstrip('=')}"
        actual = dist_info.hash_file(path, algorithm)
        if actual != told:
            raise InstallError(
                f"{self.wheel.name}: {member.name!r} does not match its hash in RECORD\n"
                f"  RECORD {told}\n"
                f"  file   {actual}",
                hint="the wheel is damaged or has been tampered with: fetch or build it again",
            )
        return told if algorithm in STRONG_HASHES else dist_info.hash_file(path)

    def _is_binary(self, file: TreeFile) -> bool:
        if file.scheme != "scripts":
            return _BINARY.search(file.path) is not None
        with open(f"{self.folder}/scripts/{file.path}", "rb") as script:
            return script.read(2) != b"#!"
