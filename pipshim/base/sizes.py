"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

from contextlib import suppress

_STEP = 1000
_BINARY_STEP = 1024
_LETTERS = "kmgt"


def size(count: float) -> str:
    """Say bytes for people, in powers of 1000: ``812 B``, ``12 kB``, ``1.4 MB``, ``2.1 GB``."""
    for unit, digits in (("B", 0), ("kB", 0), ("MB", 1)):
        if count < 999.5:  # noqa: PLR2004 what would be shown as 1000
            return f"{count:.{digits}f} {unit}"
        count /= _STEP
    return f"{count:.1f} GB"


def read_size(text: str) -> int:
    """Read ``8 GB``, ``500MB`` or ``1.5 GiB`` as bytes.

    Raises:
        ValueError: it is no size.

    """
    number = text.rstrip(" abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    unit = text[len(number) :].strip().lower()
    letter, rest = unit[:1], unit[1:]
    steps = {"b": _STEP, "ib": _BINARY_STEP}
    if letter and letter in _LETTERS and rest in steps:
        with suppress(ValueError):
            count = float(number) * steps[rest] ** (_LETTERS.index(letter) + 1)
            if 1 <= count < float("inf"):
                return int(count)
    raise ValueError(f"{text!r} is not a size, such as 50GB")
