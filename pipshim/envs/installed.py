"""Find installed distributions and their files."""
# Paths are strings here: one wheel may have ten thousand files.
# ruff: noqa: PTH118, PTH208

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipshim.base.errors import InstallError
from pipshim.base.light import jsons
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.paths import is_within
from pipshim.envs import dist_info
from pipshim.envs.dist_info import (
    DIRECT_URL,
    INSTALLER,
    METADATA,
    RECORD,
    REQUESTED,
    SUFFIX,
    read_text,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.utils import NormalizedName


_LEGACY = (".egg-info", ".egg-link", ".egg")
_LEGACY_PYTHON = re.compile(r"-py\d+(\.\d+)?(-.*)?$")
_COMPILED = re.compile(r"(.+?)\.[^.]+(?:\.opt-[^.]+)?\.pyc")


@dataclass(frozen=True)
class Installed:
    """A distribution of an environment.

    Attributes:
        name: as its ``.dist-info`` folder has it, normalized.
        version: as that folder has it.
        dist_info: the folder, or what setuptools left in its place.
        installer: INSTALLER's first line; empty without it.
        requested: whether the user asked for it by name.
        direct_url: the contents of ``direct_url.json``, or None (PEP 610).
        removable: whether its files are known; those of ``.egg-info``, ``.egg-link`` and ``.egg``
            are not.
        damaged: what is wrong with it, or None: ``no METADATA``, ``no RECORD``.
        duplicates: other ``.dist-info`` folders of the same distribution in the same place.

    """

    name: NormalizedName
    version: str
    dist_info: Path
    installer: str = ""
    requested: bool = False
    direct_url: dict[str, Any] | None = field(default=None, hash=False)
    removable: bool = True
    damaged: str | None = None
    duplicates: tuple[Path, ...] = ()

    @property
    def editable(self) -> bool:
        """Whether it is a link to a project's folder (PEP 660, or ``setup.py develop``)."""
        if self.dist_info.suffix == ".egg-link":
            return True
        info = (self.direct_url or {}).get("dir_info")
        return isinstance(info, dict) and info.get("editable") is True

    @property
    def display_name(self) -> str:
        """The name as METADATA has it; reads that file."""
        text = read_text(str(self.dist_info / METADATA))
        return dist_info.read_headers(text).get("name", self.name)


def scan(site_dirs: Iterable[Path]) -> dict[NormalizedName, Installed]:
    """Find the distributions in these folders; earlier folders win.

    Missing folders have none. What pip renames when it is interrupted (``~name``) does not count,
    as in pip.
    """
    found: dict[NormalizedName, Installed] = {}
    seen: set[str] = set()
    for directory in site_dirs:
        real = os.path.realpath(directory)
        if real in seen:
            continue
        seen.add(real)
        here: dict[NormalizedName, Installed] = {}
        for installed in _scan_one(str(directory)):
            other = here.get(installed.name)
            here[installed.name] = installed if other is None else _choose(other, installed)
        for name, installed in here.items():
            found.setdefault(name, installed)
    return found


def _scan_one(directory: str) -> Iterator[Installed]:
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in names:
        if name.startswith("~"):
            continue
        path = f"{directory}/{name}"
        if name.endswith(SUFFIX):
            installed = _read(path, name.removesuffix(SUFFIX))
            if installed is not None:
                yield installed
        elif name.endswith(_LEGACY):
            yield _legacy(path, name)


def _read(path: str, stem: str) -> Installed | None:
    name, dash, version = stem.rpartition("-")
    try:
        with os.scandir(path) as entries:
            files = {entry.name for entry in entries}
    except NotADirectoryError:
        return None
    if not dash or not name:
        headers = dist_info.read_headers(read_text(f"{path}/{METADATA}"))
        name, version = headers.get("name", ""), headers.get("version", "")
        if not name:
            return None
    missing = [file for file in (METADATA, RECORD) if file not in files]
    installer = read_text(f"{path}/{INSTALLER}").strip() if INSTALLER in files else ""
    return Installed(
        name=_normalized(name),
        version=version,
        dist_info=Path(path),
        installer=installer.partition("\n")[0].strip(),
        requested=REQUESTED in files,
        direct_url=_direct_url(f"{path}/{DIRECT_URL}") if DIRECT_URL in files else None,
        damaged=f"no {' and no '.join(missing)}" if missing else None,
    )


def _choose(one: Installed, other: Installed) -> Installed:
    """Return the whole one of two distributions of the same name."""
    first, second = (one, other) if _rank(one) <= _rank(other) else (other, one)
    more = (second.dist_info, *second.duplicates) if second.removable else ()
    return replace(first, duplicates=(*first.duplicates, *more))


def _rank(installed: Installed) -> tuple[bool, bool]:
    return (not installed.removable, installed.damaged is not None)


def _legacy(path: str, name: str) -> Installed:
    stem = _LEGACY_PYTHON.sub("", name[: name.rindex(".")])
    stem, dash, version = stem.partition("-")
    if not dash:
        for headers in (f"{path}/PKG-INFO", path):
            found = dist_info.read_headers(read_text(headers))
            if "version" in found:
                version = found["version"]
                break
    return Installed(_normalized(stem), version, Path(path), removable=False)


def _direct_url(path: str) -> dict[str, Any] | None:
    data = jsons.read(path)
    return data if isinstance(data, dict) else None


def fingerprint(one: Installed) -> str:
    """Identify an installed distribution's content by its RECORD.

    It is the same for everything installed from one wheel (`Tree.content`).
    """
    try:
        rows = dist_info.parse_record((one.dist_info / "RECORD").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "installed"
    return f"installed:{dist_info.content_of((row[:2] for row in rows), one.dist_info.name)}"


def files_of(installed: Installed, prefix: Path | None = None) -> list[Path]:
    """List the existing files of a distribution: RECORD's, and those that Python compiled.

    The rule is ``pip._internal.req.req_uninstall.uninstallation_paths``'s; compiled files count for
    every interpreter, not only for pip's. Without RECORD it is those of ``.dist-info``. A path is
    absolute, and real but for its last part. What is not ``removable`` has none.

    Raises:
        InstallError: RECORD cannot be read, or names a path outside ``prefix`` (None allows any).

    """
    return [Path(path) for path in paths_of(installed, prefix)]


def paths_of(
    installed: Installed, prefix: Path | None, besides: Iterable[str] = ()
) -> dict[str, None]:
    """Return the files of `files_of`, and ``besides``, as strings."""
    found: dict[str, None] = {}
    inside = os.sep if prefix is None else os.path.realpath(prefix)
    real, compiled = cache(os.path.realpath), cache(_compiled_in)

    def add(directory: str, name: str) -> None:
        folder = real(directory)
        path = f"{folder}/{name}"
        if name in {".", ".."} or not is_within(folder, inside):
            raise InstallError(
                f"{installed.name} {installed.version} says that it owns "
                f"{os.path.normpath(path)}, which is outside the environment",
                hint=f"if that is wrong, remove the line from {installed.dist_info / RECORD}",
            )
        if path not in found and os.path.lexists(path):
            found[path] = None

    for path in (*besides, *_listed(installed)) if installed.removable else ():
        directory, name = os.path.split(path)
        if name:
            add(directory, name)
        if name.endswith(".py"):
            for suffix in ("c", "o"):
                add(directory, name + suffix)
            for other in compiled(f"{directory}/__pycache__").get(name[:-3], ()):
                add(f"{directory}/__pycache__", other)
    return found


def _listed(installed: Installed) -> Iterator[str]:
    """Yield the files in ``.dist-info``, and those of RECORD."""
    for info in (installed.dist_info, *installed.duplicates):
        for directory, _, names in os.walk(info):
            yield from (f"{directory}/{name}" for name in names)
        if (info / RECORD).is_file():
            yield from (os.path.join(info.parent, row.path) for row in _rows(info))


def _rows(info: Path) -> list[dist_info.Row]:
    try:
        return dist_info.parse_record((info / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InstallError(f"{info / RECORD} cannot be read: {error}") from error


def _compiled_in(folder: str) -> dict[str, list[str]]:
    """List the files of a ``__pycache__`` by the stems of their sources."""
    found: dict[str, list[str]] = {}
    with contextlib.suppress(OSError):
        for match in filter(None, map(_COMPILED.fullmatch, os.listdir(folder))):
            found.setdefault(match[1], []).append(match[0])
    return found


def recorded_hashes(info: Path, text: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield RECORD's paths, absolute, and real but for the last part, with their hashes, if any.

    Nothing if it is damaged. ``text`` is its text, or some lines of it, if it was read already.
    """
    site = str(info.parent)
    real: dict[str, str] = {}
    with contextlib.suppress(ValueError):
        for row in dist_info.parse_record(read_text(str(info / RECORD)) if text is None else text):
            directory, name = os.path.split(os.path.join(site, row.path))
            if directory not in real:
                real[directory] = os.path.realpath(directory)
            yield f"{real[directory]}/{name}", row.hash


def bytecode_of(path: str) -> list[str]:
    """List the files that Python has compiled a source to."""
    folder, _, name = path.rpartition("/")
    if not name.endswith(".py"):
        return []
    compiled = f"{folder}/__pycache__"
    return [f"{compiled}/{one}" for one in _compiled_in(compiled).get(name[:-3], ())]


def _normalized(name: str) -> NormalizedName:
    # `pipshim.fastpath.restore` has no time for this.
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    return canonicalize_name(name)
