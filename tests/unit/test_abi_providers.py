"""Which distributions compiled code can be built against."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING

import pytest

from pipshim.envs import abi_providers, installed
from pipshim.store.store import Store
from tests.support.dists import wheel

if TYPE_CHECKING:
    from pathlib import Path

COUNTS = [
    {"lib/include/lib.h": ""},
    {"lib/kernels.CUH": ""},
    {"lib/include/lib.h++": ""},
    {"lib/core.pxd": ""},
    {"lib/liblib.a": ""},
    {"lib/liblib.so.1.2": ""},
    {"lib/cmake/libConfig.cmake": ""},
    {"lib, core/lib.hpp": ""},
    {"lib-1.0.data/headers/lib/lib": ""},
]
DOES_NOT = [
    {"lib/__init__.py": "", "lib/py.typed": "", "lib/data.json": "{}"},
    {"lib/h": "", "lib/sources.c": "", "lib/gui.exe": "", "lib/a.html": "", "lib/x.so.py": ""},
]


@pytest.mark.parametrize(
    ("files", "tag", "counts"),
    [
        *((files, "py3-none-any", True) for files in COUNTS),
        *((files, "py3-none-any", False) for files in DOES_NOT),
        (DOES_NOT[0], "native", True),
        (DOES_NOT[0], "py3-none-manylinux_2_17_x86_64", True),
    ],
)
def test_what_counts_in_the_store_and_in_an_environment(
    tmp_path: Path, files: dict[str, str], tag: str, counts: bool
) -> None:
    file = wheel(tmp_path, "lib", "1.0", files=files, tag=tag)
    tree = Store(tmp_path / "cache").add(file, "lib")
    assert tree.is_native is counts
    if "lib-1.0.data/headers/lib/lib" in files:
        return  # not below site-packages, so RECORD of an environment shows its path only
    zipfile.ZipFile(file).extractall(tmp_path / "site")
    (found,) = installed.scan([tmp_path / "site"]).values()
    assert abi_providers.is_native(found) is counts
    assert abi_providers.used(found).counts is counts


def test_an_installed_distribution_without_a_list_of_files_counts(tmp_path: Path) -> None:
    (tmp_path / "old-1.0.egg-info").mkdir()
    (found,) = installed.scan([tmp_path]).values()
    assert abi_providers.is_native(found)
