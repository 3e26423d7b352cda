"""List the contents of a remote, and find what can be removed from it.

Records and wheels are never changed, so their age is the time since they were added. Who adds one
writes the wheel first: a wheel without a record that is new is one whose record is still to come.
"""

from __future__ import annotations

import json
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from pipshim.base.light.dataclasses import dataclass
from pipshim.base.sizes import size
from pipshim.base.tasks import each
from pipshim.model.artifacts import digest_of_file
from pipshim.model.shared_record import MOST_BYTES, InvalidRecordError, RecordName, is_source, parse
from pipshim.remote.claims import CLAIMS
from pipshim.remote.file_store import PATIENCE, Entry, FileMissingError, FileStore
from pipshim.remote.folder_store import TEMPORARY
from pipshim.remote.remote_cache import RECORDS, WHEELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from pipshim.model.shared_record import SharedRecord, SharedWheel

_READ_AT_ONCE, _WHEELS_AT_ONCE = 32, 4
_DAY = 86_400


@dataclass(frozen=True)
class RemoteRecord:
    """A record in a remote.

    Attributes:
        entry: the file's size and time.
        name: what the file's name says.
        shared: its content; None if this pipshim cannot use it.
        wheel: the path of its wheel; None if it has none.

    """

    path: str
    entry: Entry
    name: RecordName
    shared: SharedRecord | None
    wheel: str | None
    problem: str = ""


class Removal(NamedTuple):
    """A file of a remote that can be removed; `size` is in bytes, 0 if it is not known."""

    path: str
    kind: str
    why: str
    size: int


def records(store: FileStore, is_wanted: Callable[[RecordName], bool]) -> list[RemoteRecord]:
    """Read the records whose names are wanted, by package and age, the newest last."""
    wanted = [(one, name) for one, name in named(store) if is_wanted(name)]
    found = each(lambda one: _read(store, *one), wanted, at_once=_READ_AT_ONCE)
    return sorted(found, key=lambda one: (one.name.package, one.entry.time or 0, one.path))


def named(store: FileStore) -> list[tuple[Entry, RecordName]]:
    """List the records; a name in an entry has the digest of the source, and the file's name."""
    found = [(one, RecordName.parse(one.name.rpartition("/")[2])) for one in store.walk(RECORDS)]
    return [(one, name) for one, name in found if name is not None]


def _read(store: FileStore, entry: Entry, name: RecordName) -> RemoteRecord:
    path, shared, content, problem = f"{RECORDS}/{entry.name}", None, b"", ""
    try:
        content = store.read(path, MOST_BYTES, 10 * PATIENCE)
        source, _, file = entry.name.partition("/")
        shared = parse(content, source, file)
    except InvalidRecordError as error:
        problem = f"it is invalid: {error}"
    except FileMissingError:
        pass
    return RemoteRecord(path, entry, name, shared, _wheel_in(content), problem)


def _wheel_in(content: bytes) -> str | None:
    """Return the path of the wheel that a record names, of any version of pipshim."""
    try:
        sha256 = json.loads(content)["result"]["sha256"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    is_hash = isinstance(sha256, str) and is_source(sha256)
    return f"{WHEELS}/{sha256}.whl" if is_hash else None


def removals(
    store: FileStore, *, days: float | None, most_bytes: int | None, now: float
) -> list[Removal]:
    """Find what is too old, or more than a remote may hold; each record before its wheel.

    Args:
        days: how old a record may become.
        most_bytes: how large all wheels may be together; the oldest go first.
        now: in seconds since the epoch.

    """
    every = records(store, lambda _: True)
    wheels = {f"{WHEELS}/{one.name}": one for one in store.walk(WHEELS)}
    going = dict(_old(every, days, now))
    going |= _too_many([one for one in every if one.path not in going], wheels, most_bytes)
    for one in every:
        if one.wheel is not None and one.wheel not in wheels:
            going.setdefault(one.path, (one.entry, "its wheel is gone"))
    found = [Removal(path, "record", why, entry.size or 0) for path, (entry, why) in going.items()]
    needed = {one.wheel for one in every if one.path not in going}
    freed = {one.wheel for one in every if one.path in going}
    for path, entry in wheels.items():
        is_new = entry.time is not None and now - entry.time < _DAY
        if path not in needed and (path in freed or not is_new):
            kind = "temporary file" if entry.name.startswith(TEMPORARY) else "wheel"
            found.append(Removal(path, kind, "no record needs it", entry.size or 0))
    return [*found, *_left_behind(store, now)]


def damaged(
    store: FileStore, is_wanted: Callable[[RecordName], bool], folder: Callable[[], Path]
) -> list[Removal]:
    """Find invalid records, and wheels that are not what their names say; all are read.

    Args:
        is_wanted: says which records and their wheels are read.

    """
    every = records(store, is_wanted)
    sizes = {f"{WHEELS}/{one.name}": one.size for one in store.walk(WHEELS)}
    wheels = {
        one.wheel: one.shared.wheel
        for one in every
        if one.wheel in sizes and one.shared is not None and one.shared.kind == "wheel"
    }
    intact = each(
        lambda path: _is_intact(store, path, sizes[path], wheels[path], folder() / "wheel"),
        list(wheels),
        at_once=_WHEELS_AT_ONCE,
    )
    bad = {path for path, is_intact in zip(wheels, intact, strict=True) if not is_intact}
    found = [
        Removal(one.path, "record", one.problem or "its wheel is damaged", one.entry.size or 0)
        for one in every
        if one.problem or one.wheel in bad
    ]
    why = "it is not the file that its name says"
    return found + [Removal(path, "wheel", why, sizes[path] or 0) for path in sorted(bad)]


def _is_intact(
    store: FileStore, path: str, size: int | None, wheel: SharedWheel, into: Path
) -> bool:
    if size not in (None, wheel.size):
        return False
    try:
        store.fetch(path, into, wheel.size, Event())
        return digest_of_file(into) == wheel.sha256
    finally:
        into.unlink(missing_ok=True)


def _old(
    every: Iterable[RemoteRecord], days: float | None, now: float
) -> Iterator[tuple[str, tuple[Entry, str]]]:
    if days is None:
        return
    for one in every:
        if one.entry.time is not None and now - one.entry.time > days * _DAY:
            yield one.path, (one.entry, f"older than {days:g} days")


def _too_many(
    every: Iterable[RemoteRecord], wheels: Mapping[str, Entry], most: int | None
) -> dict[str, tuple[Entry, str]]:
    """Return the records of the oldest wheels that are more than may be kept."""
    if most is None:
        return {}
    kept: set[str] = set()
    total, going = 0, {}
    for one in sorted(every, key=lambda one: -(one.entry.time or 0)):
        wheel = one.wheel
        if wheel is None or wheel not in wheels or wheel in kept:
            continue
        total += wheels[wheel].size or 0
        if total > most:
            going[one.path] = (one.entry, f"older than the newest {size(most)}")
        else:
            kept.add(wheel)
    return going


def _left_behind(store: FileStore, now: float) -> Iterator[Removal]:
    """Find what was left behind by who was killed while building, or adding a record."""
    for folder, kind, prefix in ((RECORDS, "temporary file", TEMPORARY), (CLAIMS, "claim", "")):
        for one in store.walk(folder):
            is_old = one.time is None or now - one.time > _DAY
            if one.name.rpartition("/")[2].startswith(prefix) and is_old:
                yield Removal(f"{folder}/{one.name}", kind, "left behind", one.size or 0)
