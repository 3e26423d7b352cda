"""The processes of builds, forked from one that has the backend or started anew."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.builds import processes as processes_module
from pipshim.builds.processes import Backend, Processes
from pipshim.builds.resource_usage import Usage
from tests.support.pipshim import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")

BACKEND = "import os\nimported_in = os.getpid()\nvariable = os.environ.get('SEEN')\n"
SCRIPT = """
import json, os, sys
try:
    import backend
except ImportError:
    backend = None
print("a line of output")
facts = {
    "imported_in": getattr(backend, "imported_in", None),
    "at_import": getattr(backend, "variable", None),
    "pid": os.getpid(),
    "leads": os.getsid(0) == os.getpid(),
    "argv": sys.argv,
    "name": __name__,
    "path": sys.path[0],
    "cwd": os.getcwd(),
    "variables": dict(os.environ),
    "input": sys.stdin.read(),
}
with open(sys.argv[1], "w") as file:
    json.dump(facts, file)
exec(sys.argv[2])
"""


@dataclass
class World:
    """A folder with a hook script and a backend, and what runs them."""

    folder: Path
    processes: Processes = field(default_factory=lambda: Processes(2))
    python: str = sys.executable
    status: int | None = None
    usage: Usage = field(default_factory=Usage)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def run(
        self, code: str = "", *, backend: str | None = "backend", **variables: str
    ) -> dict[str, Any]:
        """Run the script; answer what it saw."""
        facts = self.folder / "facts"
        facts.unlink(missing_ok=True)
        self.status = self.processes.run(
            self.command(facts, code),
            cwd=str(self.folder / "source"),
            variables=variables,
            log=self.log,
            backend=Backend(backend, str(self.folder)) if backend else None,
            usage=self.usage,
        )
        seen: dict[str, Any] = json.loads(facts.read_text())
        return seen

    def command(self, *arguments: object) -> list[str]:
        return [self.python, str(self.folder / "script.py"), *map(str, arguments)]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Give a folder with a hook script and a backend."""
    (tmp_path / "source").mkdir()
    (tmp_path / "backend.py").write_text(BACKEND)
    (tmp_path / "script.py").write_text(SCRIPT)
    made = World(tmp_path)
    yield made
    made.processes.close()


def test_hooks_are_forked_from_one_process_that_has_the_backend(world: World) -> None:
    first, second = world.run(), world.run()
    assert first["imported_in"] == second["imported_in"]
    assert len({first["pid"], second["pid"], first["imported_in"], os.getpid()}) == 4


def test_a_fork_is_what_a_fresh_process_would_be(world: World) -> None:
    forked = world.run(PATH="/bin", SEEN="1")
    fresh = world.run(backend=None, PATH="/bin", SEEN="1")
    assert forked["imported_in"] != forked["pid"]
    assert fresh["imported_in"] == fresh["pid"]
    for facts in (forked, fresh):
        assert facts["leads"]
        for own in ("pid", "imported_in"):
            del facts[own]
    assert forked == fresh
    assert forked["name"] == "__main__"
    assert forked["input"] == ""
    assert world.log.read_text() == "a line of output\n" * 2


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("", 0),
        ("sys.exit(3)", 3),
        ("raise ValueError('no')", 1),
        ("os._exit(4)", 4),
        ("os.kill(os.getpid(), 9)", -9),
        ("print('bye'); sys.stdout.close()", 0),
    ],
)
def test_the_exit_status_is_the_scripts(world: World, code: str, status: int) -> None:
    forked = world.run(code)
    assert (world.status, forked["pid"] != forked["imported_in"]) == (status, True)
    world.run(code, backend=None)
    assert world.status == status


def test_exit_handlers_and_threads_of_a_fork_end_as_they_do_elsewhere(world: World) -> None:
    code = (
        "import atexit, threading, time; atexit.register(print, 'at exit'); "
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()"
    )
    world.run(code)
    assert world.log.read_text().split("\n")[1:] == ["thread", "at exit", ""]


def test_a_traceback_is_in_the_log(world: World) -> None:
    world.run("raise ValueError('what is wrong')")
    assert "ValueError: what is wrong" in world.log.read_text()


@pytest.mark.parametrize(
    "backend",
    [
        BACKEND + "print('deprecated')\n",
        BACKEND + "import os; os.write(2, b'deprecated')\n",
        BACKEND + "import threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n",
    ],
)
def test_a_backend_that_says_or_starts_something_is_imported_by_each_hook(
    world: World, backend: str
) -> None:
    (world.folder / "backend.py").write_text(backend)
    for _ in range(2):
        facts = world.run()
        assert facts["imported_in"] == facts["pid"]
    assert world.log.read_text().count("deprecated") == 2 * backend.count("deprecated")


@pytest.mark.parametrize("backend", ["raise ImportError('broken')", "import os; os._exit(5)"])
def test_a_backend_that_cannot_be_imported_fails_in_the_hook_itself(
    world: World, backend: str
) -> None:
    (world.folder / "backend.py").write_text(backend)
    if "_exit" in backend:
        with pytest.raises(FileNotFoundError):
            world.run()
        assert world.status == 5
    else:
        assert world.run()["imported_in"] is None


def test_variables_count_when_the_backend_is_imported_but_those_of_jobs_do_not(
    world: World,
) -> None:
    first = world.run(SEEN="1", MAX_JOBS="1")
    second = world.run(SEEN="1", MAX_JOBS="2")
    third = world.run(SEEN="2", MAX_JOBS="2")
    assert first["imported_in"] == second["imported_in"] != third["imported_in"]
    assert [one["variables"]["MAX_JOBS"] for one in (first, second)] == ["1", "2"]
    assert [one["at_import"] for one in (first, second, third)] == ["1", "1", "2"]


def test_a_server_that_is_gone_is_done_without(world: World) -> None:
    server = world.run()["imported_in"]
    os.kill(server, signal.SIGKILL)
    until(lambda: not is_running(server))
    assert world.run()["pid"]
    assert world.status == 0


def test_a_server_ended_under_its_fork_counts_as_killed(world: World) -> None:
    world.run("os.kill(backend.imported_in, 9)")  # never the tests' own
    assert world.status == -signal.SIGKILL


def test_an_interpreter_that_is_forgotten_has_no_server_left(world: World) -> None:
    server = world.run()["imported_in"]
    world.processes.forget(Path(world.python))
    assert not is_running(server)


def test_only_so_many_servers_wait_for_work(world: World) -> None:
    servers = []
    for count in range(6):
        link = world.folder / f"python{count}"
        link.symlink_to(sys.executable)
        world.python = str(link)
        servers.append(world.run()["imported_in"])
    assert [is_running(one) for one in servers] == [False, False, True, True, True, True]


def test_stopping_ends_a_fork_and_its_children_and_the_servers(world: World) -> None:
    children = world.folder / "children"
    code = (
        "import subprocess, time; "
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
        f"open({str(children)!r}, 'w').write(f'{{child.pid}} {{os.getppid()}} '); time.sleep(600)"
    )
    thread = threading.Thread(target=world.run, args=(code,), daemon=True)
    thread.start()
    until(lambda: children.exists() and children.read_text().endswith(" "))
    world.processes.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    # The server may be ended before it has told how its fork ended.
    assert world.status in {-signal.SIGTERM, -signal.SIGKILL}
    child, server = map(int, children.read_text().split())
    until(lambda: not is_running(child) and not is_running(server))


def test_nothing_starts_after_a_stop(world: World, tmp_path: Path) -> None:
    world.processes.stop()
    status = world.processes.run(
        world.command(tmp_path / "facts", ""),
        cwd=str(tmp_path),
        variables={},
        log=world.log,
        backend=Backend("backend", str(tmp_path)),
    )
    assert status == -signal.SIGTERM
    assert not (tmp_path / "facts").exists()


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


STEP = 50 << 20
GROWING = f"""
import os, sys, time
memory = []
for step in (1, 2):
    memory.append(bytearray({STEP}))
    while not os.path.exists(f"{{sys.argv[1]}}-{{step}}"):
        time.sleep(0.01)
while time.process_time() < 0.6:
    pass
"""
"""A child that takes memory, and more when that has been sampled: it has been seen then."""


def run_growing(world: World, code: str, *, children: int, backend: str | None) -> None:
    """Run code whose children grow."""
    seen = world.folder / "seen"

    def has_grown(step: int) -> bool:
        return world.usage.peak > step * children * STEP

    def watch() -> None:
        for step in (1, 2):
            until(partial(has_grown, step))
            Path(f"{seen}-{step}").touch()

    watcher = threading.Thread(target=watch)
    watcher.start()
    world.run(
        f"child = [sys.executable, '-c', {GROWING!r}, {str(seen)!r}]\n{code}", backend=backend
    )
    watcher.join()


@pytest.mark.parametrize("backend", ["backend", None])
def test_memory_and_time_of_all_processes_are_measured(world: World, backend: str | None) -> None:
    code = (
        "import subprocess\n"
        "children = [subprocess.Popen(child) for _ in range(2)]\n"
        "[one.wait() for one in children]"
    )
    run_growing(world, code, children=2, backend=backend)
    usage = world.usage
    assert 200 << 20 < usage.peak < 300 << 20
    assert usage.processes == 2
    assert usage.memory == 0
    assert usage.cpu is not None
    assert 1.2 <= usage.cpu < 3


def test_a_peak_between_two_samples_is_known_from_the_kernel(world: World) -> None:
    world.run("x = bytearray(150 << 20); del x")
    assert 150 << 20 < world.usage.peak < 250 << 20


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asked = 0

    def __call__(self) -> float:
        now = self.now
        self.asked += 1
        return now


def test_the_time_for_which_another_build_had_the_turn_is_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes, started, go = Processes(1), world.folder / "started", world.folder / "go"
    first, second, clock = Usage(), Usage(), Clock()
    monkeypatch.setattr(processes_module, "time", SimpleNamespace(monotonic=clock))

    def run(code: str, usage: Usage) -> None:
        command = [sys.executable, "-c", code]
        processes.run(command, cwd="/", variables={}, log=world.log, usage=usage)

    wait = f"while not os.path.exists({str(go)!r}): time.sleep(0.01)"
    code = f"import os, time\nopen({str(started)!r}, 'w')\n{wait}"
    threads = [
        threading.Thread(target=run, args=arguments) for arguments in ((code, first), ("", second))
    ]
    threads[0].start()
    until(started.exists)
    asked = clock.asked
    threads[1].start()
    until(lambda: clock.asked > asked)
    clock.now = 5.0
    go.touch()
    for thread in threads:
        thread.join()
    assert (first.waited, second.waited) == (0.0, 5.0)


@pytest.mark.parametrize("option", ["native", "x86-64-v3"])
def test_command_lines_for_the_processor_of_this_machine_are_seen(
    world: World, option: str
) -> None:
    code = f"import subprocess\nsubprocess.run([*child, '-march=' + {option!r}], check=True)"
    run_growing(world, code, children=1, backend="backend")
    assert world.usage.is_native is (option == "native")
