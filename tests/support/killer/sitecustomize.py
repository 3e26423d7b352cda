"""Kills the Python that imports this at the n-th moment of its work on the files below a folder.

A moment is before or after a call that changes files there; a write to a file is cut in the middle
too. ``KILL_BELOW`` names the folder and ``KILL_AT`` the moment; ``KILL_COUNT`` names a file that
gets the number of moments if the process comes to its end.
"""

from __future__ import annotations

import atexit
import builtins
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_BELOW = os.environ.get("KILL_BELOW", "")
_AT = int(os.environ.get("KILL_AT", "0"))
_PATHS = ("link", "mkdir", "open", "remove", "rename", "replace", "rmdir", "symlink", "unlink")

_guard = threading.Lock()
_descriptors: set[int] = set()
_moments = 0


def _moment(then: Callable[[], object] = lambda: None) -> None:
    global _moments  # noqa: PLW0603 one count for the process
    with _guard:
        _moments += 1
        if _moments == _AT:
            then()
            os.kill(os.getpid(), signal.SIGKILL)


def _is_below(arguments: tuple[Any, ...], named: dict[str, Any]) -> bool:
    if any(value in _descriptors for name, value in named.items() if name.endswith("dir_fd")):
        return True
    paths = (os.fspath(one) for one in arguments[:2] if isinstance(one, (str, bytes, os.PathLike)))
    return any(os.fsdecode(path).startswith(_BELOW) for path in paths)


class _Watched:
    """A function with moments around it; no function itself, so that no class binds it."""

    def __init__(self, function: Callable[..., Any], *, reads: bool) -> None:
        self._function = function
        self._reads = reads

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        if not _is_below(arguments, named) or self._only_reads(arguments):
            result = self._function(*arguments, **named)
            if self._reads and isinstance(result, int) and _is_below(arguments, named):
                _descriptors.add(result)
            return result
        _moment()
        result = self._function(*arguments, **named)
        if isinstance(result, int):
            _descriptors.add(result)
        _moment()
        return result

    def _only_reads(self, arguments: tuple[Any, ...]) -> bool:
        if not self._reads:
            return False
        flags = arguments[1] if len(arguments) > 1 else "r"
        if isinstance(flags, str):
            return flags.startswith("r") and "+" not in flags
        return not flags & (os.O_WRONLY | os.O_RDWR)


def _write(descriptor: int, data: bytes) -> int:
    if descriptor in _descriptors:
        _moment(lambda: _really_write(descriptor, data[: len(data) // 2]))
    return _really_write(descriptor, data)


def _close(descriptor: int) -> None:
    _descriptors.discard(descriptor)
    _really_close(descriptor)


_really_write = os.write
_really_close = os.close

if _BELOW:
    for _name in _PATHS:
        setattr(os, _name, _Watched(getattr(os, _name), reads=_name == "open"))
    builtins.open = _Watched(builtins.open, reads=True)
    os.write, os.close = _write, _close  # type: ignore[assignment]
    if "KILL_COUNT" in os.environ:
        atexit.register(lambda: Path(os.environ["KILL_COUNT"]).write_text(str(_moments)))
