"""Find what this machine offers compiled wheels: its C library, other libraries, its processor."""

from __future__ import annotations

import mmap
import os
import re
import sys
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.program_output import output_of
from pipshim.envs.gpu_drivers import find_gpus
from pipshim.model.machine_needs import family, features

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_LDCONFIG = ("/sbin/ldconfig", "/usr/sbin/ldconfig", "ldconfig")
_LDCONFIG_LINE = re.compile(r"^\t(\S+) \(.*\) => (/.+)$", re.MULTILINE)
_FOLDERS = ("/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib")
_SECONDS = 5
_HEADER = 20


class ThisMachine:
    """What wheels need to know of this machine (`pipshim.model.machine_needs.Machine`).

    It is looked at once: what is installed later is not noticed.

    Args:
        environ: the environment variables of the programs that load wheels.
        more: folders whose libraries are found too, such as those of the Python itself.

    """

    def __init__(self, environ: Mapping[str, str], more: Iterable[Path] = ()) -> None:
        self._environ = environ
        self._more = tuple(more)
        self._find = cache(self._search)
        self._versions = cache(_versions)

    @cached_property
    def libc(self) -> str:
        """``glibc`` or ``musl``; empty if unknown."""
        if sys.platform != "linux":
            return ""
        try:
            if (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc"):
                return "glibc"
        except (AttributeError, OSError, ValueError):
            pass
        return "musl" if any(Path("/lib").glob("ld-musl-*.so.1")) else ""

    @cached_property
    def processor(self) -> frozenset[str]:
        """What all processors can do; empty if unknown."""
        try:
            return features(Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return frozenset()

    @cached_property
    def gpus(self) -> tuple[tuple[int, int], ...]:
        return find_gpus().capabilities

    def has_library(self, name: str) -> bool:
        """Return whether the dynamic linker would find a library."""
        return self._find(name) is not None

    def versions(self, name: str, like: Iterable[str]) -> set[str]:
        """Return the symbol versions of a library that are these, or of the same families."""
        path = self._find(name)
        return self._versions(path, frozenset(like)) if path is not None else set()

    def _search(self, name: str) -> Path | None:
        paths = (Path(folder, name) for folder in self._folders_first)
        listed = (Path(one) for one in self._listed.get(name, ()))
        usual = (Path(folder, name) for folder in _FOLDERS)
        every = (*paths, *listed, *usual)  # one of 32 bits, say, is passed over
        return next((one for one in every if self._kind and _kind_of(one) == self._kind), None)

    @property
    def _folders_first(self) -> Iterator[Path]:
        for one in self._environ.get("LD_LIBRARY_PATH", "").replace(";", ":").split(":"):
            if one:
                yield Path(one)
        yield from self._more

    @cached_property
    def _listed(self) -> dict[str, list[str]]:
        """The libraries that ``ldconfig`` lists, by name."""
        found: dict[str, list[str]] = {}
        texts = (output_of([program, "-p"], _SECONDS) for program in _LDCONFIG)
        for name, path in _LDCONFIG_LINE.findall(next(filter(None, texts), "")):
            found.setdefault(name, []).append(path)
        return found

    @cached_property
    def _kind(self) -> bytes:
        """What the files of this machine's architecture begin with (elf(5))."""
        return _kind_of(Path(sys.executable))


def _kind_of(path: Path) -> bytes:
    """Return the class, the byte order and the machine of an ELF file; empty if it is none."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEADER)
    except OSError:
        return b""
    return head[4:6] + head[18:20] if head[:4] == b"\x7fELF" else b""


def _versions(path: Path, like: frozenset[str]) -> set[str]:
    """Find names of symbol versions among the strings of a library.

    That needs no ELF parser. A library has the names of the versions that it needs there too; those
    are of families of other libraries.
    """
    wanted = {re.escape(one) for one in like}
    wanted |= {rf"{re.escape(prefix)}_[\d.]+" for prefix in map(family, like) if prefix}
    pattern = re.compile(rb"(?<=\0)(?:%s)(?=\0)" % "|".join(sorted(wanted)).encode())
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return {one.decode() for one in pattern.findall(data)}
    except (OSError, ValueError):
        return set()
