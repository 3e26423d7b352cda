"""Run tasks as jobs of Slurm (``submitit``)."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipshim.base.errors import PipshimError
from pipshim.workers.engine import NoWorkerError, WorkerLostError
from pipshim.workers.plan_task import run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from pipshim.workers.engine import Needs, Report
    from pipshim.workers.plan_task import PlanTask, TaskOutcome

_POLL_SECONDS = 0.2
_QUEUE_SECONDS = 2.0
_RESULT_SECONDS = 6.0
"""How long the result of a job that has ended may be on its way through a shared file system."""

_COMMAND_SECONDS = 20
_STATES = """
PENDING RUNNING CONFIGURING COMPLETING SUSPENDED STOPPED RESIZING SIGNALING STAGE_OUT
REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT RESV_DEL_HOLD
"""
_GOING_ON = frozenset(_STATES.split())
"""The states of jobs that may still end well."""


def run_task(task: PlanTask, events: str) -> TaskOutcome:
    """Run a task; runs in a job.

    Args:
        task: what to do.
        events: the file for its events.

    """
    worker = os.environ.get("SLURMD_NODENAME") or socket.gethostname()

    def report(lines: list[dict[str, Any]]) -> None:
        with Path(events).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**line, "worker": worker}) + "\n" for line in lines)

    return run(task, worker, report, lambda: False)


@dataclass
class _Job:
    """A job that was submitted.

    Attributes:
        submitted: submitit's job.
        events: the file with its events.
        report: is given them.
        future: of its result.
        worker: the node that runs it, once that is known.
        read: how much of the events was read.
        ended: when it was first seen that it had ended without a result.

    """

    submitted: Any
    events: Path
    report: Report
    future: Future[Any] = field(default_factory=Future)
    worker: str = ""
    read: int = 0
    ended: float | None = None


class SlurmExecutor(Executor):
    """Jobs of Slurm as futures.

    Args:
        folder: for what jobs get and answer; all nodes must see it.
        parameters: of submitit, for all jobs.

    Raises:
        NoWorkerError: Slurm is not installed here.

    """

    def __init__(self, folder: Path, parameters: Mapping[str, Any]) -> None:
        from submitit import SlurmExecutor as Submitter  # noqa: PLC0415 an extra

        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # a remote's URL may be secret
        try:
            self._submitter = Submitter(folder)
        except RuntimeError as error:
            raise NoWorkerError(str(error)) from error
        self._parameters = dict(parameters)
        self._jobs: list[_Job] = []
        self._guard = threading.Lock()
        self._watcher: threading.Thread | None = None
        self._closed = threading.Event()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **parameters: Any) -> Future[Any]:
        """Submit a job that calls ``fn(*args, file for events)``.

        Args:
            fn: what to call.
            args: with what.
            parameters: of submitit, and ``report``, which is given the events.

        Raises:
            NoWorkerError: Slurm has refused the job.

        """
        from submitit.core.utils import FailedJobError, FailedSubmissionError  # noqa: PLC0415

        report: Report = parameters.pop("report")
        with self._guard:
            events = self._folder / f"events-{len(self._jobs)}.jsonl"
            self._submitter.update_parameters(**{**self._parameters, **parameters})
            try:
                submitted = self._submitter.submit(fn, *args, str(events))
            except (FailedJobError, FailedSubmissionError, OSError) as error:
                raise NoWorkerError(f"sbatch failed: {str(error).strip()}") from error
            job = _Job(submitted, events, report)
            self._jobs.append(job)
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._watch, name="slurm", daemon=True)
                self._watcher.start()
        job.future.add_done_callback(lambda _: self._end_if_cancelled(job))
        return job.future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Stop watching; with `cancel_futures`, end all jobs."""
        left = [job for job in self._jobs if not job.future.done()]
        if wait and not cancel_futures:
            for job in left:
                job.future.exception()
        self._closed.set()
        if cancel_futures and left:
            for job in left:
                job.future.cancel()
            _end(left)

    def _end_if_cancelled(self, job: _Job) -> None:
        if job.future.cancelled() and not self._closed.is_set():
            _end([job])

    def _watch(self) -> None:
        asked = 0.0
        while not self._closed.wait(_POLL_SECONDS):
            running = [job for job in self._jobs if not job.future.done()]
            for job in running:
                self._hear(job)
                self._settle(job)
            running = [job for job in running if not job.future.done()]
            if running and time.monotonic() - asked > _QUEUE_SECONDS:
                self._look_at_queue(running)
                asked = time.monotonic()

    def _hear(self, job: _Job) -> None:
        """Report the events that have come in since."""
        try:
            with job.events.open("rb") as file:
                file.seek(job.read)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        job.read += len(whole)
        lines = [json.loads(line) for line in whole.splitlines()]
        if lines:
            job.worker = str(lines[-1].get("worker", ""))
            job.report(job.worker, lines)

    def _settle(self, job: _Job) -> None:
        """Take the result, if it is there."""
        from submitit.core.utils import pickle_load  # noqa: PLC0415 an extra

        path = job.submitted.paths.result_pickle
        try:
            status, result = pickle_load(path)
        except (OSError, EOFError):
            return
        self._hear(job)
        if job.future.cancelled():
            return
        if status == "success":
            job.future.set_result(result)
        else:
            job.future.set_exception(WorkerLostError(job.worker, str(result).strip()))

    def _look_at_queue(self, jobs: list[_Job]) -> None:
        """Find the jobs that have ended without a result."""
        states = _states([str(job.submitted.job_id) for job in jobs])
        now = time.monotonic()
        for job in jobs:
            state = states.get(str(job.submitted.job_id), "gone")
            if state in _GOING_ON:
                job.ended = None
            elif job.ended is None:
                job.ended = now
            elif now - job.ended > _RESULT_SECONDS and not job.future.done():
                problem = f"job {job.submitted.job_id} has ended: {state.lower()}"
                job.future.set_exception(WorkerLostError(job.worker, problem))


def _end(jobs: list[_Job]) -> None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        command = ["scancel", *(str(job.submitted.job_id) for job in jobs)]
        subprocess.run(command, check=False, capture_output=True, timeout=_COMMAND_SECONDS)


def _states(ids: list[str]) -> dict[str, str]:
    """Return the states of jobs; those that Slurm has forgotten are missing."""
    command = ["squeue", "--noheader", "--states=all", "--format=%i %T", f"--jobs={','.join(ids)}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return dict.fromkeys(ids, "PENDING")  # the controller may be busy: ask again
    if done.returncode and "Invalid job id" not in done.stderr:
        return dict.fromkeys(ids, "PENDING")
    return dict(line.split()[:2] for line in done.stdout.splitlines() if line.strip())


class SlurmEngine:
    """The jobs of one command.

    Args:
        partition: None for the default one.
        folder: a folder of pipshim's cache, which all nodes must see.
        options: of sbatch, by name.

    Raises:
        NoWorkerError: Slurm is not installed here.
        PipshimError: ``submitit`` is not installed.

    """

    def __init__(self, partition: str | None, folder: Path, options: Mapping[str, str]) -> None:
        self.label = f"slurm:{partition}" if partition else "slurm"
        self._folder = folder
        self._options = options
        parameters: dict[str, Any] = {"use_srun": False, "wckey": None, "time": None}
        parameters["partition"] = partition
        try:
            self._executor = SlurmExecutor(folder, parameters)
        except ImportError as error:
            raise PipshimError(
                f"--builders {self.label} needs the package submitit",
                hint="pip install 'pipshim[slurm]'",
            ) from error

    def submit(
        self, task: PlanTask, needs: Needs, excluding: Collection[str], report: Report
    ) -> Future[TaskOutcome]:
        """Submit a task as a job."""
        memory = {"mem": f"{-(-needs.memory // (1 << 20))}M"} if needs.memory is not None else {}
        return self._executor.submit(
            run_task,
            task,
            report=report,
            job_name=f"pipshim-{needs.name}",
            cpus_per_task=needs.cores,
            exclude=",".join(sorted(excluding)) or None,
            additional_parameters={**memory, **self._options},
        )

    def close(self) -> None:
        """Cancel all jobs."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)
