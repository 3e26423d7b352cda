"""Which compilers and other programs a build depends on, and how their versions compare. Pure.

An unchanged ``run`` compares files only; what is here is for commands that build.
"""

from __future__ import annotations

import re
from dataclasses import field
from hashlib import sha256
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

LANGUAGES = {
    "cc": ("c", "pyx", "pxi"),
    "c++": ("cpp", "cc", "cxx", "c++", "cu"),
    "fortran": ("f", "f77", "f90", "f95", "f03", "for"),
    "nvcc": ("cu",),
    "rustc": ("rs",),
}
"""By compiler, the suffixes of the sources that it compiles."""

_NO_TOOLS = re.compile(
    r"(python|pypy|pip)[\d.]*|[a-z]*sh|env|true|false|test|\[|echo|printf|cat|cp|mv|rm|mkdir|ln|ls|"
    r"chmod|touch|install|find|which|sed|[gmn]?awk|e?grep|sort|head|tail|tr|cut|xargs|uname|arch|"
    r"hostname|id|whoami|locale|getconf|lsb_release|dpkg-architecture|ldconfig|nproc|lscpu|sysctl|"
    r"sw_vers|xcrun|rustup|nvidia-smi|rocminfo|git|hg|svn|jj|tar|gzip|unzip|curl|wget|g?make|ninja|samu"
)
"""Programs that do not decide what a compiled file is."""

BUILD_SYSTEMS = frozenset({"cmake", "cmake3", "meson", "bazel", "scons", "xmake", "waf"})
"""Programs, and distributions, that find compilers by themselves."""

BUILD_BACKENDS = frozenset({"meson-python", "scikit-build", "scikit-build-core", "py-build-cmake"})
"""Distributions that run these."""

_NUMBER = re.compile(r"\d+(?:\.\d+)+")


OF_CHANNEL = " +"
"""Comes between ``rustc`` and the toolchain that a source tree asks rustup for."""

_FILE = "file "
"""How the version of a file begins that is told by its content."""

_GCC = re.compile(r"^(\S*-)?(cc|gcc|c\+\+|g\+\+)(-[\d.]+)? \(")
"""How GCC names itself: as it was called."""


@dataclass(frozen=True)
class Tool:
    """A program that a build started, or would find.

    Attributes:
        version: the line of its version output that has the number.

    """

    version: str
    path: str = field(default="", compare=False)


def compilers_of(suffixes: Iterable[str]) -> list[str]:
    """Return the compilers for sources with these suffixes."""
    present = {one.lower() for one in suffixes}
    return [name for name, ends in LANGUAGES.items() if not present.isdisjoint(ends)]


def of_content(content: bytes) -> str:
    """Return the version of a file that is told by its content."""
    return f"{_FILE}{sha256(content).hexdigest()[:16]}"


def is_tool(program: str) -> bool:
    """Return whether a program that a build started counts, by its name."""
    return _NO_TOOLS.fullmatch(program) is None


def version_line(output: str) -> str | None:
    """Return the line of a program's version output that has its version."""
    lines = [line.strip() for line in output.splitlines() if _NUMBER.search(line)]
    released = [line for line in lines if "release" in line and "V" in line]  # nvcc
    found = next(iter(released or lines), None)
    return None if found is None else _GCC.sub("gcc (", found)


def differences(known: Mapping[str, Tool | None], now: Mapping[str, Tool | None]) -> Iterator[str]:
    """Say which tools have another version; one that is gone cannot build anything better."""
    for name, was in sorted(known.items()):
        found = now.get(name)
        if found is not None and found != was:
            yield _difference(name, found, was)


def _difference(name: str, found: Tool, was: Tool | None) -> str:
    number = _numbers(found.version)
    if was is None:
        return f"{name} {number or found.version}, was not found"
    if found.version.startswith(_FILE) or was.version.startswith(_FILE):
        return f"{name} has changed"
    before = _numbers(was.version)
    if number != before and _NUMBER.sub("", found.version) == _NUMBER.sub("", was.version):
        return f"{name} {number}, was {before}"
    return f"{name} is {found.version}, was {was.version}"


def _numbers(version: str) -> str:
    numbers: list[str] = _NUMBER.findall(version)
    return numbers[-1] if numbers else ""
