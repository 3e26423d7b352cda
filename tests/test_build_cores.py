"""Builds that run at the same time share the cores: real make, CMake, ninja, LTO, and gcc."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from itertools import accumulate
from typing import TYPE_CHECKING

import pytest

from pipshim.base.cores import available_cores
from tests.support.dists import sdist

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

FILES = 8
MAKEFILE = ".PHONY: all\nall: {objects}\n%.o: code.c\n\t$(CC) -O2 -c $< -o $@\n"
NINJA = "rule cc\n  command = $$CC -O2 -c code.c -o $out\n"
LTO = """\
FLAGS = -O2 -flto=auto -flto-partition=max
all: {objects}
\t$(CC) $(FLAGS) -shared {objects} -o all.so
%.o: %.c
\t$(CC) $(FLAGS) -fPIC -c $< -o $@
"""
CMAKE = "cmake_minimum_required(VERSION 3.15)\nproject(x C)\nadd_library(x OBJECT {sources})\n"
BACKEND = """
from engine import *
import engine, os, subprocess

def build_wheel(*arguments, **more):
    for command in {commands}:
        subprocess.run(command, check=True)
    return engine.build_wheel(*arguments, **more)
"""


def objects() -> list[str]:
    return [f"o{number}.o" for number in range(FILES)]


def add(index: Index, folder: Path, tool: str) -> None:
    """Add an sdist that compiles several files with a tool."""
    code = (
        "#define A(x) x x x x x x x x x x\nint f(int i) { " + "A(A(A(i += i * 3;))) return i; }\n"
    )
    files = {"code.c": code}
    if tool == "make":
        files["Makefile"] = MAKEFILE.format(objects=" ".join(objects()))
        commands = [["make"]]
    elif tool == "ninja":
        builds = (f"build {name}: cc" for name in objects())
        files["build.ninja"] = NINJA + "\n".join([*builds, ""])
        commands = [["ninja"]]
    elif tool == "lto":
        sources = [f"s{number}.c" for number in range(FILES)]
        files |= {name: code.replace("int f", f"int f{name[1:-2]}") for name in sources}
        made = " ".join(f"s{number}.o" for number in range(FILES))
        files["Makefile"] = LTO.format(objects=made)
        commands = [["make"]]
    else:
        sources = [f"s{number}.c" for number in range(FILES)]
        files |= {name: code.replace("int f", f"int f{name[1:-2]}") for name in sources}
        files["CMakeLists.txt"] = CMAKE.format(sources=" ".join(sources))
        commands = [["cmake", "-S", ".", "-B", "build"], ["cmake", "--build", "build"]]
    source = BACKEND.format(commands=commands)
    index.add(sdist(folder, tool, "1.0", files=files, backend_source=source))


def compiler(folder: Path, log: Path) -> Path:
    """Write a compiler that notes when it begins to compile a file, and when it ends.

    It is gcc by the name of the script, so that gcc runs the script to optimise at link time.
    """
    path = folder / "noting-cc"
    gcc = shutil.which("gcc")
    library = subprocess.run(
        ["gcc", "-print-libgcc-file-name"], capture_output=True, text=True, check=True
    ).stdout
    prefix = library.strip().rsplit("/", 3)[0]
    path.write_text(
        f"""#!/bin/bash
        export GCC_EXEC_PREFIX={prefix}/
        case " $* " in *" -c "*) ;; *) exec -a "$0" {gcc} "$@" ;; esac
        echo +1 >> {log}
        (exec -a "$0" {gcc} "$@")
        status=$?
        echo -1 >> {log}
        exit $status
        """
    )
    path.chmod(0o755)
    return path


def has_tools() -> bool:
    if any(shutil.which(tool) is None for tool in ("gcc", "make", "cmake", "ninja")):
        return False
    done = subprocess.run(["ninja", "--version"], capture_output=True, text=True, check=True)
    return tuple(map(int, done.stdout.split(".")[:2])) >= (1, 13)


@pytest.mark.slow
@pytest.mark.skipif(
    sys.platform != "linux" or not has_tools() or available_cores() < 2,
    reason="needs gcc, make, CMake, ninja 1.13 and two cores",
)
def test_parallel_builds_run_as_many_compilers_as_there_are_cores(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    tools = ["make", "cmake", "ninja", "lto"]
    for tool in tools:
        add(index, tmp_path, tool)
    log = tmp_path / "log"
    env = {"CC": str(compiler(tmp_path, log)), "PATH": os.environ["PATH"]}
    make_project(dependencies=tools)
    cli.ok("lock")

    def most_at_once(*options: str, **more: str) -> int:
        log.unlink(missing_ok=True)
        shutil.rmtree(cli.cwd / ".venv", ignore_errors=True)
        cli.ok("sync", "--rebuild", ":all:", *options, env={**env, **more})
        counts = [int(line) for line in log.read_text().split()]
        assert counts.count(1) >= 5 * FILES  # twice with LTO
        return max(accumulate(counts))

    cores = available_cores()
    assert most_at_once() == cores
    # A user's own setting stays.
    assert most_at_once(MAKEFLAGS=f"-j{2 * cores}") > cores
