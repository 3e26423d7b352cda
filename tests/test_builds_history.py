"""``builds history`` and ``builds log``: what was built, what it took, and what it printed."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.backend import Backend
from tests.support.dists import sdist
from tests.support.facts import calls
from tests.support.pipshim import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli


def history(cli: Cli, *names: str) -> list[dict[str, Any]]:
    out = cli.ok("builds", "history", *names, "--output-format", "json").out
    return list(json.loads(out)["builds"])


def test_builds_are_remembered_with_what_they_took(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "good", "1.0"), sdist(tmp_path, "other", "2.0"))
    index.add(sdist(tmp_path, "bad", "1.0", backend=Backend(fail_in="build_wheel")))
    assert cli.ok("builds", "history").out == "no builds yet\n"
    make_project(dependencies=["good", "other"])
    cli.ok("sync")
    cli.ok("sync", "--rebuild", "good")
    good, again = history(cli, "good")
    assert [one["name"] for one in history(cli)] in (
        ["good", "other", "good"],
        ["other", "good", "good"],
    )
    assert again["started"] >= good["started"]
    assert (good["version"], good["mode"], good["outcome"]) == ("1.0", "isolated", "built")
    assert good["started"].startswith("20")
    assert good["seconds"] > 0
    if sys.platform == "linux":
        assert 0 < good["cpu"] < 60
        assert 2**20 < good["peak"] < 2**30
    make_project(dependencies=["bad"])
    cli.fails("sync")
    (failed,) = history(cli, "bad")
    assert failed["outcome"] == "failed"
    text = cli.ok("builds", "history", "Good", "bad", "--limit", "2").out
    assert text.count("\n") == 3
    assert "bad 1.0" in text
    assert "other" not in text


def test_a_stopped_build_is_remembered_without_what_its_killed_processes_used(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    index.add(sdist(tmp_path, "slow", "1.0", backend=Backend(sleep_seconds=600, log=str(log))))
    make_project(dependencies=["slow"])
    cli.ok("lock")
    with cli.start("sync") as process:
        until(lambda: any(one.hook == "build_wheel" for one in calls(log)))
        process.terminate()
    (stopped,) = history(cli)
    assert (stopped["outcome"], stopped["cpu"]) == ("stopped", None)


def test_the_longest_build_begins_first(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    for name, seconds in (("one", 0.1), ("two", 1.5), ("three", 0.8)):
        files = {"code.c": " " * 100_000} if name == "three" else {}
        backend = Backend(sleep_seconds=seconds, log=str(log))
        index.add(sdist(tmp_path, name, "1.0", files=files, backend=backend))

    def began() -> list[str]:
        log.write_text("")
        cli.ok("sync", "--rebuild", ":all:", "-j", "1")
        return [one.name for one in calls(log) if (one.hook, one.event) == ("build_wheel", "start")]

    make_project(dependencies=["one", "two", "three"])
    cli.ok("lock")
    assert began()[0] == "three"  # the only one with something to compile
    took = {one["name"]: one["seconds"] for one in history(cli)}
    assert began() == sorted(took, key=took.__getitem__, reverse=True)


def test_the_last_log_of_a_package_is_shown(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    backend = Backend(output="running bdist_wheel\n\x1b[1mall of it\n")
    index.add(sdist(tmp_path, "good", "1.0", backend=backend), sdist(tmp_path, "good-more", "1.0"))
    make_project(dependencies=["good", "good-more"])
    cli.ok("sync")
    assert "running bdist_wheel\nall of it\n" in cli.ok("builds", "log", "Good").out
    assert "running" not in cli.ok("builds", "log", "good-more").out
    assert "there is no log of a build of absent" in cli.fails("builds", "log", "absent").err
    cli.fails("builds", "log", status=2)
    cli.fails("builds", "log", "good", "other", status=2)


@pytest.mark.parametrize("command", ["history", "log"])
def test_without_a_cache_there_is_nothing_to_show(cli: Cli, command: str) -> None:
    names = ["x"] if command == "log" else []
    result = cli.fails("builds", command, *names, "--no-cache-dir", env={"PIPSHIM_CACHE_DIR": ""})
    assert "the cache is disabled" in result.err
