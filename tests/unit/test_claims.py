"""Claims: of machines that want the same build, one builds and the others wait."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.model import claim
from pipshim.model.build_record import Conditions, Record, Used
from pipshim.model.build_tools import Tool
from pipshim.model.claim import Claim
from pipshim.remote.claims import CLAIMS, Claims
from pipshim.remote.file_store import Entry, RemoteError
from pipshim.remote.folder_store import FolderStore

if TYPE_CHECKING:
    from pathlib import Path

RECORD = Record("native", "1.0", "ab" * 32, "isolated", "cpython 3.11", "linux x86_64")
KEY = claim.key_of(RECORD, Conditions())
BEAT, EXPIRY = 0.05, 0.6
LONG = 20.0


def claims(folder: Path, holder: str = "", **more: object) -> Claims:
    folder.mkdir(exist_ok=True)
    return Claims(FolderStore(folder), holder, **{**SHORT, **more})  # type: ignore[arg-type]


SHORT = {"beat_seconds": BEAT, "expiry_seconds": EXPIRY}


class Waiter:
    """A machine that waits, in a thread."""

    def __init__(self, waiting: Claims, most: float = LONG) -> None:
        self.told: list[Claim | None] = []
        self.result: bool | None = None
        self._thread = threading.Thread(target=self._wait, args=(waiting, most))
        self._thread.start()

    def _wait(self, waiting: Claims, most: float) -> None:
        self.result = waiting.wait(KEY, most, self.told.append)

    @property
    def is_waiting(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> bool | None:
        self._thread.join(LONG)
        assert not self.is_waiting
        return self.result


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / CLAIMS).rglob("*.json"))


def test_one_machine_has_the_claim_until_it_is_released(tmp_path: Path) -> None:
    ours, theirs = claims(tmp_path, "ada"), claims(tmp_path)
    assert not theirs.wait(KEY, LONG, print)
    held = ours.take(KEY)
    assert held is not None
    assert theirs.take(KEY) is None
    waiter = Waiter(theirs)
    time.sleep(3 * EXPIRY)  # the claim is renewed
    assert waiter.is_waiting
    assert len(files(tmp_path)) in {1, 2}
    held.release()
    assert waiter.end()
    (told,) = waiter.told
    assert told is not None
    assert told.who == "ada"
    assert files(tmp_path) == []
    again = theirs.take(KEY)
    assert again is not None
    again.release()


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
    first, second = claims(tmp_path), claims(tmp_path)
    start = time.monotonic()
    waiters = [Waiter(first), Waiter(second)]
    assert [one.end() for one in waiters] == [True, True]
    assert EXPIRY <= time.monotonic() - start < LONG
    taken = [one for one in (first.take(KEY), second.take(KEY)) if one is not None]
    assert len(taken) == 1
    taken[0].release()
    assert files(tmp_path) == []


def test_a_machine_that_was_thought_dead_loses_its_claim(tmp_path: Path) -> None:
    asleep = claims(tmp_path, beat_seconds=2 * EXPIRY)
    held = asleep.take(KEY)
    other = claims(tmp_path)
    assert other.wait(KEY, LONG, print)
    taken = other.take(KEY)
    assert held is not None
    assert taken is not None
    time.sleep(2 * EXPIRY)  # it wakes up
    held.release()
    assert files(tmp_path)  # of the one that has it now
    taken.release()
    assert files(tmp_path) == []


def test_clocks_do_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    held = claims(tmp_path).take(KEY)
    monkeypatch.setattr(time, "time", lambda: 1e12)
    waiter = Waiter(claims(tmp_path))
    time.sleep(2 * EXPIRY)
    assert waiter.is_waiting
    assert held is not None
    held.release()
    assert waiter.end()


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
    waiter = Waiter(claims(tmp_path, is_stopped=stopped.is_set))
    time.sleep(2 * EXPIRY)
    stopped.set()
    start = time.monotonic()
    waiter.end()
    assert time.monotonic() - start < 1
    assert Waiter(claims(tmp_path), most=0.3).end()
    held.release()


class Broken(FolderStore):
    """A remote that fails from a moment on."""

    fails = False

    def names(self, folder: str, prefix: str, seconds: float) -> list[Entry]:
        if self.fails:
            raise RemoteError("gone")
        return super().names(folder, prefix, seconds)


def test_a_remote_that_fails_is_not_waited_for(tmp_path: Path) -> None:
    held = claims(tmp_path).take(KEY)
    store = Broken(tmp_path)
    waiter = Waiter(Claims(store, **SHORT))  # type: ignore[arg-type]
    time.sleep(EXPIRY)
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
    waiter = Waiter(claims(tmp_path))
    assert waiter.end()  # it expires
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
