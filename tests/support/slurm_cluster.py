"""A Slurm cluster of processes on this machine: munged, slurmctld, and two slurmd.

Needs Debian's packages slurmctld, slurmd and munge, and root.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from tests.support.pipshim import until

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Self

_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
NODES = ("node1", "node2")
_CONFIGURATION = """
ClusterName=pipshim
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={munge}
CredType=cred/munge
SlurmctldPort={controller}
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdSpoolDir={folder}/spool-%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SlurmdTimeout=10
KillWait=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
{nodes}
PartitionName=builds Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES
"""


def missing_program() -> str | None:
    """Return what the cluster lacks on this machine; None if it can be started."""
    if os.geteuid() != 0:
        return "root"
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return next((one for one in _PROGRAMS if shutil.which(one, path=path) is None), None)


class SlurmCluster:
    """A cluster with the partition ``builds``; the context manager ends it.

    Attributes:
        environ: what programs of Slurm need to find it.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self.environ = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        }

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True)
        self._folder.chmod(0o755)
        (self._folder / "state").mkdir()
        munge = self._start_munge()
        ports = [_free_port() for _ in (0, *NODES)]
        nodes = [
            f"NodeName={name} NodeHostName=localhost NodeAddr=127.0.0.1 Port={port} CPUs=2 "
            "RealMemory=4000 "
            "State=UNKNOWN"
            for name, port in zip(NODES, ports[1:], strict=True)
        ]
        text = _CONFIGURATION.format(
            munge=munge, controller=ports[0], folder=self._folder, nodes="\n".join(nodes)
        )
        (self._folder / "slurm.conf").write_text(text)
        self._start("slurmctld", "slurmctld", "-D", "-c")
        for name in NODES:
            (self._folder / f"spool-{name}").mkdir()
            self._start(name, "slurmd", "-D", "-N", name)
        until(lambda: self._idle() == set(NODES))
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._daemons.values()):
            process.send_signal(signal.SIGTERM)
        for process in self._daemons.values():
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def busy(self) -> list[str]:
        """Return the nodes that run jobs."""
        return [node for node in NODES if _pgrep("-f", f"{self._folder}/spool-{node}/job")]

    def kill(self, node: str) -> None:
        """Kill a node: its slurmd and all that its jobs run."""
        spool = f"{self._folder}/spool-{node}"
        jobs = _pgrep("-f", f"{spool}/job")
        daemon = self._daemons.pop(node)
        daemon.kill()
        daemon.wait()
        for pid in jobs:
            _kill_tree(pid)

    def _start_munge(self) -> Path:
        folder = self._folder / "munge"
        folder.mkdir(mode=0o700)
        key = folder / "key"
        key.write_bytes(os.urandom(64))
        key.chmod(0o400)
        # The socket's folder must be open to all.
        place = self._folder / "munge-socket"
        place.mkdir(mode=0o755)
        sock = place / "s"
        words = [f"--key-file={key}", f"--socket={sock}", f"--pid-file={folder}/pid"]
        words += [f"--log-file={folder}/log", f"--seed-file={folder}/seed"]
        self._start("munged", "munged", "--foreground", "--force", *words)
        until(sock.exists)
        return sock

    def _start(self, name: str, *command: str) -> None:
        with (self._folder / f"{name}.log").open("wb") as log:
            self._daemons[name] = subprocess.Popen(
                command,
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _idle(self) -> set[str]:
        done = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--format=%N %t"],
            env={**os.environ, **self.environ},
            capture_output=True,
            text=True,
            check=False,
        )
        rows = (line.split() for line in done.stdout.splitlines())
        return {row[0] for row in rows if row[1:] == ["idle"]}


def _kill_tree(pid: int) -> None:
    children = _pgrep("-P", str(pid))
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    for child in children:
        _kill_tree(child)


def _pgrep(*words: str) -> list[int]:
    done = subprocess.run(["pgrep", *words], capture_output=True, text=True, check=False)
    return [int(pid) for pid in done.stdout.split()]


def _free_port() -> int:
    with closing(socket.socket()) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
