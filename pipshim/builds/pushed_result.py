"""Make a shared record of what the cache has of a build, and add it to the remote."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipshim.envs.dist_info import METADATA
from pipshim.model.artifacts import sha256_of
from pipshim.model.machine_needs import MachineNeeds
from pipshim.model.requirements import requires_dist
from pipshim.model.shared_record import (
    InvalidRecordError,
    SharedRecord,
    SharedWheel,
    headers_of,
    parse,
    why_private,
    without_paths,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipshim.builds.build_cache import BuildResult
    from pipshim.remote.remote_cache import RemoteCache
    from pipshim.store.store import Store


class Pushed(NamedTuple):
    """What became of a result.

    Attributes:
        how: whether it was added, was there, is not for others, or could not be added.
        why: why it is not for others.
        size: of an added wheel, in bytes.

    """

    how: Literal["added", "present", "private", "failed"]
    why: str = ""
    size: int = 0


def why_unshared(result: BuildResult) -> str | None:
    """Say why no other machine may have a result; None if nothing prevents that."""
    why = result.private or why_private(result.record)
    if why is None and result.kind == "wheel" and result.needs is None:
        return "an older pipshim built it, and did not read what it needs of a machine"
    return why


def push(
    remote: RemoteCache,
    store: Store,
    result: BuildResult,
    file: Callable[[], Path] | None,
    *,
    anew: bool = False,
) -> Pushed:
    """Add a result to the remote.

    Args:
        remote: the remote.
        store: has the wheel, unpacked.
        result: what the cache has.
        file: makes the file of a wheel; None for another kind of result.
        anew: add it though the remote has one with an equal record.

    """
    why = why_unshared(result)
    if why is not None:
        return Pushed("private", why)
    record = without_paths(result.record)
    there = remote.records(result.kind, record.source, record.python, record.platform)
    same = (one for one in there if one.record.key() == record.key())
    if not anew and any(map(remote.is_of_use, same)):
        return Pushed("present")
    wheel = file() if file is not None else None
    shared = _shared(store, replace(result, record=record), wheel)
    try:
        parse(shared.to_bytes(), record.source, shared.name)
    except InvalidRecordError as error:
        return Pushed("private", str(error))
    if not remote.push(shared, wheel):
        return Pushed("failed")
    return Pushed("added", size=shared.wheel.size if wheel is not None else 0)


def _shared(store: Store, result: BuildResult, file: Path | None) -> SharedRecord:
    plain: SharedWheel | str | tuple[str, ...]
    needs = None
    if file is not None:
        tree = store.tree(str(result.result))
        assert tree is not None  # whoever has the file has put it there
        metadata = tree.text(METADATA)
        size = file.stat().st_size
        plain = SharedWheel(sha256_of(file), size, file.name, tuple(requires_dist(metadata)))
        needs = MachineNeeds.from_json(result.needs)
    elif result.kind == "metadata":
        plain = headers_of(str(result.result))
    else:
        plain = tuple(result.result)
    seconds = float(result.seconds)
    return SharedRecord(result.kind, result.record, plain, seconds, needs, result.key)
