"""Forks: what they are asked, what they ask back, and how they end. Real processes do little."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.base.errors import (
    BuildError,
    Failures,
    FileError,
    HashError,
    LockError,
    PipshimError,
    ResolveError,
    UnknownNameError,
)
from pipshim.cli.error_boundary import explain
from pipshim.lock.forked_resolvers import AVAILABLE, Forks, ParentProcess, wait_for_ended_threads
from pipshim.model import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipshim.model.events import Event

pytestmark = pytest.mark.skipif(not AVAILABLE, reason="there are no forks here")

ERRORS = (
    PipshimError("what happened", hint="mend it"),
    ResolveError("no versions fit"),
    FileError(Path("x.toml"), "is wrong", line=3),
    LockError("pylock.toml", "is damaged", hint="lock"),
    UnknownNameError("extra", "tets", ("test",), "pyproject.toml"),
    HashError("x", "x.whl", "a", "b"),
    BuildError("x failed", package="x 1", mode="isolated", step="wheel", output=("a", "b")),
    Failures((ResolveError("one"), HashError("x", "x.whl", "a", "b"))),
)


class Trial:
    """Forks that do what a test says.

    Attributes:
        origin: in a fork, where it comes from.
        said: what has been told of.

    """

    def __init__(self, work: Callable[[Trial, str, Any], object], at_once: int) -> None:
        self.origin: ParentProcess | None = None
        self.said: list[Event] = []
        self.begun = 0
        self.forks: Forks[str, Any, Any] = Forks(
            work=lambda item, asked: work(self, item, asked),
            settle=self._settle,
            answer=self._answer,
            observer=self.said.append,
            explain=explain,
            before=self._before,
            at_once=at_once,
        )

    def _before(self) -> None:
        self.begun += 1

    def _settle(self, origin: ParentProcess) -> None:
        self.origin = origin

    def _answer(self, question: object) -> object:
        if isinstance(question, PipshimError):
            raise question
        return question, os.getpid()

    def ask(self, question: object) -> Any:
        assert self.origin is not None
        return self.origin.ask(question)

    def say(self, text: str) -> None:
        assert self.origin is not None
        self.origin.observe(events.Message("info", text))


@contextmanager
def trial(work: Callable[[Trial, str, Any], object], at_once: int = 2) -> Iterator[Trial]:
    made = Trial(work, at_once)
    try:
        yield made
    finally:
        made.forks.close()


def test_each_is_done_in_a_fork_that_keeps_what_it_was_asked_for() -> None:
    before: dict[str, int] = {}

    def count(_: Trial, item: str, asked: int) -> tuple[int, int]:
        before[item] = before.get(item, 0) + asked
        return os.getpid(), before[item]

    with trial(count) as tried:
        first = tried.forks.each({"c": 1, "a": 10, "b": 100})
        assert list(first) == ["c", "a", "b"]
        assert tried.begun == len({pid for pid, _ in first.values()}) == 2
        assert os.getpid() not in {pid for pid, _ in first.values()}
        again = tried.forks.each({"b": 1, "c": 1})
        assert again == {"b": (first["b"][0], 101), "c": (first["c"][0], 2)}
    for pid, _ in first.values():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_two_are_at_work_at_the_same_time(tmp_path: Path) -> None:
    def meet(_: Trial, item: str, other: str) -> bool:
        (tmp_path / item).touch()
        end = time.monotonic() + 60
        while not (tmp_path / other).exists() and time.monotonic() < end:
            time.sleep(0.01)
        return (tmp_path / other).exists()

    with trial(meet) as tried:
        assert tried.forks.each({"a": "b", "b": "a"}) == {"a": True, "b": True}


def test_a_fork_asks_back_and_tells_what_happens() -> None:
    def work(tried: Trial, item: str, asked: str) -> object:
        tried.say(f"{item} begins")
        return tried.ask(asked)

    with trial(work) as tried:
        found = tried.forks.each({"a": "x", "b": "y"})
        assert found == {"a": ("x", os.getpid()), "b": ("y", os.getpid())}
        texts = sorted(one.text for one in tried.said if isinstance(one, events.Message))
        assert texts == ["a begins", "b begins"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_arrives_as_it_is_from_either_side(error: PipshimError) -> None:
    def work(tried: Trial, item: str, asked: PipshimError) -> None:
        if item == "asks":
            tried.ask(asked)
        raise asked

    for item in ("asks", "raises"):
        with trial(work) as tried, pytest.raises(type(error)) as caught:
            tried.forks.each({item: error})
        assert type(caught.value) is type(error)
        assert str(caught.value) == str(error)
        assert repr(vars(caught.value)) == repr(vars(error))
        assert "in work" in str(caught.value.__cause__)


def test_the_first_one_that_fails_says_why_and_what_comes_later_is_not_waited_for() -> None:
    def work(_: Trial, item: str, seconds: float) -> int:
        time.sleep(seconds)
        if item in ("b", "d"):
            raise ResolveError(item)
        return os.getpid()

    with trial(work, at_once=4) as tried:
        with pytest.raises(ResolveError, match="b"):
            tried.forks.each({"a": 0.5, "b": 0.3, "c": 600.0, "d": 0.0})
        # It goes on: what was given up is done anew.
        assert set(tried.forks.each({"a": 0.0, "c": 0.0})) == {"a", "c"}


def test_what_nobody_foresaw_is_said_too() -> None:
    def work(_: Trial, item: str, __: None) -> object:
        if item == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if item == "fails":
            raise ZeroDivisionError("oh")
        return lambda: None  # what cannot cross

    for item, text in {
        "dies": "dies: its process has ended by signal 9",
        "fails": "pipshim has a bug: ZeroDivisionError: oh",
        "answers": "pipshim has a bug",
    }.items():
        with trial(work) as tried, pytest.raises(PipshimError, match=text):
            tried.forks.each({item: None})


def test_what_is_found_may_tell_of_itself_as_it_is_sent() -> None:
    class Telling:
        def __init__(self, tried: Trial) -> None:
            self._tried = tried

        def __reduce__(self) -> tuple[type[str], tuple[str]]:
            self._tried.say("on its way")
            return str, ("found",)

    with trial(lambda tried, _, __: Telling(tried)) as tried:
        assert tried.forks.each({"a": None}) == {"a": "found"}
        assert [event.text for event in tried.said if isinstance(event, events.Message)] == [
            "on its way"
        ]


def test_a_fork_ends_with_the_process_that_it_comes_from(tmp_path: Path) -> None:
    note = tmp_path / "pid"

    def work(tried: Trial, _: str, __: None) -> None:
        note.write_text(str(os.getpid()))
        while True:
            time.sleep(0.01)
            tried.say("still here")

    pid = os.fork()
    if pid == 0:
        with trial(work) as tried:
            tried.forks.each({"a": None})
        os._exit(0)
    end = time.monotonic() + 60
    while not (note.exists() and note.read_text()) and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while is_running(int(note.read_text())) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_running(int(note.read_text()))


def is_running(pid: int) -> bool:
    """Tell whether a process does something still; nobody need have noticed its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_no_thread_is_about_to_end_when_a_fork_is_made() -> None:
    threads = [threading.Thread(target=time.sleep, args=(0.01,)) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_for_ended_threads()
    assert len(list(Path("/proc/self/task").iterdir())) == 1 + _thread._count()
