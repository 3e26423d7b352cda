"""Two machines want the same build at the same time: one builds, the other waits for it."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist
from tests.support.facts import calls
from tests.support.pipshim import until

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
    """Make a project with a build that takes a while; give the log of its hooks."""
    path = tmp_path / "calls"
    backend = Backend(acts_at=("build_wheel",), sleep_seconds=4, log=str(path))
    index.add(sdist(tmp_path, "slow", "1.0", backend=backend))
    settings = f'[tool.pipshim.remote]\nurl = "{remote}"\npush = "always"\n'
    make_project(settings, dependencies=["slow"])
    return path


@contextmanager
def building(cli: Cli, remote: Path) -> Iterator[Started]:
    """Let a machine build, from the moment when it has the claim."""
    with cli.start("sync", env=NAMED) as process:
        until(lambda: [*remote.glob("v1/claims/*/*.json")])
        yield process


def wheels_built(log: Path) -> int:
    return [(one.event, one.hook) for one in calls(log)].count(("start", "build_wheel"))


def test_the_other_machine_waits_and_takes_the_wheel(
    cli: Cli, other: Cli, remote: Path, log: Path
) -> None:
    with building(cli, remote) as process:
        result = other.ok("sync")
        assert process.wait(60) == 0
    assert WAITING in result.err
    assert "1 from the remote" in result.err
    assert wheels_built(log) == 1
    assert not [*remote.glob("v1/claims/*")]


def test_it_builds_itself_what_the_first_one_could_not(
    cli: Cli, other: Cli, remote: Path, log: Path
) -> None:
    with building(cli, remote) as process, other.start("sync") as waiting:
        until(lambda: WAITING in (waiting.stderr.readline() if waiting.stderr else ""))
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        _, err = waiting.communicate(timeout=60)
        assert waiting.returncode == 0, err
    assert "1 built" in err
    assert wheels_built(log) == 2
    assert not [*remote.glob("v1/claims/*")]


def test_waiting_can_be_cancelled(cli: Cli, other: Cli, remote: Path) -> None:
    with building(cli, remote), other.start("sync") as waiting:
        until(lambda: WAITING in (waiting.stderr.readline() if waiting.stderr else ""))
        start = time.monotonic()
        waiting.send_signal(signal.SIGINT)
        assert waiting.wait(20) == 130
        assert time.monotonic() - start < 5  # a busy machine; less than a second otherwise


def test_who_does_not_push_claims_nothing(cli: Cli, remote: Path) -> None:
    with cli.start("sync", env={"PIPSHIM_REMOTE_PUSH": "never"}) as process:
        while process.poll() is None:
            assert not [*remote.glob("v1/claims/*")]
            time.sleep(0.05)
