"""Recorded events, and the order that ``pipshim.model.events`` promises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipshim.progress.json_output import data_of, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipshim.model.events import Event

Recorded = dict[str, Any]


class Recorder:
    """An observer that keeps all it is told."""

    def __init__(self) -> None:
        self.events: list[Recorded] = []

    def __call__(self, event: Event, /) -> None:
        self.events.append({"event": name_of(event), **data_of(event)})


def read(lines: str) -> list[Recorded]:
    """Read what ``--progress json`` wrote; each line is an object."""
    found = [json.loads(line) for line in lines.splitlines()]
    assert all(isinstance(one, dict) and one["event"] for one in found)
    return found


def check_order(events: Sequence[Recorded], *, complete: bool = True) -> None:
    """Fail if builds or downloads were not reported in the order promised.

    With `complete` none may be left running at the end.
    """
    check_builds(events, complete=complete)
    check_waits(events)
    check_downloads(events, complete=complete)
    check_rounds(events)
    prepared: set[str] = set()
    planned = False
    for number, event in enumerate(events):
        kind, where = event["event"], f"event {number}: {event}"
        if kind == "planned":
            planned = True
            prepared.clear()
        elif kind == "prepared":
            assert planned, where
            assert event["name"] not in prepared, where
            prepared.add(event["name"])
        elif kind == "installed":
            assert event["name"] in prepared, where


def check_builds(events: Sequence[Recorded], *, complete: bool) -> None:
    builds: dict[tuple[str, str], bool] = {}
    for number, event in enumerate(events):
        kind = event["event"]
        where = f"event {number}: {event}"
        if kind == "build-started":
            assert key_of(event) not in builds, where
            builds[key_of(event)] = False
        elif kind in ("build-phase", "build-recorded"):
            assert builds[key_of(event)] is False, where
            if kind == "build-recorded":
                builds[key_of(event)] = True
        elif kind == "build-output":
            assert any(name == event["name"] for name, _ in builds), where
        elif kind in ("build-finished", "build-failed"):
            recorded = builds.pop(key_of(event))
            if kind == "build-finished":
                assert recorded is (event["what"] == "wheel"), where
        elif kind == "build-cached":
            assert key_of(event) not in builds, where
            assert event["record"], where
    assert not (complete and builds)


def check_waits(events: Sequence[Recorded]) -> None:
    """Fail if a hook of a build was run while a build was running that it waits for."""
    running: dict[str, Recorded] = {}
    for number, event in enumerate(events):
        kind = event["event"]
        if kind == "build-started":
            running[event["name"]] = event
        elif kind in ("build-finished", "build-failed"):
            running.pop(event["name"], None)
        elif kind == "build-phase" and event["phase"] not in ("fetch", "environment"):
            waits_for = running[event["name"]]["waits_for"]
            assert not set(waits_for) & set(running), f"event {number}: {event}"


def check_rounds(events: Sequence[Recorded]) -> None:
    """Fail if rounds do not count from 0, for each target, or go on after they have ended."""
    rounds: dict[str, int] = {}
    ended = False
    for number, event in enumerate(events):
        where = f"event {number}: {event}"
        if event["event"] == "resolve-started":
            assert not ended, where
            target = event["target"]
            assert event["round"] == rounds.get(target, 0) + 1, where
            rounds[target] = event["round"]
        elif event["event"] == "pinned":
            assert rounds, where
            assert not ended, where
        elif event["event"] == "resolve-finished":
            assert rounds, where
            assert not ended, where
            ended = True


def check_downloads(events: Sequence[Recorded], *, complete: bool) -> None:
    downloads: dict[str, int] = {}
    ended: set[str] = set()
    for number, event in enumerate(events):
        kind, where = event["event"], f"event {number}: {event}"
        if kind == "download-started":
            assert event["key"] not in {*downloads, *ended}, where
            downloads[event["key"]] = 0
        elif kind == "download-progress":
            assert event["received"] > downloads[event["key"]], where
            downloads[event["key"]] = event["received"]
        elif kind == "download-finished":
            assert event["size"] >= downloads.pop(event["key"]), where
            ended.add(event["key"])
    assert not (complete and downloads)


def key_of(event: Recorded) -> tuple[str, str]:
    return event["name"], event["version"]


def kinds(events: Iterable[Recorded], name: str) -> list[str]:
    """Tell the kinds of the events about a package, without repetitions."""
    found: list[str] = []
    for event in events:
        if event.get("name") == name and found[-1:] != [event["event"]]:
            found.append(event["event"])
    return found
