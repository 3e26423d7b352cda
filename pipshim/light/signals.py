"""`signal`, with plain numbers: it makes enumerations of them, and imports `enum` to do so."""

from __future__ import annotations

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
signal = _signal.signal


def heed_all() -> None:
    """Take back what Python's start did, for the program that this process is to become."""
    for name in ("SIGPIPE", "SIGXFSZ"):
        if hasattr(_signal, name):
            signal(getattr(_signal, name), SIG_DFL)
