"""The end of a forked process, without freeing what its parent has imported: most of its time."""

from __future__ import annotations

import atexit
import os
import sys
import threading
from typing import NoReturn


def end(status: int) -> NoReturn:
    """End as Python does: wait for threads, call what is to be called at exit, and flush."""
    vars(threading)["_shutdown"]()
    atexit._run_exitfuncs()
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (AttributeError, OSError, ValueError):  # there is none, or it is closed
        sys.exit(status)
    os._exit(status)
