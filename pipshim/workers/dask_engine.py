"""Run tasks on the workers of a Dask cluster (``distributed``)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import warnings
from concurrent.futures import CancelledError, Future
from dataclasses import field
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

from pipshim import __version__
from pipshim.base.errors import PipshimError
from pipshim.base.light.dataclasses import dataclass
from pipshim.remote.file_store import started
from pipshim.workers.engine import NoWorkerError, Report, settle
from pipshim.workers.plan_task import PlanTask, TaskOutcome, run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


_CONNECT_SECONDS = 5
_LOOK_SECONDS = 0.5
_ANSWER_SECONDS = 5.0
_SILENCE_SECONDS = 15.0
"""How long the scheduler may not answer."""

_RESTART_SECONDS = 6.0
"""How long there may be no worker: a nanny starts one again that has died."""

_CLOSE_SECONDS = 0.5
_LOSSES = 3
"""How often a task is sent again because the connection was lost."""

_DEATHS = 3
"""How many workers may die that do a task."""

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
        topic: where its events go.
        number: tells the task's events from others.

    """
    from distributed import get_worker  # noqa: PLC0415 not needed elsewhere

    worker = get_worker()
    name = worker_facts(worker).name
    key = worker.get_current_task()

    def report(lines: list[dict[str, Any]]) -> None:
        about = {"task": number, "address": worker.address, "name": name}
        worker.log_event(topic, {**about, "lines": lines})

    def is_cancelled() -> bool:
        state = worker.state.tasks.get(key)
        return state is None or state.state in _ENDED

    report([])  # that it has begun
    return run(task, name, report, is_cancelled)


@dataclass(eq=False)
class _Task:
    """A task until its result is there.

    Attributes:
        excluding: the names of workers that cannot do it.
        attempt: Dask's future; None while it is not submitted.
        number: tells the events of this attempt from others.
        workers: the addresses of those that may do it.
        begun_on: the address of the one that does it.
        losses: how often the scheduler has lost it.
        deaths: how many workers have died that did it.

    """

    task: PlanTask
    excluding: frozenset[str]
    report: Report
    future: Future[TaskOutcome] = field(default_factory=Future)
    attempt: Any = None
    number: str = ""
    workers: frozenset[str] = frozenset()
    begun_on: str = ""
    losses: int = 0
    deaths: int = 0


class DaskEngine:
    """A Dask cluster; tasks are run by workers that have this version of pipshim.

    All but the public methods runs in the thread of Dask's client, one step at a time.

    Args:
        address: of the scheduler: ``HOST:PORT``.

    Raises:
        NoWorkerError: the scheduler does not answer.
        PipshimError: ``distributed`` is not installed.

    """

    def __init__(self, address: str, say: Callable[[str], object]) -> None:
        self.label = f"dask://{address}"
        self._say = say
        self._topic = f"pipshim-{uuid4().hex}"
        self._tasks: set[_Task] = set()
        self._facts: dict[str, WorkerFacts | None] = {}
        self._asked: set[str] = set()
        self._connection: Any = None
        self._answered = self._had_worker = time.monotonic()
        self._problem = ""
        self._client = _connected(address)
        self._client.loop.add_callback(self._watch)

    def submit(
        self, task: PlanTask, excluding: Collection[str], report: Report
    ) -> Future[TaskOutcome]:
        """Start a task on any worker, also on one that joins while it waits."""
        added = _Task(task, frozenset(excluding), report)
        added.future.add_done_callback(lambda future: self._forget(added, future))
        self._client.loop.add_callback(self._add, added)
        return added.future

    def close(self) -> None:
        """Leave the cluster, which ends all tasks of this client."""
        self._problem = self._problem or "the command ends"
        self._client.close(timeout=_CLOSE_SECONDS)

    def _forget(self, task: _Task, future: Future[TaskOutcome]) -> None:
        if future.cancelled():
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._client.loop.add_callback(self._drop, task)

    def _drop(self, task: _Task) -> None:
        self._tasks.discard(task)
        self._end_attempt(task)

    def _end_attempt(self, task: _Task) -> None:
        attempt, task.attempt, task.begun_on = task.attempt, None, ""
        if attempt is not None:
            self._client.loop.add_callback(self._client.cancel, [attempt])

    def _add(self, task: _Task) -> None:
        self._tasks.add(task)
        if self._problem:
            self._give_up()
        else:
            self._place(task)

    async def _watch(self) -> None:
        """Follow what happens to the cluster."""
        try:
            while not self._problem:
                await self._look()
                await asyncio.sleep(_LOOK_SECONDS)
        except NoWorkerError as error:
            self._problem = str(error)
        except Exception as error:  # noqa: BLE001 whatever Dask raises, no task waits forever
            self._problem = f"{self.label} has failed: {type(error).__name__}: {error}"
        self._give_up()

    def _give_up(self) -> None:
        for task in [*self._tasks]:
            self._settle(task, NoWorkerError(self._problem))

    async def _look(self) -> None:
        """Place tasks on the workers that there are now.

        Raises:
            NoWorkerError: the scheduler no longer answers.

        """
        present = await self._present()
        if present is None:
            return
        if self._connection is not self._client.scheduler_comm:  # a new one knows nothing of us
            self._connection = self._client.scheduler_comm
            self._client.subscribe_topic(self._topic, self._hear)
            self._facts.clear()
            self._asked.clear()
        for address in self._asked - present:
            self._asked.discard(address)
            self._facts.pop(address, None)
        for address in present - self._asked:
            self._asked.add(address)
            self._client.loop.add_callback(self._ask, address)
        if present:
            self._had_worker = time.monotonic()
        for task in [*self._tasks]:
            self._place(task)

    async def _present(self) -> set[str] | None:
        """Return the addresses of all workers; None if the scheduler does not answer now."""
        if self._client.status == "running":
            with contextlib.suppress(OSError, TimeoutError, asyncio.TimeoutError):
                asking = self._client.scheduler.identity(n_workers=-1)
                found = await asyncio.wait_for(asking, _ANSWER_SECONDS)
                self._answered = time.monotonic()
                return set(found["workers"])
        is_lost = self._client.status not in ("running", "connecting")
        if is_lost or time.monotonic() - self._answered > _SILENCE_SECONDS:
            raise NoWorkerError(f"the scheduler {self.label} no longer answers")
        return None

    async def _ask(self, address: str) -> None:
        """Ask a worker what it is; say so if it cannot be used."""
        facts: object
        try:
            asking = self._client.run(worker_facts, workers=[address], on_error="return")
            facts = (await asyncio.wait_for(asking, _ANSWER_SECONDS)).get(address)
        except Exception as error:  # noqa: BLE001 whatever a worker answers
            facts = str(error) or "it does not answer"
        if address not in self._asked:
            return
        self._facts[address] = facts if isinstance(facts, WorkerFacts) else None
        if not isinstance(facts, WorkerFacts):
            self._say(f"the worker {address} is not used: it does not have pipshim ({facts})")
        elif facts.pipshim != __version__:
            self._say(
                f"the worker {facts.name} is not used: it has pipshim {facts.pipshim}, and "
                f"this is pipshim {__version__}"
            )
        for task in [*self._tasks]:
            self._place(task)

    def _place(self, task: _Task) -> None:
        """Submit a task, again if other workers can do it now and it has not begun."""
        usable = frozenset(
            address
            for address, facts in self._facts.items()
            if facts and facts.pipshim == __version__ and facts.name not in task.excluding
        )
        if task.attempt is not None:
            if task.begun_on and task.begun_on not in usable:
                self._note_death(task)
            if task.begun_on or (usable and usable <= task.workers):
                return  # Dask sends it to another one of those if its worker has died
            self._end_attempt(task)
        if task.future.done():
            return
        if self._facts.keys() != self._asked:
            return  # for those that have not answered, which takes seconds at most
        if usable:
            self._start_attempt(task, usable)
        elif self._asked:
            problem = f"{self.label} has no other worker that could build {task.task.name}"
            self._settle(task, NoWorkerError(problem))
        elif time.monotonic() - self._had_worker > _RESTART_SECONDS:
            self._settle(task, NoWorkerError(f"{self.label} has no worker"))

    def _note_death(self, task: _Task) -> None:
        """Take note that the worker of a task has died, perhaps because of it."""
        task.deaths, task.begun_on = task.deaths + 1, ""
        if task.deaths >= _DEATHS:
            problem = f"{task.deaths} workers have died while they built it"
            self._settle(task, NoWorkerError(problem))
            self._end_attempt(task)

    def _start_attempt(self, task: _Task, workers: frozenset[str]) -> None:
        task.number, task.workers = uuid4().hex, workers
        task.attempt = self._client.submit(
            run_task,
            task.task,
            self._topic,
            task.number,
            pure=False,
            workers=sorted(workers),
            retries=0,
        )
        self._client.loop.add_callback(self._follow, task, task.attempt)

    async def _follow(self, task: _Task, attempt: Any) -> None:
        """Wait for the result of an attempt."""
        outcome: TaskOutcome | Exception
        try:
            outcome = await attempt
        except (CancelledError, asyncio.CancelledError):
            outcome = NoWorkerError("the connection to the scheduler was lost")
        except Exception as failure:  # noqa: BLE001 whatever happens to a worker
            outcome = failure
        if task.attempt is not attempt:
            return  # another one has replaced it
        if isinstance(outcome, NoWorkerError) and task.losses < _LOSSES:
            task.losses += 1
            task.attempt, task.begun_on = None, ""
        else:
            self._settle(task, outcome)

    def _settle(self, task: _Task, outcome: TaskOutcome | Exception) -> None:
        self._tasks.discard(task)
        settle(task.future, outcome)

    def _hear(self, event: tuple[float, Any]) -> None:
        match event[1]:
            case {"task": number, "address": str(address), "name": name, "lines": [*lines]}:
                for task in [*self._tasks]:
                    if task.number == number:
                        if task.begun_on not in ("", address):  # Dask has sent it to another one
                            self._note_death(task)
                        task.begun_on = address
                        task.report(str(name), lines)


def _connected(address: str) -> Any:
    try:
        from distributed import Client  # noqa: PLC0415 an extra
    except ImportError as error:
        raise PipshimError(
            f"--builders dask://{address} needs the package distributed",
            hint="pip install 'pipshim[dask]'",
        ) from error
    for name in [*logging.root.manager.loggerDict]:  # problems are told as reasons
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL)

    def connect() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # versions of packages that tasks do not use
            url = f"tcp://{address}"
            return Client(url, timeout=_CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]

    try:  # something else that listens there may be silent
        return started(connect).result(2 * _CONNECT_SECONDS)
    except Exception as error:
        raise NoWorkerError(f"the scheduler dask://{address} does not answer") from error
