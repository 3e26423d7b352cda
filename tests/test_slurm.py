"""``--builders slurm``: builds as jobs of a real Slurm, started from Debian's packages."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.backend import Backend
from tests.support.dists import sdist
from tests.support.facts import calls
from tests.support.pipshim import PATIENCE, is_running, until
from tests.support.slurm_cluster import NODES, SlurmCluster, missing_program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

pytestmark = [
    pytest.mark.engines,
    pytest.mark.skipif(
        missing_program() is not None, reason=f"Slurm cannot be started: no {missing_program()}"
    ),
]


@pytest.fixture
def cluster(tmp_path: Path, cli: Cli) -> Iterator[SlurmCluster]:
    cli.env["PIPSHIM_REMOTE_URL"] = str(tmp_path / "remote")
    with SlurmCluster(tmp_path / "slurm") as running:
        cli.env |= {
            "SLURM_CONF": running.environ["SLURM_CONF"],
            "PATH": f"{cli.env['PATH']}:/usr/sbin",
            "PIPSHIM_BUILDERS": "slurm:builds",
        }
        yield running


@pytest.mark.usefixtures("cluster")
def test_jobs_build_what_a_sync_needs(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    backend = Backend(output="[1/2] compiling\n", sleep_seconds=1, reads=["LOADED"])
    index.add(sdist(tmp_path, "tool", "1.0"))
    for name in ("first", "second"):
        index.add(sdist(tmp_path, name, "1.0", build_requires=["tool"], backend=backend))
    make_project(
        '[tool.pipshim.builders]\nsetup = { slurm = "export LOADED=cuda" }\n'
        'sbatch = { time = "10:00" }\n',
        dependencies=["first", "second"],
    )
    done = cli.ok("sync", "--progress", "json", "--output-format", "json")
    builds = [one for one in json.loads(done.out)["builds"] if one["what"] == "wheel"]
    assert {one["name"]: one["outcome"] for one in builds} == {
        "tool": "built",
        "first": "built",
        "second": "built",
    }
    assert {one["worker"] for one in builds} <= set(NODES)
    lines = [json.loads(line) for line in done.err.splitlines()]
    said = {one["line"] for one in lines if one["event"] == "build-output"}
    assert "[1/2] compiling" in said
    again = cli.ok("sync", "--reinstall", "--output-format", "json")
    assert {one["outcome"] for one in json.loads(again.out)["builds"]} == {"cached"}


def test_a_build_whose_node_dies_is_done_elsewhere_and_an_interrupt_cancels_it(
    cli: Cli, cluster: SlurmCluster, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    slow = Backend(sleep_seconds=600, acts_at=("build_wheel",), log=str(log))
    index.add(sdist(tmp_path, "slow", "1.0", backend=slow))
    make_project(dependencies=["slow"])

    def starts() -> list[int]:
        hooks = [one for one in calls(log) if one.hook == "build_wheel"]
        return [one.pid for one in hooks if one.event == "start"]

    with cli.start("sync", "--progress", "json") as syncing:
        until(starts)
        (first,) = cluster.busy()
        cluster.kill(first)
        until(lambda: len(starts()) == 2)
        pid = starts()[-1]
        syncing.send_signal(signal.SIGINT)
        _, err = syncing.communicate(timeout=PATIENCE)
        assert syncing.returncode == 130
        until(lambda: not is_running(pid))
    lines = [json.loads(line) for line in err.splitlines()]
    builds = [one for one in lines if one["event"] == "build-started" and one["what"] == "wheel"]
    assert [one["worker"] for one in builds] == [first, *(one for one in NODES if one != first)]
    said = [one["text"] for one in lines if one["event"] == "message"]
    assert any(text.startswith(f"{first} did not build slow 1.0: job") for text in said)
