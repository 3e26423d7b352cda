"""Close the connections of pip's sessions when a command is interrupted.

A signal cannot reach a thread that waits for a server; shutting its connection does.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from contextlib import suppress
from typing import Any

from pip._vendor.urllib3.util import connection

from pipshim._pip import patches, pip_texts
from pipshim.base import interruption

_create_connection = connection.create_connection
_guard = threading.Lock()
_open: dict[int, int] = {}
"""By descriptor, the inode of its socket: TLS makes other objects of it."""


def _tracked(*args: Any, **kwargs: Any) -> socket.socket:
    """Connect as urllib3 does; once the command is ending, do not retry."""
    if interruption.is_ending():
        raise KeyboardInterrupt
    made = _create_connection(*args, **kwargs)
    with _guard:
        _open[made.fileno()] = os.fstat(made.fileno()).st_ino
    return made


def shut() -> None:
    """Shut all connections: threads that wait for one fail at once, silently."""
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


def install() -> None:
    """Track connections from now on."""
    if connection.create_connection is not _tracked:
        patches.replace(connection, create_connection=_tracked)
        interruption.at_interrupt.append(shut)
