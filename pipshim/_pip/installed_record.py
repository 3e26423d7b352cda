"""Add hashes that a wheel's RECORD lacks to the RECORD that is installed."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from pip._internal.operations.install import wheel

from pipshim._pip import patches
from pipshim.envs.dist_info import RECORD, SIGNATURES

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


def hashed() -> AbstractContextManager[None]:
    """Let pip write such a RECORD for a while."""
    original = vars(wheel)["get_csv_rows_for_installed"]
    return patches.replaced(wheel, get_csv_rows_for_installed=partial(_hashed_rows, original))


def _hashed_rows(
    original: Any, old: Any, installed: Any, changed: Any, generated: Any, lib_dir: str
) -> list[tuple[str, str, str]]:
    rows: list[tuple[str, str, str]] = original(old, installed, changed, generated, lib_dir)
    return [row if row[1] else _hashed(row, lib_dir) for row in rows]


def _hashed(row: tuple[str, str, str], lib_dir: str) -> tuple[str, str, str]:
    path = os.path.join(lib_dir, row[0])  # noqa: PTH118 as pip joins them
    without = {RECORD, *SIGNATURES}
    if os.path.basename(path) in without or not os.path.isfile(path):  # noqa: PTH113, PTH119
        return row
    return (row[0], *wheel.rehash(path))
