"""The engine of Dask: workers that come and go, and a scheduler that does."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pipshim import __version__
from pipshim.workers.engine import NoWorkerError
from pipshim.workers.plan_task import PlanTask
from tests.support.pipshim import PATIENCE, until

pytest.importorskip("distributed", reason="is in the group of the tests")

from pipshim.workers import dask_engine
from pipshim.workers.dask_engine import DaskEngine
from tests.support.dask_cluster import DaskCluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from pipshim.workers.plan_task import TaskOutcome


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    with DaskCluster(tmp_path / "cluster", os.environ) as running:
        yield running


@pytest.fixture
def engine(cluster: DaskCluster) -> Iterator[DaskEngine]:
    made = DaskEngine(cluster.address.removeprefix("dask://"), print)
    yield made
    made.close()


def submit(engine: DaskEngine, line: str, told: list[Any] | None = None) -> Future[TaskOutcome]:
    """Submit a task that does no more than its set-up line."""
    task = PlanTask("{}", "plain==1.0", "3.11", __version__, "", f"{line}; exit 0", name="plain")

    def report(worker: str, _: object) -> None:
        if told is not None:
            told.append(worker)

    return engine.submit(task, (), report)


@pytest.mark.slow
def test_a_worker_that_joins_later_is_used(cluster: DaskCluster, engine: DaskEngine) -> None:
    cluster.add("one", {})
    tasks = [submit(engine, "sleep 5") for _ in range(4)]
    cluster.add("two", {})
    assert {task.result(PATIENCE).worker for task in tasks} == {"one", "two"}


def test_a_worker_that_takes_the_place_of_a_dead_one_is_used(
    cluster: DaskCluster, engine: DaskEngine, tmp_path: Path
) -> None:
    cluster.add("one", {})
    told: list[str] = []
    task = submit(engine, f"until test -e {tmp_path}/go; do sleep 0.1; done", told)
    until(lambda: told)
    cluster.kill("one")
    cluster.add("two", {})
    (tmp_path / "go").touch()
    assert task.result(PATIENCE).worker == "two"


def test_a_task_that_kills_its_workers_ends(
    cluster: DaskCluster, engine: DaskEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_engine, "_DEATHS", 2)
    for name in ("one", "two", "three"):
        cluster.add(name, {})
    task = submit(engine, "sleep 1; kill -9 $PPID")
    with pytest.raises(NoWorkerError, match="2 workers have died while they built it"):
        task.result(PATIENCE)
    assert submit(engine, "true").result(PATIENCE).status == "unsuitable"


def test_without_a_worker_a_task_ends_with_the_reason(engine: DaskEngine) -> None:
    with pytest.raises(NoWorkerError, match=r"dask://127.* has no worker"):
        submit(engine, "true").result(PATIENCE)


@pytest.mark.slow
def test_a_task_outlives_a_restart_of_the_scheduler_but_not_its_end(
    cluster: DaskCluster, engine: DaskEngine
) -> None:
    cluster.add("one", {})
    told: list[str] = []
    task = submit(engine, "sleep 3", told)
    until(lambda: told == ["one"])
    cluster.kill_scheduler()
    cluster.start_scheduler()
    cluster.add("two", {})
    assert task.result(PATIENCE).worker == "two"
    until(lambda: told == ["one", "two"])  # its events come too
    task = submit(engine, "sleep 600")
    cluster.kill_scheduler()
    with pytest.raises(NoWorkerError, match="no longer answers"):
        task.result(PATIENCE)
    with pytest.raises(NoWorkerError, match="no longer answers"):
        submit(engine, "true").result(1)
