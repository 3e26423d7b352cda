"""`signal` with plain numbers instead of enumerations, without importing `enum`."""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal

SIGINT = _signal.SIGINT
SIGKILL: int = getattr(_signal, "SIGKILL", _signal.SIGTERM)  # to Windows, both are the same
SIGTERM = _signal.SIGTERM
SIG_DFL = _signal.SIG_DFL
SIG_IGN = _signal.SIG_IGN
default_int_handler = _signal.default_int_handler
getsignal = _signal.getsignal
if sys.platform != "win32":
    pthread_kill = _signal.pthread_kill
set_wakeup_fd = _signal.set_wakeup_fd
signal = _signal.signal

ENDING: tuple[int, ...] = tuple(
    getattr(_signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(_signal, name)
)
"""The signals that ask a program to end."""


def restore_defaults() -> None:
    """Restore the signals that Python's start ignores, before becoming another program."""
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(_signal, name):
            signal(getattr(_signal, name), SIG_DFL)
