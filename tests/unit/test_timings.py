"""The timings page: what is in it; and what a browser shows of it (see also test_browser.py)."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any

import pytest

from pipshim.model import events
from pipshim.progress.event_timeline import History
from pipshim.progress.machine_use import MachineUse, halved
from pipshim.progress.timing_analysis import bars, concurrency, covered, critical, mean, split
from pipshim.progress.timings import render
from tests.support.histories import Clock, many, one


def page(history: History, **options: Any) -> str:
    cpu = [(history.now / 2, 0.25), (history.now, 1.0)]
    memory = [(history.now / 2, 0.5), (history.now, 0.75)]
    options = {"memory_total": 16_000_000_000, **options}
    return render(
        history, cpu, memory, command="sync", began="2026-11-23 02:16", cores=4, **options
    )


class Reader(HTMLParser):
    """Checks that what is opened is closed, and gathers the table."""

    VOID = frozenset({"meta", "input", "br", "polygon", "polyline"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.addresses: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data


@pytest.mark.parametrize("count", [0, 1, 12, 500])
def test_the_table_has_every_package_and_the_page_needs_nothing_else(count: int) -> None:
    text = page(many(count))
    read = Reader(text)
    head, *rows = read.rows
    assert head[:7] == ["package", "version", "mode", "chosen by", "outcome", "start", "total"]
    assert len(rows) == count
    assert len({tuple(row[:2]) for row in rows}) == count
    assert read.addresses == []
    assert not re.search(r"https?://|@import|url\(|\{\{", text)
    totals = [float(row[6] or 0) for row in rows]
    assert totals == sorted(totals, reverse=True)


def test_the_page_of_one_build_says_all_of_it() -> None:
    text = page(one())
    (row,) = Reader(text).rows[1:]
    assert row[:5] == ["natten", "0.17.5", "no-isolation", "pyproject.toml", "built"]
    assert row[5:12] == ["1.00", "123.00", "1.00", "2.00", "", "", "120.00"]
    assert row[12:] == ["100.00", "400.00", "6.5 GB", "", ""]
    assert "<title>pipshim sync: 2m 05s</title>" in text
    assert "1 built (1 no-isolation), 1 download (3.0 MB)" in text
    assert "1.0 builds at once, at most 1, on 4 cores · CPU use 62 %" in text
    assert "<h2>1 package over time</h2>" in text
    assert "0 to 16.0 GB" in text
    assert "environment: 2.0 s, from 2.0 s" in text


def test_builds_that_waited_for_memory_or_cores_say_so() -> None:
    clock = Clock()
    history = History(clock)
    history(events.Planned(3, 3))
    for name in ("first", "hungry"):
        history(events.BuildStarted(name, "1", "isolated", "default", "wheel"))
    history(events.BuildPhase("first", "1", "wheel"))
    history(events.BuildPhase("hungry", "1", "memory"))
    clock.now = 10
    history(events.BuildFinished("first", "1", "isolated", "default", "wheel", 10))
    history(events.BuildPhase("hungry", "1", "wheel"))
    history(events.BuildStarted("third", "1", "isolated", "default", "wheel"))
    history(events.BuildPhase("third", "1", "wheel"))
    clock.now = 30
    for name in ("hungry", "third"):
        history(events.BuildFinished(name, "1", "isolated", "default", "wheel", 20))
    text = page(history)
    rows = {row[0]: row for row in Reader(text).rows[1:]}
    assert rows["hungry"][6] == "20.00"  # waiting is no work
    assert rows["hungry"][-2:] == ["memory 10 s", "first (its memory)"]
    assert rows["third"][-2:] == ["cores 10 s", "first (its turn)"]
    assert rows["first"][-2:] == ["", ""]
    assert 'title="waited for memory"' in text
    assert "had the memory after first" in text


def test_names_are_escaped() -> None:
    history = History(Clock())
    history(events.BuildCached("<b>", "&1", "isolated", "default", '"why"'))
    text = page(history)
    assert "<b></b>" not in text
    assert "&lt;b&gt;" in text
    assert Reader(text).rows[1][:5] == ["<b>", "&1", "isolated", "default", "cached"]


def test_a_failed_command_has_its_page_too() -> None:
    clock = Clock()
    history = History(clock)
    history(events.BuildStarted("a", "1", "isolated", "default", "wheel"))
    history(events.BuildStarted("b", "1", "isolated", "default", "wheel"))
    clock.now = 4
    history(events.BuildFailed("a", "1", "isolated", "wheel"))
    clock.now = 5
    text = page(history, failed=True)
    assert "It failed." in text
    assert [row[4] for row in sorted(Reader(text).rows[1:])] == ["failed", "running"]
    assert "1 built (1 isolated), 1 failed" in text


# the schedule


def test_the_critical_path_goes_back_from_what_ended_last_to_what_it_waited_for() -> None:
    made = bars(many(30))
    path = critical(made)
    assert path[-1].end == max(bar.end for bar in made)
    for before, after in pairwise(path):
        assert after.blocker is before
        assert before.end <= after.built_from
        assert after.because == ("needs" if before.name in after.waits_for else "turn")
    assert {bar.because for bar in made} == {"needs", "turn", ""}


def test_a_build_waits_for_the_last_of_what_it_needs() -> None:
    clock = Clock()
    history = History(clock)
    for name in ("slow", "quick"):
        history(events.BuildStarted(name, "1", "isolated", "default", "wheel"))
        history(events.BuildPhase(name, "1", "wheel"))
    clock.now = 1
    history(events.BuildFinished("quick", "1", "isolated", "default", "wheel", 1))
    clock.now = 3
    history(events.BuildFinished("slow", "1", "isolated", "default", "wheel", 3))
    history(
        events.BuildStarted(
            "last", "1", "no-isolation", "x", "wheel", waits_for=("quick", "slow", "absent")
        )
    )
    history(events.BuildPhase("last", "1", "wheel"))
    clock.now = 4
    history(events.BuildFinished("last", "1", "no-isolation", "x", "wheel", 1))
    by_name = {bar.name: bar for bar in bars(history)}
    assert by_name["last"].blocker is by_name["slow"]
    assert by_name["last"].because == "needs"
    assert [bar.name for bar in critical(by_name.values())] == ["slow", "last"]
    steps = concurrency(by_name.values(), of="builds")
    assert steps == [(0.0, 2), (1, 1), (3, 1), (4, 0)]
    assert mean(steps, 4) == 1.25


def test_what_is_built_for_an_environment_is_no_work_of_the_build_that_waits_for_it() -> None:
    clock = Clock()
    history = History(clock)
    history(events.Planned(1, 1))
    asked = ("plain", "1", "isolated", "default", "wheel")
    history(events.BuildStarted(*asked, waits_for=("helper",)))  # type: ignore[arg-type]
    history(events.BuildPhase("plain", "1", "environment"))
    clock.now = 1
    history(events.BuildStarted("helper", "1", "isolated", "default", "wheel"))
    history(events.BuildPhase("helper", "1", "wheel"))
    clock.now = 9
    history(events.BuildFinished("helper", "1", "isolated", "default", "wheel", 8))
    clock.now = 10
    history(events.BuildPhase("plain", "1", "wheel"))
    clock.now = 12
    history(events.BuildFinished("plain", "1", "isolated", "default", "wheel", 12))
    plain, helper = bars(history)
    assert [(part.phase, part.start, part.end) for part in plain.parts] == [
        ("environment", 0, 1),
        ("environment", 9, 10),
        ("wheel", 10, 12),
    ]
    assert (plain.waited, plain.seconds) == ([(1, 9)], 4)
    assert concurrency([plain, helper], of="builds") == [(0.0, 1), (1, 1), (9, 1), (12, 0)]
    assert (critical([plain, helper]), covered([plain, helper])) == ([helper, plain], 12)
    text = page(history)
    assert "12.0 s of 12.0 s: nothing ends sooner" in text
    assert 'class="wait" style="left:8.333%;width:66.667%" title="waited for helper 1"' in text


def test_what_a_backend_is_asked_for_goes_into_one_bar() -> None:
    clock = Clock()
    history = History(clock)
    for start, what in ((0, "requirements"), (2, "metadata"), (7, "wheel")):
        clock.now = start
        history(events.BuildStarted("a", "1", "isolated", "default", what))  # type: ignore[arg-type]
        history(events.BuildPhase("a", "1", what))  # type: ignore[arg-type]
        clock.now = start + 1
        history(events.BuildFinished("a", "1", "isolated", "default", what, 1))  # type: ignore[arg-type]
    (bar,) = bars(history)
    assert (bar.start, bar.end, bar.seconds) == (0, 8, 3)
    assert [part.phase for part in bar.parts] == ["requirements", "metadata", "wheel"]


@pytest.mark.parametrize(
    ("filename", "found"),
    [
        ("numpy-2.3.1-cp311-cp311-manylinux_2_28_x86_64.whl", ("numpy", "2.3.1")),
        ("typing_extensions-4.1-py3-none-any.whl.metadata", ("typing-extensions", "4.1")),
        ("flash-attn-2.5.tar.gz", ("flash-attn", "2.5")),
        ("strange", ("strange", "strange")),
    ],
)
def test_a_download_is_counted_for_its_package(filename: str, found: tuple[str, str]) -> None:
    assert split(filename) == found


def test_cpu_use_is_measured_and_thinned() -> None:
    clock = Clock()
    use = MachineUse(clock)
    sum(range(10**6))
    use.stop()
    assert all(0 <= share <= 1 for _, share in (*use.cpu, *use.memory))
    assert len(use.cpu) >= len(use.memory)
    assert (use.memory_total > 0) is bool(use.memory)
    assert halved([(1, 0.0), (2, 1.0), (3, 0.5)]) == [(2, 0.5)]
