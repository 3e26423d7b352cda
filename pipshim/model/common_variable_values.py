"""Guess from common values which one a digest in a build record is of. Pure.

Records have digests of values only. A reason can still name the old value if it is a common one, or
differs from the value of today in its numbers only: both are tried.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SWITCHES = (
    *("", *"0123456789", "10", "12", "16", "24", "32", "64"),
    *("true", "True", "TRUE", "false", "False", "FALSE", "yes", "YES", "no", "NO"),
    *("on", "On", "ON", "off", "Off", "OFF", "Release", "Debug", "RelWithDebInfo", "native"),
)
_GPUS = (
    *("5.0", "5.2", "6.0", "6.1", "7.0", "7.2", "7.5", "8.0", "8.6", "8.7", "8.9", "9.0", "9.0a"),
    *("10.0", "10.0a", "10.3", "11.0", "12.0", "12.0a", "12.1"),
)
_COMPILERS = (
    *("cc", "gcc", "clang", "icx", "icc", "nvc", "c++", "g++", "clang++", "icpx", "icpc", "nvc++"),
    *("gfortran", "flang", "ifx", "ifort", "nvcc", "rustc", "ld", "lld", "mold"),
)
_BEFORE_COMPILERS = (
    *("", "/usr/bin/", "/usr/local/bin/", "ccache ", "sccache ", "x86_64-linux-gnu-"),
    *("aarch64-linux-gnu-", "/usr/bin/x86_64-linux-gnu-"),
)
_FLAGS = (
    *("-O0", "-O1", "-O2", "-O3", "-Os", "-Og", "-Ofast", "-g", "-g0", "-w", "-Wall", "-Wextra"),
    *("-fPIC", "-pipe", "-flto", "-DNDEBUG", "-march=native", "-mtune=native", "-ffast-math"),
)
_GPU_NUMBERS = tuple(one.replace(".", "") for one in _GPUS)
_RUST_FLAGS = (
    *("target-cpu=native", "debuginfo=0", "debuginfo=1", "debuginfo=2", "lto=fat", "lto=thin"),
    *("opt-level=0", "opt-level=1", "opt-level=2", "opt-level=3", "strip=symbols", "panic=abort"),
)
_CUDA_VERSIONS = tuple(f"{major}.{minor}" for major in range(9, 15) for minor in range(10))
_CUDA_FOLDERS = ("/usr/local/cuda", "/opt/cuda", "/usr", "/usr/lib/cuda")
_NUMBER = re.compile(r"\d+(?:\.\d+)*")
_MOST_NUMBERS = 4


def find_value(name: str, now: str | None, is_it: Callable[[str], bool]) -> str | None:
    """Return the value of a variable that passes a test; None if it is not a common one.

    Args:
        name: the variable.
        now: its value of today.
        is_it: the test.

    """
    return next(filter(is_it, itertools.chain(_like(now or ""), _common(name))), None)


def _like(now: str) -> Iterator[str]:
    """Yield what differs from a value in one of its numbers."""
    for match in itertools.islice(_NUMBER.finditer(now), _MOST_NUMBERS):
        for number in (*map(str, range(32)), *_GPUS, *_CUDA_VERSIONS, *_GPU_NUMBERS):
            yield f"{now[: match.start()]}{number}{now[match.end() :]}"


def _common(name: str) -> Iterator[str]:
    yield from _SWITCHES
    if "ARCH" in name and "FLAGS" not in name:
        yield from _gpu_lists(_GPUS, ("", "+PTX"))
        yield from _gpu_lists(_GPU_NUMBERS, ("", "-real", "-virtual"))
        yield from ("all", "all-major")
    elif name.startswith(("RUST", "CARGO")):
        yield from (f"-C{space}{flag}" for flag in _RUST_FLAGS for space in ("", " "))
    elif name.endswith("FLAGS"):
        for count in (1, 2, 3):
            yield from map(" ".join, itertools.permutations(_FLAGS, count))
    elif name.startswith(("CUDA", "CUDNN")):
        yield from _CUDA_FOLDERS
        yield from (f"/{top}/cuda-{one}" for one in _CUDA_VERSIONS for top in ("usr/local", "opt"))
    else:
        for before, program in itertools.product(_BEFORE_COMPILERS, _COMPILERS):
            yield f"{before}{program}"
            yield from (f"{before}{program}-{version}" for version in range(7, 24))


def _gpu_lists(gpus: tuple[str, ...], ends: tuple[str, ...]) -> Iterator[str]:
    """Yield lists of up to three kinds of GPUs."""
    for count in (1, 2, 3):
        for chosen in itertools.combinations(gpus, count):
            for separator, end in itertools.product((";", " ", ",")[: 1 + 2 * (count > 1)], ends):
                yield f"{separator.join(chosen)}{end}"
