"""Let other machines build: send builds to an engine's workers, and show what they do."""

from __future__ import annotations

from concurrent.futures import Future, wait
from dataclasses import field
from typing import TYPE_CHECKING

from pipshim import __version__
from pipshim.base.errors import BuildError, NoGpuError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.shared_results import SharedResults
from pipshim.builds.plan_writer import NotPlannableError, PlanWriter
from pipshim.builds.worker_events import WorkerEvents
from pipshim.model import events
from pipshim.workers.engine import Engine, NoWorkerError, WorkerLostError
from pipshim.workers.plan_task import PlanTask, TaskOutcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipshim.builds.build_request import BuildRequest
    from pipshim.builds.builder import Builder
    from pipshim.model.events import Observer

_POLL_SECONDS = 0.1
_ATTEMPTS = 3
_UNNAMED = "a worker"
"""The name of one that is not known."""


@dataclass
class WorkerBuilds:
    """The builds of one command on other machines.

    Attributes:
        open: connects to the engine; called when it is needed first.
        remote: where workers put wheels.
        setup: a line of shell code that workers run before each build.

    """

    open: Callable[[], Engine]
    remote: str = field(repr=False)
    setup: str = field(repr=False)
    observer: Observer
    _engines: SharedResults[Engine] = field(
        default_factory=lambda: SharedResults(keep_errors=True), init=False
    )
    _is_over: bool = field(default=False, init=False)

    def build(self, builder: Builder, build: BuildRequest) -> WorkerEvents | None:
        """Let a worker build a wheel, which is in the remote then.

        Returns:
            What the worker has reported; None: the wheel is to be built here.

        Raises:
            BuildError: the build failed there.
            NoGpuError: no worker can tell which GPUs to compile for.

        """
        task = self._task(builder, build)
        if task is None:
            return None
        relay = WorkerEvents(build, self.observer, builder)
        excluded: set[str] = set()
        no_gpu: NoGpuError | None = None
        why = ""
        for _ in range(_ATTEMPTS):
            try:
                engine = self._connected()
                text = f"{build.label} waits for a worker of {engine.label}"
                self.observer(events.Waiting(text, build.name, build.version))
                future = engine.submit(task, excluded, relay.take)
                outcome = self._outcome(future, lambda: builder.processes.stopped)
            except NoWorkerError as no_worker:
                why = f": {no_worker}"
                break
            finally:
                relay.end()
            if outcome.status == "built":
                return relay
            error = outcome.error
            if outcome.status == "failed":
                raise _failure(build, outcome, relay.log)
            self._warn(f"{outcome.worker} did not build {build.label}: {error.get('message')}")
            excluded |= {outcome.worker} - {_UNNAMED}
            if error.get("kind") == NoGpuError.__name__:
                no_gpu = NoGpuError(str(error.get("message")), hint=error.get("hint"))
        if no_gpu is not None:
            raise no_gpu
        self._warn(f"{build.label} is built here{why}")
        return None

    def close(self) -> None:
        self._is_over = True
        engine = self._engines.peek(self.remote)
        if engine is not None:
            engine.close()

    def _connected(self) -> Engine:
        engine = self._engines.get(self.remote, self.open)
        if self._is_over:
            engine.close()
            raise NoWorkerError("the command ends")
        return engine

    def _task(self, builder: Builder, build: BuildRequest) -> PlanTask | None:
        writer = PlanWriter(builder)
        try:
            key = writer.add_or_raise(build)
        except NotPlannableError as error:
            self._warn(f"{build.label} is built here: {error}")
            return None
        plan = writer.plan()
        planned = plan.by_id[key]
        return PlanTask(
            plan.write(),
            key,
            plan.python.rpartition(" ")[2],
            __version__,
            self.remote,
            self.setup,
            rebuild=build.name if builder.settings.is_rebuilt(build.name) else "",
            name=build.name,
            cores=planned.cores,
            memory=planned.memory,
        )

    @staticmethod
    def _outcome(future: Future[TaskOutcome], is_stopped: Callable[[], bool]) -> TaskOutcome:
        while not wait([future], _POLL_SECONDS).done:
            if is_stopped():
                future.cancel()
                raise KeyboardInterrupt
        try:
            return future.result()
        except NoWorkerError:
            raise
        except WorkerLostError as error:
            return TaskOutcome(error.worker or _UNNAMED, "unsuitable", {"message": str(error)})
        except Exception as error:  # noqa: BLE001 whatever happens to a worker
            message = f"{type(error).__name__}: {error}"
            return TaskOutcome(_UNNAMED, "unsuitable", {"message": message})

    def _warn(self, text: str) -> None:
        self.observer(events.Message("warning", text))


def _failure(build: BuildRequest, outcome: TaskOutcome, log: Path | None) -> BuildError:
    error = outcome.error
    return BuildError(
        f"{error.get('message')}\n  on the worker {outcome.worker}",
        package=build.label,
        mode=str(build.mode),
        step=str(error.get("step", "wheel")),
        output=tuple(map(str, error.get("output", ()))),
        log=log,
        hint=error.get("hint"),
    )
