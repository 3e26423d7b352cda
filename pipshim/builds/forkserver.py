"""A Python with a build backend imported, which forks to run each hook.

Usage: ``python forkserver.py BACKEND FOLDER`` in the build environment, where FOLDER is that of the
hook script. It is started by the environment's own interpreter, so it needs nothing but the
standard library of any Python 3. `pipshim.builds.processes.ForkServer` speaks to it: one JSON
object per line comes in (``arguments``, ``directory``, ``variables``, ``log``), and for each, two
lines go out: the process that was forked; and its exit status, the processor time of it and its
children in seconds, and the most memory that one of them had in bytes.

A forked process is what a fresh one would be after importing its backend. It goes on to run the
hook script as ``python ARGUMENTS...`` would.
"""

import gc
import importlib
import json
import os
import runpy
import sys

assert sys.platform == "linux"  # memfd_create, /proc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _quietly_imported(backend: str) -> bool:
    """Import the backend; False where a hook would notice that it did not do so itself.

    What an import prints belongs into the log of each build, and threads do not survive a fork.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    output = os.memfd_create("output")
    os.dup2(output, 1)
    os.dup2(output, 2)
    try:
        importlib.import_module(backend)
    except BaseException:  # noqa: BLE001 the hook itself will say it
        return False
    sys.stdout.flush()
    sys.stderr.flush()
    silent = os.fstat(output).st_size == 0
    os.close(output)
    return silent and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208 pathlib is not needed yet


def _become(request: "dict[str, Any]") -> None:
    """Make the forked process what a fresh one for this request would be."""
    os.setsid()
    os.environ.update(request["variables"])  # what Python itself has set at its start stays
    os.chdir(request["directory"])
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    sys.argv = request["arguments"]
    sys.path[0] = os.path.dirname(sys.argv[0])  # noqa: PTH120


def _serve(backend: str) -> bool:
    """Fork for each request; True in the forked process, False at the end."""
    requests, answers = os.fdopen(os.dup(0)), os.dup(1)
    if not _quietly_imported(backend):
        return False
    gc.collect()
    gc.freeze()  # so that collections in forked processes copy no pages
    os.write(answers, b"ready\n")
    for line in requests:
        child = os.fork()
        if child == 0:
            requests.close()
            os.close(answers)
            _become(json.loads(line))
            return True
        os.write(answers, b"%d\n" % child)
        _, status, usage = os.wait4(child, 0)
        code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status)
        cpu = usage.ru_utime + usage.ru_stime
        os.write(answers, b"%d %.6f %d\n" % (code, cpu, usage.ru_maxrss * 1024))
    return False


if __name__ == "__main__":
    _backend, sys.path[0] = sys.argv[1:]
    if _serve(_backend):
        runpy.run_path(sys.argv[0], run_name="__main__")
