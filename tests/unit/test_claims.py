"""Claims: of machines that want the same build, one builds and the others wait."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.model import claim
from pipshim.model.build_record import Conditions, Record, Used
from pipshim.model.build_tools import Tool
from pipshim.model.claim import Claim
from pipshim.remote import claims as claims_module
from pipshim.remote.claims import CLAIMS, Claims
from pipshim.remote.file_store import Entry, RemoteError
from pipshim.remote.folder_store import FolderStore
from tests.support.pipshim import until

if TYPE_CHECKING:
    from pathlib import Path

RECORD = Record("native", "1.0", "ab" * 32, "isolated", "cpython 3.11", "linux x86_64")
KEY = claim.key_of(RECORD, Conditions())
BEAT, EXPIRY = 0.05, 0.6
LONG, NEVER = 120.0, 10_000.0


def claims(folder: Path, holder: str = "", **more: object) -> Claims:
    folder.mkdir(exist_ok=True)
    return Claims(FolderStore(folder), holder, **{**LASTING, **more})  # type: ignore[arg-type]


LASTING = {"beat_seconds": BEAT, "expiry_seconds": NEVER}


class Waiter:
    """A machine that waits, in a thread."""

    def __init__(self, waiting: Claims, most: float = LONG) -> None:
        self.told: list[Claim | None] = []
        self.result: bool | None = None
        self._thread = threading.Thread(target=self._wait, args=(waiting, most))
        self._thread.start()

    def _wait(self, waiting: Claims, most: float) -> None:
        self.result = waiting.wait(KEY, most, self.told.append)

    def has_begun(self) -> bool:
        return bool(self.told)

    @property
    def is_waiting(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> bool | None:
        self._thread.join(LONG)
        assert not self.is_waiting
        return self.result


def is_renewed(folder: Path) -> bool:
    return max(files(folder), default="") >= claim.file_name(3)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / CLAIMS).rglob("*.json"))


def test_one_machine_has_the_claim_until_it_is_released(tmp_path: Path) -> None:
    ours, theirs = claims(tmp_path, "ada"), claims(tmp_path)
    assert not theirs.wait(KEY, LONG, print)
    held = ours.take(KEY)
    assert held is not None
    assert theirs.take(KEY) is None
    waiter = Waiter(theirs)
    until(waiter.has_begun)
    until(lambda: is_renewed(tmp_path))
    assert waiter.is_waiting
    assert len(files(tmp_path)) in {1, 2}
    held.release()
    assert waiter.end()
    (told,) = waiter.told
    assert told is not None
    assert told.who == "ada"
    until(lambda: files(tmp_path) == [])
    again = theirs.take(KEY)
    assert again is not None
    again.release()


class Renewed(FolderStore):
    """A remote with a claim that its holder renews, late, and releases in the end."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        super().__init__(folder)
        self._clock = clock
        self.number = 0

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:
        self._clock.now += 0.9 * EXPIRY
        self.number += 1
        last = [] if self.number > 5 else [Entry(claim.file_name(self.number))]
        return last if folder.endswith(KEY) else super().names(folder, prefix, seconds)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds


def test_a_claim_that_is_renewed_does_not_expire(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    times = SimpleNamespace(monotonic=clock, sleep=clock.pass_by)
    monkeypatch.setattr(claims_module, "time", times)
    store = Renewed(tmp_path, clock)
    waiting = Claims(store, expiry_seconds=2 * EXPIRY)
    assert waiting.wait(KEY, NEVER, lambda _: None)
    assert store.number == 6


def test_a_claim_without_a_name_shows_a_random_one(tmp_path: Path) -> None:
    held = claims(tmp_path).take(KEY)
    assert held is not None
    waiter = Waiter(claims(tmp_path))
    held.release()
    waiter.end()
    (text,) = {one.who for one in waiter.told if one is not None} or {"builder "}
    assert text.startswith("builder ")


def test_the_claim_of_a_dead_machine_expires_and_one_other_takes_it(tmp_path: Path) -> None:
    folder = tmp_path / CLAIMS / KEY
    folder.mkdir(parents=True)
    (folder / claim.file_name(7)).write_bytes(Claim("0" * 16, "dead", 3).to_bytes())
    first, second = (claims(tmp_path, expiry_seconds=EXPIRY) for _ in range(2))
    start = time.monotonic()
    waiters = [Waiter(first), Waiter(second)]
    assert [one.end() for one in waiters] == [True, True]
    assert time.monotonic() - start >= EXPIRY
    taken = [one for one in (first.take(KEY), second.take(KEY)) if one is not None]
    assert len(taken) == 1
    taken[0].release()
    until(lambda: files(tmp_path) == [])


class Asleep(FolderStore):
    """A remote as a machine sees it that falls asleep when it has its claim."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.awake = threading.Event()
        self.tries: list[bool] = []

    def create(self, path: str, content: bytes, seconds: float) -> bool:
        if self.tries:
            assert self.awake.wait(LONG)
        self.tries.append(super().create(path, content, seconds))
        return self.tries[-1]


def test_a_machine_that_was_thought_dead_loses_its_claim(tmp_path: Path) -> None:
    store = Asleep(tmp_path)
    held = Claims(store, **LASTING).take(KEY)  # type: ignore[arg-type]
    other = claims(tmp_path, expiry_seconds=EXPIRY)
    assert other.wait(KEY, LONG, print)
    taken = other.take(KEY)
    assert held is not None
    assert taken is not None
    store.awake.set()
    until(lambda: len(store.tries) > 1)
    held.release()
    assert files(tmp_path)  # of the one that has it now
    taken.release()
    until(lambda: files(tmp_path) == [])


class Counted(FolderStore):
    """A remote that counts how often it is asked, and fails from a moment on."""

    asked = 0
    fails = False

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:
        self.asked += 1
        if self.fails:
            raise RemoteError("gone")
        return super().names(folder, prefix, seconds)


def test_clocks_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    held = claims(tmp_path).take(KEY)
    monkeypatch.setattr(time, "time", lambda: 1e12)
    store = Counted(tmp_path)
    waiter = Waiter(Claims(store, **LASTING))  # type: ignore[arg-type]
    until(lambda: store.asked > 3)
    assert waiter.is_waiting
    assert held is not None
    held.release()
    assert waiter.end()


def test_claims_are_listed_unless_they_were_left_behind(tmp_path: Path) -> None:
    assert claims(tmp_path).keys() == set()
    held = [claims(tmp_path, beat_seconds=NEVER).take(key) for key in ("one", "other")]
    hours_ago = time.time() - 7200
    for file in (tmp_path / "v1" / "claims" / "other").iterdir():
        os.utime(file, (hours_ago, hours_ago))
    assert claims(tmp_path).keys() == {"one"}
    for one in held:
        assert one is not None
        one.release()
    assert claims(tmp_path).keys() == set()


def test_a_command_does_not_wait_for_itself(tmp_path: Path) -> None:
    ours = claims(tmp_path)
    held = ours.take(KEY)
    assert held is not None
    assert not ours.wait(KEY, LONG, print)
    held.release()


def test_waiting_ends_with_the_command_and_when_it_takes_too_long(tmp_path: Path) -> None:
    held = claims(tmp_path).take(KEY)
    assert held is not None
    stopped = threading.Event()
    waiter = Waiter(claims(tmp_path, is_stopped=stopped.is_set), most=NEVER)
    until(waiter.has_begun)
    assert waiter.is_waiting
    stopped.set()
    assert waiter.end()
    assert Waiter(claims(tmp_path), most=0.3).end()
    held.release()


def test_a_remote_that_fails_is_not_waited_for(tmp_path: Path) -> None:
    held = claims(tmp_path).take(KEY)
    store = Counted(tmp_path)
    waiter = Waiter(Claims(store, **LASTING), most=NEVER)  # type: ignore[arg-type]
    until(waiter.has_begun)
    assert waiter.is_waiting
    store.fails = True
    assert waiter.end()
    assert Claims(store).take(KEY) is None
    assert held is not None
    held.release()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[" * 100_000,
        b"\xff\xfe",
        b'{"schema": 1, "id": 5, "holder": "x", "seconds": 1}',
        b'{"schema": 1, "id": "' + b"0" * 16 + b'", "holder": "\\u001b[2J", "seconds": 1}',
        b'{"schema": 1, "id": "' + b"0" * 16 + b'", "holder": "x", "seconds": 1e400}',
        b'{"schema": 1, "id": "' + b"0" * 16 + b'", "holder": "' + b"x" * 50 + b'", "seconds": 1}',
        b'{"schema": 1, "id": "' + b"0" * 16 + b'", "holder": "x", "seconds": ' + b"9" * 900 + b"}",
    ],
)
def test_a_claim_that_cannot_be_read_has_no_holder(tmp_path: Path, content: bytes) -> None:
    assert claim.read(content) is None
    folder = tmp_path / CLAIMS / KEY
    folder.mkdir(parents=True)
    (folder / claim.file_name(0)).write_bytes(content)
    waiter = Waiter(claims(tmp_path, expiry_seconds=EXPIRY))
    assert waiter.end()
    assert waiter.told == [None]


def test_files_with_other_names_are_no_claims(tmp_path: Path) -> None:
    folder = tmp_path / CLAIMS / KEY
    folder.mkdir(parents=True)
    for name in ("x.json", "-000000001.json", "00000000001.json", "\u0660" * 10 + ".json"):
        (folder / name).write_bytes(b"")
    ours = claims(tmp_path)
    assert not ours.wait(KEY, LONG, print)
    held = ours.take(KEY)
    assert held is not None
    held.release()


def test_there_is_no_claim_after_the_last_number(tmp_path: Path) -> None:
    folder = tmp_path / CLAIMS / KEY
    folder.mkdir(parents=True)
    (folder / "9999999999.json").write_bytes(b"")
    ours = claims(tmp_path)
    assert ours.wait(KEY, LONG, lambda _: None)
    assert ours.take(KEY) is None


def test_claims_are_written_as_they_are_read() -> None:
    made = Claim("0123456789abcdef", "ada's laptop", 75)
    assert claim.read(made.to_bytes()) == made
    assert [claim.is_name(one) for one in ("", "ada", " x", "x" * 41, "a\nb")] == [
        *(True, True, False, False, False)
    ]


def test_machines_that_would_build_the_same_have_one_claim() -> None:
    torch = Used("2.13.0", "sha256:ab")
    pure = Used("70", "sha256:cd", counts=False)
    base = Conditions({"torch": torch}, {"CFLAGS": "-O2", "HOME": "/home/ada"})

    def key(**changes: Any) -> str:
        return claim.key_of(RECORD, replace(base, **changes))

    same = [
        key(),
        key(environ={"CFLAGS": "-O2", "HOME": "/home/bob", "LANG": "C"}),
        key(available={"torch": torch, "setuptools": pure}),
        key(tools=lambda _name, _systems: None),
    ]
    others = [
        key(environ={"CFLAGS": "-O3"}),
        key(available={"torch": Used("2.14.0", "sha256:ef")}),
        key(tools=lambda name, _: Tool("gcc 13.1") if name == "cc" else None),
        claim.key_of(replace(RECORD, python="cpython 3.12"), base),
        claim.key_of(replace(RECORD, config_settings={"x": "1"}), base),
    ]
    assert len(set(same)) == 1
    assert len({*same, *others}) == 1 + len(others)
