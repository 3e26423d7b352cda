from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from rich.console import Console

from pipshim.base.errors import (
    BuildError,
    Failures,
    HashError,
    PipshimError,
    UnknownNameError,
    together,
)
from pipshim.base.sizes import size
from pipshim.model import events
from pipshim.model.change import Change
from pipshim.model.requests import CommonOptions
from pipshim.progress import live as live_module
from pipshim.progress.control_codes import clean
from pipshim.progress.error_text import render
from pipshim.progress.formatting import duration, elapsed, join, paint, use_color, write
from pipshim.progress.live import Live
from pipshim.progress.live_region import rows
from pipshim.progress.observer_choice import make_observer
from pipshim.progress.plain import Plain
from pipshim.progress.state import State
from pipshim.progress.summary import summarize, summarize_lock
from tests.support.pipshim import until

if TYPE_CHECKING:
    from pipshim.model.events import Event

NATTEN = ("natten", "0.17.5")
STARTED = events.BuildStarted(*NATTEN, "no-isolation", "pyproject.toml", "wheel")
FINISHED = events.BuildFinished(*NATTEN, "no-isolation", "pyproject.toml", "wheel", 123)
BEAT = 0.00002
"""A heartbeat that comes often by the slow clock."""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def slow_clock() -> float:
    """Give a time that stays below a second, however long a test takes."""
    return time.monotonic() / 1000


def plain(*happened: Event, **options: Any) -> list[str]:
    stream = io.StringIO()
    with Plain(stream, **options) as observer:
        for event in happened:
            observer(event)
    return stream.getvalue().splitlines()


# text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0.00 s"),
        (0, "0.00 s"),
        (0.02, "0.02 s"),
        (0.0949, "0.09 s"),
        (0.095, "0.1 s"),
        (0.4, "0.4 s"),
        (9.94, "9.9 s"),
        (9.96, "10 s"),
        (12.3, "12 s"),
        (59.6, "1m 00s"),
        (123, "2m 03s"),
        (3599.7, "1h 00m"),
        (3720, "1h 02m"),
        (360000, "100h 00m"),
    ],
)
def test_duration(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


def test_other_durations() -> None:
    assert duration(12.34, precise=True) == "12.3 s"
    assert duration(59.97, precise=True) == "1m 00s"
    assert [elapsed(one) for one in (-1, 0, 3.9, 59.9, 60)] == [
        "0 s",
        "0 s",
        "3 s",
        "59 s",
        "1m 00s",
    ]


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0 B"), (812, "812 B"), (999.6, "1 kB"), (12_345, "12 kB"), (1_440_000, "1.4 MB")],
)
def test_size(count: float, shown: str) -> None:
    assert size(count) == shown
    assert size(2_130_000_000) == "2.1 GB"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("plain\n", "plain"),
        ("\x1b[31;1mred\x1b[0m\r\n", "red"),
        ("10%\r 50%\r100% done", "100% done"),
        ("\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\tb\x07\x00", "a   b"),
        ("\x1b[2K\x1b[1Aup", "up"),
        ("\x9b31mx", "31mx"),
    ],
)
def test_clean_leaves_nothing_that_controls_a_terminal(line: str, shown: str) -> None:
    assert clean(line) == shown


def test_use_color() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    assert use_color(terminal, environ={"TERM": "xterm"})
    assert not use_color(pipe, environ={"TERM": "xterm"})
    assert not use_color(terminal, environ={"TERM": "dumb"})
    assert use_color(pipe, environ={"FORCE_COLOR": "1"})
    assert not use_color(terminal, environ={"FORCE_COLOR": "1", "NO_COLOR": "1"})
    assert use_color(terminal, environ={"NO_COLOR": ""})
    assert not use_color(terminal, no_color=True, environ={"FORCE_COLOR": "1"})


def test_paint() -> None:
    assert paint("x", "bold red", color=True) == "\x1b[1;31mx\x1b[0m"
    assert paint("x", "bold red", color=False) == "x"
    assert paint("x", "", color=True) == "x"


def test_write_bears_what_the_stream_does_not() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write(stream, "naïve\n")
    assert raw.getvalue() == b"na\\xefve\n"
    stream.close()
    write(stream, "nobody hears")


# plain


def test_a_build_is_a_line_when_it_starts_and_one_when_it_ends() -> None:
    assert plain(STARTED, events.BuildPhase(*NATTEN, "wheel"), FINISHED) == [
        "building natten 0.17.5  no-isolation  pyproject.toml",
        "built    natten 0.17.5  no-isolation  pyproject.toml  2m 03s",
    ]


def test_columns_are_aligned() -> None:
    assert plain(
        STARTED,
        events.BuildStarted("a", "1", "isolated", "default", "metadata"),
        events.BuildFinished("a", "1", "isolated", "default", "metadata", 0.4),
    ) == [
        "building natten 0.17.5  no-isolation  pyproject.toml",
        "building a 1            isolated      default         metadata",
        "built    a 1            isolated      default         metadata  0.4 s",
    ]


def test_cached() -> None:
    why = "built earlier against the same torch 2.13.0"
    assert plain(events.BuildCached(*NATTEN, "no-isolation", "pyproject.toml", why)) == [
        f"cached   natten 0.17.5  no-isolation  pyproject.toml  ({why})"
    ]


def test_failed() -> None:
    failed = events.BuildFailed(*NATTEN, "no-isolation", "metadata")
    assert plain(STARTED, failed, clock=Clock())[1:] == [
        "failed   natten 0.17.5  no-isolation  pyproject.toml  metadata  0.00 s"
    ]
    assert plain(failed, clock=Clock()) == [
        "failed   natten 0.17.5  no-isolation    metadata  0.00 s"
    ]


def test_asking_for_requirements_is_quiet_unless_it_fails() -> None:
    start = events.BuildStarted(*NATTEN, "isolated", "default", "requirements")
    end = events.BuildFinished(*NATTEN, "isolated", "default", "requirements", 1)
    assert plain(start, end) == []
    assert len(plain(start, end, verbosity=1)) == 2
    assert len(plain(start, events.BuildFailed(*NATTEN, "isolated", "build requirements"))) == 1


def test_a_build_that_was_ended_is_stopped() -> None:
    stopped = events.BuildFailed(*NATTEN, "no-isolation", "wheel", stopped=True)
    assert plain(STARTED, stopped, clock=Clock())[1].startswith("stopped  natten 0.17.5 ")


def test_colours_are_written_where_they_are_asked_for() -> None:
    (_, line) = plain(STARTED, FINISHED, color=True)
    assert line.startswith("\x1b[32mbuilt    \x1b[0m\x1b[1mnatten 0.17.5  \x1b[0m\x1b[33mno-iso")
    assert clean(line) == plain(STARTED, FINISHED)[1]


def test_on_github_a_builds_output_is_in_a_group_and_gives_no_commands(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("\x1b[1mcompiling\x1b[0m\n::error::forged\n")
    started = events.BuildStarted(*NATTEN, "no-isolation", "pyproject.toml", "wheel", log)
    said = plain(started, FINISHED, groups=True)
    token = said[2].removeprefix("::stop-commands::")
    assert len(token) == 32
    assert said == [
        "building natten 0.17.5  no-isolation  pyproject.toml",
        "::group::built    natten 0.17.5  no-isolation  pyproject.toml  2m 03s",
        f"::stop-commands::{token}",
        "compiling",
        "::error::forged",
        f"::{token}::",
        "::endgroup::",
    ]
    assert "::group::" not in "\n".join(plain(started, FINISHED, groups=True, verbosity=1))
    log.write_text("")
    assert plain(started, FINISHED, groups=True) == plain(started, FINISHED)
    log.unlink()
    assert plain(started, FINISHED, groups=True) == plain(started, FINISHED)


def test_github_is_recognised() -> None:
    for environ, said in (({"GITHUB_ACTIONS": "true"}, 1), ({"GITHUB_ACTIONS": ""}, 0)):
        stream = io.StringIO()
        with make_observer(CommonOptions(), environ, stream) as observer:
            observer(events.BuildStarted(*NATTEN, "isolated", "default", "wheel", Path(__file__)))
            observer(FINISHED)
        assert ("\n" + stream.getvalue()).count("\n::group::") == said


EVERYTHING: tuple[Event, ...] = (
    events.ResolveStarted(1),
    events.Pinned("torch", "2.13.0"),
    events.ResolveFinished(1, 0.5),
    events.Waiting("waiting for another command"),
    events.Planned(2, 1),
    events.Prepared("torch", "2.13.0", "index"),
    events.DownloadStarted("u", "torch.whl", 12_000),
    events.DownloadProgress("u", 5_000),
    events.DownloadFinished("u", 12_000),
    STARTED,
    events.BuildPhase(*NATTEN, "wheel"),
    events.BuildOutput("natten", "\x1b[1mcompiling\x1b[0m\n"),
    events.BuildRecorded(*NATTEN, {"name": "natten"}),
    FINISHED,
    events.BuildCached("x", "1", "isolated", "default", "why"),
    events.BuildFailed("y", "1", "isolated", "wheel"),
    events.Installed("torch", "2.13.0", "index"),
    events.Installed("numpy", "2.3.1", "cached"),
    events.Removed("six", "1.16.0"),
    events.Message("debug", "a detail"),
    events.Message("info", "a notice"),
    events.Message("warning", "careful\nvery"),
    events.Message("error", "too late"),
)


def test_verbosity() -> None:
    assert plain(*EVERYTHING, verbosity=-2) == ["error: too late"]
    assert plain(*EVERYTHING, verbosity=-1) == ["warning: careful", "  very", "error: too late"]
    normal = plain(*EVERYTHING)
    assert [line.split()[0] for line in normal] == [
        *("waiting", "building", "built", "cached", "failed", "a", "warning:", "very", "error:")
    ]
    verbose = plain(*EVERYTHING, verbosity=1)
    assert set(normal) < set(verbose)
    for line in (
        "resolving, round 1",
        "resolved 1 package in 0.5 s",
        "2 packages to install, 1 of them to build",
        "downloading torch.whl (12 kB)",
        "natten | compiling",
        "installed torch 2.13.0 (index)",
        "installed numpy 2.3.1 (cached)",
        "removed six 1.16.0",
        "a detail",
    ):
        assert line in verbose
    assert "natten 0.17.5: wheel" in plain(*EVERYTHING, verbosity=2)


@pytest.mark.parametrize("verbosity", [-3, 0, 3])
def test_plain_writes_no_control_codes(verbosity: int) -> None:
    evil = "\x1b[2J\x07\r\x9b1mx"
    written = plain(
        *EVERYTHING,
        events.Message("error", evil),
        events.BuildOutput("natten", evil),
        events.Waiting(evil),
        verbosity=verbosity,
    )
    assert not [line for line in written if re.search(r"[\x00-\x1f\x7f-\x9f]", line)]


def test_heartbeat() -> None:
    stream = io.StringIO()
    with Plain(stream, heartbeat=BEAT, clock=slow_clock) as observer:
        observer(STARTED)
        observer(events.BuildPhase(*NATTEN, "wheel"))
        observer(events.BuildOutput("natten", f"[1/80] g++ -c {'x' * 200}.cpp"))
        until(lambda: stream.getvalue().count("\nstill") > 2)
        observer(FINISHED)
        count = stream.getvalue().count("still")
        time.sleep(0.1)
        assert stream.getvalue().count("still") == count
        observer(events.DownloadStarted("u", "torch.whl", 5_000_000))
        observer(events.ResolveStarted(2))
        until(lambda: "resolving, round 2," in stream.getvalue())
        until(lambda: "downloading 1 file," in stream.getvalue())
    written = stream.getvalue()
    assert f"still    natten 0.17.5  wheel, 0 s: [1/80] g++ -c {'x' * 200}.cpp\n" in written
    assert "still    downloading 1 file, 0 s, 0 B of 5.0 MB\n" in written
    time.sleep(0.1)
    assert stream.getvalue() == written
    assert not [one for one in threading.enumerate() if one.name == "heartbeat"]


def test_waiting_has_a_heartbeat_until_the_build_begins() -> None:
    stream = io.StringIO()
    wait = events.Waiting("waiting for another command that builds natten 0.17.5", *NATTEN)
    with Plain(stream, heartbeat=BEAT, clock=slow_clock) as observer:
        observer(wait)
        # Something else that happens meanwhile does not end it.
        observer(events.Prepared("torch", "2.13.0", "index"))
        until(lambda: stream.getvalue().count(f"still    {wait.text}, 0 s\n") > 1)
        observer(STARTED)
        written = stream.getvalue()
        until(lambda: "still    natten 0.17.5" in stream.getvalue()[len(written) :])
    assert wait.text not in stream.getvalue()[len(written) :]
    assert written.startswith(f"{wait.text}\n")


def test_no_heartbeat_when_quiet_or_when_lines_come() -> None:
    stream, clock = io.StringIO(), Clock()
    with (
        Plain(stream, heartbeat=0.01, verbosity=-1) as quiet,
        Plain(stream, heartbeat=None) as still,
        Plain(stream, heartbeat=1, verbosity=1, clock=clock) as streaming,
    ):
        for observer in (quiet, still, streaming):
            observer(STARTED)
        for _ in range(5):
            clock.now += 0.9
            time.sleep(0.02)
            streaming(events.BuildOutput("natten", "x"))
    assert "still" not in stream.getvalue()


def test_plain_is_called_from_many_threads() -> None:
    stream = io.StringIO()

    def build(name: str) -> None:
        for _ in range(50):
            observer(events.BuildStarted(name, "1", "isolated", "default", "wheel"))
            observer(events.BuildFinished(name, "1", "isolated", "default", "wheel", 1))

    with Plain(stream) as observer:
        threads = [threading.Thread(target=build, args=(f"p{n}",)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = stream.getvalue().splitlines()
    assert len(lines) == 800
    assert all(re.fullmatch(r"(building|built   ) p\d 1  isolated .*", line) for line in lines)


# which one


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, Live),
        ({"environ": {"TERM": "xterm", "CI": "false"}}, Live),
        ({"environ": {"TERM": "xterm", "CI": "true"}}, Plain),
        ({"environ": {"TERM": "dumb"}}, Plain),
        ({"environ": {}}, Plain),
        ({"stream": io.StringIO()}, Plain),
        ({"common": CommonOptions(progress_bar="off")}, Plain),
        ({"common": CommonOptions(progress_bar="raw")}, Plain),
        ({"common": CommonOptions(progress="plain")}, Plain),
        ({"common": CommonOptions(verbosity=-1)}, Plain),
    ],
)
def test_make_observer(options: dict[str, Any], kind: type) -> None:
    usual = {"common": CommonOptions(), "environ": {"TERM": "xterm"}, "stream": Terminal()}
    with make_observer(**{**usual, **options}) as observer:
        assert isinstance(observer, kind)


def test_a_report_writes_json_and_nobody_else() -> None:
    with make_observer(CommonOptions(progress="json"), stream=Terminal()) as observer:
        assert observer is events.ignore


def test_plain_does_not_import_rich() -> None:
    code = (
        "import sys, io\n"
        "from pipshim.progress import error_text, summary\n"
        "from pipshim.progress.observer_choice import make_observer\n"
        "from pipshim.model.requests import CommonOptions\n"
        "with make_observer(CommonOptions(), stream=io.StringIO()): pass\n"
        "assert not {m for m in sys.modules if m.split('.')[0] in ('rich', 'pip')}\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# live


def region(state: State, width: int, height: int, now: float = 125.0) -> list[str]:
    return [join(row) for row in rows(state, width=width, height=height, now=now)]


def busy(count: int, *, verbosity: int = 0) -> State:
    state = State(verbosity=verbosity, clock=Clock())
    for number in range(count):
        name = f"package-{number}"
        mode = ("isolated", "matched", "no-isolation")[number % 3]
        state.take(events.BuildStarted(name, "1.0", mode, "default", "wheel"))
        state.take(events.BuildPhase(name, "1.0", "environment"))
        state.take(events.BuildOutput(name, "compiling \x1b[1m" + "x" * 300))
    return state


def test_region_of_one_build() -> None:
    state = State(clock=Clock())
    state.take(STARTED)
    state.take(events.BuildPhase(*NATTEN, "wheel"))
    state.take(events.BuildOutput("natten", "      |  ~~^~~\n"))  # says nothing alone
    assert region(state, 80, 24) == ["natten 0.17.5  no-isolation  wheel          2m 05s"]
    assert region(state, 40, 24) == ["natten 0.17.5 no-isolation wheel 2m 05s"]
    assert region(state, 36, 24) == ["natten 0.17.5 no-isolation 2m 05s"]
    assert region(state, 24, 24) == ["natten 0.17.5 2m 05s"]
    assert region(state, 12, 24) == ["nat… 2m 05s"]
    state.take(FINISHED)
    assert region(state, 80, 24) == []


@pytest.mark.parametrize("count", [1, 3, 60, 500])
@pytest.mark.parametrize("width", [10, 40, 80, 200])
@pytest.mark.parametrize("height", [2, 5, 24])
def test_region_fits(count: int, width: int, height: int) -> None:
    state = busy(count, verbosity=1)
    state.take(events.ResolveStarted(1))
    state.take(events.Pinned("torch", "2.13.0"))
    state.take(events.DownloadStarted("u", "torch.whl", 812_000_000))
    state.take(events.Waiting("waiting for another command that holds the environment"))
    lines = region(state, width, height)
    assert all(len(line) < max(width, 11) for line in lines)
    assert len(lines) <= max(height - 3, 4)
    if height == 24 and count > 20 and width > 20:
        shown = sum(line.startswith("package-") for line in lines)
        assert f"… and {count - shown} more" in lines


def progress(
    done: int, total: int | None, seconds_left: float | None = None, **more: Any
) -> events.BuildProgress:
    fraction = done / total if total else None
    return events.BuildProgress(
        *NATTEN, done, total, "steps", fraction=fraction, seconds_left=seconds_left, **more
    )


def test_region_shows_how_far_a_build_is() -> None:
    clock = Clock()
    state = State(clock=clock)
    state.take(STARTED)
    state.take(events.BuildPhase(*NATTEN, "wheel"))
    clock.now = 60
    assert state.take(progress(25, 100, 180)) == []
    row = "natten 0.17.5  no-isolation  wheel          1m 05s"
    assert region(state, 100, 24, 65) == [f"{row}  ━━━─────────  25/100  about 3 min left"]
    narrow = "natten 0.17.5  no-isolation  wheel  1m 05s"
    assert region(state, 80, 24, 65) == [f"{narrow}  ━━────  25/100  about 3 min left"]
    assert region(state, 70, 24, 65) == [f"{row}  ━━────  25/100"]
    assert region(state, 60, 24, 65) == [f"{narrow}  ━━────  25/100"]
    assert region(state, 56, 24, 65) == ["natten 0.17.5 no-isolation wheel 1m 05s ━━──── 25/100"]
    assert region(state, 52, 24, 65) == ["natten 0.17.5 no-isolation 1m 05s ━━──── 25/100"]
    assert region(state, 42, 24, 65) == ["natten 0.17.5 wheel 1m 05s ━━──── 25/100"]
    assert region(state, 38, 24, 65) == ["natten 0.17.5 1m 05s ━━──── 25/100"]
    assert region(state, 30, 24, 65) == ["natten 0.17.5 1m 05s 25/100"]
    assert region(state, 24, 24, 65) == ["natten 0.17.5 1m 05s"]
    # What was expected has passed, and nothing new is known.
    (late,) = region(state, 100, 24, 300)
    assert late.endswith("5m 00s  ━━━─────────  25/100")


def test_region_shows_a_bar_beside_how_few_jobs_there_are() -> None:
    state = State(clock=Clock())
    state.take(events.BuildStarted("lib", "1.0", "isolated", "default", "wheel"))
    state.take(events.BuildPhase("lib", "1.0", "wheel"))
    state.take(events.BuildLimited("lib", "1.0", 1, 3_000_000_000, 900_000_000))
    state.take(events.BuildProgress("lib", "1.0", 2, 11, "steps", fraction=2 / 11, seconds_left=50))
    row = "lib 1.0 isolated wheel 5 s ━───── 1 job for lack of memory 2/11"
    (shown,) = region(state, 84, 24, 5)
    assert shown == f"{row} about 40 s left"
    (shown,) = region(state, 66, 24, 5)
    assert shown == row
    (shown,) = region(state, 60, 24, 5)
    assert shown == "lib 1.0 isolated 5 s ━───── 1 job for lack of memory 2/11"


def test_region_shows_what_an_earlier_build_lets_expect() -> None:
    state = State(clock=Clock())
    state.take(STARTED)
    state.take(progress(0, None, 40))
    (row,) = region(state, 100, 24, 10)
    assert row.endswith("10 s  ━━━─────────  about 30 s left")
    (row,) = region(state, 100, 24, 38)
    assert row.endswith("38 s  ━━━━━━━━━━━─  a few seconds left")
    state.take(progress(3, None))
    (row,) = region(state, 100, 24, 60)
    assert row.endswith("1m 00s  3 steps")


def test_heartbeat_says_how_far_a_build_is() -> None:
    stream = io.StringIO()
    with Plain(stream, heartbeat=BEAT, clock=slow_clock) as observer:
        observer(STARTED)
        observer(events.BuildPhase(*NATTEN, "wheel"))
        observer(progress(12, 73, 3 * 3600, extension=2))
        until(lambda: "still" in stream.getvalue())
    assert "wheel, 0 s, extension 2, 12/73, about 3.0 h left\n" in stream.getvalue()


def test_region_shows_the_last_output_line_when_verbose() -> None:
    assert "compiling" not in region(busy(1), 120, 24)[0]
    (line,) = region(busy(1, verbosity=1), 120, 24)
    assert re.search(r"2m 05s  compiling x+…$", line)
    assert len(line) == 119


def test_region_of_waiting() -> None:
    clock = Clock()
    state = State(starts=False, clock=clock)
    # It is said in the region, not above it too.
    assert state.take(events.Waiting("waiting for another command that builds a 1", "a", "1")) == []
    clock.now += 5
    state.take(events.Waiting("waiting for another command that builds b 1", "b", "1"))
    clock.now += 60
    assert region(state, 80, 24, 65) == ["2 builds wait  1m 05s"]
    state.take(events.BuildCached("a", "1", "isolated", "default", "why"))
    assert region(state, 80, 24, 65) == ["waiting for another command that builds b 1  1m 00s"]
    state.take(events.BuildStarted("b", "1", "isolated", "default", "wheel"))
    (line,) = region(state, 80, 24, 65)
    assert "waiting" not in line
    state.take(events.Waiting("waiting for another command"))
    assert region(state, 80, 24, 65) == [line, "waiting for another command  0 s"]
    state.take(events.Pinned("a", "2"))
    assert region(state, 80, 24, 65) == [line]


def test_region_of_downloads() -> None:
    clock = Clock()
    state = State(clock=clock)
    state.take(events.DownloadStarted("a", "a.whl", 10_000_000))
    state.take(events.DownloadStarted("b", "b.whl"))
    assert region(state, 80, 24) == ["2 downloads"]
    clock.now = 1.0
    state.take(events.DownloadProgress("b", 2_000_000))
    assert region(state, 80, 24) == ["2 downloads  2.0 MB  2.0 MB/s"]
    clock.now = 2.0
    state.take(events.DownloadFinished("b", 4_000_000))
    assert region(state, 80, 24) == ["1 download  4.0 MB of 14.0 MB  2.0 MB/s"]
    assert region(state, 38, 24) == ["1 download  4.0 MB of 14.0 MB"]
    state.take(events.DownloadFinished("a", 10_000_000))
    assert region(state, 80, 24) == []


def test_region_of_resolving() -> None:
    state = State(clock=Clock())
    state.take(events.ResolveStarted(1))
    state.take(events.ResolveStarted(2))
    state.take(events.Pinned("torch", "2.13.0"))
    assert region(state, 80, 24, now=3.5) == ["resolving  1 package  3 s  round 2"]


def test_region_of_targets_that_are_resolved_at_once() -> None:
    state = State(clock=Clock())
    state.take(events.ResolveStarted(1, "linux"))
    state.take(events.ResolveStarted(1, "macos"))
    state.take(events.Pinned("torch", "2.13.0", "macos"))
    assert region(state, 80, 24, now=3.5) == [
        "resolving for linux  3 s  round 1",
        "resolving for macos  1 package  3 s  round 1",
    ]
    state.take(events.TargetResolved("linux", 1, 3.5))
    assert region(state, 80, 24, now=3.5) == ["resolving for macos  1 package  3 s  round 1"]
    for number in range(40):
        state.take(events.ResolveStarted(1, f"linux {number}"))
    assert region(state, 80, 24, now=3.5) == ["resolving for 41 targets  3 s"]
    state.take(events.ResolveFinished(1, 3.5))
    assert region(state, 80, 24, now=3.5) == []


def test_what_is_said_of_targets() -> None:
    said = plain(
        events.ResolveStarted(1, "linux"),
        events.Pinned("torch", "2.13.0", "linux"),
        events.TargetResolved("linux", 1, 3.5),
        verbosity=2,
    )
    assert said == [
        "resolving for linux, round 1",
        "pinned torch 2.13.0 for linux",
        "resolved for linux: 1 package in 3.5 s",
    ]


def test_a_warning_is_said_once() -> None:
    said: list[Event] = []
    observer = events.once(said.append)
    for text in ("a", "b", "a"):
        observer(events.Message("warning", text))
        observer(events.Message("info", text))
    assert [(one.level, one.text) for one in said if isinstance(one, events.Message)] == [
        ("warning", "a"),
        ("info", "a"),
        ("warning", "b"),
        ("info", "b"),
        ("info", "a"),
    ]


def test_region_of_packages() -> None:
    state = State(clock=Clock())
    state.take(events.Planned(3, 1))
    assert region(state, 80, 24) == ["0 of 3 packages ready"]
    state.take(events.Prepared("a", "1", "index"))
    state.take(events.Prepared("b", "1", "built"))
    assert region(state, 80, 24) == ["2 of 3 packages ready"]
    state.take(events.Installed("a", "1", "index"))
    assert region(state, 80, 24) == []


def live(width: int = 80, height: int = 24, **options: Any) -> tuple[Live, io.StringIO]:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, height=height, highlight=False)
    return Live(stream, console=console, **options), stream


def shown(stream: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-?]*[ -/]*[@-~]", "", stream.getvalue())


def test_live() -> None:
    observer, stream = live()
    with observer:
        observer(STARTED)
        observer(events.BuildPhase(*NATTEN, "wheel"))
        until(lambda: "natten 0.17.5  no-isolation  wheel" in shown(stream))
        observer(events.Message("warning", "[red]no markup[/red]"))
        until(lambda: "warning: [red]no markup[/red]\n" in shown(stream))
        observer(FINISHED)
        observer(events.Message("info", "the last word"))
    text = shown(stream)
    assert "built    natten 0.17.5  no-isolation  pyproject.toml  2m 03s\nthe last word\n" in text
    assert text.endswith("the last word\n")
    assert "\x1b[?25l" in stream.getvalue()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


def test_live_fits_lines_to_a_narrow_terminal() -> None:
    why = "built earlier against the same torch 2.13.0"
    line = "built    natten 0.17.5  no-isolation  pyproject.toml  2m 03s\n"
    short = "built natten 0.17.5 no-isolation 2m 03s\n"
    for width, expected in ((len(line) - 1, short), (len(line), line)):
        observer, stream = live(width=width)
        with observer:
            observer(FINISHED)
        assert shown(stream) == expected
    observer, stream = live(width=50)
    with observer:
        observer(events.BuildCached(*NATTEN, "matched", "default", why))
    assert shown(stream) == f"cached natten 0.17.5 matched ({why})\n"


def after_the_end(stream: io.StringIO) -> str:
    """Give what was shown after the line that says that a build has ended."""
    return shown(stream).partition("built ")[2].partition("\n")[2]


def test_live_does_not_draw_a_build_again_that_has_ended() -> None:
    observer, stream = live()
    with observer:
        observer(STARTED)
        observer(events.BuildStarted("b", "1", "isolated", "default", "wheel"))
        until(lambda: "b 1 " in shown(stream))
        observer(FINISHED)
        until(lambda: "b 1 " in after_the_end(stream))
        assert "natten" not in after_the_end(stream)


def test_live_draws_nothing_that_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "_FASTEST_SECONDS", 600)
    observer, stream = live()
    with observer:
        observer(STARTED)
        observer(FINISHED)
    assert shown(stream) == "built    natten 0.17.5  no-isolation  pyproject.toml  2m 03s\n"
    assert "\x1b[?25l" not in stream.getvalue()


def test_live_goes_up_further_when_the_terminal_has_wrapped_its_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "_IDLE_SECONDS", 600)  # it is drawn for events only
    observer, stream = live(width=100)
    with observer:
        observer(STARTED)
        observer(events.BuildStarted("b", "1", "isolated", "default", "wheel"))
        until(lambda: "b 1 " in shown(stream))
        before = stream.getvalue().count("\x1b[1A")
        observer._console.width = 30  # both rows are 52 wide: four, now
        observer(events.BuildPhase("b", "1", "fetch"))
        until(lambda: stream.getvalue().count("\x1b[1A") >= before + 3)
        assert stream.getvalue().count("\x1b[1A") == before + 3


def test_live_streams_output_when_verbose() -> None:
    for verbosity, expected in ((0, 0), (1, 1), (2, 1)):
        observer, stream = live(verbosity=verbosity)
        with observer:
            observer(STARTED)
            observer(events.BuildOutput("natten", "compiling"))
        assert shown(stream).count("natten | compiling\n") == expected


def test_live_leaves_standard_output_alone(capsys: pytest.CaptureFixture[str]) -> None:
    observer, stream = live()
    with observer:
        observer(STARTED)
        until(lambda: "natten 0.17.5" in shown(stream))
        print("result")  # noqa: T201
        print("stray", file=sys.stderr)  # noqa: T201
        until(lambda: "stray\n" in shown(stream))
    assert capsys.readouterr() == ("result\n", "")
    assert "result" not in stream.getvalue()


def interrupted(observer: Live, stream: io.StringIO) -> None:
    with observer:
        observer(STARTED)
        until(lambda: "natten 0.17.5" in shown(stream))
        raise KeyboardInterrupt


def test_live_ends_with_an_exception() -> None:
    observer, stream = live()
    with pytest.raises(KeyboardInterrupt):
        interrupted(observer, stream)
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")
    assert not [one for one in threading.enumerate() if one.name == "live"]


def test_live_bears_a_terminal_that_is_gone() -> None:
    observer, stream = live()
    with observer:
        observer(STARTED)
        until(lambda: "natten 0.17.5" in shown(stream))
        stream.close()
        observer(events.Message("warning", "nobody hears"))


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
def test_live_in_a_terminal_gives_it_back_on_interrupt() -> None:
    code = (
        "import time\n"
        "from pipshim.model import events\n"
        "from pipshim.progress.observer_choice import make_observer\n"
        "from pipshim.model.requests import CommonOptions\n"
        "with make_observer(CommonOptions()) as observer:\n"
        "    observer(events.BuildStarted('natten', '1', 'isolated', 'default', 'wheel'))\n"
        "    time.sleep(60)\n"
    )
    ours, theirs = os.openpty()
    environ = {**os.environ, "TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    environ.pop("CI", None)
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=theirs, stdout=theirs, stderr=theirs, env=environ
    )
    os.close(theirs)
    seen = b""
    while b"natten" not in seen:
        seen += os.read(ours, 4096)
    process.send_signal(signal.SIGINT)
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert process.wait() != 0
    drawn, _, after = seen.rpartition(b"\x1b[?25h")
    assert b"natten 1" in drawn
    assert b"KeyboardInterrupt" in after


# summary


def test_summary(monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [
        Change("-", "six", "1.16.0", None),
        Change("+", "numpy", None, "2.3.1", source="index"),
        Change("+", "pyemd", None, "0.5.1", source="built", mode="isolated"),
        Change(
            "~",
            "natten",
            "0.17.5",
            "0.17.5",
            "rebuild: built against torch 2.12.0, the lock has 2.13.0",
            "built",
            "no-isolation",
        ),
        Change("~", "torch", "2.12.0", "2.13.0", source="index"),
        Change("+", "demo", None, None, source="cached"),
    ]
    assert summarize(changes, packages=41, seconds=12.34, no_color=True) == (
        "- six 1.16.0\n"
        "+ numpy 2.3.1\n"
        "+ pyemd 0.5.1\n"
        "~ natten 0.17.5 (rebuild: built against torch 2.12.0, the lock has 2.13.0)\n"
        "~ torch 2.12.0 -> 2.13.0\n"
        "+ demo\n"
        "3 added, 1 removed, 2 changed, 2 built (1 isolated, 1 no-isolation), 1 built earlier"
        " in 12.3 s\n"
    )
    dry = summarize(changes, packages=41, seconds=1, dry_run=True, no_color=True)
    expected = "would add 3, remove 1, change 2: 1 built earlier, 2 to build"
    assert dry.splitlines()[-1] == expected
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("FORCE_COLOR", "1")
    colored = summarize(changes, packages=41, seconds=1)
    assert colored.startswith("\x1b[31m-\x1b[0m six 1.16.0\n\x1b[32m+\x1b[0m numpy 2.3.1\n")
    plain_text = summarize(changes, packages=41, seconds=1, no_color=True)
    assert "\x1b" not in plain_text


def test_summary_of_nothing() -> None:
    assert summarize([], packages=41, seconds=0.02) == "up to date (41 packages, 0.02 s)\n"
    assert summarize([], packages=1, seconds=0.5) == "up to date (1 package, 0.5 s)\n"


def test_summary_without_modes() -> None:
    text = summarize([Change("+", "a", None, "1", None, "built")], packages=1, seconds=1)
    assert text.endswith("1 added, 1 built in 1.0 s\n")


def test_summary_of_a_lock() -> None:
    new = [Change("+", "a", None, "1"), Change("+", "b", None, "1")]
    options: dict[str, Any] = {"path": "pylock.toml", "seconds": 0.8, "no_color": True}
    assert summarize_lock(new, packages=2, written=True, **options) == (
        "locked 2 packages in pylock.toml (0.8 s)\n"
    )
    assert summarize_lock(new[:1], packages=2, written=True, **options) == (
        "+ a 1\nlocked 2 packages in pylock.toml (0.8 s)\n"
    )
    assert summarize_lock(new, packages=2, written=True, dry_run=True, **options) == (
        "would lock 2 packages in pylock.toml (0.8 s)\n"
    )
    assert summarize_lock([], packages=2, written=False, **options) == (
        "pylock.toml is up to date (2 packages, 0.8 s)\n"
    )


# failure


def failed(hint: str | None = None, *, message: str = "the backend failed") -> BuildError:
    return BuildError(
        message,
        package="natten 0.17.5",
        mode="isolated",
        step="wheel",
        output=(
            '  File "<string>", line 34, in <module>',
            "\x1b[31mModuleNotFoundError\x1b[0m: No module named 'torch'",
            "",
        ),
        log=Path("/home/somebody/.cache/pipshim/logs/natten-0.17.5-wheel.log"),
        hint=hint,
    )


def test_error() -> None:
    error = PipshimError("no such thing\nmore of it\n    deeper", hint="do this")
    assert render(error, width=80, color=False) == (
        "error: no such thing\n  more of it\n    deeper\nhint: do this\n"
    )
    assert render(error, width=80, color=True) == (
        "\x1b[1;31merror:\x1b[0m no such thing\n  more of it\n    deeper\n"
        "\x1b[1;36mhint:\x1b[0m do this\n"
    )
    assert render(PipshimError(""), width=80, color=False) == "error:\n"


def test_error_is_wrapped() -> None:
    error = UnknownNameError("group", "dve", ("dev", "docs", "lint", "test"), "/a/long/path/p.toml")
    assert render(error, width=40, color=False) == (
        "error: no group 'dve' in\n"
        "  /a/long/path/p.toml\n"
        "hint: those it has: dev, docs, lint,\n"
        "  test\n"
    )


def test_what_is_to_be_copied_is_in_one_piece() -> None:
    error = HashError("torch", "torch-2.13.0.whl", "sha256:" + "a" * 64, "sha256:" + "b" * 64)
    text = render(error, width=40, color=False)
    assert "a" * 64 in text
    line = '    natten = ["torch", "ninja", "setuptools", "numpy"]'
    hint = f"write this in pyproject.toml, which is where it belongs:\n\n    [tool.x]\n{line}"
    assert render(PipshimError("x", hint=hint), width=40, color=False) == (
        "error: x\n"
        "hint: write this in pyproject.toml,\n"
        "  which is where it belongs:\n"
        "\n"
        "    [tool.x]\n"
        f"{line}\n"
    )


def test_build_error() -> None:
    assert render(failed("add torch"), width=80, color=False) == (
        "error: natten 0.17.5: the backend failed\n"
        "  mode: isolated\n"
        "  step: wheel\n"
        '  |   File "<string>", line 34, in <module>\n'
        "  | ModuleNotFoundError: No module named 'torch'\n"
        "  |\n"
        "  log: /home/somebody/.cache/pipshim/logs/natten-0.17.5-wheel.log\n"
        "hint: add torch\n"
    )
    named = failed(message="natten 0.17.5: the backend failed")
    assert render(named, width=80, color=False).startswith("error: natten 0.17.5: the backend f")


def test_build_error_in_forty_columns() -> None:
    text = render(failed(), width=40, color=False)
    assert text == (
        "error: natten 0.17.5: the backend\n"
        "  failed\n"
        "  mode: isolated\n"
        "  step: wheel\n"
        '  |   File "<string>", line 34, in\n'
        "  |   <module>\n"
        "  | ModuleNotFoundError: No module\n"
        "  | named 'torch'\n"
        "  |\n"
        "  log: /home/somebody/.cache/pipshim/logs/natten-0.17.5-wheel.log\n"
    )


def test_carets_are_shown_where_the_line_that_they_point_into_is_whole() -> None:
    printed = (
        "    result = build(directory, settings)",
        "             ^^^^^^^^^^^^^^^^^^^^^^^^^^",
        "   12 | #include <a.h>",
        "      |          ^~~~~",
    )
    error = BuildError("x", package="x 1", mode="isolated", step="wheel", output=printed)
    text = render(error, width=80, color=False)
    assert all(f"  | {line}\n" in text for line in printed)
    text = render(error, width=36, color=False)
    assert "^^^" not in text
    assert "^~~" in text


def test_several_failures() -> None:
    both = Failures((failed("add torch"), failed("add numpy")))
    text = render(both, width=60, color=False)
    assert text.count("error: natten 0.17.5") == 2
    assert "hint: add torch\n\nerror:" in text
    assert text.endswith("hint: add numpy\n\n2 builds failed\n")
    same = Failures((failed("add torch"), failed("add torch"), PipshimError("else")))
    text = render(same, width=60, color=False)
    assert text.count("hint: add torch") == 1
    assert text.index("hint: add torch") > text.rindex("error: natten")
    assert text.endswith("error: else\n\n3 things failed\n")


def test_of_several_failures_less_output_is_shown() -> None:
    one = failed()
    one.output = tuple(f"line {number}" for number in range(20))
    assert "| line 0\n" in render(one, width=80, color=False)
    text = render(Failures((one, failed(), failed())), width=80, color=False)
    assert "| line 11\n" not in text
    assert "| line 12\n" in text


def test_failures_are_told_together_each_once() -> None:
    first, second = failed(message="one"), failed(message="two")
    assert together([first]) is first
    assert together([first, failed(message="one")]) is first
    both = together([Failures((first, second)), second])
    assert isinstance(both, Failures)
    assert both.errors == (first, second)
    bug = ValueError()
    assert together([first, bug, second]) is bug
