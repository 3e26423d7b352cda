"""Note pip's temporary folders, to remove them if a second signal ends the command."""

from __future__ import annotations

from pip._internal.utils.temp_dir import TempDirectory

from pipshim._pip import patches
from pipshim.base import interruption

_create = TempDirectory._create  # noqa: SLF001
_KEPT = "uninstall"
"""What pip moves back if it fails: the user's files."""


def _noted(self: TempDirectory, kind: str) -> str:
    path = _create(self, kind)
    if kind != _KEPT:
        interruption.temporary.add(path)
    return path


def note() -> None:
    """Note temporary folders from now on."""
    if TempDirectory._create is not _noted:  # noqa: SLF001
        patches.replace(TempDirectory, _create=_noted)
