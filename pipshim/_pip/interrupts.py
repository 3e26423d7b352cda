"""Clean up after pip when a command is interrupted: close connections, remove temporary folders.

A signal cannot reach a thread that waits for a server; shutting its connection does.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from contextlib import suppress
from typing import Any

from pip._internal.utils.temp_dir import TempDirectory
from pip._vendor.urllib3.util import connection

from pipshim._pip import patches, pip_texts
from pipshim.base import interruption

_create_connection = connection.create_connection
_create_folder = TempDirectory._create  # noqa: SLF001

_guard = threading.Lock()
_open: dict[int, int] = {}
"""By descriptor, the inode of its socket: TLS makes other objects of it."""


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
    with _guard:
        _open[made.fileno()] = os.fstat(made.fileno()).st_ino
    return made


def _shut() -> None:
    """Shut all connections: threads that wait for one fail at once."""
    for name in (pip_texts.DOWNLOAD, pip_texts.CONNECTION_POOL):  # they announce another attempt
        logging.getLogger(name).disabled = True
    with _guard:
        found = dict(_open)
        _open.clear()
    for descriptor, inode in found.items():
        with suppress(OSError):
            copy = os.dup(descriptor)
            if os.fstat(copy).st_ino != inode:  # closed since, and another file by now
                os.close(copy)
                continue
            with socket.socket(fileno=copy) as same:
                same.shutdown(socket.SHUT_RDWR)


def _noted(self: TempDirectory, kind: str) -> str:
    path = _create_folder(self, kind)
    if kind != "uninstall":  # pip moves these back if it fails: the user's files
        interruption.temporary.add(path)
    return path
