"""A wheel file, unpacked and verified: what the store keeps of it.

pip installs it; what is done here is what pip leaves out: the wheel format (PEP 427) asks that an
installation fails "if any file in the archive is not both mentioned and correctly hashed in
RECORD".
"""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH108, PTH123

from __future__ import annotations

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

from pipshim.env import distinfo, scripts
from pipshim.env.distinfo import METADATA, PER_ENVIRONMENT, RECORD, SIGNATURES, STRONG_HASHES
from pipshim.errors import InstallError
from pipshim.store.bundle import Bundle, TreeFile
from pipshim.store.tree import FILES, Tree, list_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipshim.env.distinfo import Row

_BINARY = re.compile(r"\.(so|pyd|dylib|dll)(\.[0-9.]+)?$")
_PLACEHOLDER = Path("/bin/sh")
"""Stands in the first line of scripts whose other lines are kept; one that needs no quoting."""


def make_tree(wheel: Path, sha256: str, name: str, folder: Path) -> Tree:
    """Unpack a wheel into an empty folder and verify it.

    Raises:
        InstallError: the wheel is invalid, or its files are not those of its RECORD, or would
            be put outside the folder or over the interpreter.
        OSError: the folder cannot be written.

    """
    from pipshim._pip.wheel import unpack  # noqa: PLC0415 pip is slow to import

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
        left_out = self._left_out()
        kept = [member for member in self.members if member.name not in left_out]
        self._remove_generated({m.at(self.folder) for m in kept if m.scheme == "scripts"})
        record = self._wheel_record()
        files = [file for member in kept if (file := self._file(member, record)) is not None]
        missing = set(record) - {member.name for member in self.members}
        if missing:
            raise InstallError(f"{self.wheel.name} has no file {min(missing)!r}, its RECORD says")
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
        from pipshim._pip.wheel import entry_points, write_scripts  # noqa: PLC0415 as above

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
        path = self.info / METADATA
        try:
            headers = distinfo.read_headers(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeError) as error:
            raise InstallError(f"{self.wheel.name} has no METADATA that can be read") from error
        if not headers.get("version") or "name" not in headers:
            raise InstallError(f"{self.wheel.name}: its METADATA has no name or no version")
        if canonicalize_name(headers["name"]) != canonicalize_name(name):
            raise InstallError(f"{self.wheel.name} is a wheel of {headers['name']}, not of {name}")
        return headers

    def _rows(self, text: str) -> list[Row]:
        try:
            return distinfo.parse_record(text)
        except ValueError as error:
            raise InstallError(f"{self.wheel.name}: its RECORD is invalid: {error}") from error

    def _left_out(self) -> set[str]:
        """Name the files that pip did not install: scripts that the entry points replace.

        The RECORD that pip has written still has them under the names that the wheel's had.
        """
        path = self.info / RECORD
        rows = self._rows(path.read_text(encoding="utf-8"))
        paths = {row.path for row in rows}
        return {m.name for m in self.members if m.scheme == "scripts" and m.name in paths}

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
            if rows.setdefault(row.path, row) != row:
                raise InstallError(f"{self.wheel.name}: its RECORD names {row.path!r} twice")
        unhashed = {f"{self.dist_info}/{name}" for name in PER_ENVIRONMENT | SIGNATURES}
        return {p: row for p, row in rows.items() if p not in unhashed and not p.endswith("/")}

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
            told = self._check(member, path, found.st_size, record.get(member.name))
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

    def _check(self, member: _Member, path: str, size: int, row: Row | None) -> str:
        """Compare a file with its row of RECORD and return the hash."""
        where = f"{self.wheel.name}: {member.name!r}"
        if row is None or not row.hash:
            raise InstallError(f"{where} is not in its RECORD, or without a hash")
        algorithm, _, digest = row.hash.partition("=")
        if algorithm.lower() not in STRONG_HASHES:
            raise InstallError(f"{where} has a hash in RECORD that is too weak: {algorithm}")
        told = f"{algorithm.lower()}={digest.rstrip('=')}"
        actual = distinfo.hash_file(path, algorithm.lower())
        if actual != told or row.size not in {"", str(size)}:
            raise InstallError(
                f"{where} is not the file that its RECORD names\n"
                f"  RECORD {told}, {row.size or 'any number of'} bytes\n"
                f"  file   {actual}, {size} bytes",
                hint="the wheel is damaged or has been tampered with: fetch or build it again",
            )
        return told

    def _is_binary(self, file: TreeFile) -> bool:
        if file.scheme != "scripts":
            return _BINARY.search(file.path) is not None
        with open(f"{self.folder}/scripts/{file.path}", "rb") as script:
            return script.read(2) != b"#!"
