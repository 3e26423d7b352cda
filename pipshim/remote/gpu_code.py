"""Read which NVIDIA GPUs a library has code for: ``sm_90`` (machine code), ``compute_90`` (PTX).

NVIDIA does not document the format. The layout is that of CUDA 11 to 13; what does not look like
it is not read.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator

SECTION = ".nv_fatbin"

_BUNDLE = struct.Struct("<IHHQ")
_MAGIC = 0xBA55ED50
_CODE = struct.Struct("<HHIQIIHHIIIQ")
_PTX, _MACHINE_CODE = 1, 2
_EXACT = 0x1000 | 0x100000
"""Flags of code for one compute capability only: sm_90a, sm_100a."""

_ALIGNMENT = 8
_MOST_PADDING = 4096
_MOST = 100_000


def architectures(stream: BinaryIO, offset: int, size: int) -> set[str]:
    """Return the architectures of the code in a section.

    Args:
        offset: where the section begins.

    """
    found: set[str] = set()
    position, end, padding = offset, offset + size, 0
    for _ in range(_MOST):
        if position + _BUNDLE.size > end or padding > _MOST_PADDING:
            break
        magic, _, header, length = _read(_BUNDLE, stream, position)
        if magic != _MAGIC or header < _BUNDLE.size:
            position, padding = position + _ALIGNMENT, padding + _ALIGNMENT
            continue
        start = position + header
        position, padding = start + length, 0
        found.update(_codes(stream, start, min(position, end)))
    return found


def _codes(stream: BinaryIO, position: int, end: int) -> Iterator[str]:
    for _ in range(_MOST):
        if position + _CODE.size > end:
            return
        kind, _, header, length, *_, architecture, _, _, flags = _read(_CODE, stream, position)
        if kind not in (_PTX, _MACHINE_CODE) or header < _CODE.size:
            return
        name = "compute" if kind == _PTX else "sm"
        yield f"{name}_{architecture}{'a' if flags & _EXACT else ''}"
        position += header + length


def _read(layout: struct.Struct, stream: BinaryIO, position: int) -> tuple[int, ...]:
    stream.seek(position)
    return layout.unpack(stream.read(layout.size))
