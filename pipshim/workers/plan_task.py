"""Run one build of a plan on a worker: ``pipshim builds run`` in a process of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pipshim import __version__
from pipshim.base.light.dataclasses import dataclass

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Lines: TypeAlias = list[dict[str, Any]]
    Report: TypeAlias = Callable[[Lines], object]

_IS_SET_UP = "pipshim: the set-up line is done"
_SCRIPT = f"""
exec 3<&0 </dev/null
{{ cat <&3 >/dev/null; kill -TERM 0; }} 2>/dev/null &
exec 3<&-
if [ -n "$1" ]; then
    if [ -n "$BASH_VERSION" ]; then trap '[ ${{#BASH_SOURCE[@]}} -gt 0 ] || exit $?' ERR; fi
    set -a
    eval "$1" >&2
    set -- $? "$@"
    [ "$1" = 0 ] || exit "$1"
    set +a; shift
fi
shift
echo '{_IS_SET_UP}' >&2
exec "$@"
"""
"""Runs the set-up line and a command until it ends, or standard input does: when the worker dies.

Each command of the set-up line must succeed, whatever files that it reads do inside (bash only; in
sh, the last one). Variables that it sets are exported.
"""

BEFORE_SETUP = "PIPSHIM_BEFORE_SETUP"
"""Names a file with the environment before the set-up line, as JSON."""

_POLL_SECONDS = 0.1
_KILL_SECONDS = 10.0
"""How long a task may take to end when it is cancelled."""

_LAST_LINES = 20
_OF_BUILDS = "build-"


@dataclass(frozen=True)
class PlanTask:
    """A build for a worker; engines log it without what may have secrets.

    Attributes:
        plan: the plan, as JSON, with this build and those that it needs.
        python: the version of the Python that it is for: ``3.11``.
        pipshim: the version that the worker must have.
        remote: where the wheel goes, and what the build needs comes from.
        setup: a line of shell code to run before it.
        rebuild: the name of what is built even if a wheel could be reused; empty for nothing.
        name: of what is built, for people.
        cores: how many it used before; None if not known.
        memory: how many bytes it needs; None if not known.

    """

    plan: str = field(repr=False)
    build: str
    python: str
    pipshim: str
    remote: str = field(repr=False)
    setup: str = field(default="", repr=False)
    rebuild: str = ""
    name: str = ""
    cores: int | None = None
    memory: int | None = None


@dataclass(frozen=True)
class TaskOutcome:
    """What came of a task.

    Attributes:
        status: ``unsuitable`` if this worker could not build, and another one may.
        error: what went wrong, as ``--progress json`` has it; at least ``message``.

    """

    worker: str
    status: Literal["built", "failed", "unsuitable"]
    error: dict[str, Any] = field(default_factory=dict)


def run(
    task: PlanTask, worker: str, report: Report, is_cancelled: Callable[[], bool]
) -> TaskOutcome:
    """Run a task.

    Args:
        report: is given the events of builds, a few times a second.
        is_cancelled: is asked a few times a second whether to end.

    """
    if task.pipshim != __version__:
        problem = f"it has pipshim {__version__}, and this is pipshim {task.pipshim}"
        return TaskOutcome(worker, "unsuitable", {"message": problem})
    with tempfile.TemporaryDirectory(prefix="pipshim-task-") as folder:
        plan, environ = Path(folder, "plan.json"), _variables(task)
        plan.write_text(task.plan, encoding="utf-8")
        if task.setup:
            environ[BEFORE_SETUP] = str(Path(folder, "environ.json"))
            Path(environ[BEFORE_SETUP]).write_text(json.dumps(environ), encoding="utf-8")
        with subprocess.Popen(
            [shutil.which("bash") or "sh", "-c", _SCRIPT, "sh", task.setup, *_command(task, plan)],
            cwd=folder,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            return _outcome(worker, process, _Output(process, report, is_cancelled))


def set_up_variables(environ: Mapping[str, str]) -> set[str]:
    """Return the names of the variables that a set-up line has set or changed."""
    if BEFORE_SETUP not in environ:
        return set()
    before = json.loads(Path(environ[BEFORE_SETUP]).read_text(encoding="utf-8"))
    return {name for name, value in environ.items() if before.get(name) != value}


def _command(task: PlanTask, plan: Path) -> list[str]:
    own = ".".join(map(str, sys.version_info[:2]))
    python = sys.executable if task.python == own else task.python
    return [
        *(sys.executable, "-m", "pipshim", "builds", "run", str(plan), task.build),
        *("--progress", "json", "--python", python, "--no-input"),
        *(["--rebuild", task.rebuild] if task.rebuild else []),
    ]


def _variables(task: PlanTask) -> dict[str, str]:
    """Return the environment: the worker's own, with the client's remote."""
    own = {name: one for name, one in os.environ.items() if not name.startswith("PIPSHIM_BUILDERS")}
    return {**own, "PIPSHIM_REMOTE_URL": task.remote, "PIPSHIM_REMOTE_PUSH": "always"}


class _Output:
    """Reads what the process says, and reports the events of builds while it runs.

    Attributes:
        last: its last lines that are no events.
        is_set_up: whether the set-up line has succeeded.

    """

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        report: Report,
        is_cancelled: Callable[[], bool],
    ) -> None:
        self.errors: Lines = []
        self.last: deque[str] = deque(maxlen=_LAST_LINES)
        self.is_set_up = False
        self._report = report
        self._due: Lines = []
        self._guard = threading.Lock()
        watcher = threading.Thread(
            target=self._watch, args=(process, is_cancelled), name="watch the build", daemon=True
        )
        watcher.start()
        assert process.stderr is not None
        for line in process.stderr:
            self._take(line.decode("utf-8", "replace").rstrip())
        process.wait()
        watcher.join()
        self._flush()

    def _take(self, line: str) -> None:
        if not self.is_set_up:
            self.is_set_up = line == _IS_SET_UP
            self.last.append(line)
            return
        try:
            found = json.loads(line)
            name = str(found["event"])
        except (ValueError, TypeError, KeyError):
            self.last.append(line)
            return
        if name == "error":
            self.errors.append(found)
        elif name.startswith(_OF_BUILDS):
            with self._guard:
                self._due.append(found)

    def _watch(self, process: subprocess.Popen[bytes], is_cancelled: Callable[[], bool]) -> None:
        cancelled: float | None = None
        while process.poll() is None:
            if cancelled is None and is_cancelled():
                cancelled = time.monotonic()
                assert process.stdin is not None
                process.stdin.close()
            elif cancelled is not None and time.monotonic() - cancelled > _KILL_SECONDS:
                if sys.platform == "win32":
                    process.kill()
                else:
                    os.killpg(process.pid, signal.SIGKILL)
            self._flush()
            time.sleep(_POLL_SECONDS)

    def _flush(self) -> None:
        with self._guard:
            due, self._due = self._due, []
        if due:
            self._report(due)


def _outcome(worker: str, process: subprocess.Popen[bytes], output: _Output) -> TaskOutcome:
    status = process.returncode
    said = "".join(f"\n  {line}" for line in output.last)
    if not output.is_set_up:
        ended = f"failed with status {status}" if status else "ended the shell"
        what = f"its set-up line {ended}"
        return TaskOutcome(worker, "unsuitable", {"message": what + said})
    if status == 0:
        return TaskOutcome(worker, "built")
    of_build = next((one for one in output.errors if "step" in one), None)
    if of_build is not None:
        return TaskOutcome(worker, "failed", of_build)
    if output.errors:
        return TaskOutcome(worker, "unsuitable", output.errors[0])
    return TaskOutcome(
        worker, "unsuitable", {"message": f"pipshim ended with status {status}{said}"}
    )
