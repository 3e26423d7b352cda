"""``--builders``: builds on the workers of a real Dask cluster, with caches of their own."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.support.backend import Backend
from tests.support.dists import sdist, wheel
from tests.support.facts import calls
from tests.support.pipshim import PATIENCE, Cli, is_running, until

pytest.importorskip("distributed", reason="is in the group of the tests")

from tests.support.dask_cluster import DaskCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index

NAMES = ("one", "two")


@pytest.fixture
def cluster(tmp_path: Path, index: Index, cli: Cli) -> Iterator[DaskCluster]:
    """Give a cluster with two workers, each with a home and caches of its own."""
    cli.env["PIPSHIM_REMOTE_URL"] = str(tmp_path / "remote")
    with DaskCluster(tmp_path / "cluster", cli.env) as running:
        cli.env["PIPSHIM_BUILDERS"] = running.address
        for name in NAMES:
            running.add(name, machine(name, tmp_path, index).env)
        yield running


def machine(name: str, tmp_path: Path, index: Index) -> Cli:
    return Cli(tmp_path / "machines" / name, cwd=tmp_path, index_url=index.url_with_credentials)


@pytest.mark.usefixtures("cluster")
def test_workers_build_what_a_sync_needs(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0", tag="native"))
    # Each build of the two ends when the other has begun.
    backend = Backend(output="[1/2] compiling\n", starts=2, log=str(tmp_path / "calls"))
    index.add(sdist(tmp_path, "tool", "1.0"))
    for name in ("first", "second"):
        needs = ["fakelib", "tool"]
        index.add(sdist(tmp_path, name, "1.0", build_requires=needs, backend=backend))
    asking = Backend(dynamic_requires=["fakelib"])
    index.add(sdist(tmp_path, "asking", "1.0", build_requires=["tool"], backend=asking))
    make_project(dependencies=["first", "second", "fakelib", "asking"])
    locked = json.loads(cli.ok("lock", "--output-format", "json").out)["builds"]
    (tool,) = [one for one in locked if (one["name"], one["what"]) == ("tool", "wheel")]
    assert tool["worker"] in NAMES
    done = cli.ok("sync", "--progress", "json", "--output-format", "json")
    builds = {one["name"]: one for one in json.loads(done.out)["builds"]}
    assert {builds[name]["worker"] for name in ("first", "second", "asking")} == set(NAMES)
    assert builds["first"]["outcome"] == "built"
    assert builds["first"]["record"]["against"]["fakelib"]["version"] == "1.0"
    lines = [json.loads(line) for line in done.err.splitlines()]
    of_first = [one for one in lines if one.get("name") == "first"]
    phases = [one["phase"] for one in of_first if one["event"] == "build-phase"]
    assert phases == ["fetch", "environment", "wheel"]
    assert "[1/2] compiling" in [one["line"] for one in of_first if one["event"] == "build-output"]
    sources = {one["name"]: one["source"] for one in json.loads(done.out)["changes"]}
    assert sources["first"] == "built"
    assert "[1/2] compiling" in cli.ok("builds", "log", "first").out
    past = json.loads(cli.ok("builds", "history", "first", "--output-format", "json").out)
    assert [(one["outcome"], one["worker"] in NAMES) for one in past["builds"]] == [("built", True)]
    assert past["builds"][0]["steps"] == 1
    assert f"built    {past['builds'][0]['worker']}" in cli.ok("builds", "history", "first").out
    remade = cli.ok("sync", "--reinstall", "--output-format", "json")
    assert {one["outcome"] for one in json.loads(remade.out)["builds"]} == {"cached"}
    assert not cli.ok("sync", "--reinstall", env={"PIPSHIM_BUILDERS": ""}).err.count("building")


@pytest.mark.usefixtures("cluster")
def test_variables_of_a_set_up_line_and_paths_are_each_machines_own(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    reading = Backend(reads=["LEVEL", "CUDA_HOME"])
    index.add(sdist(tmp_path, "reading", "1.0", backend=reading))
    make_project(
        '[tool.pipshim]\nrecord-variables = ["LEVEL"]\n'
        '[tool.pipshim.builders]\nsetup = { dask = "cd /; LEVEL=3 CUDA_HOME=/there" }\n',
        dependencies=["reading"],
    )
    env = {"CUDA_HOME": "/opt/cuda"}
    done = cli.ok("sync", "--output-format", "json", env=env)
    (built,) = [one for one in json.loads(done.out)["builds"] if one["what"] == "wheel"]
    assert (built["outcome"], built["worker"] in NAMES) == ("built", True)
    again = json.loads(cli.ok("sync", "--reinstall", "--output-format", "json", env=env).out)
    assert [one["outcome"] for one in again["builds"]] == ["cached"]
    why = cli.ok("sync", "--dry-run", "-v", env={**env, "LEVEL": "4"}).err
    assert "LEVEL is 4, was not set" in why


@pytest.mark.usefixtures("cluster")
def test_pips_own_commands_build_on_workers_too(cli: Cli, index: Index, tmp_path: Path) -> None:
    index.add(sdist(tmp_path, "tool", "1.0"))
    index.add(sdist(tmp_path, "plain", "1.0", build_requires=["tool"]))
    done = cli.ok("wheel", "plain", "-w", str(tmp_path / "wheels"))
    assert "Successfully built plain" in done.out
    assert (tmp_path / "wheels" / "plain-1.0-py3-none-any.whl").is_file()
    past = json.loads(cli.ok("builds", "history", "--output-format", "json").out)["builds"]
    assert {one["name"]: one["worker"] in NAMES for one in past} == {"tool": True, "plain": True}


def test_a_build_whose_worker_dies_is_done_elsewhere_and_then_here(
    cli: Cli, cluster: DaskCluster, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    # It ends when it has been begun here, after both workers.
    slow = Backend(starts=len(NAMES) + 1, acts_at=("build_wheel",), log=str(log))
    index.add(sdist(tmp_path, "slow", "1.0", backend=slow))
    make_project(dependencies=["slow"])
    with cli.start("sync", "--progress", "json") as syncing:
        for done in range(len(NAMES)):
            until(lambda done=done: len(starts(log)) > done)  # type: ignore[misc]
            pid = starts(log)[-1]
            worker = next(name for name in cluster.workers if cluster.runs(name, pid))
            cluster.kill(worker)
            until(lambda pid=pid: not is_running(pid))  # type: ignore[misc]
        _, err = syncing.communicate(timeout=PATIENCE)
    assert syncing.returncode == 0, err
    lines = [json.loads(line) for line in err.splitlines()]
    builds = [one for one in lines if one["event"] == "build-started" and one["what"] == "wheel"]
    assert {one["worker"] for one in builds[:-1]} == set(NAMES)
    assert [one["worker"] for one in builds][2:] == [""]
    said = [one["text"] for one in lines if one["event"] == "message"]
    assert any("slow 1.0 is built here: dask://" in text for text in said)


@pytest.mark.slow
def test_without_the_scheduler_a_build_is_done_here(
    cli: Cli, cluster: DaskCluster, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    slow = Backend(sleep_seconds=5, acts_at=("build_wheel",), log=str(log))
    index.add(sdist(tmp_path, "slow", "1.0", backend=slow), sdist(tmp_path, "after", "1.0"))
    make_project(dependencies=["slow", "after"])
    with cli.start("sync", "-j1") as syncing:
        until(lambda: starts(log))
        cluster.kill_scheduler()
        _, err = syncing.communicate(timeout=PATIENCE)
    assert syncing.returncode == 0, err
    assert "slow 1.0 is built here: the scheduler dask://127.0.0.1" in err
    assert "Traceback" not in err
    assert "error: " not in err


def starts(log: Path) -> list[int]:
    return [one.pid for one in calls(log) if one.event == "start" and one.hook == "build_wheel"]


def test_an_interrupt_ends_the_build_on_the_worker(
    cli: Cli, cluster: DaskCluster, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    slow = Backend(sleep_seconds=600, acts_at=("build_wheel",), log=str(log))
    index.add(sdist(tmp_path, "slow", "1.0", backend=slow))
    make_project(dependencies=["slow"])
    with cli.start("sync") as syncing:
        until(lambda: starts(log))
        syncing.send_signal(signal.SIGINT)
        assert syncing.wait(PATIENCE) == 130
        (pid,) = starts(log)
        until(lambda: not is_running(pid))
    assert set(cluster.workers) == set(NAMES)


def test_a_failed_build_names_the_worker_and_another_pipshim_is_not_used(
    cli: Cli, cluster: DaskCluster, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    for name in NAMES:
        cluster.kill(name)
    other = tmp_path / "other"
    other.mkdir()
    patch = "import pipshim\npipshim.__version__ = '9.9'\n"
    (other / "sitecustomize.py").write_text(patch)
    path = os.pathsep.join(filter(None, [str(other), cli.env.get("PYTHONPATH")]))
    cluster.add("newer", {**machine("newer", tmp_path, index).env, "PYTHONPATH": path})
    broken = Backend(fail_in="build_wheel", message="no such luck")
    index.add(sdist(tmp_path, "good", "1.0"), sdist(tmp_path, "broken", "1.0", backend=broken))
    make_project(dependencies=["good"])
    err = cli.ok("sync").err
    assert "the worker newer is not used: it has pipshim 9.9, and this is pipshim 0.1.0" in err
    assert "good 1.0 is built here" in err
    cluster.add("third", machine("third", tmp_path, index).env)
    make_project(dependencies=["broken"])
    err = cli.fails("sync").err
    assert "no such luck" in err
    assert "on the worker third" in err
    assert "no such luck" in cli.ok("builds", "log", "broken").out
    assert "failed   third" in cli.ok("builds", "history", "broken").out


@pytest.mark.parametrize(
    ("words", "environ", "status", "said"),
    [
        (["--builders", "dask:host"], {}, 2, "is not of the form dask://HOST:PORT, slurm or"),
        (["--builders", "slurm"], {}, 2, "--builders needs a remote"),
        ([], {"PIPSHIM_BUILDERS": "somewhere"}, 2, "'somewhere' is not of the form"),
    ],
)
def test_mistakes_are_explained(
    cli: Cli,
    make_project: MakeProject,
    words: list[str],
    environ: dict[str, str],
    status: int,
    said: str,
) -> None:
    make_project()
    assert said in cli.fails("sync", *words, env=environ, status=status).err


@pytest.mark.slow
def test_without_an_answer_builds_are_done_here(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "plain", "1.0"))
    make_project(dependencies=["plain"])
    remote = ("--remote", str(tmp_path / "remote"))
    for place in ("127.0.0.1:9", urlsplit(index.url).netloc):  # nothing, and a server of HTTP
        done = cli.ok("sync", *remote, "--builders", f"dask://{place}", "--rebuild", "plain")
        assert f"plain 1.0 is built here: the scheduler dask://{place} does not" in done.err
