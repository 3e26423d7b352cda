"""What a compiled wheel needs of a machine, and what this machine lacks. Pure.

A build record says what a wheel was built from. That it can be loaded where it was built is plain;
elsewhere it needs a C library, libraries and a processor that have at least what those had.
"""

from __future__ import annotations

import re
from dataclasses import field
from typing import TYPE_CHECKING, Any, Protocol

from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

MOST = 1000
"""How many libraries, versions or processor features a wheel may name."""

_LONGEST = 200
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+~-]*")
_NATIVE = re.compile(
    r"(?<![\w-])-m(?:arch|cpu)=native(?![\w-])|target-cpu=native(?![\w-])|(?<![\w-])-xHost(?![\w-])"
)
_NUMBERED = re.compile(r"(?P<family>.+)_(?P<number>\d+(?:\.\d+)*)")
_CUMULATIVE = frozenset({"GLIBC", "GLIBCXX", "CXXABI", "GCC", "GOMP", "GFORTRAN", "QUADMATH"})
"""Families of symbol versions of which a library that has one has all older ones."""

_GLIBC = "libc.so.6"
_MUSL = re.compile(r"libc\.musl-\w+\.so\.1")

_LEVELS = (
    ("x86-64-v2", "cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3"),
    ("x86-64-v3", "avx avx2 bmi1 bmi2 f16c fma abm movbe"),
    ("x86-64-v4", "avx512f avx512bw avx512cd avx512dq avx512vl"),
)
"""The processor levels of the x86-64 psABI, each with what it adds, as the kernel names it."""

_MORE = re.compile(
    r"avx\w*|amx_\w+|sse4a|xop|fma4|tbm|3dnow(?:ext)?|aes|vaes|v?pclmulqdq|gfni|sha_ni|sha512|sm[34]|"
    r"adx|rdrand|rdseed|3dnowprefetch|clwb|clflushopt|rdpid|movdiri|movdir64b|fsgsbase"
)
"""What else compilers use if they may, as the kernel names it."""

_SETS = ("placed", "processor", "gpus")
_GPU_CODE = re.compile(r"(?P<kind>sm|compute)_(?P<number>\d{2,4})(?P<exact>a?)")
_FEATURES_SHOWN = 3


class Machine(Protocol):
    """What is known of a machine; `pipshim.remote.machine` reads this one's."""

    @property
    def libc(self) -> str:
        """``glibc`` or ``musl``; empty if unknown."""

    @property
    def processor(self) -> Collection[str]:
        """What the processor can do, as `features` returns it; empty if unknown."""

    @property
    def gpus(self) -> Collection[tuple[int, int]]:
        """The compute capabilities of its NVIDIA GPUs; empty if it has none that is known."""

    def has_library(self, name: str) -> bool:
        """Return whether a library would be found."""

    def versions(self, name: str, like: Iterable[str]) -> Collection[str]:
        """Return the symbol versions of a library that are these, or of the same families."""


@dataclass(frozen=True)
class MachineNeeds:
    """What a wheel needs of a machine.

    Attributes:
        libraries: by name, the shared libraries that neither the wheel nor the distributions that
            it was built against bring, each with the newest symbol versions that are used.
        placed: those of them that the wheel looks for in a folder of the machine (an absolute
            RPATH), which the usual search may not find.
        processor: if it was compiled for the processor of the machine that built it
            (``-march=native``), what that can do.
        gpus: the NVIDIA GPUs that it has code for, ``sm_90`` (machine code) and ``compute_90``
            (PTX, which newer GPUs can use too); empty if it has none.

    """

    libraries: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    placed: frozenset[str] = frozenset()
    processor: frozenset[str] = frozenset()
    gpus: frozenset[str] = frozenset()

    @property
    def libc(self) -> str:
        """``glibc`` or ``musl``; empty if it uses neither."""
        if _GLIBC in self.libraries:
            return "glibc"
        return "musl" if any(map(_MUSL.fullmatch, self.libraries)) else ""

    def to_json(self) -> dict[str, Any]:
        """Say it as plain data."""
        libraries = {name: [*versions] for name, versions in sorted(self.libraries.items())}
        sets = zip(_SETS, (self.placed, self.processor, self.gpus), strict=True)
        return {"libraries": libraries, **{name: sorted(one) for name, one in sets if one}}

    @classmethod
    def from_json(cls, data: object) -> MachineNeeds:
        """Read what ``to_json`` returned, from whoever wrote it.

        Raises:
            ValueError: it is something else.

        """
        if not isinstance(data, dict) or not data.keys() <= {"libraries", *_SETS}:
            raise ValueError("invalid machine needs")
        libraries = data.get("libraries")
        if not isinstance(libraries, dict) or len(libraries) > MOST:
            raise ValueError("invalid libraries")
        return cls(
            {_name(name): tuple(_names(versions)) for name, versions in libraries.items()},
            *(frozenset(_names(data.get(name, []))) for name in _SETS),
        )


def _names(value: object) -> Iterator[str]:
    if not isinstance(value, list) or len(value) > MOST:
        raise ValueError("not a list of names")
    yield from map(_name, value)


def _name(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST or _NAME.fullmatch(value) is None:
        raise ValueError("not a name")
    return value


def lacking(needs: MachineNeeds, machine: Machine, *, elsewhere: Collection[str] = ()) -> list[str]:
    """Say what a machine lacks to load a wheel; empty if nothing is known to be missing.

    Args:
        machine: that would load it.
        elsewhere: libraries that the wheel finds by itself here, or need not find.

    """
    if needs.libc and machine.libc and needs.libc != machine.libc:
        return [f"needs {needs.libc}, this machine has {machine.libc}"]
    found = []
    for name, versions in sorted(needs.libraries.items()):
        if name in elsewhere:
            continue
        if not machine.has_library(name):
            found.append(f"needs {name}, which was not found here")
            continue
        present = machine.versions(name, versions) if versions else ()
        for version in versions:
            if version not in present:
                # Not all libraries of glibc have something of each of its versions.
                whole = _GLIBC if family(version) == "GLIBC" else name
                found.append(_version_lacking(version, name, machine.versions(whole, [version])))
    found += _processor_lacking(needs.processor, machine.processor)
    found += _gpu_lacking(needs.gpus, machine)
    return [*dict.fromkeys(found)]


def _version_lacking(version: str, library: str, present: Iterable[str]) -> str:
    same = [one for one in present if family(one) and family(one) == family(version)]
    if same:
        number = max(same, key=_number).rpartition("_")[2]
        return f"needs {version}, this machine has {number}"
    return f"needs {version} of {library}, which the one found here does not have"


def _processor_lacking(needed: Collection[str], present: Collection[str]) -> Iterator[str]:
    missing = sorted(set(needed) - set(present))
    if not missing:
        return
    was = f"was compiled for the processor that built it{_in_brackets(level(needed))}"
    if not present:
        yield f"{was}, and what this machine's processor can do is unknown"
        return
    more = len(missing) - _FEATURES_SHOWN
    shown = ", ".join(missing[:_FEATURES_SHOWN]) + (f" and {more} more" if more > 0 else "")
    yield f"{was}, this machine's{_in_brackets(level(present))} has no {shown}"


def _gpu_lacking(codes: Collection[str], machine: Machine) -> Iterator[str]:
    """Say it if a wheel has code for GPUs, and none of it is for one of the machine's."""
    if not codes or not machine.gpus:  # a machine without GPUs may prepare environments for others
        return
    if not any(_runs(code, *gpu) for code in codes for gpu in machine.gpus):
        here = ", ".join(sorted({f"sm_{major}{minor}" for major, minor in machine.gpus}))
        yield f"was compiled for the GPUs {', '.join(sorted(codes))}, this machine has {here}"


def _runs(code: str, major: int, minor: int) -> bool:
    """Return whether a GPU of a compute capability can run code."""
    parts = _GPU_CODE.fullmatch(code)
    if parts is None:
        return True
    needed = divmod(int(parts["number"]), 10)
    if parts["exact"]:
        return needed == (major, minor)
    if parts["kind"] == "compute":
        return needed <= (major, minor)
    return needed[0] == major and needed[1] <= minor


def _in_brackets(text: str) -> str:
    return f" ({text})" if text else ""


def family(version: str) -> str:
    """Return what a symbol version has before its number; empty if it has none."""
    parts = _NUMBERED.fullmatch(version)
    return parts["family"] if parts is not None else ""


def newest(versions: Iterable[str]) -> tuple[str, ...]:
    """Leave out symbol versions that newer ones imply."""
    found: dict[str, str] = {}
    for version in versions:
        key = family(version)
        if key not in _CUMULATIVE:
            found[version] = version
        elif key not in found or _number(found[key]) < _number(version):
            found[key] = version
    return tuple(sorted(found.values()))


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.rpartition("_")[2].split(".")))


def is_native(text: str) -> bool:
    """Return whether compiler options ask for the processor of the machine that compiles."""
    return _NATIVE.search(text) is not None


def features(cpuinfo: str) -> frozenset[str]:
    """Return what a processor can do that compilers use, from /proc/cpuinfo.

    The processors of a machine may differ: what all of them can do counts.
    """
    found: list[set[str]] = []
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        key = key.strip()
        if key == "flags":
            known = {one for _, flags in _LEVELS for one in flags.split()}
            found.append({one for one in value.split() if one in known or _MORE.fullmatch(one)})
        elif key == "Features":  # of ARM; not what only the kernel needs
            found.append({*value.split()} - {"cpuid", "evtstrm"})
    return frozenset(set.intersection(*found)) if found else frozenset()


def level(processor: Collection[str]) -> str:
    """Return the level of an x86-64 processor, ``x86-64-v3``; empty for others."""
    present, found = set(processor), "x86-64" if "pni" in processor else ""
    for name, flags in _LEVELS:
        if not present.issuperset(flags.split()):
            break
        found = name
    return found
