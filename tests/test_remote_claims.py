"""Two machines want the same build at the same time: one builds, the other waits for it."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist
from tests.support.facts import calls
from tests.support.pipshim import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli, Started

NAMED = {"PIPSHIM_BUILDER_NAME": "ada"}
WAITING = "waiting for ada, who builds slow 1.0"


@pytest.fixture(autouse=True)
def log(index: Index, make_project: MakeProject, tmp_path: Path, remote: Path) -> Path:
    """Make a project with a build that ends when it may; give the log of its hooks."""
    path = tmp_path / "calls"
    backend = Backend(acts_at=("build_wheel",), waits_for=str(tmp_path / "go"), log=str(path))
    index.add(sdist(tmp_path, "slow", "1.0", backend=backend))
    settings = f'[tool.pipshim.remote]\nurl = "{remote}"\npush = "always"\n'
    make_project(settings, dependencies=["slow"])
    return path


@pytest.fixture
def go(tmp_path: Path) -> Path:
    """Give the file that lets builds end."""
    return tmp_path / "go"


@contextmanager
def building(cli: Cli, remote: Path) -> Iterator[Started]:
    """Let a machine build, from the moment when it has the claim."""
    with cli.start("sync", env=NAMED) as process:
        until(lambda: [*remote.glob("v1/claims/*/*.json")])
        yield process


def wait_for_the_first(waiting: Started) -> None:
    """Read what a command says until it waits for the other one."""
    assert waiting.stderr is not None
    said = ""
    while WAITING not in said:
        line = waiting.stderr.readline()
        assert line, said
        said += line


def wheels_built(log: Path) -> int:
    return [(one.event, one.hook) for one in calls(log)].count(("start", "build_wheel"))


def test_the_other_machine_waits_and_takes_the_wheel(
    cli: Cli, other: Cli, remote: Path, log: Path, go: Path
) -> None:
    with building(cli, remote) as process, other.start("sync") as waiting:
        wait_for_the_first(waiting)
        go.touch()
        assert process.wait(PATIENCE) == 0
        _, err = waiting.communicate(timeout=PATIENCE)
        assert waiting.returncode == 0, err
    assert "1 from the remote" in err
    assert wheels_built(log) == 1
    assert not [*remote.glob("v1/claims/*")]


def test_it_builds_itself_what_the_first_one_could_not(
    cli: Cli, other: Cli, remote: Path, log: Path, go: Path
) -> None:
    with building(cli, remote) as process, other.start("sync") as waiting:
        wait_for_the_first(waiting)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
        go.touch()
        _, err = waiting.communicate(timeout=PATIENCE)
        assert waiting.returncode == 0, err
    assert "1 built" in err
    assert wheels_built(log) == 2
    assert not [*remote.glob("v1/claims/*")]


def test_waiting_can_be_cancelled(cli: Cli, other: Cli, remote: Path) -> None:
    with building(cli, remote) as process, other.start("sync") as waiting:
        wait_for_the_first(waiting)
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(PATIENCE) == 130
        assert process.poll() is None
        process.terminate()


def test_a_dry_run_says_what_another_machine_is_building(
    cli: Cli, other: Cli, remote: Path, go: Path
) -> None:
    def planned(*options: str) -> str:
        return other.ok("sync", "--dry-run", *options).err.splitlines()[-1]

    assert planned() == "would add 1: 1 to build"
    with building(cli, remote) as process:
        assert planned() == "would add 1: 1 being built elsewhere"
        document = json.loads(other.ok("sync", "--dry-run", "--output-format", "json").out)
        assert [one["source"] for one in document["changes"]] == ["awaited"]
        for options in (["--no-remote"], ["--rebuild", "slow"]):
            assert planned(*options) == "would add 1: 1 to build"
        go.touch()
        assert process.wait(PATIENCE) == 0
    assert planned() == "would add 1: 1 from the remote"


def test_who_does_not_push_claims_nothing(cli: Cli, remote: Path, log: Path, go: Path) -> None:
    with cli.start("sync", env={"PIPSHIM_REMOTE_PUSH": "never"}) as process:
        until(lambda: wheels_built(log))
        assert not [*remote.glob("v1/claims/*")]
        go.touch()
        assert process.wait(PATIENCE) == 0
    assert not [*remote.glob("v1/claims/*")]
