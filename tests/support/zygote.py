"""Runs pipshim's main function in forks of one process that has imported it, and pip.

Importing pip is most of what a short command costs, and tests run thousands. A fork begins where a
fresh process stands after its imports: it gets the arguments, the variables, the folder and the
files of the request, and ends as a process of its own. What depends on the imports themselves, or
on variables that Python or pip read while importing, needs a fresh process: see `serves`.
"""

from __future__ import annotations

import array
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_FIXED = ("PYTHON", "LC_", "LANG", "COVERAGE_")
_MODULES = (
    *("__main__", "fastpath.up_to_date", "fastpath.environment_snapshot"),
    *("cli.dispatch", "cli.project_commands", "cli.pip_main", "cli.active_environment"),
    *("cli.lock", "cli.sync", "cli.run", "cli.command_report", "cli.error_boundary"),
    *("cli.edit_commands", "cli.export", "cli.tree"),
    *("lock.project_locking", "progress.plain", "store.unpacking"),
    *("builds.builder", "cli.hint_inputs", "cli.remote"),
)
_LIBRARIES = ("argparse", "ctypes", "venv", "tomli_w", "tomlkit", "pip._vendor.truststore")


def fixed(environ: Mapping[str, str]) -> dict[str, str]:
    """Tell the variables that Python reads when it starts."""
    return {name: value for name, value in environ.items() if name.startswith(_FIXED)}


class Zygote:
    """The process, as seen by tests.

    Attributes:
        fixed: the variables that Python read when it started.

    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Start it; it ends with the process that started it."""
        self.fixed = fixed(environ)
        self._folder = tempfile.TemporaryDirectory(prefix="zygote-")
        self._path = str(Path(self._folder.name) / "socket")
        self._process = subprocess.Popen(
            (sys.executable, __file__, self._path),
            env=dict(environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def serves(self, args: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Whether a fork would do what a fresh process does.

        pip's default cache is chosen while it is imported.
        """
        alike = fixed(environ) == self.fixed
        return alike and "PIP_CACHE_DIR" in environ and "--isolated" not in args

    def run(
        self,
        args: Sequence[str],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        stdin: str | None,
        timeout: float,
    ) -> tuple[int, str, str]:
        """Run a command to its end: its status (negative: the signal), and what it wrote."""
        with (
            tempfile.TemporaryFile() as source,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
            socket.socket(socket.AF_UNIX) as channel,
        ):
            source.write((stdin or "").encode())
            source.seek(0)
            channel.settimeout(timeout)
            channel.connect(self._path)
            request = {"args": list(args), "cwd": str(cwd), "environ": dict(environ)}
            files = array.array("i", [source.fileno(), out.fileno(), err.fileno()])
            channel.sendmsg([b"!"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
            channel.sendall(json.dumps(request).encode())
            channel.shutdown(socket.SHUT_WR)
            answer = channel.makefile("r")
            pid = int(answer.readline())
            try:
                status = int(answer.readline())
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                raise
            texts = []
            for file in (out, err):
                file.seek(0)
                texts.append(file.read().decode(errors="replace"))
            return status, texts[0], texts[1]


def _serve(path: str) -> NoReturn:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(16)
    os.write(1, b"ready\n")
    _end_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _keep(connection)
        connection.close()


def _end_with_parent() -> None:
    """Have a signal sent when the pipe from the parent is closed: no thread may be at a fork."""
    import fcntl  # noqa: PLC0415 not everywhere

    signal.signal(signal.SIGIO, lambda *_: os._exit(0))
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _keep(connection: socket.socket) -> NoReturn:
    """Fork the command, and tell how it ended."""
    _, ancillary, _, _ = connection.recvmsg(1, socket.CMSG_SPACE(3 * array.array("i").itemsize))
    files = array.array("i")
    files.frombytes(ancillary[0][2])
    with connection.makefile("r") as reader:
        request = json.loads(reader.read())
    pid = os.fork()
    if pid == 0:
        connection.close()
        _become(request, files)
    connection.sendall(f"{pid}\n".encode())
    _, state = os.waitpid(pid, 0)
    with suppress(OSError):
        connection.sendall(f"{os.waitstatus_to_exitcode(state)}\n".encode())
    os._exit(0)


def _become(request: Mapping[str, Any], files: Sequence[int]) -> NoReturn:
    signal.signal(signal.SIGIO, signal.SIG_DFL)
    for target, file in enumerate(files):
        os.dup2(file, target)
        os.close(file)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.chdir(request["cwd"])
    import pipshim.__main__ as command  # noqa: PLC0415 imported already, by _import
    from tests.support.process_end import end  # noqa: PLC0415 the same

    sys.argv = [command.__file__, *request["args"]]
    end(command.main())


def _import() -> None:
    from importlib import import_module  # noqa: PLC0415 only the server

    sys.path[0] = str(Path(__file__).parents[2])
    import_module("tests.support.process_end")
    sys.path.pop(0)
    for name in (*(f"pipshim.{name}" for name in _MODULES), *_LIBRARIES):
        import_module(name)


if __name__ == "__main__":
    _import()
    gc.freeze()
    _serve(sys.argv[1])
