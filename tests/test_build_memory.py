"""Builds and memory, with a real limit, make and gcc."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dists import sdist
from tests.support.memory_limit import command_in, memory_limit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None or shutil.which("make") is None or sys.platform != "linux",
    reason="needs gcc, make and cgroups",
)

BACKEND = """
from engine import *
import engine, os, subprocess

def build_wheel(*arguments, **more):
    jobs = os.environ.get("MAX_JOBS", "4")
    print("jobs:", jobs, flush=True)
    subprocess.run(["make", "-j", jobs], check=True, env={**os.environ, "MAKEFLAGS": ""})
    return engine.build_wheel(*arguments, **more)
"""


def heavy(numbers: int) -> str:
    """Return C code with so many hundred thousand numbers."""
    lines = ["#define A 1,2,3,4,5,6,7,8,9,10,"]
    lines += [f"#define {b} {' '.join([a] * 10)}" for a, b in zip("ABCD", "BCDE", strict=True)]
    return "\n".join([*lines, f"int x[] = {{ {'E ' * numbers} }};"])


def add(index: Index, folder: Path, name: str, numbers: int = 4) -> None:
    """Add an sdist that compiles four files at once, of 70 MB for each four numbers."""
    makefile = ".PHONY: all\nall: a.o b.o c.o d.o\n%.o: code.c\n\tgcc -c $< -o $@\n"
    files = {"Makefile": makefile, "code.c": heavy(numbers)}
    index.add(sdist(folder, name, "1.0", files=files, backend_source=BACKEND))


def limited(cli: Cli, folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run pipshim in a cgroup."""
    return subprocess.run(
        command_in(folder, sys.executable, "-m", "pipshim", *args),
        cwd=cli.cwd,
        env={**cli.env, "COLUMNS": "300", "NO_COLOR": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )


def history(cli: Cli) -> list[dict[str, Any]]:
    out = cli.ok("builds", "history", "--output-format", "json").out
    return list(json.loads(out)["builds"])


def test_a_build_that_runs_out_of_memory_says_so_and_its_hint_helps(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    add(index, tmp_path, "hungry", 8)
    make_project(dependencies=["hungry"])
    cli.ok("lock")
    with memory_limit(300) as folder:
        failed = limited(cli, folder, "sync")
        assert failed.returncode == 1
        said = " ".join(failed.stderr.split())
        assert "hungry 1.0: memory ran out" in said
        assert f"this cgroup may use 314.6 MB ({folder}/memory." in said
        used = re.search(r"Its processes used (\d+\.\d) MB together", said)
        assert used is not None
        assert 150 < float(used[1]) < 315
        pasted = re.search(
            r"^ *(\[tool\.pipshim\.build-memory\]\n *hungry = .*)$", failed.stderr, re.MULTILINE
        )
        assert pasted is not None
        assert [one["outcome"] for one in history(cli)] == ["out of memory"]
        make_project(pasted[1], dependencies=["hungry"])
        done = limited(cli, folder, "sync")
        assert done.returncode == 0, done.stderr
        assert re.search(
            r"hungry 1\.0: needs .* of memory, .* available: [12] jobs? at a time", done.stderr
        )
        assert [one["outcome"] for one in history(cli)] == ["out of memory", "built"]


def test_a_compiler_that_a_limit_of_each_process_ends_says_so(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    add(index, tmp_path, "hungry", 60)
    make_project(dependencies=["hungry"])
    cli.ok("lock")
    command = ["sh", "-c", 'ulimit -v 400000 && exec "$@"', "sh", sys.executable, "-m", "pipshim"]
    failed = subprocess.run(
        [*command, "sync"],
        cwd=cli.cwd,
        env={**cli.env, "COLUMNS": "300", "NO_COLOR": "1", "MAX_JOBS": "1"},
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert failed.returncode == 1
    said = " ".join(failed.stderr.split())
    assert "hungry 1.0: memory ran out" in said
    assert "each of them may use 409.6 MB of address space (ulimit -v)" in said
    assert "ulimit -v unlimited" in said
    assert "build-memory" not in said
    assert [one["outcome"] for one in history(cli)] == ["out of memory"]


@pytest.mark.slow
def test_what_ran_out_of_memory_is_given_fewer_jobs_the_next_time(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    add(index, tmp_path, "hungry", 8)
    make_project(dependencies=["hungry"])
    with memory_limit(300) as folder:
        assert limited(cli, folder, "sync").returncode == 1
        done = limited(cli, folder, "sync")
    assert done.returncode == 0, done.stderr
    assert "for lack" not in done.stderr
    assert "at a time" in done.stderr


@pytest.mark.parametrize(("megabytes", "together"), [(2000, True), (500, False)])
def test_builds_run_together_only_if_they_fit_together(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    megabytes: int,
    together: bool,
) -> None:
    add(index, tmp_path, "one", 2)
    add(index, tmp_path, "two", 2)
    index.add(sdist(tmp_path, "small", "1.0"))
    table = '[tool.pipshim.build-memory]\none = "300 MB"\ntwo = "300 MB"\nsmall = "20 MB"\n'
    make_project(table, dependencies=["one", "two", "small"])
    cli.ok("lock")
    with memory_limit(megabytes) as folder:
        done = limited(cli, folder, "sync", "-j", "2", "--progress", "json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    waited = [line["name"] for line in lines if line.get("phase") == "memory"]
    assert len(waited) == (0 if together else 1)
    builds = {one["name"]: one for one in lines[-1]["builds"] if one["what"] == "wheel"}
    if not together:
        late, early = builds[waited[0]], builds[({"one", "two"} - {waited[0]}).pop()]
        ended = early["started"] + early["seconds"]
        assert late["started"] + late["seconds"] - late["phases"]["wheel"] >= ended - 0.2
        assert late["phases"]["memory"] > 0.2
        assert builds["small"]["started"] < ended, "it has waited for one that waits for memory"
