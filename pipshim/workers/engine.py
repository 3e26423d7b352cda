"""The interface of engines, which run tasks on other machines."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

if TYPE_CHECKING:
    from pipshim.workers.plan_task import PlanTask, TaskOutcome

Report: TypeAlias = Callable[[str, list[dict[str, Any]]], object]
"""Is given a worker's name, and events of builds there."""


class NoWorkerError(Exception):
    """There is no worker for a task, or none left; the text says why."""


class WorkerLostError(Exception):
    """A worker has died, or its job has ended, before the task did.

    Attributes:
        worker: its name; empty if it is not known.

    """

    def __init__(self, worker: str, problem: str) -> None:
        super().__init__(problem)
        self.worker = worker


def settle(future: Future[TaskOutcome], outcome: TaskOutcome | Exception) -> None:
    """Tell whoever waits for a task what came of it."""
    with suppress(InvalidStateError):  # it was cancelled
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


class Engine(Protocol):
    """Runs tasks on other machines, through an executor of `concurrent.futures`."""

    @property
    def label(self) -> str:
        """What the user called it."""

    def submit(
        self, task: PlanTask, excluding: Collection[str], report: Report
    ) -> Future[TaskOutcome]:
        """Start a task. To cancel the future ends it there.

        The future fails with `NoWorkerError` if no worker is left that can do it, and with
        `WorkerLostError` if one was lost.

        Args:
            excluding: the names of workers that cannot do it.

        Raises:
            NoWorkerError: no worker can do it.

        """

    def close(self) -> None:
        """End all tasks; take less than a second."""
