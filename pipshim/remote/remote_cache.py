"""The results of builds in a remote: find one that fits, fetch it, add another.

Layout: ``v1/records/<digest of the source>/<record's name>`` and ``v1/wheels/<sha256>.whl``. The
wheel is written before its record, and neither is ever changed. A remote that fails is not asked
again by the same command; its results are built here.
"""

from __future__ import annotations

import time
from dataclasses import field, replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from pipshim.base.light.dataclasses import dataclass
from pipshim.base.shared_results import SharedResults
from pipshim.base.tasks import TaskGroup, each
from pipshim.model import events
from pipshim.model.artifacts import digest_of_file
from pipshim.model.claim import MACHINE_DIGITS
from pipshim.model.machine_needs import lacking
from pipshim.model.shared_record import (
    MOST_BYTES,
    InvalidRecordError,
    RecordName,
    is_source,
    parse,
    target_of,
)
from pipshim.remote import wheel_needs
from pipshim.remote.claims import Claims
from pipshim.remote.file_store import PATIENCE, FileMissingError, RemoteError, within
from pipshim.remote.transfer import fetch, upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from typing_extensions import Self

    from pipshim.model.events import Observer
    from pipshim.model.machine_needs import Machine
    from pipshim.model.shared_record import Kind, SharedRecord
    from pipshim.remote.file_store import Entry, FileStore
    from pipshim.store.unpacked_wheel import UnpackedWheel

Found = TypeVar("Found")

RECORDS, WHEELS = "v1/records", "v1/wheels"
MOST_READ = 64
"""How many records of a source are read; a hostile remote may have any number."""

_LISTED_AT_ONCE, _READ_AT_ONCE = 32, 16
_FIRST_READ = 8
"""How many of equally likely records are read before all others of them."""

_PUSHED_AT_ONCE = 4
_MOST_FAULTS = 3
_WASTE_SECONDS = 6.0
_SLOW_SECONDS = 0.5
_CONNECT_SECONDS = 10.0
"""How long connecting may take, imports of the store's client included."""


@dataclass
class RemoteCache:
    """A remote, as one command uses it.

    Attributes:
        label: its URL, as it is shown.
        open: connects; called when the remote is needed first.
        pushes: whether results of builds are added.
        folder: returns a new folder for files.
        machine: what wheels have to be loaded by; None: whatever they need.
        holder: what other machines are shown that wait for a build of this one.
        why_untrusted: says why a record with this content and signature is not taken.
        sign: signs the content of a record that is added; None: unsigned.
        otherwise: what the command does if the remote fails.
        saved: how long the builds of the wheels took that were taken from it, in seconds.
        is_over: whether it has failed, and is not asked again.

    """

    label: str
    open: Callable[[], FileStore]
    pushes: bool
    observer: Observer
    folder: Callable[[], Path]
    machine: Machine | None = None
    holder: str = ""
    why_untrusted: Callable[[bytes, str | None], str | None] = lambda _content, _signature: None
    sign: Callable[[bytes], str | None] = lambda _content: None
    otherwise: str = "; building here"
    saved: float = field(default=0.0, init=False)
    _opened: SharedResults[FileStore] = field(
        default_factory=partial(SharedResults, keep_errors=True), init=False
    )
    is_over: bool = field(default=False, init=False)
    _faults: int = field(default=0, init=False)
    _wasted: float = field(default=0.0, init=False)
    _guard: Lock = field(default_factory=Lock, init=False)
    _tasks: TaskGroup = field(default_factory=lambda: TaskGroup(_PUSHED_AT_ONCE), init=False)
    _begun: list[Future[object]] = field(default_factory=list, init=False)
    _claims: Claims | None = field(default=None, init=False)
    _reasons: set[str] = field(default_factory=set, init=False)
    _damaged: set[str] = field(default_factory=set, init=False)
    _damaged_wheels: set[str] = field(default_factory=set, init=False)
    _listings: SharedResults[list[Entry]] = field(default_factory=SharedResults, init=False)
    _records: SharedResults[SharedRecord | None] = field(default_factory=SharedResults, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        """Wait until what was to be added is there, and give up the claims of what was not."""
        try:
            if kind is None and not all(one.done() for one in self._begun):
                self.observer(events.Waiting(f"adding what was built to the remote {self.label}"))
            self._tasks.__exit__(kind, *error)
            for one in self._begun if kind is None else ():
                one.result()
        finally:
            if self._claims is not None:
                self._claims.close()

    # Finding

    def look_ahead(
        self,
        sources: Iterable[str],
        kinds: Iterable[Kind],
        python: str,
        platform: str,
        key: str = "",
    ) -> None:
        """Read the likely records of several sources at once, so that `batches` has them."""
        asked = [(kind, source) for source in dict.fromkeys(sources) for kind in kinds]
        each(
            lambda one: next(self.batches(*one, python, platform, key), None),
            asked,
            at_once=_LISTED_AT_ONCE,
        )

    def records(self, kind: Kind, source: str, python: str, platform: str) -> list[SharedRecord]:
        """Return the records of a source that may be used; the arguments are those of `batches`."""
        every = self.batches(kind, source, python, platform)
        return [one for batch in every for one in batch]

    def batches(
        self, kind: Kind, source: str, python: str, platform: str, key: str = ""
    ) -> Iterator[list[SharedRecord]]:
        """Read the records of a source that may be used, a few at once, the likely ones first.

        First come builds of which the same was known before, then those of machines like this one,
        then others; each the newest first.

        Args:
            kind: what was asked of the backend.
            python: the Python, as records have it.
            platform: the platform, likewise.
            key: of the build (`pipshim.model.claim.selection_key`), or how it begins.

        """
        if not is_source(source):
            return
        target = target_of(python, platform)
        for names in self._tried(lambda: self._named(kind, source, target, key)):
            found = self._tried(lambda names=names: self._read_some(source, names))  # type: ignore[misc]
            if found:
                yield found

    def _tried(self, work: Callable[[], list[Found]]) -> list[Found]:
        """Return what is found; nothing if the remote fails, or is too slow to be of use."""
        if self.is_over:
            return []
        start = time.monotonic()
        try:
            found = work()
        except RemoteError as error:
            self.fail_to_use(error)
            return []
        took = time.monotonic() - start
        if not found and took > _SLOW_SECONDS:
            with self._guard:
                self._wasted += took
            if self._wasted > _WASTE_SECONDS:
                self.fail_to_use("it answers too slowly")
        return found

    def _named(self, kind: Kind, source: str, target: str, key: str) -> list[list[str]]:
        listed = self._listings.get(
            (source, target), lambda: self._listed(f"{RECORDS}/{source}", f"{target}-")
        )
        parsed = [(one.name, RecordName.parse(one.name)) for one in listed]
        keys = {
            name: parts.key
            for name, parts in parsed
            if parts is not None and (parts.target, parts.kind) == (target, kind)
        }
        return list(_in_batches(keys, key))

    def _read_some(self, source: str, names: Sequence[str]) -> list[SharedRecord]:
        read = each(
            lambda name: self._records.get((source, name), lambda: self._read(source, name)),
            names,
            at_once=_READ_AT_ONCE,
        )
        return [one for one in read if one is not None]

    def _listed(self, folder: str, prefix: str) -> list[Entry]:
        found = self.connected().names(folder, prefix, PATIENCE)
        return sorted(found, key=lambda one: (-(one.time or 0), one.name))

    def _read(self, source: str, name: str) -> SharedRecord | None:
        """Read a record; None if it is not to be used."""
        if self.is_over:
            return None
        try:
            content = self.connected().read(f"{RECORDS}/{source}/{name}", MOST_BYTES, PATIENCE)
            return parse(content, source, name)
        except FileMissingError:
            return None  # it has been pruned since
        except InvalidRecordError as error:
            self.reject(f"the record {name} is invalid: {error}")
            return None

    def connected(self) -> FileStore:
        """Return the files of the remote; connect once, which fails for all that come later."""
        return self._opened.get("", lambda: within(_CONNECT_SECONDS, self.open))

    def look_again(self) -> None:
        """Ask again which records there are: somebody may have added some."""
        self._listings = SharedResults()

    # Taking

    def is_trusted(self, shared: SharedRecord) -> bool:
        """Return whether the signature of a record is right; say what is wrong with it."""
        why = self.why_untrusted(shared.content, shared.signature)
        if why is not None:
            self.say(f"results whose record {why} are not used")
        return why is None

    def why_unusable(self, shared: SharedRecord) -> str | None:
        """Say why this machine cannot load a wheel, or cannot have it; None for other results."""
        if shared.kind != "wheel" or self.machine is None:
            return None
        if shared.needs is None:
            return "its record does not say what it needs of a machine"
        # Where the wheel itself can be read, it is known then whether it finds these.
        placed = shared.needs.placed if wheel_needs.can_read() else ()
        return "; ".join(lacking(shared.needs, self.machine, elsewhere=placed)) or None

    def why_unloadable(self, shared: SharedRecord, tree: UnpackedWheel) -> str | None:
        """Say why this machine cannot load a wheel that was fetched."""
        if self.machine is None or shared.needs is None or not wheel_needs.can_read():
            return None
        try:
            return wheel_needs.why_unloadable(tree, shared.needs, self.machine)
        except wheel_needs.UnreadableWheelError as error:
            return str(error)

    def wheel(self, shared: SharedRecord) -> Path | None:
        """Fetch a wheel, and check its size and hash; None if it is not to be had."""
        if self.is_over:
            return None
        wheel = shared.wheel
        into = self.folder() / wheel.filename
        try:
            fetch(self.connected(), f"{WHEELS}/{wheel.sha256}.whl", into, shared, self.observer)
        except FileMissingError:
            self._damaged.add(shared.name)
            self.reject(f"its record of {_label(shared)} has no wheel")
            return None
        except RemoteError as error:
            self.fail_to_use(RemoteError(f"{wheel.filename}: {error}", error.hint))
            return None
        if into.stat().st_size != wheel.size or digest_of_file(into) != wheel.sha256:
            self._damaged_wheels.add(wheel.sha256)
            self.reject_wheel(shared, "it is not the file that its record names")
            return None
        return into

    def is_damaged(self, shared: SharedRecord) -> bool:
        """Return whether a wheel, or its record, was found to be damaged."""
        return shared.name in self._damaged

    def is_of_use(self, shared: SharedRecord) -> bool:
        """Return whether a result is trusted and not damaged, and this machine can load it."""
        if self.is_damaged(shared):
            return False
        return self.why_unusable(shared) is None and self.is_trusted(shared)

    def count(self, seconds: float) -> None:
        """Note that a wheel was taken, and how long its build took."""
        with self._guard:
            self.saved += seconds

    # Claiming

    def claims(self, is_stopped: Callable[[], bool]) -> Claims | None:
        """Return the claims on builds; None if this remote has none: it is only read, or fails."""
        if self.is_over:
            return None
        try:
            store = self.connected()
        except RemoteError:
            return None
        with self._guard:
            if self._claims is None and store.is_writable:
                self._claims = Claims(store, self.holder, is_stopped)
            return self._claims

    # Adding

    def soon(self, work: Callable[[], object]) -> None:
        """Do something while the command goes on; it ends when all of that is done."""
        with self._guard:
            self._begun.append(self._tasks.start(work))

    def push(self, shared: SharedRecord, wheel: Path | None) -> bool:
        """Add a result; return whether the remote has it now.

        Args:
            shared: its record, unsigned.

        """
        if self.is_over:
            return False
        try:
            store = self.connected()
            shared = replace(shared, signature=self.sign(shared.content))
            if wheel is not None:
                is_new = upload(store, f"{WHEELS}/{shared.wheel.sha256}.whl", wheel)
                if not is_new and shared.wheel.sha256 in self._damaged_wheels:
                    self.say(
                        f"{wheel.name} stays damaged, as nothing there is overwritten; to remove "
                        f"it: pipshim cache store verify --remote {shared.record.name}"
                    )
            path = f"{RECORDS}/{shared.record.source}/{shared.name}"
            store.create(path, shared.to_bytes(), 2 * PATIENCE)
        except RemoteError as error:
            self.fail(f"cannot push {_label(shared)} to the remote {self.label}: {error}")
            return False
        return True

    # Failing

    def fail(self, problem: str) -> None:
        """Ask no more; say so once."""
        with self._guard:
            if self.is_over:
                return
            self.is_over = True
        self.observer(events.Message("warning", problem))

    def fail_to_use(self, why: object) -> None:
        """Ask no more; say once what the command does instead."""
        hint = f"\nhint: {why.hint}" if isinstance(why, RemoteError) and why.hint else ""
        self.fail(f"cannot use the remote {self.label}: {why}{self.otherwise}{hint}")

    def reject(self, why: str) -> None:
        """Say why a result is not taken; a remote with several such is not asked again."""
        with self._guard:
            if self.is_over:
                return
            self._faults += 1
            self.is_over = self._faults >= _MOST_FAULTS
        self.say(f"{why}; it is not asked again" if self.is_over else why)

    def reject_wheel(self, shared: SharedRecord, why: str) -> None:
        """Say why a wheel is not taken; a new one may be added in its place."""
        self._damaged.add(shared.name)
        self.reject(f"{shared.wheel.filename} is not used: {why}")

    def say_why(self, text: str, why: str, level: events.Level = "warning") -> None:
        """Say something with a reason; if that is no news, only to those who want details."""
        with self._guard:
            is_known = why in self._reasons
            self._reasons.add(why)
        full = f"remote {self.label}: {text}: {why}"
        self.observer(events.Message("debug" if is_known else level, full))

    def say(self, text: str) -> None:
        """Say something about the remote, once."""
        self.observer(events.Message("warning", f"remote {self.label}: {text}"))


def _in_batches(keys: Mapping[str, str], key: str) -> Iterator[list[str]]:
    """Yield the names of records to read at once, the likely ones first; `MOST_READ` in all.

    Args:
        keys: by name, what was known before the build.
        key: what is known of the one that is looked for.

    """
    groups: tuple[list[str], ...] = ([], [], [])
    for name, one in keys.items():
        machine = slice(MACHINE_DIGITS)
        groups[(not one.startswith(key)) + (one[machine] != key[machine])].append(name)
    left = MOST_READ
    for group in groups:
        for batch in (group[:_FIRST_READ], group[_FIRST_READ:]):
            if some := batch[:left]:
                left -= len(some)
                yield some


def _label(shared: SharedRecord) -> str:
    return events.label(shared.record.name, shared.record.version)
