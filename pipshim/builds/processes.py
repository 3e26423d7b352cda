"""Start build processes, wait for them, and end them with their descendants.

On Linux a hook is forked from a process that has imported the backend (`ForkServer`); otherwise a
new process is started.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pipshim.base import process_tree
from pipshim.base.forked_process import can_fork
from pipshim.base.light import signals
from pipshim.builds import process_trace
from pipshim.builds.job_variables import without_jobs
from pipshim.builds.resource_usage import ProcessUsage, Sampler, Usage, wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_FORKSERVER = Path(__file__).with_name("forkserver.py")
_HOOK_VARIABLES = ("_PYPROJECT_HOOKS_", process_trace.NOTES)


class Process(NamedTuple):
    """A running process.

    Attributes:
        pid: its number, and that of the process group that it leads.
        wait: waits for its end; returns its exit status, that of a signal negative, and its usage.

    """

    pid: int
    wait: Callable[[], tuple[int, ProcessUsage | None]]


class Backend(NamedTuple):
    """What a process has to import before a hook is forked from it.

    Attributes:
        hook_folder: the folder of the hook script, the first on ``sys.path``.

    """

    module: str
    hook_folder: str


class ForkServer:
    """A Python of a build environment that has imported the backend, and forks for each hook.

    Importing a backend takes longer than most hooks of a small project; this does it once.

    Args:
        variables: the whole environment of the process, when it starts and imports.

    """

    def __init__(self, python: str, backend: Backend, variables: Mapping[str, str]) -> None:
        self._started_for = (backend, _at_start(variables))
        self._process = subprocess.Popen(
            [python, str(_FORKSERVER), *backend],
            cwd=backend.hook_folder,
            env=_at_start(variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._ready: bool | None = None

    def suits(self, backend: Backend, variables: Mapping[str, str]) -> bool:
        """Return whether a new process would have started the same way."""
        return self._started_for == (backend, _at_start(variables))

    def is_ready(self) -> bool:
        """Wait for the import; False if hooks of this backend need new processes."""
        if self._ready is None:
            self._ready = self._answer() == "ready"
        return self._ready

    def begin(
        self, arguments: list[str], *, cwd: str, variables: Mapping[str, str], log: Path
    ) -> Process | None:
        """Run ``python ARGUMENTS...`` in a fork; None if the server cannot."""
        if not self.is_ready():
            return None
        request = {
            "arguments": arguments,
            "directory": cwd,
            "variables": dict(variables),
            "log": str(log),
        }
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except OSError:
            return None
        pid = self._answer()
        return Process(int(pid), self.status) if pid else None

    def status(self) -> tuple[int, ProcessUsage | None]:
        """Wait for the end of the last fork."""
        answer = self._answer()
        if not answer:
            return -signals.SIGKILL, None
        status, cpu, peak = answer.split()
        return int(status), ProcessUsage(float(cpu), int(peak))

    def close(self) -> None:
        self._process.kill()
        with contextlib.suppress(OSError), self._process:
            self._process.wait()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()


class Processes:
    """The running builds, so that all of them can be ended at once.

    Args:
        at_once: how many run; others wait for their turn.

    """

    def __init__(self, at_once: int = 1) -> None:
        self._turns = threading.BoundedSemaphore(at_once)
        self._most_idle = 2 * at_once
        self._sampler = Sampler()
        self._running: set[Process] = set()
        self._idle: dict[str, ForkServer] = {}
        self._lent: set[ForkServer] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def run(
        self,
        command: list[str],
        *,
        cwd: str,
        variables: Mapping[str, str],
        log: Path,
        backend: Backend | None = None,
        usage: Usage | None = None,
    ) -> int:
        """Run a Python script to its end in a process group of its own.

        Its output goes straight to the log file: nothing waits for a child that keeps it open.

        Args:
            command: the interpreter, the script and its arguments.
            variables: the whole environment of the process.
            backend: what the script imports, if it may be forked. No other call may use the same
                interpreter at the same time then.
            usage: receives what the process and its descendants use.

        """
        usage = Usage() if usage is None else usage
        queued = time.monotonic()
        with self._turns:
            usage.waited += time.monotonic() - queued
            process_tree.adopt_orphans(yes=True)
            if backend is None or not can_fork():
                return self._wait(lambda: _start(command, cwd, variables, log, None), usage)
            with self._server(command[0], backend, variables) as server:
                return self._wait(lambda: _start(command, cwd, variables, log, server), usage)

    def _wait(self, start: Callable[[], Process], usage: Usage) -> int:
        if self._stopped:
            return -signal.SIGTERM
        process = start()
        try:
            with self._lock:
                self._running.add(process)
                stopped = self.stopped
            if stopped:  # since it was started
                _end([process])
            with self._sampler.measuring(process.pid, usage):
                status, used = process.wait()
            if used is not None:
                usage.add(used)
        except BaseException:
            _end([process])
            raise
        finally:
            with self._lock:
                self._running.discard(process)
        return status

    @contextmanager
    def _server(
        self, python: str, backend: Backend, variables: Mapping[str, str]
    ) -> Iterator[ForkServer | None]:
        """Lend the fork server of an interpreter, started if there is none that suits."""
        with self._lock:
            server = self._idle.pop(python, None)
            if server is not None and not server.suits(backend, variables):
                server.close()
                server = None
            if server is None and not self._stopped:
                server = ForkServer(python, backend, variables)
            if server is not None:
                self._lent.add(server)
        try:
            if server is not None:
                server.is_ready()
            yield server
        finally:
            with self._lock:
                if server in self._lent:
                    self._lent.remove(server)
                    self._idle[python] = server
                while len(self._idle) > self._most_idle:
                    self._idle.pop(next(iter(self._idle))).close()

    def forget(self, python: Path) -> None:
        """End the fork server of an interpreter that is going to be removed."""
        with self._lock:
            server = self._idle.pop(str(python), None)
        if server is not None:
            server.close()

    @property
    def stopped(self) -> bool:
        return self._stopped

    def stop(self) -> None:
        """End the process group of every build, and start no other."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        _end(running)
        self.close()

    def close(self) -> None:
        with self._lock:
            servers = [*self._idle.values(), *self._lent]
            self._idle.clear()
            self._lent.clear()
        for server in servers:
            server.close()
        process_tree.adopt_orphans(yes=False)


def _start(
    command: list[str],
    cwd: str,
    variables: Mapping[str, str],
    log: Path,
    server: ForkServer | None,
) -> Process:
    """Start a process, forked from the server if possible."""
    with log.open("ab") as output:
        if server is not None:
            process = server.begin(command[1:], cwd=cwd, variables=variables, log=log)
            if process is not None:
                return process
        started = subprocess.Popen(
            command,
            cwd=cwd,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Process(started.pid, partial(wait, started))


def _at_start(variables: Mapping[str, str]) -> dict[str, str]:
    """Leave out variables that differ between hooks, and count only when one runs."""
    made = {
        key: value
        for key, value in without_jobs(variables).items()
        if not key.startswith(_HOOK_VARIABLES)
    }
    if process_trace.NOTES in variables:  # until a hook's folder is known, notes wait
        made[process_trace.NOTES] = f"{variables[process_trace.NOTES].partition(':')[0]}:"
    return made


def _end(processes: Iterable[Process]) -> None:
    leaders = {one.pid for one in processes}
    known: set[int] = set()

    def members() -> set[int]:
        nonlocal known
        # What has lost its parent meanwhile, and is in a session of its own, is still known.
        known = process_tree.tree(leaders | known)
        return known

    process_tree.end(leaders, members)
