"""The jobserver by which builds share the cores: real make and ninja, and no token is lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path

import pytest

from pipshim.base.cores import available_cores
from pipshim.base.tasks import Sharing
from pipshim.builds.job_variables import JobTools, without_jobs
from pipshim.builds.jobserver import Jobserver
from pipshim.builds.machine_shares import Share
from tests.support.pipshim import until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs FIFOs")
needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

CORES = 4
LASTING = 4000
"""So many jobs that a build outlasts its test."""

JOB = "echo +1 >> {log}; sleep {seconds}; echo -1 >> {log}"
MEETING = """
echo +1 >> {log}
tries=0
until [ "$(grep -c + {log})" -ge {count} ] || [ $tries -gt 6000 ]; do
    tries=$((tries + 1)); sleep 0.01
done
sleep 0.15
echo -1 >> {log}
"""
"""A job that waits until so many have begun."""


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


def job_that_meets(folder: Path, log: Path, count: int) -> str:
    script = folder / "job"
    script.write_text(MEETING.format(log=log, count=count))
    return f"sh {script}"


def takes_one(file: int) -> bool:
    try:
        return os.read(file, 1) == b"+"
    except BlockingIOError:
        return False


def makefile(folder: Path, job: str, jobs: int) -> None:
    targets = " ".join(f"t{number}" for number in range(jobs))
    # A recursive make, as autotools have it.
    (folder / "Makefile").write_text(f"all:\n\t+$(MAKE) inner\ninner: {targets}\nt%:\n\t@{job}\n")


def ninja_file(folder: Path, job: str, jobs: int) -> None:
    lines = ["rule job", f"  command = {job}"]
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
    server, tools = Jobserver(tmp_path, CORES), JobTools()
    job = job_that_meets(tmp_path, log, CORES)
    results: list[int] = []

    def build(number: int) -> None:
        folder = tmp_path / str(number)
        folder.mkdir()
        is_ninja = with_ninja and number == 0
        (ninja_file if is_ninja else makefile)(folder, job, jobs=8)
        with server.client(Sharing(3)) as fifo:
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
    assert most_at_once(log) == CORES
    assert server.held == 0


@needs_make
def test_what_a_killed_build_held_is_given_to_the_others(tmp_path: Path) -> None:
    makefile(tmp_path, "sleep 600", jobs=20)
    server, tools = Jobserver(tmp_path, CORES), JobTools()
    sharing = Sharing(2)
    with server.client(sharing) as other:
        with server.client(sharing) as fifo:
            variables = {"PATH": os.environ["PATH"]}
            tools.add_variables(variables, Share(1, fifo=fifo))
            with subprocess.Popen(
                ["make"], cwd=tmp_path, env=variables, start_new_session=True
            ) as make:
                until(lambda: server.held >= 2)
                os.killpg(make.pid, signal.SIGKILL)
            assert server.held >= 1  # what make held does not come back by itself
        sharing.count = 1
        until(lambda: tokens(other) == CORES - 1)
        assert server.held == 0


def test_tokens_go_to_the_builds_that_use_them(tmp_path: Path) -> None:
    server = Jobserver(tmp_path, CORES)
    with server.client(Sharing(2)) as busy, server.client(Sharing(2)) as idle:
        until(lambda: tokens(busy) + tokens(idle) == CORES - 2)  # not while some are moved
        assert busy is not None
        file = os.open(busy, os.O_RDWR | os.O_NONBLOCK)
        for _ in range(CORES - 2):
            until(lambda: takes_one(file))
        until(lambda: server.held == CORES - 2 and tokens(idle) == 0)
        os.write(file, b"+")
        os.close(file)
        until(lambda: server.held == CORES - 3)


def test_the_share_of_a_build_that_ended_is_kept_for_the_next_one(tmp_path: Path) -> None:
    server, sharing = Jobserver(tmp_path, CORES), Sharing(2)
    with server.client(sharing) as first:
        with server.client(sharing):
            until(lambda: tokens(first) == 1)
        until(lambda: tokens(first) == CORES - 2)
        with server.client(sharing):
            until(lambda: tokens(first) == 1)
        sharing.count = 1
        until(lambda: tokens(first) == CORES - 1)


@needs_make
@pytest.mark.parametrize("with_ninja", [False, True])
def test_a_busy_build_hands_tokens_back_when_others_begin(tmp_path: Path, with_ninja: bool) -> None:
    if with_ninja and not ninja_understands_jobservers():
        pytest.skip("needs ninja 1.13")
    (ninja_file if with_ninja else makefile)(tmp_path, "sleep 0.15", jobs=LASTING)
    server = Jobserver(tmp_path, CORES)
    with ExitStack() as stack:
        fifo = stack.enter_context(server.client(Sharing()))
        variables = {"PATH": os.environ["PATH"]}
        JobTools().add_variables(variables, Share(1, fifo=fifo))
        command = ["ninja" if with_ninja else "make"]
        busy = subprocess.Popen(
            command, cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL, start_new_session=True
        )
        stack.enter_context(busy)
        stack.callback(os.killpg, busy.pid, signal.SIGKILL)
        until(lambda: server.held == CORES - 1)
        other = stack.enter_context(server.client(Sharing()))
        until(lambda: server.held <= CORES - 2)
        assert tokens(other) <= CORES - 2
        for _ in range(CORES):
            stack.enter_context(server.other())
        until(lambda: server.held == 0)
        assert busy.poll() is None


@needs_make
def test_a_build_that_begins_later_gets_half_of_the_tokens(tmp_path: Path) -> None:
    server, tools = Jobserver(tmp_path, 2 * CORES), JobTools()
    with ExitStack() as stack:
        for number in range(2):
            folder = tmp_path / str(number)
            folder.mkdir()
            job = JOB.format(log=tmp_path / f"log-{number}", seconds=1)
            makefile(folder, job, jobs=LASTING)
            variables = {"PATH": os.environ["PATH"]}
            fifo = stack.enter_context(server.client(Sharing()))
            tools.add_variables(variables, Share(1, fifo=fifo))
            make = subprocess.Popen(
                ["make", "-s"], cwd=folder, env=variables, start_new_session=True
            )
            stack.enter_context(make)
            stack.callback(os.killpg, make.pid, signal.SIGKILL)
            if number == 0:
                until(lambda: server.held >= 2 * CORES - 2)
        log = tmp_path / "log-1"
        until(lambda: log.exists() and most_at_once(log) >= CORES - 1)


def test_each_running_build_may_run_one_process_without_a_token(tmp_path: Path) -> None:
    server = Jobserver(tmp_path, CORES)
    with server.client(Sharing()) as first:
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
    with server.client(Sharing()) as fifo:
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
    ("make", "ninja", "static", "direct", "scripts"),
    [
        ("GNU Make 4.4.1", "1.13.0", set(), True, True),
        ("GNU Make 4.4.1", "1.11.1", {"MAX_JOBS"}, True, True),
        ("GNU Make 4.3", None, {"MAX_JOBS"}, False, True),
        ("GNU Make 4.3", "1.13.0.git.kitware", set(), False, True),
        (None, "1.13.0", set(), True, False),
    ],
)
def test_each_version_of_a_tool_gets_what_it_understands(
    tmp_path: Path,
    make: str | None,
    ninja: str | None,
    static: set[str],
    direct: bool,
    scripts: bool,
) -> None:
    programs = tmp_path / "bin"
    for name, version in (("make", make), ("ninja", ninja)):
        if version is not None:
            program(programs, name, version)
    before = {"PATH": str(programs), "CARGO_MAKEFLAGS": "-j7"} if ninja else {"PATH": str(programs)}
    variables = dict(before)
    JobTools().add_variables(variables, Share(3, fifo=tmp_path / "jobs"))
    assert {*static, "NPY_NUM_BUILD_JOBS"} == {
        name
        for name in ("MAX_JOBS", "CMAKE_BUILD_PARALLEL_LEVEL", "NPY_NUM_BUILD_JOBS")
        if variables.get(name) == "3"
    }
    auth = f"--jobserver-auth=fifo:{tmp_path / 'jobs'}"
    assert (auth in variables.get("MAKEFLAGS", "")) is direct
    assert (variables["PATH"] != str(programs)) is scripts
    assert variables["CARGO_MAKEFLAGS"] == "-j7" if ninja else auth in variables["CARGO_MAKEFLAGS"]
    assert without_jobs(variables) == {"PATH": str(programs)}


def run(command: str, variables: dict[str, str]) -> str:
    """Run a stand-in of make or ninja by its name; return its arguments and MAKEFLAGS."""
    environ = {**variables, "PATH": f"{variables['PATH']}:/usr/bin:/bin"}
    return subprocess.run(
        ["sh", "-c", command], env=environ, capture_output=True, text=True, check=True
    ).stdout


def test_scripts_say_to_each_tool_what_it_understands(tmp_path: Path) -> None:
    programs, fifo = tmp_path / "bin", tmp_path / "jobs"
    os.mkfifo(fifo)
    for name, version in (("make", "GNU Make 4.3"), ("gmake", "GNU Make 4.1"), ("ninja", "1.11")):
        program(programs, name, f"{version}'; echo \"$* $MAKEFLAGS\"; echo '")
    variables = {"PATH": str(programs)}
    JobTools().add_variables(variables, Share(3, fifo=fifo))
    cores = available_cores()
    assert f"all  -j{cores} --jobserver-auth=9,9\n" in run("make all", variables)
    assert f"all  -j{cores} --jobserver-fds=9,9\n" in run("gmake all", variables)
    # As GCC's link-time optimisation calls it; with -j it would not ask for tokens.
    assert f"-f x.mk all  -j{cores} --jobs" in run("make -f x.mk -j8 all", variables)
    assert f"-f x.mk -j8 more  -j{cores} --jobs" in run("make -f x.mk -j8 more", variables)
    assert "-j3 all \n" in run("ninja all", variables)
    program(programs, "make", "GNU Make 4.4.1'; echo \"$* $MAKEFLAGS\"; echo '")
    newer = {"PATH": str(programs)}
    JobTools().add_variables(newer, Share(3, fifo=fifo))
    auth = f"-j{cores} --jobserver-auth=fifo:{fifo}\n"
    assert f"-f x.mk all  {auth}" in run("MAKEFLAGS= make -f x.mk -j8 all", newer)
    assert "-j3 -j9 \n" in run("ninja -j9", variables)  # the last one counts


def test_builds_have_scripts_of_their_own(tmp_path: Path) -> None:
    program(tmp_path / "bin", "make", "GNU Make 4.3")
    tools, paths = JobTools(), set()
    for number, environment in enumerate(("a", "b")):
        program(tmp_path / environment, "ninja", "1.13.0")
        variables = {"PATH": f"{tmp_path / environment}:{tmp_path / 'bin'}"}
        tools.add_variables(variables, Share(1, fifo=tmp_path / f"jobs-{number}"))
        paths.add(variables["PATH"].partition(":")[0])
        script = Path(variables["PATH"].partition(":")[0], "ninja").read_text()
        assert str(tmp_path / environment / "ninja") in script
    assert len(paths) == 2


@pytest.mark.parametrize(
    ("make", "ninja", "wrapped"),
    [("4.3", "1.13.0", True), ("4.4", "1.13.0", False), ("4.3", "1.11.1", False)],
)
def test_the_ninja_of_a_build_environment_takes_part_if_run_by_its_path(
    tmp_path: Path, make: str, ninja: str, wrapped: bool
) -> None:
    program(tmp_path / "bin", "make", f"GNU Make {make}")
    program(tmp_path / "env", "ninja", f"{ninja}'; echo \"$MAKEFLAGS\"; echo '")
    JobTools().wrap_ninja(tmp_path / "env", str(tmp_path / "bin"))
    auth = f"--jobserver-auth=fifo:{tmp_path}/jobs"
    said = run(f"{tmp_path}/env/ninja", {"PATH": "", "PIPSHIM_JOBSERVER": f"{tmp_path}/jobs"})
    assert (auth in said) is wrapped
    assert ninja in run(f"{tmp_path}/env/ninja --version", {"PATH": ""})


def test_another_make_gets_a_number_only(tmp_path: Path) -> None:
    program(tmp_path / "bin", "make", "unknown option --version")
    program(tmp_path / "bin", "ninja", "1.13.0")
    variables = {"PATH": str(tmp_path / "bin")}
    JobTools().add_variables(variables, Share(3, fifo=tmp_path / "jobs"))
    assert variables["MAKEFLAGS"] == "-j3"
    assert variables["MAX_JOBS"] == variables["CMAKE_BUILD_PARALLEL_LEVEL"] == "3"


def test_the_users_own_settings_stay(tmp_path: Path) -> None:
    own = {"PATH": "/bin", "MAKEFLAGS": "-j9", "MAX_JOBS": "8", "CMAKE_BUILD_PARALLEL_LEVEL": "7"}
    variables = dict(own)
    JobTools().add_variables(variables, Share(3, fifo=tmp_path / "jobs"))
    assert variables == {**own, "NPY_NUM_BUILD_JOBS": "3"}
    lone = {"PATH": "/bin"}
    JobTools().add_variables(lone, Share(None))
    assert lone == {"PATH": "/bin"}
