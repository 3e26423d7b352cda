"""Unpack and verify a wheel file for the store.

Every file is read once: inflated, hashed and written. It must match its hash in the wheel's RECORD
(PEP 427). A file without one is accepted, as in pip and uv, and hashed here.
"""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH123

from __future__ import annotations

import hashlib
import logging
import os
import posixpath
import re
import stat
import sys
import time
import zipfile
import zlib
from contextlib import contextmanager
from functools import cached_property
from importlib.metadata import Distribution
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from packaging.utils import canonicalize_name

from pipshim.base import interruption
from pipshim.base.errors import InstallError
from pipshim.base.tasks import each
from pipshim.envs import dist_info, scripts
from pipshim.envs.dist_info import METADATA, PER_ENVIRONMENT, RECORD, SIGNATURES, STRONG_HASHES
from pipshim.store.file_manifest import FileManifest, TreeFile
from pipshim.store.unpacked_wheel import UnpackedWheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipshim.envs.dist_info import Row
    from pipshim.store.wheel_stream import WheelStream

logger = logging.getLogger(__name__)

SCHEMES = ("data", "headers", "platlib", "purelib", "scripts")
"""The kinds of place that a wheel's files go to, and the folders of an unpacked wheel."""

_CALLABLE = re.compile(r"(?P<module>[\w.]+)\s*(:\s*(?P<name>[\w.]+))?\s*(\[.*\])?")
_SCRIPT = """\
import sys
from {module} import {first}
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit({name}())
"""
"""The script of an entry point, after its first line, as pip 26 writes it."""

_WRAPPERS = (".exe", "-script.py", ".pya")
"""How the names of scripts end that setuptools made for an entry point."""

_VERSION = (1, 0)
"""The version of the wheel format that is known."""

_LARGE = 1 << 20
"""From which size on, in bytes, a file counts as large."""

_ENCRYPTED = 0x1
_NAMES_SHOWN = 3
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def make_tree(wheel: Path | WheelStream, sha256: str, name: str, folder: Path) -> UnpackedWheel:
    """Unpack a wheel into an empty folder and verify it.

    Raises:
        InstallError: the wheel is invalid, or its files are not those of its RECORD, or would be
            put outside the folder or over the interpreter.
        OSError: the folder cannot be written.

    """
    with _errors_of(wheel.name), zipfile.ZipFile(wheel) as archive:
        return _Wheel(wheel.name, archive, name).unpack(sha256, str(folder))


@contextmanager
def _errors_of(wheel: str) -> Iterator[None]:
    """Turn libraries' errors about a bad wheel into InstallError."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise  # of the folder, not of the wheel
        raise InstallError(f"{wheel} is not a valid wheel: {error}") from error
    except (
        EOFError,
        KeyError,
        NotImplementedError,
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise InstallError(f"{wheel} is not a valid wheel: {error}") from error


class _Member(NamedTuple):
    """A file of the wheel, with its scheme and its path below that."""

    info: zipfile.ZipInfo
    scheme: str
    path: str


class _EntryPoints(Distribution):
    """Lets `importlib.metadata` parse an ``entry_points.txt``."""

    def __init__(self, text: str | None) -> None:
        self._text = text

    def read_text(self, filename: str) -> str | None:
        return self._text if filename == "entry_points.txt" else None

    def locate_file(self, path: object) -> Path:
        raise NotImplementedError


class _Wheel:
    """A wheel that is unpacked.

    Args:
        wheel: the name of its file, for errors.
        archive: its contents.
        name: the distribution that it has to be of.

    """

    def __init__(self, wheel: str, archive: zipfile.ZipFile, name: str) -> None:
        self.wheel = wheel
        self.archive = archive
        self.name = name
        self.now = int(time.time())
        self.infos = [info for info in archive.infolist() if not info.is_dir()]
        self._check_files()
        self.dist_info = self._dist_info()
        self.root = self._root()
        self.headers = self._headers()
        self.record = self._record()
        self.console, self.gui = self._entry_points()
        self.folders: set[str] = set()

    def unpack(self, sha256: str, folder: str) -> UnpackedWheel:
        """Write the files below a folder, and return the manifest."""
        bodies = {name: self._body(name, of) for name, of in {**self.console, **self.gui}.items()}
        large, small = self._members()
        # While a large file is inflated, hashed and written, another thread has the interpreter.
        parts = [part for part in (large, small) if part]
        written = each(lambda part: [self._write(one, folder) for one in part], parts, at_once=2)
        files = list(chain.from_iterable(written))
        self._warn_of_record()
        return UnpackedWheel(
            folder=folder,
            sha256=sha256,
            name=self.headers["name"],
            version=self.headers["version"],
            dist_info=self.dist_info,
            root=self.root,
            console=self.console,
            gui=self.gui,
            bodies=bodies,
            bundle=FileManifest.of(files, self.now, self.root),
            python=sorted(file.path for file in files if file.python),
            hashes={f"{o.scheme}/{o.path}": o.hash for o in files if o.scheme != self.root},
        )

    # What the wheel says of itself

    def _check_files(self) -> None:
        seen: set[str] = set()
        for info in self.infos:
            name = info.filename
            if name.startswith("/") or ".." in name.split("/"):
                raise self._invalid(f"{name!r} leads out of the folder to install into")
            if name in seen:
                raise self._invalid(f"it has two files named {name!r}")
            if info.flag_bits & _ENCRYPTED:
                raise self._invalid(f"{name!r} is encrypted")
            seen.add(name)

    def _dist_info(self) -> str:
        tops = {info.filename.partition("/")[0] for info in self.infos}
        found = sorted(top for top in tops if top.endswith(dist_info.SUFFIX))
        if not found:
            raise self._invalid(".dist-info directory not found")
        if len(found) > 1:
            raise self._invalid(f"multiple .dist-info directories found: {', '.join(found)}")
        if not canonicalize_name(found[0]).startswith(canonicalize_name(self.name)):
            raise self._invalid(f"its {found[0]!r} does not start with {self.name!r}")
        return found[0]

    def _root(self) -> str:
        """Return the scheme of files outside ``.data``, as WHEEL says (PEP 427)."""
        headers = dist_info.read_headers(self.archive.read(f"{self.dist_info}/WHEEL").decode())
        text = headers.get("wheel-version")
        if text is None:
            raise self._invalid("WHEEL is missing Wheel-Version")
        version = tuple(map(int, text.split(".")))
        if version[0] > _VERSION[0]:
            raise self._invalid(f"its Wheel-Version {text} is not compatible with this version")
        if version > _VERSION:
            logger.warning("%s has a newer Wheel-Version (%s)", self.wheel, text)
        is_pure = headers.get("root-is-purelib", "").lower() == "true"
        return "purelib" if is_pure else "platlib"

    def _headers(self) -> dict[str, str]:
        try:
            text = self.archive.read(f"{self.dist_info}/{METADATA}").decode()
        except KeyError:
            raise self._unreadable("is missing") from None
        except UnicodeError as error:
            raise self._unreadable(f"is not UTF-8: {error}") from error
        if not text.strip():
            raise self._unreadable("is empty")
        headers = dist_info.read_headers(text)
        if not headers.get("version") or not headers.get("name"):
            raise self._unreadable("has no Name or no Version")
        if canonicalize_name(headers["name"]) != canonicalize_name(self.name):
            raise InstallError(f"{self.wheel} is a wheel of {headers['name']}, not of {self.name}")
        return headers

    def _record(self) -> dict[str, Row]:
        try:
            listed = dist_info.parse_record(self.archive.read(self._own(RECORD)).decode())
        except (KeyError, UnicodeError) as error:
            raise self._invalid("it has no RECORD that can be read") from error
        except ValueError as error:
            raise self._invalid(f"its RECORD is invalid: {error}") from error
        rows: dict[str, Row] = {}
        for row in listed:
            first = rows.setdefault(row.path, row)
            if first.hash and row.hash and first.hash != row.hash:
                raise self._invalid(f"its RECORD has two hashes for {row.path!r}")
            if not first.hash:
                rows[row.path] = row
        return {p: row for p, row in rows.items() if p not in self._unlisted and p[-1] != "/"}

    @cached_property
    def _unlisted(self) -> set[str]:
        """The files without a hash in RECORD."""
        return {self._own(name) for name in PER_ENVIRONMENT | SIGNATURES}

    def _own(self, name: str) -> str:
        return f"{self.dist_info}/{name}"

    def _warn_of_record(self) -> None:
        """Warn of differences between RECORD and the archive that pip accepts."""
        names = {info.filename for info in self.infos} - self._unlisted
        for found, problem in (
            (names - self.record.keys(), "does not list"),
            (self.record.keys() - names, "lists files that the wheel does not contain:"),
        ):
            if found:
                shown = ", ".join(sorted(found)[:_NAMES_SHOWN])
                more = len(found) - _NAMES_SHOWN
                and_more = f" and {more} more" if more > 0 else ""
                logger.warning("%s: its RECORD %s %s%s", self.wheel, problem, shown, and_more)

    # Entry points

    def _entry_points(self) -> tuple[dict[str, str], dict[str, str]]:
        """Return the scripts that run in a terminal, and the others, ``name: module:callable``."""
        path = self._own("entry_points.txt")
        text = self.archive.read(path).decode() if path in self.archive.NameToInfo else None
        found = list(_EntryPoints(text).entry_points)
        console, gui = (
            {one.name: one.value for one in found if one.group == f"{kind}_scripts"}
            for kind in ("console", "gui")
        )
        return console, gui

    def _body(self, name: str, value: str) -> str:
        scripts.check_script_name(name, self.wheel)
        found = _CALLABLE.fullmatch(value)
        if found is None:
            raise self._invalid(f"its entry point {name} = {value} is invalid")
        if found["name"] is None:
            raise self._invalid(
                f"its script {name} = {value} is invalid: A callable suffix is required"
            )
        first = found["name"].partition(".")[0]
        return _SCRIPT.format(module=found["module"], first=first, name=found["name"])

    # Files

    def _members(self) -> tuple[list[_Member], list[_Member]]:
        """Return the files to write, large and small ones."""
        large: list[_Member] = []
        small: list[_Member] = []
        for one in map(self._member, self.infos):
            if not self._replaced(one) and not self._is_written_anew(one):
                (large if one.info.file_size >= _LARGE else small).append(one)
        return large, small

    def _member(self, info: zipfile.ZipInfo) -> _Member:
        top, _, rest = info.filename.partition("/")
        if not top.endswith(".data"):
            return _Member(info, self.root, posixpath.normpath(info.filename))
        scheme, _, path = posixpath.normpath(rest).partition("/")
        if not path:
            raise self._invalid(
                f"Unexpected file {info.filename!r}: those of .data are <scheme key>/<path>"
            )
        if scheme not in SCHEMES:
            raise self._invalid(
                f"Unknown scheme key {scheme} of {info.filename!r}: not in {', '.join(SCHEMES)}"
            )
        if scheme == "scripts" and scripts.is_interpreter(path):
            scripts.check_script_name(path, self.wheel)
        return _Member(info, scheme, path)

    def _replaced(self, member: _Member) -> bool:
        """Return whether an entry point's script replaces a file, as pip decides it."""
        name = member.path.rpartition("/")[2]
        suffix = next((one for one in _WRAPPERS if name.lower().endswith(one)), "")
        name = name[: -len(suffix)] if suffix else name
        return member.scheme == "scripts" and (name in self.console or name in self.gui)

    def _is_written_anew(self, member: _Member) -> bool:
        folder, _, name = member.path.rpartition("/")
        is_own = member.scheme == self.root and folder == self.dist_info
        return is_own and name in PER_ENVIRONMENT

    def _write(self, member: _Member, folder: str) -> TreeFile:
        """Write a file, and check it."""
        info, scheme, path = member
        mode = info.external_attr >> 16
        executable = stat.S_ISREG(mode) and bool(mode & 0o111)
        target = f"{folder}/{scheme}/{path}"
        parent = target.rpartition("/")[0]
        if parent not in self.folders:
            os.makedirs(parent, exist_ok=True)  # noqa: PTH103
            self.folders.add(parent)
        try:
            descriptor = os.open(target, _NEW, 0o777 if executable else 0o666)
        except FileExistsError:
            raise self._invalid(f"it has two files for {path!r}") from None
        recorded, algorithms = self._recorded_hash(info.filename)
        with open(descriptor, "wb") as file:
            if executable and sys.platform != "win32":
                os.fchmod(descriptor, os.fstat(descriptor).st_mode | 0o111)
            start, hashes = self._copy(info, file, algorithms)
        # One time for all: one number tells whether any of them was written to.
        os.utime(target, (self.now, self.now))
        if recorded and hashes[0] != recorded:
            raise InstallError(
                f"{self.wheel}: {info.filename!r} does not match its hash in RECORD\n"
                f"  RECORD {recorded}\n"
                f"  file   {hashes[0]}",
                hint="the wheel is damaged or has been tampered with: fetch or build it again",
            )
        is_signature = info.filename in map(self._own, SIGNATURES)
        python = scheme == "scripts" and start == b"#!python"
        return TreeFile(
            scheme, path, info.file_size, "" if is_signature else hashes[-1], executable, python
        )

    def _copy(
        self, info: zipfile.ZipInfo, file: BinaryIO, algorithms: list[str]
    ) -> tuple[bytes, list[str]]:
        """Write a file's contents; return its first bytes, and its hashes."""
        hashers = [hashlib.new(one) for one in algorithms]
        start = b""
        with self.archive.open(info) as source:
            while piece := source.read(dist_info.CHUNK):
                if interruption.is_ending():
                    raise KeyboardInterrupt
                start = start or piece[:8]
                for hasher in hashers:
                    hasher.update(piece)
                file.write(piece)
        digests = (hasher.digest() for hasher in hashers)
        return start, list(map(dist_info.encode_hash, algorithms, digests))

    def _recorded_hash(self, name: str) -> tuple[str, list[str]]:
        """Return RECORD's hash of a file, and the algorithms to hash it with.

        RECORD's is the first of them; the last one is strong.
        """
        row = self.record.get(name)
        algorithm, _, digest = row.hash.partition("=") if row is not None else ("", "", "")
        algorithm = algorithm.lower()
        if algorithm not in hashlib.algorithms_guaranteed or algorithm.startswith("shake"):
            return "", [dist_info.HASH]
        more = [] if algorithm in STRONG_HASHES else [dist_info.HASH]
        return f"{algorithm}={digest.rstrip('=')}", [algorithm, *more]

    def _invalid(self, problem: str) -> InstallError:
        return InstallError(f"{self.wheel} is not a valid wheel: {problem}")

    def _unreadable(self, problem: str) -> InstallError:
        return InstallError(f"{self.name}: the METADATA of {self.wheel} {problem}")
