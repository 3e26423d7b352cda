"""The engine of Slurm: jobs that do not end well, with stand-ins for Slurm's programs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipshim import __version__
from pipshim.workers.engine import NoWorkerError, WorkerLostError
from pipshim.workers.plan_task import PlanTask, TaskOutcome
from tests.support.pipshim import PATIENCE, until

pytest.importorskip("submitit", reason="is in the group of the tests")

from submitit.core.utils import DelayedSubmission

from pipshim.workers import slurm_engine
from pipshim.workers.slurm_engine import SlurmEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future

SBATCH = """#!/bin/sh
grep -q pipshim-refused "$1" && { echo 'sbatch: error: no such partition' >&2; exit 1; }
echo x >> jobs
echo "Submitted batch job $(wc -l < jobs)"
"""
SQUEUE = """#!/bin/sh
cat states
"""
SCANCEL = """#!/bin/sh
echo "$@" >> cancelled
tries=0
until test -e may-end || test $tries -gt 600; do tries=$((tries + 1)); sleep 0.1; done
touch ended
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmEngine]:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in {
        "sbatch": SBATCH,
        "squeue": SQUEUE,
        "scancel": SCANCEL,
        "srun": "#!/bin/sh\n",
    }.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(slurm_engine, "_QUEUE_SECONDS", 0.1)
    monkeypatch.setattr(slurm_engine, "_RESULT_SECONDS", 0.5)
    states = [f"{number} RUNNING" for number in range(1, 20)]
    (tmp_path / "states").write_text("\n".join(states))
    made = SlurmEngine("gpu", tmp_path / "work", {})
    yield made
    made.close()
    assert not (tmp_path / "ended").exists()  # it is not waited for
    (tmp_path / "may-end").touch()


def submit(engine: SlurmEngine, name: str = "plain") -> Future[TaskOutcome]:
    task = PlanTask("{}", "plain==1.0", "3.11", __version__, "", name=name)
    return engine.submit(task, (), lambda *_: None)


def test_each_job_ends_for_a_reason_of_its_own(engine: SlurmEngine, tmp_path: Path) -> None:
    jobs = [submit(engine) for _ in range(6)]
    for number in (1, 2):
        (tmp_path / "work" / f"{number}_0_log.err").write_text("first\nsh: no python here\n")
    states = ["1 TIMEOUT", "2 NODE_FAIL", "3 CANCELLED", "4 RUNNING", "5 RUNNING", "6 RUNNING"]
    (tmp_path / "states").write_text("\n".join(states))
    (tmp_path / "work" / "4_0_result.pkl").write_bytes(b"garbage")
    done = "success", TaskOutcome("node1", "built")
    (tmp_path / "work" / "5_0_result.pkl").write_bytes(pickle.dumps(done))
    timed_out = jobs[0].result(PATIENCE)
    assert timed_out.status == "failed"
    assert timed_out.error["message"] == "job 1 of Slurm did not end: it exceeded its time limit"
    assert timed_out.error["output"] == ["first", "sh: no python here"]
    lost = jobs[1].exception(PATIENCE)
    assert isinstance(lost, WorkerLostError)
    assert str(lost) == "job 2 has ended: node fail\n  first\n  sh: no python here"
    assert jobs[2].result(PATIENCE).error["message"].endswith("did not end: it was cancelled")
    assert isinstance(jobs[3].exception(PATIENCE), WorkerLostError)
    assert jobs[4].result(PATIENCE).status == "built"
    assert not jobs[5].done()


def test_a_job_that_is_refused_ends_no_other(
    engine: SlurmEngine, capfd: pytest.CaptureFixture[str]
) -> None:
    job = submit(engine)
    with pytest.raises(NoWorkerError, match=r"(?s)sbatch failed.*no such partition"):
        submit(engine, "refused")
    assert capfd.readouterr().err == ""
    assert not job.done()


def test_a_cancelled_job_is_cancelled_there_without_waiting(
    engine: SlurmEngine, tmp_path: Path
) -> None:
    job, other = submit(engine), submit(engine)
    job.cancel()
    engine.close()
    assert not (tmp_path / "ended").exists()
    assert other.cancelled()
    until(lambda: set((tmp_path / "cancelled").read_text().split()) == {"1", "2"})


def test_events_are_reported_but_not_garbage(engine: SlurmEngine, tmp_path: Path) -> None:
    told: list[tuple[str, list[object]]] = []
    task = PlanTask("{}", "plain==1.0", "3.11", __version__, "")
    job = engine.submit(task, (), lambda *one: told.append(one))
    _, events = DelayedSubmission.load(tmp_path / "work" / "1_submitted.pkl").args
    Path(events).write_bytes(b'\xff\n{"event": "a", "worker": "node1"}\n{"event": "b"')
    until(lambda: told)
    assert told == [("node1", [{"event": "a", "worker": "node1"}])]
    assert not job.done()
