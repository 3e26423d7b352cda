"""Shut connections when a command is interrupted.

A signal cannot reach a thread that waits for a server; shutting its connection does.
"""

from __future__ import annotations

import os
import socket
import threading
from contextlib import suppress

_guard = threading.Lock()
_open: dict[int, int] = {}
"""By descriptor, the inode of its socket: TLS makes other objects of it."""


def track(connection: socket.socket) -> socket.socket:
    """Note a connection, to shut it at an interrupt."""
    with _guard:
        _open[connection.fileno()] = os.fstat(connection.fileno()).st_ino
    return connection


def shut() -> None:
    """Shut all connections: threads that wait for one fail at once."""
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
