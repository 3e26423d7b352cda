"""``pipshim run``: the environment made ready, then the process is the command's."""

from __future__ import annotations

import json
import os
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.files import distributions, listing
from tests.support.pipshim import PATIENCE, make_venv

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

SHOW_ARGUMENTS = "import sys; print(sys.argv[1:])"


@pytest.fixture
def ready(cli: Cli, make_project: MakeProject) -> Path:
    """Give the folder of a project without dependencies that has been synced."""
    project = make_project()
    cli.ok("sync")
    return project


@pytest.fixture
def venv(project_dir: Path) -> Path:
    """Give where the project's own environment is, or will be."""
    return project_dir / ".venv"


# --- lock and sync if that is due


def test_the_first_run_locks_and_syncs_and_the_next_one_changes_nothing(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), sdist(tmp_path, "natten", "0.1"))
    project = make_project(dependencies=["fakelib", "natten"], backend=Backend())
    code = "import demo, fakelib, natten; print(fakelib.__version__, natten.__version__)"
    command = ("run", "python", "-B", "-c", code)
    assert cli.ok(*command).out == "1.0 0.1\n"
    index.requests.clear()
    without = (".pipshim.lock",)
    before = listing(project, without=without)
    assert cli.ok(*command).out == "1.0 0.1\n"
    assert index.requests == []
    assert listing(project, without=without) == before


def test_run_follows_what_pyproject_says_now(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, ready: Path
) -> None:
    del ready
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    assert cli.ok("run", "python", "-c", "import fakelib; print(1)").out == "1\n"


def test_run_never_removes(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), wheel(tmp_path, "other", "1.0"))
    make_project(dependencies=["fakelib", "other"])
    cli.ok("sync")
    make_project(dependencies=["fakelib"])
    cli.ok("run", "true")
    assert distributions(venv) == ["fakelib-1.0", "other-1.0"]
    cli.ok("run", "true", env={"PIPSHIM_EXACT": "1"})
    assert distributions(venv) == ["fakelib-1.0", "other-1.0"]
    assert cli("run", "--exact", "true").status == 2


def test_no_sync_runs_in_the_environment_as_it_is(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, ready: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    index.requests.clear()
    before = listing(ready)
    code = "import importlib.util; print(importlib.util.find_spec('fakelib'))"
    assert cli.ok("run", "--no-sync", "python", "-c", code).out == "None\n"
    assert index.requests == []
    assert listing(ready) == before


def test_no_sync_without_an_environment_is_an_error_that_makes_none(
    cli: Cli, make_project: MakeProject
) -> None:
    project = make_project()
    before = listing(project)
    assert "pipshim sync" in cli.fails("run", "--no-sync", "true").err
    assert listing(project) == before


def test_locked_fails_where_the_lock_is_out_of_date_and_runs_nothing(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, ready: Path
) -> None:
    assert cli.ok("run", "--locked", "echo", "it runs").out == "it runs\n"
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    before = listing(ready)
    result = cli.fails("run", "--locked", "echo", "it runs")
    assert "out of date" in result.err
    assert result.out == ""
    assert listing(ready) == before


def test_frozen_does_not_look_whether_the_lock_is_out_of_date(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, ready: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    lock = (ready / "pylock.toml").read_bytes()
    assert cli.ok("run", "--frozen", "echo", "it runs").out == "it runs\n"
    assert (ready / "pylock.toml").read_bytes() == lock
    assert distributions(venv) == []


def test_what_cannot_be_made_ready_is_not_run(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "natten", "0.1", backend=Backend(fail_in="build_wheel", exit_code=1)))
    project = make_project(dependencies=["natten"])
    result = cli.fails("run", "touch", "mark")
    assert "natten 0.1" in result.err
    assert not (project / "mark").exists()


def test_options_choose_what_is_installed(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    for name in ("base", "torch", "pytest", "ruff"):
        index.add(wheel(tmp_path, name, "1.0"))
    make_project(
        dependencies=["base"],
        extras={"gpu": ["torch"]},
        groups={"dev": ["pytest"], "lint": ["ruff"]},
        backend=Backend(),
    )
    cli.ok("run", "--only-group", "lint", "true")
    assert distributions(venv) == ["ruff-1.0"]
    cli.ok("run", "--no-install-project", "--no-default-groups", "true")
    assert distributions(venv) == ["base-1.0", "ruff-1.0"]
    cli.ok("run", "--extra", "gpu", "--group=dev", "true")
    assert distributions(venv) == ["base-1.0", "demo-0.1", "pytest-1.0", "ruff-1.0", "torch-1.0"]
    assert "gpu" in cli.fails("run", "--extra", "cuda", "true", status=2).err


# --- the process


@pytest.mark.parametrize("status", [0, 1, 2, 77, 255])
def test_the_exit_status_is_the_commands(cli: Cli, ready: Path, status: int) -> None:
    del ready
    result = cli("run", "python", "-c", f"raise SystemExit({status})")
    assert (result.status, result.out) == (status, "")


def test_output_is_the_commands_alone_when_nothing_is_due(cli: Cli, ready: Path) -> None:
    del ready
    result = cli.ok("run", "sh", "-c", "echo out; echo err >&2")
    assert (result.out, result.err) == ("out\n", "err\n")


def test_input_reaches_the_command(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "natten", "0.1", backend=Backend(read_stdin=True)))
    make_project(dependencies=["natten"])
    assert cli.ok("run", "cat", stdin="for the command\n").out == "for the command\n"


def test_the_command_takes_the_process_over(cli: Cli, ready: Path) -> None:
    del ready
    with cli.start("run", "python", "-c", "import os; print(os.getpid())") as process:
        out, _ = process.communicate(timeout=PATIENCE)
    assert out == f"{process.pid}\n"


@pytest.mark.parametrize(
    ("number", "exception"), [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "Asked")]
)
def test_signals_reach_the_command(
    cli: Cli, ready: Path, number: signal.Signals, exception: str
) -> None:
    del ready
    code = f"""
import signal
class Asked(BaseException): pass
def ask(*_): raise Asked
signal.signal(signal.SIGTERM, ask)
try:
    print('ready', flush=True)
    signal.pause()
except {exception}:
    raise SystemExit(33)
"""
    with cli.start("run", "python", "-c", code) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 33


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGPIPE, signal.SIGINT])
def test_a_command_that_dies_of_a_signal_is_seen_to(
    cli: Cli, ready: Path, number: signal.Signals
) -> None:
    del ready
    assert cli("run", "sh", "-c", f"kill -{number.value} $$").status == -number


def test_the_command_finds_signals_as_they_were(cli: Cli, ready: Path) -> None:
    del ready
    seen = cli.ok("run", "grep", "-E", "Sig(Ign|Blk|Cgt)", "/proc/self/status").out
    values = {line.split()[0]: int(line.split()[1], 16) for line in seen.splitlines()}
    assert values["SigBlk:"] == 0
    assert not values["SigIgn:"] & (1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGTERM - 1))


def test_no_open_file_is_left_to_the_command(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    out = cli.ok("run", "sh", "-c", "ls /proc/$$/fd").out
    assert {*out.split()} <= {"0", "1", "2"}
    assert [*cli.temporary.iterdir()] == []


def test_the_command_runs_where_pipshim_was_called(cli: Cli, ready: Path) -> None:
    (ready / "deep").mkdir()
    assert cli.ok("run", "pwd", cwd=ready / "deep").out == f"{ready / 'deep'}\n"
    result = cli.ok("run", "--project", ready, "pwd", cwd=ready.parent)
    assert result.out == f"{ready.parent}\n"


# --- its variables


def test_the_environment_is_active_for_the_command(cli: Cli, ready: Path, venv: Path) -> None:
    del ready
    code = "import os, json; print(json.dumps(dict(os.environ)))"
    outer = {"SOMETHING": "kept", "PATH": f"{venv}/elsewhere:{os.environ['PATH']}"}
    seen = json.loads(cli.ok("run", "python", "-c", code, env=outer).out)
    assert seen["VIRTUAL_ENV"] == str(venv)
    assert seen["PATH"] == f"{venv / 'bin'}{os.pathsep}{outer['PATH']}"
    assert seen["SOMETHING"] == "kept"
    assert "PYTHONHOME" not in seen


@pytest.mark.parametrize("name", ["python", "python3"])
def test_python_is_the_environments(cli: Cli, ready: Path, venv: Path, name: str) -> None:
    del ready
    code = "import sys; print(sys.executable, sys.prefix)"
    assert cli.ok("run", name, "-c", code).out == f"{venv}/bin/{name} {venv}\n"


def test_scripts_of_the_project_and_its_dependencies_are_found(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    main = "def main():\n    import sys\n    print(__name__, sys.argv[1:])\n    return 3\n"
    index.add(
        wheel(
            tmp_path,
            "fakelib",
            "1.0",
            files={"fakelib.py": main},
            entry_points={"console_scripts": {"fake": "fakelib:main"}},
        )
    )
    make_project(
        dependencies=["fakelib"],
        backend=Backend(),
        scripts={"hello": "demo:main"},
        files={"demo/__init__.py": main},
    )
    for command, module in (("fake", "fakelib"), ("hello", "demo")):
        result = cli("run", command, "--help", "x y")
        assert (result.status, result.out) == (3, f"{module} ['--help', 'x y']\n")


@pytest.mark.parametrize("by", ["--python", "VIRTUAL_ENV"])
def test_the_environment_that_is_chosen_is_the_one_that_runs(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path, by: str
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    other = tmp_path / "other"
    make_venv(other)
    options = ["--python", str(other)] if by == "--python" else []
    variables = {"VIRTUAL_ENV": str(other)} if by == "VIRTUAL_ENV" else {}
    code = "import fakelib, sys, os; print(sys.prefix, os.environ['VIRTUAL_ENV'])"
    assert cli.ok("run", *options, "python", "-c", code, env=variables).out == f"{other} {other}\n"
    assert not venv.exists()
    assert distributions(other) == ["fakelib-1.0"]


# --- what is pipshim's and what is the command's


@pytest.mark.parametrize(
    "arguments",
    [
        ["--frozen", "--no-such-option", "-v", "--help"],
        ["--", "x"],
        ["--python", "3.99", "--project=nowhere"],
        ["-m", "json.tool", "--version", "-h", "-q"],
        ["", " ", "ä*?", "--isolated", "--no-build-isolation"],
    ],
)
def test_all_that_follows_the_command_is_the_commands(
    cli: Cli, ready: Path, arguments: list[str]
) -> None:
    del ready
    expected = f"{arguments}\n"
    for before in ([], ["--"], ["-q", "--frozen", "--"]):
        result = cli.ok("run", *before, "python", "-c", SHOW_ARGUMENTS, *arguments)
        assert result.out == expected


def test_a_module_is_run_and_what_follows_is_its_own(
    cli: Cli, make_project: MakeProject, venv: Path
) -> None:
    make_project(
        backend=Backend(),
        files={"demo/__main__.py": "import sys\nprint(sys.prefix, sys.argv[1:])\nsys.exit(5)\n"},
    )
    for arguments in (["-m", "demo"], ["--no-editable", "--module", "demo"]):
        result = cli("run", *arguments, "--locked", "--", "-m", "x")
        assert (result.status, result.out) == (5, f"{venv} ['--locked', '--', '-m', 'x']\n")
    missing = cli("run", "-m", "no_such_module")
    assert missing.status == 1
    assert "No module named no_such_module" in missing.err


def test_a_command_that_does_not_exist_is_a_clear_error(cli: Cli, ready: Path, venv: Path) -> None:
    del ready
    result = cli.fails("run", "no-such-command", "--help", status=2)
    assert "no-such-command" in result.err
    assert str(venv) in result.err


def test_without_a_command_there_is_nothing_to_run(cli: Cli, make_project: MakeProject) -> None:
    project = make_project()
    before = listing(project)
    for arguments in ([], ["--"], ["--frozen"]):
        assert "command" in cli.fails("run", *arguments, status=2).err
    assert listing(project) == before


@pytest.mark.parametrize(
    ("name", "why"),
    [("./tool", "not executable"), ("other.py", "no file or command named other.py")],
)
def test_what_cannot_be_run_is_a_clear_error(cli: Cli, ready: Path, name: str, why: str) -> None:
    (ready / "tool").write_text("print(1)\n")
    assert why in cli.fails("run", name, status=2).err


def test_a_program_that_the_system_refuses_is_a_clear_error(cli: Cli, ready: Path) -> None:
    tool = ready / "tool"
    tool.write_text("#!/no/such/interpreter\n")
    tool.chmod(0o755)
    assert "./tool" in cli.fails("run", "./tool", status=2).err


def test_a_program_is_found_by_its_path(cli: Cli, ready: Path) -> None:
    tool = ready / "tool"
    tool.write_text('#!/bin/sh\necho "$0" "$@"\n')
    tool.chmod(0o755)
    assert cli.ok("run", "./tool", "-x").out == "./tool -x\n"


def test_an_unknown_option_before_the_command_is_a_wrong_command_line(
    cli: Cli, ready: Path
) -> None:
    before = listing(ready)
    assert "--no-such-option" in cli.fails("run", "--no-such-option", "true", status=2).err
    assert listing(ready) == before


def test_a_tampered_file_is_not_run(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"])
    cli.ok("lock")
    evil = wheel(tmp_path / "evil", "fakelib", "1.0", files={"x.py": ""})
    index.tamper(evil.name, evil.read_bytes())
    shutil.rmtree(cli.cache)
    result = cli.fails("run", "touch", "mark")
    assert evil.name in result.err
    assert not (project / "mark").exists()
    assert not (project / ".venv").exists()


# --- scripts, and files of variables

SHOW = "import sys, fakelib\nprint(fakelib.__version__, sys.prefix, sys.argv)\n"


def test_a_script_runs_in_the_projects_environment(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, venv: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"], files={"deep/show.py": SHOW})
    (project / "tool").mkdir()
    (project / "tool" / "__main__.py").write_text(SHOW)
    for name in ("deep/show.py", "./deep/show.py", "./tool"):
        for _ in "long way", "stamp":
            out = cli.ok("run", name, "--frozen", "-x").out
            assert out == f"1.0 {venv} {[name, '--frozen', '-x']}\n"
    result = cli.ok("run", "--locked", "-", "a", "-b", stdin=SHOW)
    assert result.out == f"1.0 {venv} ['-', 'a', '-b']\n"
    result = cli("run", "-", stdin="import sys\nprint(repr(sys.stdin.read()))\nsys.exit(4)\n")
    assert (result.status, result.out) == (4, "''\n")


def test_files_of_variables_are_the_commands(cli: Cli, ready: Path, tmp_path: Path) -> None:
    file, more = ready / ".env", tmp_path / "more"
    file.write_text("export A=1 # one\nB='b b'\nHOME=/no\n")
    more.write_text('B="${A}2"\n')
    code = "import os; print(*(os.environ[name] for name in ('A', 'B', 'HOME')))"
    options = ("run", "--env-file", ".env", "--env-file", str(more))
    for _ in "long way", "stamp":
        assert cli.ok(*options, "python", "-c", code).out == f"1 12 {cli.home}\n"
    file.write_text("A=3\n")
    assert cli.ok(*options, "python", "-c", code).out == f"3 32 {cli.home}\n"
    shutil.rmtree(ready / ".venv")
    assert cli.ok(*options, "python", "-c", code).out == f"3 32 {cli.home}\n"
    file.write_text("A=1\nnothing here\n")
    assert ".env:2: " in cli.fails(*options, "true").err
    more.unlink()
    file.unlink()
    assert "No such file" in cli.fails(*options, "true").err
