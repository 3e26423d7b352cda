"""Recorded events, and the order that ``pipshim.progress.events`` promises."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipshim.progress.lines import data_of, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pipshim.progress.events import Event

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
    check_downloads(events, complete=complete)
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
        elif kind == "installed" and event["source"] != "editable":
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
