"""Read certificate files once, not for each connection.

All connections of pip's session share one context (``pip._vendor.truststore``), but each reads the
certificate files again: a third of the time of locking 46 packages over TLS on two cores.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.network.session import PipSession

_READING = ("load_verify_locations", "set_default_verify_paths")


def read_once(session: PipSession) -> None:
    """Let a session's contexts read each certificate file once."""
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
