"""Find what a compiled wheel needs of the machine that loads it, from its ELF files.

A library counts as a need of the machine unless the wheel brings it, or a distribution that the
wheel was built against: these are installed with it. The formats of macOS and Windows are not read;
what their wheels need is what the platform tag says.
"""

from __future__ import annotations

import os
import posixpath
import struct
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from pipshim.base.errors import PipshimError
from pipshim.model.machine_needs import Machine, MachineNeeds, lacking, newest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipshim.store.unpacked_wheel import UnpackedWheel


_MAGIC = b"\x7fELF"
_MOST = 10_000
_LONGEST = 10_000
_SITE = "lib/python/site-packages"
"""Where packages are installed in an environment."""

_ROOTS = {
    "purelib": f"{_SITE}/",
    "platlib": f"{_SITE}/",
    "scripts": "bin/",
    "data": "",
    "headers": "include/python/",
}
_GPU_SECTION = ".nv_fatbin"
_BUNDLE = struct.Struct("<IHHQ")
_BUNDLE_MAGIC = 0xBA55ED50
_CODE = struct.Struct("<HHIQIIHHIIIQ")
_PTX, _MACHINE_CODE = 1, 2
_EXACT = 0x1000 | 0x100000
"""Flags of code for one compute capability only: sm_90a, sm_100a."""

_ALIGNMENT = 8
_MOST_PADDING = 4096
_MOST_CODES = 100_000


def can_read() -> bool:
    """Return whether what compiled wheels need can be read here: with pyelftools."""
    return find_spec("elftools") is not None


class UnreadableWheelError(PipshimError):
    """What a wheel needs cannot be found out."""


class _Object(NamedTuple):
    """An ELF file.

    Attributes:
        path: where it is installed, relative to the environment's folder.
        name: what others call it (DT_SONAME).
        needed: the libraries that it names.
        folders: where it looks for them (DT_RPATH, DT_RUNPATH).
        versions: by library, the symbol versions that it uses.
        gpus: the GPUs that it has code for (`architectures`).

    """

    path: str
    name: str
    needed: tuple[str, ...]
    folders: tuple[str, ...]
    versions: Mapping[str, tuple[str, ...]]
    gpus: frozenset[str]


def needs_of(
    wheel: UnpackedWheel,
    against: Iterable[str] = (),
    *,
    processor: frozenset[str] = frozenset(),
) -> MachineNeeds:
    """Return what a wheel needs of a machine.

    Args:
        against: the files that the distributions that it was built against install (`paths_of`).
        processor: that of the machine that built it, if it was compiled for that.

    Raises:
        UnreadableWheelError: a file of it is damaged, or pyelftools is not installed.

    """
    objects = list(_objects(wheel))
    brought = {*paths_of(wheel), *against}
    # A package may load libraries itself, which are then there for all that come after it.
    names = {posixpath.basename(path) for path in brought} | {one.name for one in objects}
    libraries: dict[str, set[str]] = {}
    placed: set[str] = set()
    for one in objects:
        folders = [_expanded(folder, one.path) for folder in one.folders]
        for name in one.needed:
            paths = {posixpath.normpath(f"{folder}/{name}") for folder in folders}
            if name in names or paths & brought:
                continue
            libraries.setdefault(name, set()).update(one.versions.get(name, ()))
            if any(os.path.exists(f"{folder}/{name}") for folder in folders if folder[:1] == "/"):  # noqa: PTH110
                placed.add(name)
    return MachineNeeds(
        {name: newest(versions) for name, versions in sorted(libraries.items())},
        frozenset(placed),
        processor,
        frozenset().union(*(one.gpus for one in objects)),
    )


def paths_of(wheel: UnpackedWheel) -> set[str]:
    """Return the paths of a wheel's files in an environment."""
    return {_installed_path(file.scheme, file.path) for file in wheel.files}


def path_in_site(path: str) -> str:
    """Return the path in an environment of a file below site-packages."""
    return _installed_path("purelib", path)


def why_unloadable(wheel: UnpackedWheel, said: MachineNeeds, machine: Machine) -> str | None:
    """Say why a machine cannot load a wheel, whatever its record says; None if it can.

    Libraries that the record does not name come with distributions, which are not here to look at.

    Args:
        said: what its record says that it needs.

    Raises:
        UnreadableWheelError: as `needs_of`.

    """
    found = needs_of(wheel)
    elsewhere = {
        name
        for name in found.libraries
        if name in found.placed or (name not in said.libraries and not machine.has_library(name))
    }
    return "; ".join(lacking(found, machine, elsewhere=elsewhere)) or None


def _installed_path(scheme: str, path: str) -> str:
    return posixpath.normpath(_ROOTS[scheme] + path)


def _expanded(folder: str, path: str) -> str:
    """Return a folder of DT_RUNPATH, relative to the environment's unless it is absolute."""
    origin = posixpath.dirname(path)
    text = folder.replace("${ORIGIN}", "$ORIGIN")
    if text.startswith("$ORIGIN"):
        return posixpath.normpath(f"{origin}/{text.removeprefix('$ORIGIN')}")
    return text


def _objects(wheel: UnpackedWheel) -> Iterator[_Object]:
    for file in wheel.files:
        full = f"{wheel.folder}/{file.scheme}/{file.path}"
        try:
            with open(full, "rb") as stream:  # noqa: PTH123
                if stream.read(len(_MAGIC)) != _MAGIC:
                    continue
                read = _read(stream, _installed_path(file.scheme, file.path))
        except OSError as error:
            raise UnreadableWheelError(f"{file.path}: {error.strerror}") from error
        if read is not None:
            yield read


def _read(stream: Any, path: str) -> _Object | None:
    """Read an ELF file; None if nothing is linked with it, as with object files."""
    try:
        from elftools.common.exceptions import ELFError  # noqa: PLC0415 an extra
        from elftools.elf.dynamic import DynamicSegment  # noqa: PLC0415
        from elftools.elf.elffile import ELFFile  # noqa: PLC0415
    except ImportError as error:
        raise UnreadableWheelError(
            "pyelftools, which reads what compiled wheels need of a machine, was not installed",
            hint="pip install 'pipshim[remote]'",
        ) from error
    try:
        file = ELFFile(stream)
        segments = _bounded(file.iter_segments())
        dynamic = next((one for one in segments if isinstance(one, DynamicSegment)), None)
        if dynamic is None:
            return None
        tags: dict[str, list[str]] = {}
        kinds = set()
        for tag in _bounded(dynamic.iter_tags()):
            kinds.add(tag.entry.d_tag)
            for kind in ("needed", "soname", "rpath", "runpath"):
                if hasattr(tag, kind):
                    tags.setdefault(kind, []).append(_bounded_text(getattr(tag, kind)))
        searched = tags.get("runpath") or tags.get("rpath", [])
        versions = _versions(file, is_versioned="DT_VERNEED" in kinds)
        code = file.get_section_by_name(_GPU_SECTION)
        found = architectures(stream, code["sh_offset"], code["sh_size"]) if code else set()
    # Damaged files make pyelftools raise what its parts raise.
    except (
        *(ELFError, ArithmeticError, AssertionError, AttributeError, LookupError),
        *(MemoryError, TypeError, ValueError, struct.error),
    ) as error:
        raise UnreadableWheelError(f"{posixpath.basename(path)} is not a valid ELF file") from error
    return _Object(
        path,
        "".join(tags.get("soname", [])[:1]) or posixpath.basename(path),
        tuple(tags.get("needed", ())),
        tuple(one for text in searched for one in text.split(":") if one),
        versions,
        frozenset(found),
    )


def _versions(file: Any, *, is_versioned: bool) -> dict[str, tuple[str, ...]]:
    if file.num_sections() > _MOST:
        raise ValueError("too many sections")
    section = file.get_section_by_name(".gnu.version_r")
    if section is None:
        if is_versioned:
            raise ValueError("no section headers")
        return {}
    return {
        _bounded_text(library.name): tuple(_bounded_text(one.name) for one in _bounded(versions))
        for library, versions in _bounded(section.iter_versions())
    }


def _bounded(items: Iterable[Any]) -> Iterator[Any]:
    """Yield items, unless there are more than any library has: files may come from elsewhere."""
    for count, item in enumerate(items):
        if count == _MOST:
            raise ValueError("too many entries")
        yield item


def _bounded_text(text: object) -> str:
    if len(str(text)) > _LONGEST:
        raise ValueError("a name that is too long")
    return str(text)


def architectures(stream: BinaryIO, offset: int, size: int) -> set[str]:
    """Return which NVIDIA GPUs a section has code for: ``sm_90``, ``compute_90`` (PTX).

    NVIDIA does not document the format. The layout is that of CUDA 11 to 13; what does not look
    like it is not read.

    Args:
        offset: where the section begins.

    """
    found: set[str] = set()
    position, end, padding = offset, offset + size, 0
    for _ in range(_MOST_CODES):
        if position + _BUNDLE.size > end or padding > _MOST_PADDING:
            break
        magic, _, header, length = _unpacked(_BUNDLE, stream, position)
        if magic != _BUNDLE_MAGIC or header < _BUNDLE.size:
            position, padding = position + _ALIGNMENT, padding + _ALIGNMENT
            continue
        start = position + header
        position, padding = start + length, 0
        found.update(_codes(stream, start, min(position, end)))
    return found


def _codes(stream: BinaryIO, position: int, end: int) -> Iterator[str]:
    for _ in range(_MOST_CODES):
        if position + _CODE.size > end:
            return
        kind, _, header, length, *_, architecture, _, _, flags = _unpacked(_CODE, stream, position)
        if kind not in (_PTX, _MACHINE_CODE) or header < _CODE.size:
            return
        name = "compute" if kind == _PTX else "sm"
        yield f"{name}_{architecture}{'a' if flags & _EXACT else ''}"
        position += header + length


def _unpacked(layout: struct.Struct, stream: BinaryIO, position: int) -> tuple[int, ...]:
    stream.seek(position)
    return layout.unpack(stream.read(layout.size))
