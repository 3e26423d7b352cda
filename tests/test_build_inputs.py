"""Wheels are built again when a variable changes that their build depends on, and only then."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.dists import Backend, sdist, source_tree, wheel
from tests.support.facts import calls
from tests.support.repositories import git_repository, needs_git

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

MOST = """\
import os
os.getenv("CHILD")
os.environ["SET_BY_BUILD"] = "1"
os.getenv("SET_BY_BUILD")
"""


@pytest.fixture
def project(index: Index, make_project: MakeProject, tmp_path: Path, log: Path) -> MakeProject:
    """Make a project of a pure wheel, and one for this platform that reads variables."""
    reading = Backend(
        log=str(log),
        tag="native",
        reads=["READ"],
        runs=[["python", "-c", MOST]],
        acts_at=["build_wheel"],
    )
    index.add(
        sdist(tmp_path, "needy", "1.0", backend=reading),
        sdist(tmp_path, "pure", "1.0", backend=Backend(log=str(log))),
    )
    make_project(dependencies=["needy", "pure"])
    return make_project


def built(log: Path) -> list[str]:
    """Give the wheels that were built since the last time, sorted."""
    found = [one for one in calls(log) if one.event == "start" and one.hook == "build_wheel"]
    log.unlink(missing_ok=True)
    return sorted(one.name for one in found)


def record(cli: Cli, name: str) -> Any:
    document = json.loads(cli.ok("builds", "show", name, "--output-format=json").out)
    return document["packages"][0]["builds"][0]["record"]


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("READ", "b", "READ is b, was another value"),
        ("READ", None, "READ is not set, was set"),
        ("CHILD", "x", "CHILD is x, was not set"),
        ("CC", "clang", "CC is clang, was not set"),
        ("CXXFLAGS", "-O1", "CXXFLAGS is -O1, was not set"),
    ],
)
def test_a_changed_variable_that_counts_rebuilds_what_depends_on_it(
    cli: Cli, project: MakeProject, log: Path, name: str, value: str | None, reason: str
) -> None:
    del project
    cli.env["READ"] = "mine"
    cli.ok("sync")
    assert built(log) == ["needy", "pure"]
    cli.ok("sync")
    cli.env.pop(name, None)
    if value is not None:
        cli.env[name] = value
    assert f"needy 1.0 (rebuild: {reason})" in cli.ok("sync", "--dry-run").err
    assert f"built again: {reason}" in cli.ok("builds", "show", "needy").out
    assert not built(log)
    result = cli.ok("sync", "--output-format", "json")
    assert built(log) == ["needy"]
    wheels = [one for one in json.loads(result.out)["builds"] if one["what"] == "wheel"]
    assert [(one["name"], one["reason"]) for one in wheels] == [("needy", f"rebuild: {reason}")]
    assert "up to date" in cli.ok("sync").err
    cli.env.pop(name, None)
    cli.env["READ"] = "mine"
    back = cli.ok("sync", "--dry-run").err
    assert "needy 1.0 (from the cache: " in back
    assert "rebuild" not in back


SPAWNING = """\
from engine import *
import engine

def build_wheel(*args, **more):
    import multiprocessing, os
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(os.getenv, ["CHILD"])
    return engine.build_wheel(*args, **more)
"""


def test_a_variable_that_a_spawned_worker_reads_counts(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "needy", "1.0", backend_source=SPAWNING))
    make_project(dependencies=["needy"])
    cli.ok("sync")
    cli.env["CHILD"] = "x"
    assert "needy 1.0 (rebuild: CHILD is x, was not set)" in cli.ok("sync", "--dry-run").err


def test_irrelevant_variables_rebuild_nothing_and_no_value_is_recorded(
    cli: Cli, project: MakeProject, log: Path
) -> None:
    del project
    cli.env["READ"] = "a secret value"
    cli.ok("sync")
    assert built(log) == ["needy", "pure"]
    variables = record(cli, "needy")["variables"]
    assert variables["READ"] is not None
    assert variables["CHILD"] is None
    assert "SET_BY_BUILD" not in variables
    results = [*(cli.shim_cache / "builds-v1").rglob("*.json")]
    assert all("a secret value" not in one.read_text() for one in results)
    cli.env |= {"CI": "1", "TERM": "dumb", "MAX_JOBS": "3", "SET_BY_BUILD": "x", "USER": "else"}
    cli.env |= {f"UNRELATED_{number}": "x" for number in range(200)}
    cli.env["PATH"] = f"/nowhere:{cli.env['PATH']}"
    assert "up to date" in cli.ok("sync").err
    shutil.rmtree(cli.cwd / ".venv")
    cli.ok("sync")
    assert not built(log)


def test_an_environment_is_not_made_again_from_wheels_of_other_variables(
    cli: Cli, project: MakeProject, log: Path
) -> None:
    del project
    cli.ok("sync")
    shutil.rmtree(cli.cwd / ".venv")
    cli.ok("sync")
    built(log)
    shutil.rmtree(cli.cwd / ".venv")
    cli.env["CFLAGS"] = "-O0"
    said = cli.ok("sync", "-v").err
    assert built(log) == ["needy"]
    assert "needy 1.0: rebuild: CFLAGS is -O0, was not set" in said
    cli.env.pop("CFLAGS")
    shutil.rmtree(cli.cwd / ".venv")
    cli.ok("sync")
    assert not built(log)


def test_the_project_says_which_variables_count(cli: Cli, project: MakeProject, log: Path) -> None:
    settings = '[tool.pipshim]\nrecord-variables = ["MY_*"]\nignore-variables = ["CHILD", "CF*"]\n'
    project(settings, dependencies=["needy", "pure"])
    cli.ok("sync")
    built(log)
    cli.env |= {"CHILD": "1", "CFLAGS": "-O0"}
    assert "up to date" in cli.ok("sync").err
    cli.env["MY_LIB"] = "1"
    cli.ok("sync")
    assert built(log) == ["needy", "pure"]
    cli.env["MY_LIB"] = "2"
    said = cli.ok("sync", "--dry-run").err
    assert "pure 1.0 (rebuild: MY_LIB is 2, was 1)" in said


def test_records_of_an_older_pipshim_are_said_once_and_built_again(
    cli: Cli, project: MakeProject, log: Path
) -> None:
    del project
    cli.ok("sync")
    built(log)
    for path in (cli.shim_cache / "builds-v1").rglob("wheel-*.json"):
        data = json.loads(path.read_text())
        data["record"]["schema"] = 2
        path.write_text(json.dumps(data))
    shutil.rmtree(cli.cwd / ".venv")
    shutil.rmtree(cli.shim_cache / "again")
    said = cli.ok("sync").err
    assert built(log) == ["needy", "pure"]
    assert said.count("an older pipshim built") == 1


def test_abi_says_how_far_a_version_may_differ(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, log: Path
) -> None:
    for version in ("1.0", "1.1", "2.0"):
        index.add(wheel(tmp_path, "fakelib", version, tag="native"))
    index.add(
        sdist(tmp_path, "needy", "1.0", build_requires=["fakelib"], backend=Backend(log=str(log)))
    )
    settings = '[tool.pipshim]\nabi = { FakeLib = "major" }\n'
    make_project(settings, dependencies=["needy", "fakelib<1.1"])
    cli.ok("sync")
    assert built(log) == ["needy"]
    make_project(settings, dependencies=["needy", "fakelib<2"])
    cli.ok("sync", "-P", "fakelib")
    assert not built(log)
    make_project(dependencies=["needy", "fakelib<2"])
    assert "up to date" in cli.ok("lock", "--check").err
    assert "built against fakelib 1.0, the lock has 1.1" in cli.ok("sync", "--dry-run").err
    make_project(settings, dependencies=["needy", "fakelib"])
    said = cli.ok("sync", "-P", "fakelib").err
    assert "rebuild: built against fakelib 1.0, the lock has 2.0" in said
    assert built(log) == ["needy"]


def compiler(folder: Path, name: str, version: str) -> None:
    """Write a program that says its version, as a compiler does."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\necho 'tools, release 1, V{version}'\n", "utf-8")
    (folder / name).chmod(0o755)


def test_a_pure_wheel_asks_no_compiler_without_a_remote(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, log: Path
) -> None:
    asked = tmp_path / "asked"
    for name in ("cc", "gcc", "c++", "g++", "gfortran", "nvcc"):  # pip itself asks rustc
        compiler(tmp_path / "bin", name, "1")
        with (tmp_path / "bin" / name).open("a", encoding="utf-8") as script:
            script.write(f"echo {name} >>'{asked}'\n")
    cli.env["PATH"] = f"{tmp_path}/bin:{cli.env['PATH']}"
    index.add(sdist(tmp_path, "pure", "1.0", backend=Backend(log=str(log))))
    make_project(dependencies=["pure"])
    cli.ok("sync")
    assert built(log) == ["pure"]
    assert not asked.exists()
    cli.ok("sync", "--rebuild", "pure", "--remote", str(tmp_path))
    assert asked.exists()


@needs_git
def test_large_files_that_git_can_fetch_now_rebuild_what_was_built_of_a_checkout(
    cli: Cli, make_project: MakeProject, tmp_path: Path, log: Path
) -> None:
    backend = Backend(log=str(log))
    tree = source_tree(sdist(tmp_path, "needy", "1.0", backend=backend), tmp_path)
    (tree / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n", "utf-8")
    git_repository(tree)
    make_project(dependencies=[f"needy @ git+{tree.as_uri()}@main"])
    cli.ok("sync")
    assert record(cli, "needy")["tools"] == {"git-lfs": None}
    shown = cli.ok("builds", "show", "needy").out
    assert shown.startswith("needy 1.0, built ")
    assert re.search(r"/needy-[0-9a-f]{10}-wheel-\S+\.log$", shown, re.MULTILINE)
    compiler(tmp_path / "bin", "git-lfs", "3.4")
    cli.env["PATH"] = f"{tmp_path}/bin:{cli.env['PATH']}"
    assert "git-lfs installed, was not found" in cli.ok("sync", "--dry-run").err
    cli.ok("sync")
    assert built(log) == ["needy"] * 2
    compiler(tmp_path / "bin", "git-lfs", "3.5")
    assert "up to date" in cli.ok("sync").err


def test_another_compiler_rebuilds_what_it_compiles(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, log: Path
) -> None:
    backend = Backend(log=str(log), tag="native", runs=[["tool"]], acts_at=["build_wheel"])
    files = {"kernel.cu": "", "part.c": ""}
    index.add(
        sdist(tmp_path, "kernels", "1.0", backend=backend, files=files),
        sdist(tmp_path, "pure", "1.0", backend=Backend(log=str(log)), files=files),
    )
    make_project(dependencies=["kernels", "pure"])
    old, new, other = (tmp_path / name for name in ("cuda-12.4", "cuda-12.8", "other"))
    compiler(old / "bin", "nvcc", "12.4.131")
    compiler(new / "bin", "nvcc", "12.8.93")
    compiler(other, "tool", "1.0")
    compiler(other, "cc", "1.0")
    compiler(other, "c++", "1.0")
    cli.env |= {"CUDA_HOME": str(old), "PATH": f"{other}:{cli.env['PATH']}"}
    cli.ok("sync")
    assert built(log) == ["kernels", "pure"]
    tools = record(cli, "kernels")["tools"]
    assert {name: tool["version"][-3:] for name, tool in tools.items()} == {
        "nvcc": "131",
        "cc": "1.0",
        "c++": "1.0",
        "tool": "1.0",
    }
    assert record(cli, "pure")["tools"] == {}
    assert "up to date" in cli.ok("sync").err
    cli.env["CUDA_HOME"] = str(new)
    said = cli.ok("sync", "--dry-run").err
    assert "nvcc 12.8.93, was 12.4.131" in said
    cli.env["CUDA_HOME"] = str(old)
    assert "up to date" in cli.ok("sync", "--dry-run").err
    compiler(other, "cc", "1.0.1")
    assert "kernels 1.0 (rebuild: cc 1.0.1, was 1.0)" in cli.ok("sync", "--dry-run").err
    cli.ok("sync")
    assert built(log) == ["kernels"]
    copied = tmp_path / "copied"
    shutil.copytree(other, copied)
    cli.env["PATH"] = f"{copied}:{cli.env['PATH']}"
    assert "up to date" in cli.ok("sync").err
