"""Certificates that are read once, and not for each connection.

All connections of pip's session share one context (``pip._vendor.truststore``), and yet each of
them has it read the files of certificates again, its own and urllib3's: on two cores that took a
third of the time of locking 46 packages from an index with TLS.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.network.session import PipSession

_READING = ("load_verify_locations", "set_default_verify_paths")


def read_once(session: PipSession) -> None:
    """Let a session's contexts read each file of certificates once."""
    contexts = [getattr(one, "_ssl_context", None) for one in session.adapters.values()]
    for context in {id(one): one for one in contexts}.values():
        inner = getattr(context, "_ctx", None)  # what truststore has read into
        if inner is not None:
            guard = threading.Lock()
            for name in _READING:
                setattr(inner, name, _once(getattr(inner, name), guard))


def _once(read: Callable[..., None], guard: threading.Lock) -> Callable[..., None]:
    done: set[Any] = set()

    def unless_done(*args: Any, **kwargs: Any) -> None:
        key = (args, tuple(sorted(kwargs.items())))
        with guard:
            if key not in done:
                read(*args, **kwargs)
                done.add(key)

    return unless_done
