"""The jobserver by which builds share the cores: real make and ninja, and no token is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from pipshim.builds.job_variables import JobTools, without_jobs
from pipshim.builds.jobserver import Jobserver
from pipshim.builds.machine_shares import Share

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs FIFOs")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

CORES = 4
JOB = "echo +1 >> {log}; sleep 0.15; echo -1 >> {log}"


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def tokens(fifo: Path | None) -> int:
    """Take all tokens that are there, and put them back."""
    assert fifo is not None
    file = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        found = os.read(file, 100)
        os.write(file, found)
    except BlockingIOError:
        return 0
    finally:
        os.close(file)
    return len(found)


def makefile(folder: Path, log: Path, jobs: int = 8) -> None:
    targets = " ".join(f"t{number}" for number in range(jobs))
    # A recursive make, as autotools have it.
    (folder / "Makefile").write_text(
        f"all:\n\t+$(MAKE) inner\ninner: {targets}\nt%:\n\t@{JOB.format(log=log)}\n"
    )


def ninja_file(folder: Path, log: Path, jobs: int = 8) -> None:
    lines = ["rule job", f"  command = {JOB.format(log=log)}"]
    (folder / "build.ninja").write_text(
        "\n".join([*lines, *(f"build t{number}: job" for number in range(jobs)), ""])
    )


def ninja_understands_jobservers() -> bool:
    program = shutil.which("ninja")
    if program is None:
        return False
    text = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, text.split(".")[:2])) >= (1, 13)


def most_at_once(log: Path) -> int:
    return max(accumulate(int(line) for line in log.read_text().split()))


@needs_make
@pytest.mark.parametrize("with_ninja", [False, True])
def test_builds_at_the_same_time_never_run_more_processes_than_there_are_cores(
    tmp_path: Path, with_ninja: bool
) -> None:
    if with_ninja and not ninja_understands_jobservers():
        pytest.skip("needs ninja 1.13")
    log = tmp_path / "log"
    server, tools = Jobserver(tmp_path, CORES), JobTools(tmp_path)
    results: list[int] = []

    def build(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        is_ninja = with_ninja and number == 0
        (ninja_file if is_ninja else makefile)(folder, log)
        with server.client(3) as fifo:
            variables = {"PATH": os.environ["PATH"]}
            tools.add_variables(variables, Share(1, fifo=fifo))
            command = ["ninja"] if is_ninja else ["make"]
            # Python closes all file descriptors, as it does in a backend.
            done = subprocess.run(
                command, cwd=folder, env=variables, capture_output=True, text=True, check=False
            )
            assert "jobserver unavailable" not in done.stderr
            results.append(done.returncode)

    threads = [threading.Thread(target=build, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [0, 0, 0]
    assert log.read_text().count("+1") == 24
    assert 2 < most_at_once(log) <= CORES
    assert server.held == 0


@needs_make
def test_what_a_killed_build_held_is_given_to_the_others(tmp_path: Path) -> None:
    makefile(tmp_path, tmp_path / "log", jobs=20)
    server, tools = Jobserver(tmp_path, CORES), JobTools(tmp_path)
    with server.client(2) as other:
        with server.client(2) as fifo:
            variables = {"PATH": os.environ["PATH"]}
            tools.add_variables(variables, Share(1, fifo=fifo))
            with subprocess.Popen(
                ["make"], cwd=tmp_path, env=variables, start_new_session=True
            ) as make:
                until(lambda: server.held >= 2)
                os.killpg(make.pid, signal.SIGKILL)
            assert server.held >= 1  # what make held does not come back by itself
        until(lambda: tokens(other) == CORES - 1)
        assert server.held == 0


def test_tokens_go_to_the_builds_that_use_them(tmp_path: Path) -> None:
    server = Jobserver(tmp_path, CORES)
    with server.client(2) as busy, server.client(2) as idle:
        assert tokens(busy) + tokens(idle) == CORES - 2
        assert busy is not None
        file = os.open(busy, os.O_RDWR | os.O_NONBLOCK)
        taken = 0
        end = time.monotonic() + 10
        while taken < CORES - 2:
            assert time.monotonic() < end
            try:
                taken += len(os.read(file, 1))
            except BlockingIOError:
                time.sleep(0.01)
        until(lambda: server.held == CORES - 2)
        assert tokens(idle) == 0
        os.write(file, b"+")
        os.close(file)
        until(lambda: server.held == CORES - 3)


def test_each_running_build_may_run_one_process_without_a_token(tmp_path: Path) -> None:
    server = Jobserver(tmp_path, CORES)
    with server.client(1) as first:
        assert tokens(first) == CORES - 1
        with server.other():
            until(lambda: tokens(first) == CORES - 2)
            with ExitStack() as stack:
                for _ in range(CORES):
                    stack.enter_context(server.other())
                until(lambda: tokens(first) == 0)
        until(lambda: tokens(first) == CORES - 1)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("jobs-")]


def test_tokens_that_a_build_makes_up_do_not_count(tmp_path: Path) -> None:
    server = Jobserver(tmp_path, CORES)
    with server.client(1) as fifo:
        assert fifo is not None
        file = os.open(fifo, os.O_RDWR)
        os.write(file, b"+++++++")
        os.close(file)
        until(lambda: tokens(fifo) == CORES - 1)


def program(folder: Path, name: str, version: str) -> None:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{version}'\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("make", "ninja", "static", "direct"),
    [
        ("GNU Make 4.4.1", "1.13.0", set(), True),
        ("GNU Make 4.4.1", "1.11.1", {"MAX_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL"}, True),
        ("GNU Make 4.3", None, {"MAX_JOBS"}, False),
        ("GNU Make 4.3", "1.13.0.git.kitware", set(), False),
        (None, "1.13.0", set(), True),
    ],
)
def test_each_version_of_a_tool_gets_what_it_understands(
    tmp_path: Path, make: str | None, ninja: str | None, static: set[str], direct: bool
) -> None:
    programs = tmp_path / "bin"
    for name, version in (("make", make), ("ninja", ninja)):
        if version is not None:
            program(programs, name, version)
    before = {"PATH": str(programs), "CARGO_MAKEFLAGS": "-j7"} if ninja else {"PATH": str(programs)}
    variables = dict(before)
    JobTools(tmp_path).add_variables(variables, Share(3, fifo=tmp_path / "jobs"))
    assert {*static, "NPY_NUM_BUILD_JOBS"} == {
        name
        for name in ("MAX_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL", "NPY_NUM_BUILD_JOBS")
        if variables.get(name) == "3"
    }
    auth = f"--jobserver-auth=fifo:{tmp_path / 'jobs'}"
    assert (auth in variables.get("MAKEFLAGS", "")) is direct
    assert (variables["PATH"] == str(programs)) is direct
    assert variables["CARGO_MAKEFLAGS"] == "-j7" if ninja else auth in variables["CARGO_MAKEFLAGS"]
    assert without_jobs(variables) == {"PATH": str(programs)}


def test_builds_that_begin_at_the_same_moment_write_the_same_scripts(tmp_path: Path) -> None:
    program(tmp_path / "bin", "make", "4.3")
    tools, start = JobTools(tmp_path), threading.Barrier(8)

    def begin() -> None:
        start.wait()
        tools.add_variables({"PATH": str(tmp_path / "bin")}, Share(1, fifo=tmp_path / "jobs"))

    with ThreadPoolExecutor(8) as pool:
        for _ in range(100):
            builds = [pool.submit(begin) for _ in range(8)]
            assert [build.exception() for build in builds] == [None] * 8
            assert [path.name for path in (tmp_path / "programs").iterdir()] == ["make"]
            shutil.rmtree(tmp_path / "programs")


def test_another_make_gets_a_number_only(tmp_path: Path) -> None:
    program(tmp_path / "bin", "make", "unknown option --version")
    program(tmp_path / "bin", "ninja", "1.13.0")
    variables = {"PATH": str(tmp_path / "bin")}
    JobTools(tmp_path).add_variables(variables, Share(3, fifo=tmp_path / "jobs"))
    assert variables["MAKEFLAGS"] == "-j3"
    assert variables["MAX_JOBS"] == variables["CMAKE_BUILD_PARALLEL_LEVEL"] == "3"


def test_the_users_own_settings_stay(tmp_path: Path) -> None:
    own = {"PATH": "/bin", "MAKEFLAGS": "-j9", "MAX_JOBS": "8", "CMAKE_BUILD_PARALLEL_LEVEL": "7"}
    variables = dict(own)
    JobTools(tmp_path).add_variables(variables, Share(3, fifo=tmp_path / "jobs"))
    assert variables == {**own, "NPY_NUM_BUILD_JOBS": "3"}
    lone = {"PATH": "/bin"}
    JobTools(tmp_path).add_variables(lone, Share(None))
    assert lone == {"PATH": "/bin"}
