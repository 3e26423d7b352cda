"""Python interpreters as values: markers, tags and paths."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

OLDEST = (3, 10)
"""The oldest Python that pipshim supports."""


@dataclass(frozen=True)
class TargetPython:
    """What a resolver has to know of a Python, on this machine or not.

    Attributes:
        implementation: ``sys.implementation.name``: ``cpython``, ``pypy``.
        markers: the values of markers (dependency specifiers, PEP 508).
        tags: the compatible tags of wheels, best first.

    """

    version: tuple[int, int, int]
    implementation: str
    markers: Mapping[str, str] = field(hash=False)
    tags: tuple[str, ...]

    @property
    def python_name(self) -> str:
        """Implementation and minor version: ``cpython 3.11``."""
        return f"{self.implementation} {self.version[0]}.{self.version[1]}"

    @property
    def platform(self) -> str:
        """System and machine: ``linux x86_64``."""
        return f"{self.markers['sys_platform']} {self.markers['platform_machine']}"

    @property
    def abi(self) -> str:
        """The ABI tag of the wheels that it builds; empty if it has no tags."""
        return self.tags[0].split("-")[1] if self.tags else ""


@dataclass(frozen=True)
class Target(TargetPython):
    """A Python on this machine, as its interpreter describes it.

    Attributes:
        python: the interpreter to call, absolute, symbolic links not resolved.
        prefix: ``sys.prefix``: of a virtual environment, its folder.
        base_prefix: the prefix of the Python below a virtual environment; else as prefix.
        base_python: the interpreter of that Python; else as python.
        data: what the ``data`` files of a wheel are relative to.
        compilers: the commands of the compilers that it was built with: ``cc``, ``c++``.
        headers: the folder with a folder of headers for each distribution, as
            ``pip._internal.locations`` chooses it.

    """

    python: Path
    prefix: Path
    base_prefix: Path
    base_python: Path
    purelib: Path
    platlib: Path
    scripts: Path
    data: Path
    headers: Path
    is_venv: bool
    compilers: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def full_version(self) -> str:
        """The version as PEP 440 writes it, with a pre-release's suffix."""
        return self.markers["python_full_version"]

    @property
    def bytecode(self) -> str:
        """Identifies the Pythons that its bytecode is valid for: ``cpython-3.11-cp311``."""
        version = self.full_version
        final = ".".join(map(str, self.version))
        minor = f"{self.version[0]}.{self.version[1]}"
        # The form may change with every pre-release.
        return f"{self.implementation}-{minor if version == final else version}-{self.abi}"
