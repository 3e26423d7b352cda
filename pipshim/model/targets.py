"""Named targets, such as ``linux-x86_64-cp312``, to lock for other machines.

A name means the same Python everywhere: the newest patch release, on the oldest system that `GLIBC`
and `MACOS` say. It does not depend on the machine at hand.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from packaging.markers import Marker
from packaging.tags import compatible_tags, cpython_tags, mac_platforms

from pipshim.base.spelling import nearest
from pipshim.model.interpreter import OLDEST, TargetPython

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

GLIBC = (2, 28)
"""The C library of a Linux target: its wheels may need this one and older (PEP 600)."""

MACOS = (14, 0)
"""The system of a macOS target."""

NEWEST_PATCH = 99
"""The patch release of a target: newer than any, so that markers speak of the newest."""

MACHINES = {
    "linux": {"x86_64": "x86_64", "arm64": "aarch64"},
    "macos": {"x86_64": "x86_64", "arm64": "arm64"},
    "windows": {"x86_64": "AMD64", "arm64": "ARM64"},
}
"""By platform, each machine and what ``platform.machine()`` calls it there."""

_MINORS = (*range(OLDEST[1], 15),)
_SYSTEMS = {
    "linux": ("posix", "Linux", "linux"),
    "macos": ("posix", "Darwin", "darwin"),
    "windows": ("nt", "Windows", "win32"),
}
_WHEELS = {"linux": "manylinux", "macos": "macosx", "windows": "win"}
_NAME = re.compile(r"(?P<platform>[a-z]+)-(?P<machine>\w+)-cp3(?P<minor>\d+)")

# The names that wheels had before PEP 600, by the glibc that they stand for (PEP 513, 571, 599).
_LEGACY = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_OLDEST_GLIBC = {"x86_64": 5, "aarch64": 17}

_NAMELESS = (
    (re.compile(r"musl|alpine"), ": no marker tells musl from glibc (PEP 508)"),
    (re.compile(r"cp3\d+t\b"), ": no marker tells free-threaded Pythons from others (PEP 508)"),
    (re.compile(r"-(pp|pypy)[\d.]*$"), ": PyPy has no names; lock for it with PyPy itself"),
)
"""What the names of some Pythons would have in them, and why they have none."""


class TargetName(NamedTuple):
    """The name of a target.

    Attributes:
        platform: ``linux``, ``macos`` or ``windows``.
        machine: ``x86_64`` or ``arm64``.
        minor: of CPython 3.

    """

    platform: str
    machine: str
    minor: int

    def __str__(self) -> str:
        return f"{self.platform}-{self.machine}-cp3{self.minor}"

    @classmethod
    def parse(cls, text: str) -> TargetName:
        """Read a name.

        Raises:
            ValueError: it is none.

        """
        match = _NAME.fullmatch(text)
        if (
            match is None
            or match["machine"] not in MACHINES.get(match["platform"], ())
            or int(match["minor"]) not in _MINORS
        ):
            because = next((why for word, why in _NAMELESS if word.search(text)), "")
            meant = f"; did you mean {nearest(text, KNOWN)!r}?"
            raise ValueError(f"{text!r} is not a target{because}{meant}")
        return cls(match["platform"], match["machine"], int(match["minor"]))

    @property
    def fields(self) -> dict[str, str]:
        """The markers that distinguish targets (dependency specifiers, PEP 508)."""
        return {
            "implementation_name": "cpython",
            "platform_machine": MACHINES[self.platform][self.machine],
            "python_version": f"3.{self.minor}",
            "sys_platform": _SYSTEMS[self.platform][2],
        }

    @property
    def marker(self) -> Marker:
        """Return the marker for this target alone."""
        return Marker(" and ".join(f'{key} == "{value}"' for key, value in self.fields.items()))

    @property
    def python(self) -> TargetPython:
        return _python(self)


@cache
def _python(name: TargetName) -> TargetPython:
    full = f"3.{name.minor}.{NEWEST_PATCH}"
    os_name, system, _ = _SYSTEMS[name.platform]
    interpreter = f"cp3{name.minor}"
    platforms = list(_platforms(name.platform, name.fields["platform_machine"]))
    version = (3, name.minor)
    return TargetPython(
        version=(*version, NEWEST_PATCH),
        implementation="cpython",
        markers={
            **name.fields,
            "implementation_version": full,
            "os_name": os_name,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": system,
            "platform_version": "",
            "python_full_version": full,
        },
        tags=tuple(
            str(tag)
            for found in (
                cpython_tags(version, abis=[interpreter], platforms=platforms),
                compatible_tags(version, interpreter=interpreter, platforms=platforms),
            )
            for tag in found
        ),
    )


KNOWN = tuple(
    str(TargetName(platform, machine, minor))
    for platform, machines in MACHINES.items()
    for machine in machines
    for minor in _MINORS
)
"""Every name."""

FORM = f"PLATFORM-MACHINE-cpVERSION: {', '.join(MACHINES)}; x86_64, arm64; cp310 to cp314"
"""How a name is made, for hints."""


def target_of_markers(markers: Mapping[str, str]) -> TargetName | None:
    """Return the target that markers describe; None for other implementations and systems.

    Markers do not show musl and free-threaded Pythons: see `name_of_python`.
    """
    for text in KNOWN:
        name = TargetName.parse(text)
        if all(markers[key] == value for key, value in name.fields.items()):
            return name
    return None


def target_of_python(python: TargetPython) -> TargetName | None:
    """Return the target whose wheels of compiled modules a Python takes.

    None: another implementation or system, musl, or a free-threaded Python.
    """
    name = target_of_markers(python.markers)
    if name is None:
        return None
    interpreter = f"cp3{name.minor}"
    start = f"{interpreter}-{interpreter}-{_WHEELS[name.platform]}"
    return name if any(tag.startswith(start) for tag in python.tags) else None


def marker_for(some: Collection[TargetName], of: Collection[TargetName]) -> Marker | None:
    """Return the shortest marker for some of the targets of a lock; None for all of them.

    Other targets may match or not: a lock is refused there for its ``environments`` (PEP 751).
    """
    chosen = set(some)
    if chosen == set(of):
        return None
    for keys in (
        ("python_version",),
        ("sys_platform",),
        ("platform_machine",),
        ("sys_platform", "python_version"),
        ("sys_platform", "platform_machine"),
        ("platform_machine", "python_version"),
        ("platform_machine", "python_version", "sys_platform"),
    ):
        values = sorted(
            {tuple(one.fields[key] for key in keys) for one in chosen},
            key=lambda one: [(len(value), value) for value in one],  # 3.9 comes before 3.10
        )
        if all(tuple(one.fields[key] for key in keys) not in values for one in set(of) - chosen):
            terms = [
                " and ".join(f'{key} == "{value}"' for key, value in zip(keys, one, strict=True))
                for one in values
            ]
            return Marker(" or ".join(terms))
    raise AssertionError(some)  # the last keys tell all targets apart


def _platforms(platform: str, machine: str) -> Iterator[str]:
    """Return the platform tags that suit a system, best first, as `packaging.tags` does."""
    if platform == "macos":
        yield from mac_platforms(MACOS, machine)
    elif platform == "windows":
        yield f"win_{machine.lower()}"
    else:
        yield f"linux_{machine}"
        major, newest = GLIBC
        for minor in range(newest, _OLDEST_GLIBC[machine] - 1, -1):
            yield f"manylinux_{major}_{minor}_{machine}"
            if minor in _LEGACY:
                yield f"{_LEGACY[minor]}_{machine}"
