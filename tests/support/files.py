"""What is in a folder, exactly enough to tell that nothing has changed."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from tests.support.pipshim import site_packages

if TYPE_CHECKING:
    from pathlib import Path


def listing(*roots: Path, without: tuple[str, ...] = ()) -> dict[str, tuple[object, ...]]:
    """List all below these folders: kind, mode, time, and content or where a link leads.

    What has one of the names in `without` does not count. A folder's time is that of the last
    entry made or removed in it, so a file that was there for a moment shows.
    """
    found: dict[str, tuple[object, ...]] = {}
    for root in roots:
        for directory, folders, files in os.walk(root):
            folders[:] = [name for name in folders if name not in without]
            for path in (directory, *(os.path.join(directory, one) for one in [*folders, *files])):  # noqa: PTH118
                if os.path.basename(path) not in without:  # noqa: PTH119
                    found[path] = _described(path)
    return found


def _described(path: str) -> tuple[object, ...]:
    status = os.lstat(path)
    if stat.S_ISLNK(status.st_mode):
        return ("link", os.readlink(path))  # noqa: PTH115
    content = b""
    if stat.S_ISREG(status.st_mode):
        with open(path, "rb") as file:  # noqa: PTH123
            content = file.read()
    return (status.st_mode, status.st_mtime_ns, content)


def distributions(environment: Path) -> list[str]:
    """Give ``name-version`` of each distribution of an environment, sorted."""
    return sorted(
        path.name.removesuffix(".dist-info")
        for path in site_packages(environment).glob("*.dist-info")
    )
