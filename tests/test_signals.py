"""SIGINT, SIGTERM and SIGHUP end every command, whatever it waits for, and leave nothing behind."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, Step, sdist, wheel
from tests.support.files import listing
from tests.support.pipshim import PATIENCE, until
from tests.support.terminal import Typist

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")

BOUND = PATIENCE
"""Seconds after which a command counts as hanging, on the slowest machine."""

SAYS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
PAGE = "/simple/plain/"
WHEEL = "/files/plain-1-py3-none-any.whl"
METADATA = f"{WHEEL}.metadata"
SDIST = "/files/sourced-1.tar.gz"

WAITS = {
    "lock, page": (["lock"], PAGE),
    "lock, metadata": (["lock"], METADATA),
    "lock, sdist": (["lock"], SDIST),
    "sync, page": (["sync"], PAGE),
    "sync, wheel": (["sync"], WHEEL),
    "sync, sdist": (["sync"], SDIST),
    "run, wheel": (["run", "true"], WHEEL),
    "add, page": (["add", "plain"], PAGE),
    "remove, page": (["remove", "other"], PAGE),
    "export, page": (["export"], PAGE),
    "install, page": (["install", "plain"], PAGE),
    "install, wheel": (["install", "plain"], WHEEL),
    "install, sdist": (["install", "sourced"], SDIST),
    "wheel, sdist": (["wheel", "sourced"], SDIST),
    "download, wheel": (["download", "plain"], WHEEL),
}

OFTEN = ("lock, metadata", "sync, wheel", "install, sdist")
"""Those that are ended by the other signals too."""


def processes(cli: Cli) -> list[str]:
    """Tell what runs with the temporary folder of the test's commands."""
    mark = f"TMPDIR={cli.temporary}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark in (entry / "environ").read_bytes():
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def is_cleared_up(cli: Cli) -> bool:
    """Return whether nothing is left of a command.

    A command that is not done in time, or gets a second signal, leaves that to another process.
    """
    return processes(cli) == left_behind(cli) == []


def left_behind(cli: Cli) -> list[str]:
    """Tell temporary files, wherever a command may have made them."""
    partial = [path for path in cli.shim_cache.rglob("*") if ".tmp" in path.name]
    work = [*cli.shim_cache.glob("work/*")]
    return [*map(str, (*cli.temporary.iterdir(), *partial, *work))]


def files_of(folder: Path) -> dict[str, tuple[object, ...]]:
    """Describe the files; a folder's time changes with every temporary file in it."""
    return {path: told for path, told in listing(folder).items() if Path(path).is_file()}


@pytest.fixture
def filled(index: Index, make_project: MakeProject, tmp_path: Path) -> Path:
    files = tmp_path / "files"
    index.add(wheel(files, "plain", "1"), wheel(files, "other", "1"))
    index.add(sdist(files, "sourced", "1", static_metadata=False))
    return make_project(dependencies=["other", "plain", "sourced"])


@pytest.mark.parametrize(
    ("wait", "number"),
    [
        *((wait, signal.SIGINT) for wait in WAITS),
        *((wait, number) for wait in OFTEN for number in (signal.SIGTERM, signal.SIGHUP)),
    ],
)
def test_a_signal_ends_a_command_that_waits_for_a_server(
    cli: Cli, index: Index, filled: Path, wait: str, number: signal.Signals
) -> None:
    command, path = WAITS[wait]
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the tests were started so that this signal is ignored, as by nohup")
    if command[0] in ("install", "wheel", "download"):
        (filled / "pyproject.toml").unlink()
        cli.env["PIP_TARGET"] = str(filled / "target")
    index.stall.add(path)
    before = files_of(filled)
    with cli.start(*command) as process:
        until(lambda: index.stalled)
        process.send_signal(number)
        _, said = process.communicate(timeout=BOUND)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    until(lambda: is_cleared_up(cli))
    if command[0] not in ("run", "sync"):  # those may have made the lock before they waited
        assert files_of(filled) == before


@pytest.mark.parametrize("command", [["lock"], ["sync"], ["install", "stuck"]], ids=" ".join)
def test_a_signal_ends_a_checkout_that_waits_for_its_server(
    cli: Cli, index: Index, make_project: MakeProject, command: Sequence[str]
) -> None:
    url = f"git+{index.root}/simple/stuck"
    path = "/simple/stuck/info/refs"
    index.meetings[path] = never = threading.Event()
    make_project(dependencies=[f"stuck @ {url}"])
    if command[0] == "install":
        command = ["install", "--target", "target", url]
    with cli.start(*command) as process:
        until(lambda: any(path in one for one in index.requests))
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=BOUND)
    never.set()
    assert process.returncode == 143, said
    until(lambda: is_cleared_up(cli))


def test_a_signal_ends_a_command_that_waits_for_another_one(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path / "files", "plain", "1"))
    project = make_project(dependencies=["plain"])
    cli.ok("sync")
    make_project(dependencies=[])
    with (project / ".venv" / ".pipshim.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with cli.start("sync") as process:
            assert process.stderr is not None
            assert "waiting" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=BOUND)
    assert process.returncode == 130, said
    until(lambda: is_cleared_up(cli))


DEAF = """
import os, signal, subprocess, sys, time
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
child = "import time; time.sleep(600)  # MARK"
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:  # in a session of its own, and without a parent
        subprocess.run([sys.executable, "-c", child], env={})
    os._exit(0)
from engine import *
"""


@pytest.mark.parametrize("signals", [[signal.SIGINT], [signal.SIGHUP], [signal.SIGINT] * 2])
@pytest.mark.parametrize("command", [["lock"], ["sync"], ["install", "deaf"]], ids=" ".join)
def test_a_backend_that_ignores_signals_is_killed_with_all_that_it_has_started(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    command: Sequence[str],
    signals: Sequence[signal.Signals],
) -> None:
    log = tmp_path / "calls"
    step: Step = "metadata" if command == ["lock"] else "build_wheel"
    backend = Backend(acts_at=[step], sleep_seconds=600, log=str(log))
    index.add(
        sdist(
            tmp_path / "files",
            "deaf",
            "1",
            backend=backend,
            backend_source=DEAF.replace("MARK", str(tmp_path)),
            static_metadata=False,
        )
    )
    make_project(dependencies=["deaf"])
    cli.env["PIP_TARGET"] = str(tmp_path / "target")
    with cli.start(*command) as process:
        until(lambda: log.exists() and step.removeprefix("build_") in log.read_text())
        until(lambda: sleepers(tmp_path))
        for number in signals:
            process.send_signal(number)
            time.sleep(0.15)  # signals that come at once count as one
        _, said = process.communicate(timeout=BOUND)
    assert process.returncode == 128 + signals[0], said
    until(lambda: sleepers(tmp_path) == [])
    until(lambda: is_cleared_up(cli))


def sleepers(mark: Path) -> list[str]:
    """Return the processes of a test's backend that sleep; their environment is empty."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and f"# {mark}".encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_closing_the_terminal_ends_a_build_and_clears_up(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    backend = Backend(sleep_seconds=600, child_seconds=600, log=str(log))
    index.add(sdist(tmp_path / "files", "slow", "1", backend=backend))
    make_project(dependencies=["slow"])
    command = [sys.executable, "-m", "pipshim", "sync"]
    with Typist(command, cli.env, cli.cwd) as typist:
        until(lambda: log.exists() and "build_wheel" in log.read_text())
        typist.hang_up()
        typist.program.wait(BOUND)
        assert typist.program.returncode == 129
    until(lambda: is_cleared_up(cli))


@pytest.mark.parametrize("keys", ["\x03", "\x03\x03"])
def test_the_terminal_is_as_it_was(cli: Cli, index: Index, filled: Path, keys: str) -> None:
    index.stall.add(WHEEL)
    command = [sys.executable, "-m", "pipshim", "sync"]
    with Typist(command, cli.env, filled) as typist:
        before = typist.attributes()
        typist.wait_for("\x1b[?25l")  # the cursor is hidden while something is drawn
        until(lambda: index.stalled)
        typist.type(keys)
        status, shown = typist.wait(seconds=BOUND)
        assert status == 130
        assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l")
        assert typist.attributes() == before
    until(lambda: is_cleared_up(cli))


@pytest.mark.parametrize("command", [["lock"], ["install", "deaf"]], ids=" ".join)
def test_a_second_signal_leaves_nothing_of_what_was_drawn(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, command: Sequence[str]
) -> None:
    log = tmp_path / "calls"
    backend = Backend(acts_at=["metadata"], sleep_seconds=600, log=str(log))
    source = DEAF.replace("MARK", str(tmp_path))
    made = partial(sdist, backend=backend, backend_source=source, static_metadata=False)
    index.add(made(tmp_path / "files", "deaf", "1"))
    make_project(dependencies=["deaf"])
    cli.env["PIP_TARGET"] = str(tmp_path / "target")
    with Typist([sys.executable, "-m", "pipshim", *command], cli.env, cli.cwd) as typist:
        typist.wait_for("isolated")
        until(lambda: sleepers(tmp_path))
        typist.type("\x03")
        time.sleep(0.15)
        typist.type("\x03")
        status, shown = typist.wait(seconds=BOUND)
    assert status == 130
    end = "\n".join(shown.splitlines()[-2:])  # the terminal may show the second ^C in its own line
    assert "pipshim: interrupted" in end or "ERROR: Operation cancelled" in end, shown
    until(lambda: is_cleared_up(cli))


@pytest.mark.parametrize("is_full", [False, True], ids=["Ctrl-S", "full"])
def test_a_terminal_that_takes_no_output_holds_nothing_up(
    cli: Cli, index: Index, filled: Path, is_full: bool
) -> None:
    index.stall.add(WHEEL)
    with Typist([sys.executable, "-m", "pipshim", "sync"], cli.env, filled) as typist:
        typist.wait_for("\x1b[?25l")
        until(lambda: index.stalled)
        if is_full:
            typist.fill()
        else:
            typist.type("\x13")
        time.sleep(1.2)  # it draws once a second
        typist.program.send_signal(signal.SIGTERM)
        assert typist.program.wait(BOUND) == 143
    until(lambda: is_cleared_up(cli))


def test_a_question_is_ended_by_the_first_signal(cli: Cli, index: Index, filled: Path) -> None:
    index.credentials = ("user", "secret")
    command = [sys.executable, "-m", "pipshim", "lock"]
    cli.env["PIP_INDEX_URL"] = index.url
    with Typist(command, cli.env, filled) as typist:
        typist.wait_for("User for")
        os.killpg(typist.program.pid, signal.SIGTERM)
        assert typist.wait(seconds=BOUND)[0] == 143
    until(lambda: is_cleared_up(cli))


def test_signals_that_were_ignored_stay_so(cli: Cli, index: Index, filled: Path) -> None:
    """As under nohup."""
    del filled
    assert index.requests == []
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with cli.start("lock") as process:
            until(lambda: index.requests)
            process.send_signal(signal.SIGHUP)
            _, said = process.communicate(timeout=BOUND)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert process.returncode == 0, said
