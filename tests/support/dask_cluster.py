"""A Dask cluster of processes: a scheduler, and workers that share nothing with each other."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.pipshim import until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

_QUIET = {
    "DASK_DISTRIBUTED__DASHBOARD__LINK": "",
    "DASK_DISTRIBUTED__ADMIN__TICK__LIMIT": "1h",
    "PYTHONWARNINGS": "ignore",
}


class DaskCluster:
    """A scheduler on 127.0.0.1; the context manager ends it and its workers.

    Attributes:
        address: ``dask://HOST:PORT``.
        workers: the processes of workers, by name.

    """

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self._directory = directory
        self._environ = {**environ, **_QUIET}
        self._schedulers: list[subprocess.Popen[bytes]] = []
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self.address = ""

    def __enter__(self) -> Self:
        self.start_scheduler()
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers.values(), *self._schedulers]:
            _kill(process)

    def start_scheduler(self) -> None:
        """Start the scheduler; at the same address, if there was one."""
        port = self.address.rpartition(":")[2] or "0"
        log = self._start(
            f"scheduler{len(self._schedulers)}",
            *("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"),
        )
        at = re.compile(r"Scheduler at: +tcp://(127\.0\.0\.1:\d+)")
        until(lambda: at.search(log.read_text()))
        found = at.search(log.read_text())
        assert found is not None
        self.address = f"dask://{found[1]}"

    def kill_scheduler(self) -> None:
        """Kill the scheduler; workers end then."""
        _kill(self._schedulers[-1])
        for process in self.workers.values():
            _kill(process)
        self.workers.clear()

    def add(self, name: str, environ: Mapping[str, str]) -> None:
        """Start a worker, and wait until it has joined."""
        log = self._start(
            name,
            "worker",
            self.address.replace("dask", "tcp"),
            *("--name", name, "--nthreads", "1", "--no-dashboard", "--no-nanny"),
            *("--local-directory", str(self._directory / name)),
            environ=environ,
        )
        until(lambda: "Registered to" in log.read_text())

    def kill(self, name: str) -> None:
        """Kill a worker as a power cut would: it says nothing any more."""
        _kill(self.workers.pop(name))

    def runs(self, name: str, pid: int) -> bool:
        """Return whether a process descends from a worker."""
        while pid > 1:
            if pid == self.workers[name].pid:
                return True
            pid = _parent(pid)
        return False

    def _start(self, name: str, *words: str, environ: Mapping[str, str] | None = None) -> Path:
        log = self._directory / f"{name}.log"
        (self._directory / name).mkdir(parents=True)
        with log.open("wb") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", "distributed.cli.dask_" + words[0], *words[1:]],
                cwd=self._directory / name,
                env={**self._environ, **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if words[0] == "worker":
            self.workers[name] = process
        else:
            self._schedulers.append(process)
        return log


def _parent(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
