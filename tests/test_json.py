"""Events and results for programs: ``--progress json``, ``--output-format json``, ``--timings``."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import pytest

from pipshim.model import events
from pipshim.model.change import FOR_BUILDS
from tests.support.dists import Backend, sdist, wheel
from tests.support.facts import calls
from tests.support.files import listing
from tests.support.pipshim import ROOT, until
from tests.support.recording import Recorder, check_order, kinds, read

if TYPE_CHECKING:
    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

NO_ISOLATION = '[tool.pipshim]\nno-build-isolation-package = ["natten"]\n'


@pytest.fixture
def project(index: Index, make_project: MakeProject, tmp_path: Path) -> Path:
    """Give a project with a wheel, and with sources that are built in all three modes."""
    index.add(
        wheel(tmp_path, "torch", "2.0", tag="native"),
        sdist(tmp_path, "natten", "0.17", backend=Backend(imports=["torch"], output="hello\n")),
        sdist(tmp_path, "plain", "1.0", build_requires=["helper"]),
        sdist(tmp_path, "matching", "1.0", build_requires=["torch"]),
        sdist(tmp_path, "helper", "3.0"),
    )
    return make_project(NO_ISOLATION, dependencies=["torch", "natten", "plain", "matching"])


def sync(cli: Cli, *options: str | Path) -> Any:
    return json.loads(cli.ok("sync", "--output-format", "json", *options).out)


def test_events_come_in_the_order_promised(cli: Cli, project: Path) -> None:
    del project
    seen = read(cli.ok("sync", "--progress", "json", "-j", "3").err)
    assert seen[0] == {
        "event": "start",
        "schema": 1,
        "pipshim": seen[0]["pipshim"],
        "command": "sync",
    }
    assert seen[-1]["event"] == "result"
    check_order(seen)
    times = [event["time"] for event in seen[1:-1]]
    assert times == sorted(times)
    built = ["build-started", "build-phase", "build-recorded", "build-finished"]
    assert kinds(seen, "helper")[-4:] == built
    assert kinds(seen, "plain")[-6:] == [*built, "prepared", "installed"]
    assert kinds(seen, "natten")[-7:] == [
        *built[:2],
        "build-output",
        *built[2:],
        "prepared",
        "installed",
    ]
    assert kinds(seen, "torch") == ["pinned", "prepared", "installed"]
    phases = [
        event["phase"]
        for event in seen
        if event["event"] == "build-phase" and event["name"] == "matching"
    ]
    assert phases[-3:] == ["fetch", "environment", "wheel"]
    (planned,) = [event for event in seen if event["event"] == "planned"]
    assert (planned["packages"], planned["builds"]) == (4, 3)
    started = {
        event["name"]: event
        for event in seen
        if event["event"] == "build-started" and event["what"] == "wheel"
    }
    assert {name: event["mode"] for name, event in started.items()} == {
        "helper": "isolated",
        "plain": "isolated",
        "matching": "matched",
        "natten": "no-isolation",
    }
    assert started["plain"]["waits_for"] == ["helper"]
    assert set(started["natten"]["waits_for"]) == {"plain", "matching"}


def test_the_order_is_checked() -> None:
    recorder = Recorder()
    start = events.BuildStarted("a", "1", "isolated", "default", "wheel")
    recorder(start)
    check_order(recorder.events, complete=False)
    with pytest.raises(AssertionError):
        check_order(recorder.events)
    recorder(start)
    with pytest.raises(AssertionError):
        check_order(recorder.events)


def test_a_download_is_followed_to_its_end(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    file = wheel(tmp_path, "big", "1.0", files={"big.bin": os.urandom(1_000_000)})
    index.add(file)
    index.cache_control = "max-age=600"
    make_project(dependencies=["big"])
    trusted = {"PIP_TRUSTED_HOST": "127.0.0.1"}  # else pip does not cache http://
    seen = read(cli.ok("sync", "--progress", "json", env=trusted).err)
    check_order(seen)
    mine = [one for one in seen if one.get("key", "").endswith(file.name)]
    assert mine[0]["event"] == "download-started"
    assert (mine[0]["filename"], mine[0]["size"]) == (file.name, file.stat().st_size)
    assert mine[-1]["event"] == "download-finished"
    assert mine[-1]["size"] == file.stat().st_size
    assert {one["event"] for one in mine[1:-1]} == {"download-progress"}
    # from pip's cache it is none
    cli.ok("download", "--no-deps", "-d", "wheels", "big", env=trusted)
    shutil.rmtree(cli.shim_cache)
    shutil.rmtree(cli.cwd / ".venv")
    again = read(cli.ok("sync", "--progress", "json", env=trusted).err)
    assert "download-started" not in {one["event"] for one in again}


def test_the_result_says_what_changed_and_how_each_build_was_made(cli: Cli, project: Path) -> None:
    made = sync(cli)
    assert (made["schema"], made["command"], made["status"]) == (1, "sync", "done")
    assert (made["exit_status"], made["changed"], made["packages"]) == (0, True, 4)
    assert made["lock"] == str(project / "pylock.toml")
    assert made["environment"] == str(project / ".venv")
    assert {(one["action"], one["name"], one["new"], one["source"]) for one in made["changes"]} == {
        ("add", "torch", "2.0", "index"),
        ("add", "natten", "0.17", "built"),
        ("add", "plain", "1.0", "built"),
        ("add", "matching", "1.0", "built"),
    }
    wheels = {one["name"]: one for one in made["builds"] if one["what"] == "wheel"}
    natten = wheels["natten"]
    assert (natten["mode"], natten["chosen_by"]) == ("no-isolation", "pyproject.toml")
    assert (natten["outcome"], natten["reason"]) == ("built", "no earlier wheel fits")
    assert set(natten["phases"]) == {"fetch", "environment", "wheel"}
    assert 0 < sum(natten["phases"].values()) <= natten["seconds"] + 0.01
    assert natten["record"]["against"]["torch"]["version"] == "2.0"
    assert "hello" in Path(natten["log"]).read_text()
    assert wheels["helper"]["outcome"] == "built"

    shutil.rmtree(project / ".venv")
    again = sync(cli)
    cached = {one["name"]: one for one in again["builds"] if one["what"] == "wheel"}
    assert {one["outcome"] for one in cached.values()} == {"cached"}
    assert cached["natten"]["reason"] == "built earlier against the same torch 2.0"
    assert cached["natten"]["record"] == natten["record"]

    nothing = sync(cli)
    assert (nothing["changed"], nothing["changes"], nothing["builds"]) == (False, [], [])


def test_a_rebuild_says_why(cli: Cli, index: Index, project: Path, tmp_path: Path) -> None:
    cli.ok("sync")
    index.add(wheel(tmp_path, "torch", "2.1", tag="native"))
    cli.ok("lock", "-U")
    planned = sync(cli, "--dry-run")
    assert (planned["status"], planned["changed"]) == ("planned", True)
    before = listing(project / ".venv")
    assert sync(cli, "--dry-run")["changes"] == planned["changes"]
    assert listing(project / ".venv") == before
    made = sync(cli)
    (natten,) = [one for one in made["builds"] if (one["name"], one["what"]) == ("natten", "wheel")]
    assert natten["reason"] == "rebuild: built against torch 2.0, the lock has 2.1"


def test_the_result_of_a_lock(cli: Cli, project: Path) -> None:
    del project
    made = json.loads(cli.ok("lock", "--output-format", "json").out)
    assert (made["command"], made["changed"], made["packages"]) == ("lock", True, 4)
    at_run_time = {one["name"] for one in made["changes"] if one["reason"] != FOR_BUILDS}
    assert at_run_time == {"torch", "natten", "plain", "matching"}
    checked = json.loads(cli.ok("lock", "--check", "--output-format", "json").out)
    assert (checked["status"], checked["changed"], checked["reason"]) == ("planned", False, None)
    result = cli.fails("lock", "-o", "-", "--output-format", "json", status=2)
    assert "both write to standard output" in result.err


def test_a_failure_is_a_result_too(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(
        sdist(tmp_path, "broken", "1.0", backend=Backend(fail_in="build_wheel", message="so sad"))
    )
    make_project(dependencies=["broken"])
    result = cli("sync", "--output-format", "json", "--progress", "json")
    assert result.status == 1
    made = json.loads(result.out)
    assert (made["status"], made["exit_status"], made["changed"]) == ("failed", 1, False)
    (error,) = made["errors"]
    assert (error["kind"], error["package"], error["step"]) == ("BuildError", "broken 1.0", "wheel")
    assert any("so sad" in line for line in error["output"])
    assert made["builds"][-1]["outcome"] == "failed"
    seen = read(result.err)
    check_order(seen)
    assert seen[-1] == {"event": "error", **error}


def test_an_interrupt_is_told_in_json(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    index.add(sdist(tmp_path, "slow", "1.0", backend=Backend(sleep_seconds=600, log=str(log))))
    make_project(dependencies=["slow"])
    page = tmp_path / "page.html"
    with cli.start(
        "sync", "--output-format", "json", "--progress", "json", "--timings", page
    ) as process:
        until(lambda: log.exists() and any(call.hook == "build_wheel" for call in calls(log)))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert process.returncode == 130
    made = json.loads(out)
    assert (made["status"], made["exit_status"]) == ("interrupted", 130)
    assert made["builds"][-1]["outcome"] == "stopped"
    *seen, last = read(err)
    assert last == {"event": "error", "kind": "Interrupted", "message": "interrupted", "hint": None}
    check_order(seen)
    assert all("time" in event for event in seen[1:])
    assert ">stopped<" in page.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "invalid TOML"),
        (["--project", "nowhere"], "nowhere"),
        (["--timings", "nowhere/page.html"], "its folder does not exist"),
        (["--debug"], "invalid TOML"),
    ],
)
def test_what_fails_at_once_is_json_too(
    cli: Cli, tmp_path: Path, options: list[str], said: str
) -> None:
    (tmp_path / "pyproject.toml").write_text("[project\n")
    result = cli.fails(
        "sync", "--output-format", "json", "--progress", "json", *options, cwd=tmp_path
    )
    start, error = read(result.err)
    assert (start["event"], error["event"]) == ("start", "error")
    assert said in error["message"]
    (told,) = json.loads(result.out)["errors"]
    assert {"event": "error", **told} == error


def test_no_credential_is_in_json_or_in_the_page(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.credentials = ("user", "very-secret")
    cli.env["PIP_INDEX_URL"] = index.url_with_credentials
    index.add(sdist(tmp_path, "talks", "1.0", backend=Backend(output="it is very-secret\n")))
    make_project(
        '[tool.pipshim.extra-build-variables]\ntalks = { TOKEN = "very-secret" }\n',
        dependencies=["talks"],
    )
    page = tmp_path / "page.html"
    result = cli.ok("sync", "--output-format", "json", "--progress", "json", "--timings", page)
    assert json.loads(result.out)["builds"][-1]["record"]["variables"].keys() == {"TOKEN"}
    assert "very-secret" not in result.out + result.err + page.read_text()


@pytest.mark.parametrize("command", [["lock"], ["sync"], ["run", "python", "-c", ""]])
def test_timings(cli: Cli, project: Path, command: list[str], tmp_path: Path) -> None:
    del project
    page = tmp_path / "timings.html"
    first, *rest = command
    result = cli.ok(first, "--timings", page, *rest)
    assert f"timings: {page}\n" in result.err
    text = page.read_text()
    assert f"<title>pipshim {first}: " in text
    names = set(re.findall(r'class="line package[^>]* data-name="([^"]+)"', text))
    assert {"natten", "plain", "matching"} <= names
    # it is written anew when nothing has changed, too
    page.unlink()
    cli.ok(first, "--timings", page, *rest)
    assert page.exists()


@pytest.mark.parametrize("place", [".", "nowhere/page.html"])
def test_a_page_that_cannot_be_written_is_refused_before_any_work(
    cli: Cli, make_project: MakeProject, place: str
) -> None:
    make_project()
    result = cli.fails("sync", "--timings", place)
    assert place in result.err
    assert not (cli.cwd / "pylock.toml").exists()


def test_a_json_sync_that_finds_nothing_to_do_says_so_in_json(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project()
    cli.ok("sync", "--progress", "json")
    seen = read(cli.ok("sync", "--progress", "json").err)
    assert [one["event"] for one in seen] == ["start", "result"]
    assert seen[-1]["changed"] is False
    assert seen[-1]["seconds"] < time.monotonic()


def test_the_documentation_names_every_event_and_its_fields() -> None:
    text = (ROOT / "docs" / "reference" / "output.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    documented = {
        name: re.findall(r"`([\w-]+)`", fields_of[-1])
        for first, *fields_of in rows
        for name in re.findall(r"`([\w-]+)`", first)
    }
    for kind in get_args(events.Event):
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
        assert documented[name] == [one.name for one in fields(kind)], name
