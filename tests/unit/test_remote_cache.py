"""A remote as one command uses it: how often it is asked, and what follows from a failure."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from hashlib import sha256
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.model import events
from pipshim.model.shared_record import NO_KEY, SharedRecord, SharedWheel
from pipshim.remote import remote_cache, transfer
from pipshim.remote.file_store import Entry, FileMissingError, RemoteError
from pipshim.remote.remote_cache import MOST_READ, RemoteCache
from tests.support.pipshim import PATIENCE, until
from tests.unit.test_shared_record import RECORD, SHARED, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = b"the content of a wheel"
HERE = ("cpython 3.11", "linux x86_64")
SOURCES = [f"{number:064x}" for number in range(20)]


@dataclass
class Files:
    """A remote in memory, which answers late, counts requests, and fails if it is told to.

    Attributes:
        meeting: each kind of request is answered when so many were made.

    """

    latency: float = 0.0
    meeting: int = 0
    failure: str | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    @property
    def is_writable(self) -> bool:
        return True

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        kind = what.split(maxsplit=1)[0]
        if self.meeting:
            until(lambda: sum(one.startswith(kind) for one in self.asked) >= self.meeting)
        time.sleep(self.latency)
        if self.failure is not None:
            raise RemoteError(self.failure)

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:  # noqa: ARG002
        self._ask(f"list {folder}")
        start = f"{folder}/{prefix}"
        return [Entry(one[len(folder) + 1 :]) for one in self.files if one.startswith(start)]

    def walk(self, folder: str) -> list[Entry]:
        return self.names(folder, "", 0)

    def read(self, path: str, most: int, seconds: float) -> bytes:  # noqa: ARG002
        self._ask(f"read {path}")
        if path not in self.files:
            raise FileMissingError(path)
        return self.files[path][: most + 1]

    def fetch(self, path: str, into: Path, most: int, stop: Event) -> None:  # noqa: ARG002
        into.write_bytes(self.read(path, most, 0))

    def create(self, path: str, content: bytes, seconds: float) -> bool:  # noqa: ARG002
        self._ask(f"create {path}")
        return self.files.setdefault(path, content) is content

    def upload(self, path: str, file: Path, seconds: float) -> bool:
        return self.create(path, file.read_bytes(), seconds)

    def remove(self, path: str) -> None:
        self.files.pop(path, None)


@dataclass
class World:
    """A remote, and what was said about it."""

    files: Files
    said: list[events.Event]
    make: Callable[..., RemoteCache]

    @property
    def lines(self) -> list[str]:
        return [one.text for one in self.said if isinstance(one, events.Message)]

    def add(
        self, source: str = SOURCE, content: bytes = CONTENT, key: str = NO_KEY
    ) -> SharedRecord:
        """Add a wheel; `content` is what the remote has in its place."""
        wheel = SharedWheel(sha256(CONTENT).hexdigest(), len(CONTENT), SHARED.wheel.filename)
        shared = SharedRecord("wheel", replace(RECORD, source=source), wheel, 60.0, key=key)
        self.files.files[f"v1/records/{source}/{shared.name}"] = shared.to_bytes()
        self.files.files[f"v1/wheels/{wheel.sha256}.whl"] = content
        return shared


@pytest.fixture
def world(tmp_path: Path) -> World:
    files, said = Files(), list[events.Event]()

    def make(**more: Any) -> RemoteCache:
        folder = tmp_path / "files"
        folder.mkdir(exist_ok=True)
        return RemoteCache("s3://team", lambda: files, True, said.append, lambda: folder, **more)

    return World(files, said, make)


def test_many_packages_take_two_round_trips(world: World) -> None:
    for source in SOURCES:
        world.add(source)
    world.files.meeting = 8
    remote = world.make()
    remote.look_ahead(SOURCES, ["requires", "metadata", "wheel"], *HERE)
    assert len(world.files.asked) == 40
    for source in SOURCES:
        assert [one.record.source for one in remote.records("wheel", source, *HERE)] == [source]
        assert remote.records("metadata", source, *HERE) == []
        assert remote.records("wheel", source, "cpython 3.12", HERE[1]) == []
    assert len(world.files.asked) == 60  # another Python is another question


def test_a_wheel_is_fetched_and_checked(world: World) -> None:
    shared = world.add()
    file = world.make().wheel(shared)
    assert file is not None
    assert (file.name, file.read_bytes()) == (shared.wheel.filename, CONTENT)
    kinds = [type(one) for one in world.said]
    assert (kinds[0], kinds[-1]) == (events.DownloadStarted, events.DownloadFinished)


@pytest.mark.parametrize("content", [b"the content of a whee1", b"", CONTENT * 2])
def test_a_damaged_wheel_is_said_and_others_are_taken(world: World, content: bytes) -> None:
    shared = world.add(content=content)
    remote = world.make()
    assert remote.wheel(shared) is None
    assert len(world.lines) == 1
    world.add()
    if len(content) <= len(CONTENT):
        assert remote.wheel(shared) is not None


def test_a_remote_with_many_faults_is_not_asked_again(world: World) -> None:
    shared = world.add(content=b"other")
    remote = world.make()
    assert [remote.wheel(shared) for _ in range(9)] == [None] * 9
    assert len(world.lines) == 3
    assert world.lines[-1].endswith("it is not asked again")


def test_after_a_failure_the_remote_is_not_asked_again(world: World) -> None:
    shared = world.add()
    world.files.failure = "the server answers 503"
    remote = world.make()
    remote.look_ahead(SOURCES, ["wheel"], *HERE)
    before = len(world.files.asked)
    world.files.failure = None
    assert remote.records("wheel", SOURCE, *HERE) == []
    assert remote.wheel(shared) is None
    assert not remote.push(shared, None)
    assert len(world.files.asked) == before
    assert world.lines == ["cannot use the remote s3://team: the server answers 503; building here"]


def test_a_remote_that_cannot_be_opened_is_said_once(world: World) -> None:
    tries = []

    def fail() -> Files:
        tries.append(1)
        raise RemoteError("s3fs is not installed: pip install 'pipshim[remote]'")

    remote = world.make()
    remote.open = fail
    remote.look_ahead(SOURCES, ["wheel"], *HERE)
    assert remote.claims(lambda: False) is None
    assert (len(world.lines), len(tries)) == (1, 1)


def test_a_connection_is_made_once_and_not_waited_for_long(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_cache, "_CONNECT_SECONDS", 0.5)
    tries, end = [], Event()

    def hang() -> Files:
        tries.append(end.wait(PATIENCE))
        return world.files

    remote = world.make()
    remote.open = hang
    remote.look_ahead(SOURCES, ["wheel"], *HERE)
    assert tries == []
    assert "did not answer" in world.lines[0]
    end.set()
    until(lambda: tries)
    assert tries == [True]


def test_a_wheel_is_not_added_for_long_to_a_remote_that_is_dead(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfer, "PATIENCE", 0.2)
    shared, wheel = world.add(), tmp_path / "x.whl"
    wheel.write_bytes(CONTENT)
    end, uploads = Event(), list[bool]()
    hang = lambda *_: uploads.append(end.wait(PATIENCE))  # noqa: E731
    monkeypatch.setattr(world.files, "upload", hang, raising=False)
    remote = world.make()
    world.files.failure = "it did not answer within 3 seconds"
    assert not remote.push(shared, wheel)
    assert uploads == []
    end.set()
    (line,) = world.lines
    assert line.endswith("0.17.5 to the remote s3://team: it did not answer within 3 seconds")


def test_a_slow_remote_without_results_is_given_up_on(world: World) -> None:
    world.files.latency = 0.6
    remote = world.make()
    remote.look_ahead(SOURCES, ["wheel"], *HERE)
    for source in SOURCES:
        remote.records("wheel", source[::-1], *HERE)
    assert len(world.files.asked) <= len(SOURCES)
    assert "too slowly" in world.lines[0]


def test_invalid_and_untrusted_records_are_not_used(world: World) -> None:
    shared = world.add()
    path = f"v1/records/{SOURCE}/{shared.name}"
    world.files.files[path] = b"<html>"
    assert world.make().records("wheel", SOURCE, *HERE) == []
    assert "is invalid: it is not valid JSON" in world.lines[0]
    world.add()
    remote = world.make(why_untrusted=lambda *_: "is not signed")
    (read,) = remote.records("wheel", SOURCE, *HERE)
    assert not remote.is_of_use(read)
    assert world.lines[1:] == ["remote s3://team: results whose record is not signed are not used"]


def test_of_any_number_of_records_only_some_are_read(world: World) -> None:
    prefix = world.add().name.rpartition("-")[0]
    for number in range(1000):
        world.files.files[f"v1/records/{SOURCE}/{prefix}-{number:032x}.json"] = b"x"
    for name in ("../../x.json", "x", ".tmp-1", f"{prefix}-ABC.json", "cpython-3.11/x"):
        world.files.files[f"v1/records/{SOURCE}/{name}"] = b"x"
    world.make().records("wheel", SOURCE, *HERE)
    assert len(world.files.asked) < 70


def test_records_of_equal_builds_and_machines_are_read_first(world: World) -> None:
    mine, like_mine = "aaaaaaaa11111111", "aaaaaaaa22222222"
    for number in range(300):  # the newest ones: `Files` lists in this order, without times
        world.add(key=f"{number:016x}")
    expected = [world.add(key=mine), world.add(key=like_mine)]
    remote = world.make()
    remote.look_ahead([SOURCE], ["wheel"], *HERE, mine[:8])
    assert len(world.files.asked) == 3
    batches = remote.batches("wheel", SOURCE, *HERE, mine)
    assert [next(batches), next(batches)] == [[one] for one in expected]
    assert len(world.files.asked) == 3
    assert len(next(batches)) == 8
    assert sum(map(len, batches)) == MOST_READ - 10
    for number in range(300):
        world.add(key=f"{mine[:8]}{number:08x}")
    assert next(world.make().batches("wheel", SOURCE, *HERE, mine)) == expected[:1]


def test_a_damaged_wheel_that_stays_is_said(world: World, tmp_path: Path) -> None:
    shared, wheel = world.add(content=b"the content of a whee1"), tmp_path / "x.whl"
    wheel.write_bytes(CONTENT)
    remote = world.make()
    assert remote.wheel(shared) is None
    assert remote.push(shared, wheel)
    assert "x.whl stays damaged, as nothing there is overwritten" in world.lines[-1]
    assert world.lines[-1].endswith("pipshim cache store verify --remote natten")


def test_the_wheel_is_added_before_its_record(world: World, tmp_path: Path) -> None:
    shared, wheel = world.add(), tmp_path / "x.whl"
    world.files.files.clear()
    wheel.write_bytes(CONTENT)
    with world.make() as remote:
        remote.soon(lambda: remote.push(shared, wheel))
    assert [one.split("/")[1] for one in world.files.asked] == ["wheels", "records"]
    assert [one.record for one in world.make().records("wheel", SOURCE, *HERE)] == [shared.record]
