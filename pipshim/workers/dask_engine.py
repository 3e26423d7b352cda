"""Run tasks on the workers of a Dask cluster (``distributed``)."""

from __future__ import annotations

import logging
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from pipshim import __version__
from pipshim.base.errors import PipshimError
from pipshim.workers.engine import NoWorkerError
from pipshim.workers.plan_task import run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from concurrent.futures import Future

    from pipshim.workers.engine import Needs, Report
    from pipshim.workers.plan_task import PlanTask, TaskOutcome

_CONNECT_SECONDS = 5
_RESTART_SECONDS = 6.0
"""How long there may be no worker: a nanny starts one again that has died."""

_CLOSE_SECONDS = 0.5
_ENDED = ("cancelled", "released", "forgotten", "error")


class WorkerFacts(NamedTuple):
    """What a worker says of itself."""

    name: str
    pipshim: str


def worker_facts(dask_worker: Any) -> WorkerFacts:
    """Say what a worker is; runs there."""
    return WorkerFacts(str(dask_worker.name).rpartition("://")[2], __version__)


def run_task(task: PlanTask, topic: str, number: str) -> TaskOutcome:
    """Run a task; runs on a worker.

    Args:
        task: what to do.
        topic: where its events go.
        number: tells the task's events from others.

    """
    from distributed import get_worker  # noqa: PLC0415 not needed elsewhere

    worker = get_worker()
    name = worker_facts(worker).name
    key = worker.get_current_task()

    def report(lines: list[dict[str, Any]]) -> None:
        worker.log_event(topic, {"task": number, "name": name, "lines": lines})

    def is_cancelled() -> bool:
        state = worker.state.tasks.get(key)
        return state is None or state.state in _ENDED

    return run(task, name, report, is_cancelled)


class DaskEngine:
    """A Dask cluster; tasks are run by workers that have this version of pipshim.

    Args:
        address: of the scheduler: ``HOST:PORT``.
        say: shows a warning.

    Raises:
        NoWorkerError: the scheduler does not answer.
        PipshimError: ``distributed`` is not installed.

    """

    def __init__(self, address: str, say: Callable[[str], object]) -> None:
        self.label = f"dask://{address}"
        self._say = say
        self._topic = f"pipshim-{uuid4().hex}"
        self._reports: dict[str, Report] = {}
        self._facts: dict[str, WorkerFacts | None] = {}
        self._guard = threading.Lock()
        self._without_since: float | None = None
        self._client = _connected(address)
        self._client.subscribe_topic(self._topic, self._hear)

    def submit(
        self, task: PlanTask, needs: Needs, excluding: Collection[str], report: Report
    ) -> Future[TaskOutcome]:
        """Start a task; Dask starts it again elsewhere if its worker dies."""
        workers = [
            address for address, facts in self._suitable().items() if facts.name not in excluding
        ]
        if not workers:
            raise NoWorkerError(f"{self.label} has no other worker that could build {needs.name}")
        number = uuid4().hex
        self._reports[number] = report
        executor = self._client.get_executor(
            pure=False, workers=workers, allow_other_workers=False, retries=0
        )
        future: Future[TaskOutcome] = executor.submit(run_task, task, self._topic, number)
        future.add_done_callback(lambda _: self._reports.pop(number, None))
        return future

    def why_stuck(self) -> str | None:
        """Say why no task goes on: there is no worker for some time, or no scheduler."""
        if self._client.status not in ("running", "connecting"):
            return "the scheduler does not answer"
        if self._suitable():
            self._without_since = None
            return None
        now = time.monotonic()
        self._without_since = self._without_since or now
        return "no worker is left" if now - self._without_since > _RESTART_SECONDS else None

    def close(self) -> None:
        """Leave the cluster, which ends all tasks of this client."""
        self._client.close(timeout=_CLOSE_SECONDS)

    def _suitable(self) -> dict[str, WorkerFacts]:
        """Return the workers that have this version of pipshim, by address."""
        try:
            present = self._client.scheduler_info()["workers"]
        except (OSError, TimeoutError, ValueError):
            return {}
        with self._guard:
            new = [address for address in present if address not in self._facts]
            if new:
                self._ask(new)
            known = {address: self._facts.get(address) for address in present}
        return {
            address: one for address, one in known.items() if one and one.pipshim == __version__
        }

    def _ask(self, addresses: list[str]) -> None:
        """Ask new workers what they are, and name those that cannot be used."""
        answers = self._client.run(worker_facts, workers=addresses, on_error="return")
        for address, facts in answers.items():
            if not isinstance(facts, WorkerFacts):
                self._facts[address] = None
                self._say(f"the worker {address} is not used: it does not have pipshim ({facts})")
                continue
            self._facts[address] = facts
            if facts.pipshim != __version__:
                self._say(
                    f"the worker {facts.name} is not used: it has pipshim {facts.pipshim}, and "
                    f"this is pipshim {__version__}"
                )

    def _hear(self, event: tuple[float, Any]) -> None:
        message = event[1]
        report = self._reports.get(message["task"])
        if report is not None:
            report(message["name"], message["lines"])


def _connected(address: str) -> Any:
    try:
        from distributed import Client  # noqa: PLC0415 an extra
    except ImportError as error:
        raise PipshimError(
            f"--builders dask://{address} needs the package distributed",
            hint="pip install 'pipshim[dask]'",
        ) from error
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions of packages that tasks do not use
            return Client(  # type: ignore[no-untyped-call]
                f"tcp://{address}", timeout=_CONNECT_SECONDS, set_as_default=False
            )
    except (OSError, ValueError) as error:
        raise NoWorkerError(f"the scheduler dask://{address} does not answer") from error
