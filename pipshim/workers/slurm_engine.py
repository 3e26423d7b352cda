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
from concurrent.futures import Future
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pipshim.base.errors import PipshimError
from pipshim.base.light.dataclasses import dataclass
from pipshim.workers.engine import NoWorkerError, Report, WorkerLostError, settle
from pipshim.workers.plan_task import PlanTask, TaskOutcome, run

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


_POLL_SECONDS = 0.2
_QUEUE_SECONDS = 2.0
_RESULT_SECONDS = 6.0
"""How long the result of a job that has ended may be on its way through a shared file system."""

_COMMAND_SECONDS = 20
_SILENCE_SECONDS = 300.0
"""How long Slurm may not answer: jobs go on while its controller is restarted."""

_CLOSE_SECONDS = 0.7
_LAST_LINES = 20
_STATES = """
PENDING RUNNING CONFIGURING COMPLETING SUSPENDED STOPPED RESIZING SIGNALING STAGE_OUT
REQUEUED REQUEUE_FED REQUEUE_HOLD SPECIAL_EXIT RESV_DEL_HOLD
"""
_GOING_ON = frozenset(_STATES.split())
"""The states of jobs that may still end well."""

_FINAL = {
    "TIMEOUT": ("it exceeded its time limit", 'raise the limit: sbatch = { time = "8:00:00" }'),
    "DEADLINE": ("its deadline has passed", None),
    "OUT_OF_MEMORY": (
        "it ran out of memory",
        "state how much it needs in [tool.pipshim.build-memory]",
    ),
    "CANCELLED": ("it was cancelled", None),
}
"""What ended jobs that another node would not do either, and what helps."""


def run_task(task: PlanTask, events: str) -> TaskOutcome:
    """Run a task; runs in a job.

    Args:
        events: the file for its events.

    """
    worker = os.environ.get("SLURMD_NODENAME") or socket.gethostname()

    def report(lines: list[dict[str, Any]]) -> None:
        with Path(events).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({**line, "worker": worker}) + "\n" for line in lines)

    return run(task, worker, report, lambda: False)


@dataclass(eq=False)
class _Job:
    """A job that was submitted.

    Attributes:
        submitted: submitit's job.
        events: the file with its events.
        worker: the node that runs it, once that is known.
        read: how much of the events was read.
        ended: when it was first seen that it had ended without a result.

    """

    submitted: Any
    events: Path
    report: Report
    future: Future[TaskOutcome] = field(default_factory=Future)
    worker: str = ""
    read: int = 0
    ended: float | None = None

    @property
    def id(self) -> str:
        return str(self.submitted.job_id)


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
        self._partition = partition
        self._options = options
        self._jobs: list[_Job] = []
        self._watcher = threading.Thread(target=self._watch, name="slurm", daemon=True)
        self._closed = threading.Event()
        self._answered = time.monotonic()
        try:
            import submitit  # noqa: F401, PLC0415 an extra
        except ImportError as error:
            raise PipshimError(
                f"--builders {self.label} needs the package submitit",
                hint="pip install 'pipshim[slurm]'",
            ) from error
        if shutil.which("sbatch") is None:
            raise NoWorkerError("Slurm is not installed on this machine: there is no sbatch")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # a remote's URL may be secret
        self._watcher.start()

    def submit(
        self, task: PlanTask, excluding: Collection[str], report: Report
    ) -> Future[TaskOutcome]:
        from submitit import SlurmExecutor  # noqa: PLC0415 an extra
        from submitit.core.utils import FailedJobError, FailedSubmissionError  # noqa: PLC0415

        events = self._folder / f"events-{uuid4().hex}.jsonl"
        memory = {"mem": f"{-(-task.memory // (1 << 20))}M"} if task.memory is not None else {}
        try:
            submitter = SlurmExecutor(self._folder)
            submitter.update_parameters(
                use_srun=False,
                wckey=None,
                time=None,
                partition=self._partition,
                job_name=f"pipshim-{task.name}",
                cpus_per_task=task.cores,
                exclude=",".join(sorted(excluding)) or None,
                additional_parameters={**memory, **self._options},
            )
            # submitit would print what is written to standard error.
            quiet = ["sh", "-c", 'exec sbatch "$0" 2>&1']
            vars(submitter)["_make_submission_command"] = lambda file: [*quiet, str(file)]
            submitted = submitter.submit(run_task, task, str(events))
        except (FailedJobError, FailedSubmissionError, OSError, RuntimeError) as error:
            said = getattr(error.__cause__, "output", None) or str(error)
            raise NoWorkerError(f"sbatch failed: {said.strip()}") from error
        job = _Job(submitted, events, report)
        job.future.add_done_callback(lambda _: self._end_if_cancelled(job))
        self._jobs.append(job)
        if self._closed.is_set():
            _end([job])
        return job.future

    def close(self) -> None:
        self._closed.set()
        left = self._running()
        for job in left:
            job.future.cancel()
        if left:
            _end(left).join(_CLOSE_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _running(self) -> list[_Job]:
        return [job for job in [*self._jobs] if not job.future.done()]

    def _end_if_cancelled(self, job: _Job) -> None:
        if job.future.cancelled() and not self._closed.is_set():
            _end([job])

    def _watch(self) -> None:
        asked = 0.0
        while not self._closed.wait(_POLL_SECONDS):
            for job in self._running():
                try:
                    self._hear(job)
                    self._take_result(job)
                except Exception as error:  # noqa: BLE001 of this job, whatever it wrote
                    settle(job.future, WorkerLostError(job.worker, f"job {job.id}: {error}"))
            running = self._running()
            if not running:
                self._answered = time.monotonic()
            elif time.monotonic() - asked > _QUEUE_SECONDS:
                self._look_at_queue(running)
                asked = time.monotonic()

    @staticmethod
    def _hear(job: _Job) -> None:
        try:
            with job.events.open("rb") as file:
                file.seek(job.read)
                data = file.read()
        except OSError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        job.read += len(whole)
        lines = []
        for line in whole.splitlines():
            with contextlib.suppress(ValueError):  # two nodes wrote at once, or a disk was full
                lines.append(json.loads(line))
        if lines:
            if isinstance(lines[-1], dict):
                job.worker = str(lines[-1].get("worker", ""))
            job.report(job.worker, lines)

    def _take_result(self, job: _Job) -> None:
        from submitit.core.utils import pickle_load  # noqa: PLC0415 an extra

        try:
            status, result = pickle_load(job.submitted.paths.result_pickle)
        except (OSError, EOFError):
            return
        self._hear(job)
        if status == "success":
            settle(job.future, result)
        else:  # a traceback
            settle(job.future, WorkerLostError(job.worker, str(result).strip().rpartition("\n")[2]))

    def _look_at_queue(self, jobs: list[_Job]) -> None:
        """Find the jobs that have ended without a result."""
        states = _states([job.id for job in jobs])
        now = time.monotonic()
        if states is None:
            if now - self._answered > _SILENCE_SECONDS:
                for job in jobs:
                    settle(job.future, NoWorkerError("Slurm no longer answers"))
                _end(jobs)
            return
        self._answered = now
        for job in jobs:
            state = states.get(job.id, "gone")
            if state in _GOING_ON:
                job.ended = None
            elif job.ended is None:
                job.ended = now
            elif now - job.ended > _RESULT_SECONDS:
                settle(job.future, self._ended(job, state))

    @staticmethod
    def _ended(job: _Job, state: str) -> TaskOutcome | WorkerLostError:
        """Say how a job has ended that has no result."""
        output: list[str] = []
        with contextlib.suppress(OSError, UnicodeDecodeError):
            output = (job.submitted.stderr() or "").splitlines()[-_LAST_LINES:]
        if state in _FINAL:
            what, hint = _FINAL[state]
            message = f"job {job.id} of Slurm did not end: {what}"
            error = {"message": message, "step": "wheel", "output": output, "hint": hint}
            return TaskOutcome(job.worker or "a node", "failed", error)
        said = "".join(f"\n  {line}" for line in output)
        problem = f"job {job.id} has ended: {state.lower().replace('_', ' ')}{said}"
        return WorkerLostError("" if state == "PREEMPTED" else job.worker, problem)


def _end(jobs: list[_Job]) -> threading.Thread:
    """Begin to cancel jobs; Slurm may take long to answer."""
    command = ["scancel", *(job.id for job in jobs)]

    def cancel() -> None:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_COMMAND_SECONDS,
                start_new_session=True,  # an interrupt of the command does not end it
            )

    thread = threading.Thread(target=cancel, name="scancel", daemon=True)
    thread.start()
    return thread


def _states(ids: list[str]) -> dict[str, str] | None:
    """Return the states of jobs, without those that Slurm has forgotten; None if it is silent."""
    command = ["squeue", "--noheader", "--states=all", "--format=%i %T", f"--jobs={','.join(ids)}"]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_COMMAND_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode and "Invalid job id" not in done.stderr:
        return None
    rows = (line.split() for line in done.stdout.splitlines())
    return {row[0]: row[1] for row in rows if len(row) > 1}
