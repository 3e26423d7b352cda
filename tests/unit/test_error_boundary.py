from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pipshim.__main__ import main
from pipshim.base.errors import FileError, PipshimError, UsageError
from pipshim.base.interruption import Terminated
from pipshim.base.light import signals
from pipshim.cli.error_boundary import INTERRUPTED, Replacement, explain, run_guarded
from pipshim.model.option_parsing import read_switch
from tests.support.pipshim import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def _renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    def render(error: PipshimError, *, width: int | None, color: bool) -> str:
        assert (width is None) is not sys.stderr.isatty()
        return f"{'color ' if color else ''}error: {error.message}"

    failure = SimpleNamespace(render=render)
    monkeypatch.setitem(sys.modules, "pipshim.progress.error_text", cast("Any", failure))


def raises(error: BaseException) -> Callable[[], int]:
    def action() -> int:
        raise error

    return action


@pytest.mark.parametrize("status", [0, 1, 7])
def test_status_of_the_action(status: int) -> None:
    assert run_guarded(lambda: status) == status


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (PipshimError("what"), 1),
        (UsageError("what"), 2),
        (ValueError("what"), 1),
        (KeyboardInterrupt(), 130),
        (Terminated(), 143),
        (SystemExit(), 0),
        (SystemExit(5), 5),
        (SystemExit("what"), 1),
    ],
)
def test_status_of_an_error(
    error: BaseException, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_guarded(raises(error)) == status
    assert "Traceback" not in capsys.readouterr().err


def test_error_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    run_guarded(raises(PipshimError("what")))
    assert capsys.readouterr().err == "error: what\n"


def test_debug_shows_where_too(capsys: pytest.CaptureFixture[str]) -> None:
    run_guarded(raises(PipshimError("what")), debug=True)
    err = capsys.readouterr().err
    assert err.startswith("Traceback")
    assert err.endswith("error: what\n")


@pytest.mark.parametrize(
    ("no_color", "variable", "expected"),
    [(False, None, "color error"), (True, None, "error"), (False, "1", "error")],
)
def test_color(
    no_color: bool,
    variable: str | None,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if variable is not None:
        monkeypatch.setenv("NO_COLOR", variable)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run_guarded(raises(PipshimError("what")), no_color=no_color)
    assert capsys.readouterr().err.startswith(expected)


def test_file_of_an_os_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(FileNotFoundError) as caught:
        missing.read_bytes()
    told = explain(caught.value)
    assert isinstance(told, FileError)
    assert told.message == f"{missing}: No such file or directory"


def test_full_disk() -> None:
    told = explain(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    assert told.message == "No space left on device"
    assert told.hint is not None
    assert "PIPSHIM_CACHE_DIR" in told.hint


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_limits_of_processes_and_memory_are_no_bugs(error: Exception) -> None:
    told = explain(error)
    assert "too little memory, or there are too many processes" in told.message
    assert "ulimit" in str(told.hint)


def test_bug_names_its_place() -> None:
    with pytest.raises(AttributeError) as caught:
        read_switch("PIPSHIM_LOCKED", cast("Any", None))
    told = explain(caught.value)
    assert "pipshim has a bug: AttributeError: " in told.message
    assert "pipshim/model/option_parsing.py:" in told.message
    assert told.message.endswith("(read_switch)")


def test_closed_stdout() -> None:
    script = (
        "import sys\nfrom pipshim.cli.error_boundary import run_guarded\n"
        "def action():\n    print('x' * 100_000)\n    return 0\n"
        "sys.exit(run_guarded(action))\n"
    )
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-c", script],
            check=False,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            stdout=writer,
        )
    finally:
        os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""


def test_termination_lets_clean_up() -> None:
    cleaned = []

    def action() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            cleaned.append(True)
        return 0

    assert run_guarded(action) == 143
    assert cleaned == [True]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_signals_are_the_main_threads() -> None:
    statuses: list[int] = []
    thread = threading.Thread(target=lambda: statuses.append(run_guarded(lambda: 3)))
    thread.start()
    thread.join()
    assert statuses == [3]


def test_what_cannot_be_executed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "signal", lambda *_: None)
    program = tmp_path / "no-such-command"
    with pytest.raises(UsageError, match=r"no-such-command cannot be run: .*No such file"):
        Replacement(program, ("no-such-command",), {}).start()


def test_an_interrupt_before_a_command_has_begun_is_said_in_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipshim.fastpath.up_to_date.attempt", interrupted)
    assert main() == INTERRUPTED
    assert capsys.readouterr().err == "pipshim: interrupted\n"
