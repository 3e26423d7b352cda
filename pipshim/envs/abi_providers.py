"""Find the distributions that compiled code can be built against.

These are platform-specific, or have headers, libraries, Cython declarations or CMake files. Build
records state it for everything that a build used; a later comparison needs no files.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pipshim.envs import installed
from pipshim.envs.dist_info import RECORD, read_text, tags_of
from pipshim.model.build_record import Used

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipshim.envs.installed import Installed

_HEADERS = ("h", "hh", "hpp", "hxx", r"h\+\+", "cuh", "inl", "ipp", "tcc")
_LIBRARIES = (r"so(?:\.\d+)*", "a", "o", "dylib", "pyd", "dll", "lib", "obj")
_DECLARATIONS = ("pxd", "pxi", "cmake", "pc")
_SUFFIXES = "|".join((*_HEADERS, *_LIBRARIES, *_DECLARATIONS))
_NATIVE_FILE = re.compile(rf"\.(?:{_SUFFIXES})$", re.IGNORECASE)
_NATIVE_LINE = re.compile(rf'\.(?:{_SUFFIXES})"?,', re.IGNORECASE)


def is_platform_specific(wheel: str) -> bool:
    """Return whether a WHEEL file is that of a platform-specific wheel."""
    return any(not tag.endswith("-none-any") for tag in tags_of(wheel))


def has_native_files(names: Iterable[str]) -> bool:
    """Return whether one of these files is a header, a library, a declaration or CMake's."""
    return any(_NATIVE_FILE.search(name) for name in names)


def is_native(one: Installed) -> bool:
    """Return whether compiled code can be built against an installed distribution.

    One whose files are unknown counts as such.
    """
    record = read_text(str(one.dist_info / RECORD))
    if not record or is_platform_specific(read_text(str(one.dist_info / "WHEEL"))):
        return True
    return _NATIVE_LINE.search(record) is not None


def used(one: Installed) -> Used:
    """Describe an installed distribution as build records do."""
    return Used(one.version, installed.fingerprint(one), is_native(one))
