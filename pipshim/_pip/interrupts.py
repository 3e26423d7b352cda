"""Clean up after pip when a command is interrupted: close connections, remove temporary folders."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from pip._internal.utils.temp_dir import TempDirectory
from pip._vendor.urllib3.util import connection

from pipshim._pip import patches, pip_texts
from pipshim.base import interruption

if TYPE_CHECKING:
    import socket

_create_connection = connection.create_connection
_create_folder = TempDirectory._create  # noqa: SLF001


def track_connections() -> None:
    """Track connections from now on, to shut them when the command is interrupted."""
    if connection.create_connection is not _tracked:
        patches.replace(connection, create_connection=_tracked)
        interruption.at_interrupt.append(_shut)


def track_temporary_folders() -> None:
    """Note temporary folders from now on, to remove them if a second signal ends the command."""
    if TempDirectory._create is not _noted:  # noqa: SLF001
        patches.replace(TempDirectory, _create=_noted)


def _tracked(*args: Any, **kwargs: Any) -> socket.socket:
    """Connect as urllib3 does; once the command is ending, do not retry."""
    if interruption.is_ending():
        raise KeyboardInterrupt
    made = _create_connection(*args, **kwargs)
    interruption.track_connection(made.fileno())
    return made


def _shut() -> None:
    for name in (pip_texts.DOWNLOAD, pip_texts.CONNECTION_POOL):  # they announce another attempt
        logging.getLogger(name).disabled = True
    interruption.shut_connections()


def _noted(self: TempDirectory, kind: str) -> str:
    path = _create_folder(self, kind)
    if kind != "uninstall":  # pip moves these back if it fails: the user's files
        interruption.temporary.add(path)
    return path
