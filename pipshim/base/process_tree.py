"""End processes and all their descendants, even those in other sessions."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

GRACE_SECONDS = 0.3
"""How long a process may take to end when it is asked to."""

_KILL_SECONDS = 1.0
"""How long killed processes may take to disappear; they have no choice."""

_PR_SET_CHILD_SUBREAPER = 36


class Process(NamedTuple):
    """A running process (proc(5))."""

    pid: int
    parent: int
    group: int
    session: int


def adopt_orphans(*, yes: bool) -> None:
    """Become the parent of descendants whose own parent ends, or stop that (Linux)."""
    if sys.platform != "linux":
        return
    try:
        import ctypes  # noqa: PLC0415 only needed for builds

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(yes), 0, 0, 0)
    except (ImportError, OSError, AttributeError):
        return  # orphans in sessions of their own are not found then


def tree(roots: Collection[int], processes: Collection[Process] | None = None) -> set[int]:
    """Return the running processes of these groups and sessions, and all their descendants.

    Nothing where that is unknown.

    Args:
        roots: numbers of processes.
        processes: all running ones, if known.

    """
    processes = running() if processes is None else processes
    return _closed(
        {one.pid for one in processes if not {one.pid, one.group, one.session}.isdisjoint(roots)},
        processes,
    )


def started_by(pid: int, *, but_for: Collection[int] = ()) -> set[int]:
    """Return the running descendants of a process, except some children and their descendants.

    Nothing where that is unknown.
    """
    processes = running()
    children = {one.pid for one in processes if one.parent == pid} - {*but_for}
    return _closed(children, processes)


def _closed(found: set[int], processes: Collection[Process]) -> set[int]:
    while more := {one.pid for one in processes if one.parent in found} - found:
        found |= more
    return found


def end(
    leaders: Collection[int],
    members: Callable[[], set[int]],
    *,
    grace: float = GRACE_SECONDS,
) -> None:
    """End processes; kill those that do not end in time.

    Args:
        leaders: leaders of process groups.
        members: returns all processes that should end and still run, where that is known.
        grace: how many seconds they have.

    """
    _end(leaders, members, signal.SIGTERM, grace)
    if sys.platform != "win32":
        _end(leaders, members, signal.SIGKILL, _KILL_SECONDS)


def _end(
    leaders: Collection[int], members: Callable[[], set[int]], number: int, seconds: float
) -> None:
    if sys.platform == "win32":
        return  # there are no process groups
    limit = time.monotonic() + seconds
    for leader in leaders:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, number)
    asked: set[int] = set()
    while True:
        left = members() if sys.platform == "linux" else {*filter(_has_members, leaders)}
        for pid in left - asked:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        asked |= left
        if not left or time.monotonic() >= limit:
            return
        time.sleep(0.03)


def _has_members(group: int) -> bool:
    if sys.platform == "win32":
        return False
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def running() -> list[Process]:
    """Return all running processes; nothing where that is unknown."""
    if sys.platform != "linux":
        return []
    found = []
    for entry in os.listdir("/proc"):  # noqa: PTH208 pathlib makes an object of each
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:  # noqa: PTH123
                fields = file.read().rpartition(b")")[2].split()
        except OSError:
            continue  # it has ended
        if fields[0] not in (b"Z", b"X"):
            found.append(Process(int(entry), *map(int, fields[1:4])))
    return found
