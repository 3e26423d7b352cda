"""Builds on workers: what is done when a worker cannot build, or none is left."""

from __future__ import annotations

import time
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from pipshim import __version__
from pipshim.base.errors import BuildError, NoGpuError
from pipshim.base.masking import Mask
from pipshim.builds.build_history import BuildHistory
from pipshim.builds.build_request import BuildRequest
from pipshim.builds.worker_builds import WorkerBuilds
from pipshim.builds.worker_events import WorkerEvents
from pipshim.cli.remote import RemoteAddress
from pipshim.model import events
from pipshim.model.build_mode import Mode
from pipshim.model.requests import CommonOptions
from pipshim.model.settings import BuildersAddress, BuildersTable, RemoteTable
from pipshim.workers.engine import NoWorkerError, WorkerLostError
from pipshim.workers.plan_task import PlanTask, TaskOutcome, run
from tests.support.pipshim import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from pipshim.workers.engine import Report

BUILD = BuildRequest(
    canonicalize_name("natten"),
    "1.0",
    "0" * 64,
    Mode.ISOLATED,
    "default",
    lambda: 1 / 0,  # type: ignore[arg-type,return-value]
)
TASK = PlanTask("{}", "natten==1.0", "3.11", __version__, "s3://team/wheels")
STARTED = {"event": "build-started", "name": "natten", "version": "1.0", "mode": "isolated"}
STARTED |= {"chosen_by": "default", "what": "wheel", "log": "/on/the/worker"}
ENDED = {**STARTED, "event": "build-finished", "seconds": 3.0}


class FakeEngine:
    """Gives the next of the answers to each task."""

    label = "dask://fake:1"

    def __init__(self, *answers: TaskOutcome | Exception) -> None:
        self.answers = list(answers)
        self.excluded: list[set[str]] = []

    def submit(
        self, task: PlanTask, excluding: Collection[str], report: Report
    ) -> Future[TaskOutcome]:
        assert task == TASK
        self.excluded.append(set(excluding))
        answer = self.answers.pop(0)
        if isinstance(answer, NoWorkerError):
            raise answer
        future: Future[TaskOutcome] = Future()
        report("one", [STARTED])
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            if answer.status == "built":
                report("one", [ENDED])
            future.set_result(answer)
        return future

    def close(self) -> None:
        return


class FakeBuilder:
    """What builds on workers need of a builder: where to keep what they report."""

    def __init__(self, cache: Path | None = None) -> None:
        self.cache, self.logs = cache or Path("/nowhere"), 0
        self.history = BuildHistory(self.cache)
        self.mask = Mask(["opensesame"])
        self.target = SimpleNamespace(python_name="cpython 3.11")
        self.processes = SimpleNamespace(stopped=False)

    def new_log(self, build: BuildRequest, what: str) -> Path:
        self.logs += 1
        return self.cache / f"{build.name}-{build.version}-{what}-{self.logs}.log"


def built_by(engine: FakeEngine, cache: Path | None = None) -> tuple[Any, list[events.Event]]:
    seen: list[events.Event] = []
    workers = WorkerBuilds(lambda: engine, "s3://team/wheels", "", seen.append)
    vars(workers)["_task"] = lambda *_: TASK
    builder: Any = FakeBuilder(cache)
    return workers.build(builder, BUILD), seen


def warnings(seen: list[events.Event]) -> list[str]:
    return [one.text for one in seen if isinstance(one, events.Message)]


def unsuitable(worker: str, **error: str) -> TaskOutcome:
    return TaskOutcome(worker, "unsuitable", {"message": "it has no cc", **error})


def test_a_worker_builds_and_its_events_are_shown() -> None:
    told, seen = built_by(FakeEngine(TaskOutcome("one", "built")))
    assert told is not None
    assert told.has_built
    assert told.seconds == 3.0
    assert [one.worker for one in seen if isinstance(one, events.BuildStarted)] == ["one"]


def test_what_a_worker_reports_is_kept_here(tmp_path: Path) -> None:
    builder: Any = FakeBuilder(tmp_path)
    seen: list[events.Event] = []
    told = WorkerEvents(BUILD, seen.append, builder)
    about = {"name": "natten", "version": "1.0"}
    phase = {**about, "event": "build-phase", "phase": "wheel"}
    line = {**about, "event": "build-output", "line": "[1/2] cc --token opensesame"}
    told.take("one", [STARTED, phase, line])
    told.take("two", [STARTED, phase, line, {**ENDED, "cpu": 9.0, "memory": 8, "processes": 4}])
    lost, built = BuildHistory(tmp_path).builds()[-2:]
    assert (lost.worker, lost.outcome) == ("one", "stopped")
    assert (built.worker, built.outcome, built.steps) == ("two", "built", 1)
    assert (built.cpu, built.peak, built.processes) == (9.0, 8, 4)
    logs = [one.log for one in seen if isinstance(one, events.BuildStarted) and one.log]
    assert [str(one) for one in logs] == [lost.log, built.log]
    assert [one.read_text() for one in logs] == ["[1/2] cc --token ****\n"] * 2


def test_events_that_make_no_sense_are_left_out() -> None:
    seen: list[events.Event] = []
    builder: Any = FakeBuilder()
    told = WorkerEvents(BUILD, seen.append, builder)
    output = {"event": "build-output", "name": "natten"}
    progress = {**output, "event": "build-progress", "done": 1, "total": 2, "unit": "steps"}
    garbage: list[Any] = [
        *(None, 1, [], {}, {"event": 3}, {"event": "error", "name": "natten"}),
        *({**STARTED, "what": 3}, {**STARTED, "why": None}, {**STARTED, "commit": []}),
        *({**STARTED, "what": ["wheel"]}, {**STARTED, "name": "other"}),
        *(output, {**output, "line": 3}, {**progress, "done": "x"}, {**progress, "unit": "miles"}),
        *({**progress, "fraction": "all"}, {**ENDED, "seconds": None}, {**output, "line": b"x"}),
        {**output, "event": "build-recorded", "record": []},
    ]
    told.take("one", [*garbage, STARTED, *garbage, progress, {**output, "line": "[1/2]"}, ENDED])
    names = ["BuildStarted", "BuildProgress", "BuildOutput", "BuildFinished"]
    assert [type(one).__name__ for one in seen] == names


def test_what_a_worker_cannot_build_another_one_does() -> None:
    lost = WorkerLostError("two", "job 3 has ended: node_fail")
    engine = FakeEngine(unsuitable("one"), lost, TaskOutcome("three", "built"))
    told, seen = built_by(engine)
    assert told is not None
    assert engine.excluded == [set(), {"one"}, {"one", "two"}]
    assert warnings(seen) == [
        "one did not build natten 1.0: it has no cc",
        "two did not build natten 1.0: job 3 has ended: node_fail",
    ]
    ends = [one.stopped for one in seen if isinstance(one, events.BuildFailed)]
    assert ends == [True, True]  # each build that was begun is reported to have ended


def test_without_another_worker_it_is_built_here() -> None:
    told, seen = built_by(FakeEngine(unsuitable("one"), NoWorkerError("no worker is left")))
    assert told is None
    assert warnings(seen)[-1] == "natten 1.0 is built here: no worker is left"
    told, seen = built_by(FakeEngine(*[RuntimeError("it broke")] * 3))
    assert told is None
    assert warnings(seen)[0] == "a worker did not build natten 1.0: RuntimeError: it broke"
    assert warnings(seen)[-1] == "natten 1.0 is built here"


def test_a_failed_build_is_not_repeated() -> None:
    error = {"message": "natten 1.0: the wheel failed", "step": "wheel", "output": ["no cc"]}
    engine = FakeEngine(TaskOutcome("one", "failed", error))
    with pytest.raises(BuildError, match="on the worker one") as failure:
        built_by(engine)
    assert failure.value.output == ("no cc",)


def test_a_build_that_no_worker_can_ask_a_gpu_for_is_an_error() -> None:
    error = unsuitable("one", kind="NoGpuError", hint="set it")
    with pytest.raises(NoGpuError, match="it has no cc"):
        built_by(FakeEngine(error, NoWorkerError("no other worker")))


def test_requests_and_tasks_are_logged_without_secrets() -> None:
    url = "https://user:hush@team.example/wheels"
    builder = WorkerBuilds(FakeEngine, url, "export TOKEN=hush", print)
    values = [
        PlanTask(f'{{"url": "{url}"}}', "natten==1.0", "3.11", "1", url, "export TOKEN=hush"),
        CommonOptions(remote=url),
        RemoteAddress(url, pushes=True, trust=()),
        RemoteTable(url),
        BuildersTable(setup={"dask": "export TOKEN=hush"}),
        builder,
    ]
    assert "hush" not in repr(values)
    assert "natten==1.0" in repr(values)


def test_a_task_says_why_a_worker_is_unsuitable() -> None:
    other = PlanTask("{}", "natten==1.0", "3.11", "9.9", "")
    found = run(other, "one", print, lambda: False)
    assert found.status == "unsuitable"
    assert found.error["message"] == f"it has pipshim {__version__}, and this is pipshim 9.9"


def set_up_by(line: str, is_cancelled: Callable[[], bool] = lambda: False) -> str:
    """Run a task whose plan is empty; return what a worker says of it."""
    task = PlanTask("{}", "natten==1.0", "3.11", __version__, "", line)
    found = run(task, "one", lambda _: None, is_cancelled)
    assert found.status == "unsuitable"
    return str(found.error["message"])


@pytest.mark.parametrize(
    "line",
    [
        "echo why >&2; false",
        "echo why; exit 0",
        "echo why; exec true",
        "echo why; false; true",
        "module() { echo why; return 1; }; module load cuda/12.8; export CUDA_HOME=/opt",
        "echo why\nif then",
    ],
)
def test_a_set_up_line_that_does_not_succeed_is_shown_with_its_output(line: str) -> None:
    said = set_up_by(line)
    assert said.startswith(("its set-up line failed with ", "its set-up line ended the shell"))
    assert "\n  why" in said


def test_variables_of_the_set_up_line_reach_the_command(tmp_path: Path) -> None:
    module = tmp_path / "module.sh"
    module.write_text("false\nmodule() { CUDA_HOME=/opt/$2; false; true; }\n")
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "sys.stderr.write(os.environ.get('CUDA_HOME', '') + os.environ.get('X', '') + '\\n')\n"
        "sys.exit(3)\n"
    )
    said = set_up_by(f". {module}; module load cuda; export X=1 PYTHONPATH={tmp_path}")
    assert "/opt/cuda1" in said


def test_a_set_up_line_that_hangs_ends_with_its_task() -> None:
    start = time.monotonic()
    set_up_by("sleep 600", lambda: True)
    assert time.monotonic() - start < PATIENCE


@pytest.mark.parametrize(
    ("text", "kind", "place"),
    [
        ("dask://host:8786", "dask", "host:8786"),
        ("dask://[::1]:8786/", "dask", "[::1]:8786"),
        ("slurm", "slurm", ""),
        ("slurm:gpu", "slurm", "gpu"),
    ],
)
def test_the_place_of_builders_is_read(text: str, kind: str, place: str) -> None:
    assert BuildersAddress.parse(text) == (kind, place)


@pytest.mark.parametrize(
    "text", ["dask://host", "dask://user@host:1", "slurm:", "slurm:a b", "ssh://host:1", ""]
)
def test_another_place_of_builders_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not of the form dask://HOST:PORT, slurm"):
        BuildersAddress.parse(text)
