"""``builds plan`` and ``builds run``: what is built on another machine is what sync would build."""

from __future__ import annotations

import getpass
import json
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from tests.support.backend import Backend
from tests.support.dists import sdist, setuptools_sdist, wheel
from tests.support.facts import calls
from tests.support.pipshim import PATIENCE, ROOT, Cli, another_python, until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import MakeProject
    from tests.support.index import Index

SCHEMA = json.loads((ROOT / "docs/reference/build-plan.schema.json").read_text("utf-8"))
SETTINGS = """
[tool.pipshim]
no-build-isolation-package = ["free"]
build-constraint-dependencies = ["tool<2"]
[tool.pipshim.extra-build-variables]
needy = { LEVEL = "3" }
[tool.pipshim.config-settings-package]
needy = { speed = "high" }
[tool.pipshim.build-memory]
needy = "100 MB"
"""


@pytest.fixture
def project(
    index: Index, make_project: MakeProject, tmp_path: Path, tool_wheels: Mapping[str, Path]
) -> Path:
    """Write a project with a build of each mode, and one that only a build needs."""
    for version in ("1.0", "2.0"):
        index.add(wheel(tmp_path, "fakelib", version, tag="native"))
        index.add(sdist(tmp_path, "tool", version))
    index.add(tool_wheels["setuptools"])
    needy = Backend(reads=["LEVEL"], tag="native", log=str(tmp_path / "calls"))
    index.add(sdist(tmp_path, "needy", "1.0", build_requires=["fakelib", "tool"], backend=needy))
    index.add(setuptools_sdist(tmp_path, "free", "1.0", setup_py="import fakelib"))
    return make_project(SETTINGS, dependencies=["needy", "fakelib<2", "free", "setuptools"])


@pytest.fixture
def other(tmp_path: Path, index: Index, interpreters: Path) -> Cli:
    """Give the command of another machine: with a home and caches of its own, and no project."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    made = Cli(tmp_path / "other", cwd=folder, index_url=index.url_with_credentials)
    shutil.copytree(interpreters, made.shim_cache / interpreters.name)
    return made


def planned(cli: Cli, *args: str, env: Mapping[str, str] | None = None) -> Any:
    plan = json.loads(cli.ok("builds", "plan", *args, env=env).out)
    jsonschema.validate(plan, SCHEMA)
    return plan


def record(cli: Cli, name: str, cwd: Path) -> Any:
    document = json.loads(cli.ok("builds", "show", name, "--output-format", "json", cwd=cwd).out)
    return document["packages"][0]["builds"][0]["record"]


@pytest.mark.usefixtures("project")
def test_a_plan_says_what_builds_need_and_nothing_of_this_machine(cli: Cli, tmp_path: Path) -> None:
    plan = planned(
        cli,
        "--tool",
        "cc",
        env={
            "CFLAGS": "-O2",
            "LDFLAGS": f"-s -L{tmp_path}",
            "CUDA_HOME": f"{tmp_path}/cuda",
            "PIP_TOKEN": "hush",
            "USER": "zoe",
        },
    )
    builds = {one["id"]: one for one in plan["builds"]}
    assert [*builds] == ["tool==1.0", "needy==1.0", "free==1.0"]
    needy = builds["needy==1.0"]
    assert needy["mode"] == "matched"
    assert needy["variables"] == {"LEVEL": "3"}
    assert needy["config_settings"] == {"speed": "high"}
    assert needy["memory"] == 100_000_000
    wheel, needed = needy["environment"]
    assert (wheel["name"], wheel["version"]) == ("fakelib", "1.0")
    assert needed == {"build": "tool==1.0"}
    assert builds["free==1.0"]["mode"] == "no-isolation"
    assert plan["constraints"] == ["tool<2"]
    assert plan["variables"]["CFLAGS"] == "-O2"
    assert set(plan["own_variables"]) == {"CUDA_HOME", "LDFLAGS"}
    assert plan["own_variables"]["LDFLAGS"] is None
    assert "cc" in plan["tools"]
    text = json.dumps(plan)
    for own in (str(tmp_path), str(Path.home()), sys.prefix, socket.gethostname(), "zoe", "hush"):
        assert own not in text
    assert "@127.0.0.1" not in text  # the index has credentials
    assert getpass.getuser() not in text.replace("127.0.0.1", "")


def test_a_plan_has_no_secret(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    """Given secrets in variables and settings, when a plan is made, then they are not in it."""
    named = "needy", "plain", "open"
    index.add(*(sdist(tmp_path, name, "1.0") for name in named))
    make_project(
        """
        [tool.pipshim.extra-build-variables]
        needy = { CFLAGS = "-DTOKEN=opensesame" }
        [tool.pipshim.config-settings-package]
        plain = { fetch-from = "https://me:sesame2@example.org/x" }
        """,
        dependencies=named,
    )
    env = {
        "PIPSHIM_REMOTE_URL": "https://me:opensesame@127.0.0.1:9/wheels",
        "PIPSHIM_SIGNING_KEY": f"ed25519-private:{'k' * 43}",
        "CFLAGS": f"-DKEY=ed25519-private:{'k' * 43}",
        "CXXFLAGS": "-I//me:sesame2@example.org/x https://me:sesame2@example.org/x",
        "FCFLAGS": "-O2",
    }
    done = cli.ok("builds", "plan", "--no-remote", env=env)
    plan = json.loads(done.out)
    assert [one["name"] for one in plan["builds"]] == ["open"]
    assert plan["variables"] == {"FCFLAGS": "-O2"}
    reasons = {one["name"]: one["reason"] for one in plan["left_out"]}
    assert reasons == {
        "needy": "its setting CFLAGS has credentials",
        "plain": "its setting fetch-from has credentials",
    }
    for secret in ("sesame", "kkkk"):
        assert secret not in done.out + done.err


def test_what_another_machine_builds_is_what_sync_would_build(
    cli: Cli, other: Cli, project: Path, tmp_path: Path
) -> None:
    assert cli.ok("builds", "plan", "-o", "plan.json").out == "tool\nneedy\nfree\n"
    plan = project / "plan.json"
    other.ok("builds", "run", plan, "-j", "2")
    copy = shutil.copytree(project, tmp_path / "clone" / "project")
    synced = other.ok("sync", "--output-format", "json", cwd=copy)
    assert {one["outcome"] for one in json.loads(synced.out)["builds"]} == {"cached"}
    cli.ok("sync")
    for name in ("tool", "needy", "free"):
        assert record(cli, name, project) == record(other, name, copy)
    assert planned(cli, "--missing")["builds"] == []


@pytest.mark.slow
def test_names_choose_builds_and_bring_what_these_need(cli: Cli, other: Cli, project: Path) -> None:
    (project / "plan.json").write_text(json.dumps(planned(cli)))
    plan = project / "plan.json"
    done = other.ok("builds", "run", plan, "Needy", "--output-format", "json")
    assert [
        (one["build"], one["source"], len(one["sha256"])) for one in json.loads(done.out)["wheels"]
    ] == [("tool==1.0", "built", 64), ("needy==1.0", "built", 64)]
    again = other.ok("builds", "run", plan, "needy==1.0", "tool", "--output-format", "json")
    document = json.loads(again.out)
    assert {one["source"] for one in document["wheels"]} == {"cached"}
    assert document["changed"] is False
    assert "1 built (1 no-isolation), 2 built earlier in" in other.ok("builds", "run", plan).err
    rebuilt = other.ok("builds", "run", plan, "tool", "--rebuild", "tool").err
    assert "1 built (1 isolated) in" in rebuilt


def test_an_interrupted_run_goes_on_where_it_ended(
    cli: Cli, other: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "calls"
    slow = Backend(sleep_seconds=600, acts_at=("build_wheel",), log=str(log))
    index.add(sdist(tmp_path, "first", "1.0", backend=Backend(log=str(log))))
    index.add(sdist(tmp_path, "slow", "1.0", build_requires=["first"], backend=slow))
    project = make_project(dependencies=["first", "slow"])
    cli.ok("builds", "plan", "-o", "plan.json")
    log.write_text("")
    with other.start("builds", "run", str(project / "plan.json")) as running:
        until(lambda: [one.name for one in calls(log)][-1:] == ["slow"])
        running.send_signal(signal.SIGINT)
        assert running.wait(PATIENCE) == 130
    log.write_text("")
    with other.start("builds", "run", str(project / "plan.json"), "--progress", "json") as running:
        until(lambda: [one.name for one in calls(log)][-1:] == ["slow"])
        running.send_signal(signal.SIGTERM)
        _, err = running.communicate(timeout=PATIENCE)
        assert running.returncode == 143
    events = [json.loads(line) for line in err.splitlines()]
    assert [one["name"] for one in events if one["event"] == "build-cached"] == ["first"]
    assert [one.name for one in calls(log) if one.event == "end"] == []


def test_what_only_this_machine_can_build_is_named_with_the_reason(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    local = sdist(tmp_path / "local", "inhouse", "1.0")
    index.add(sdist(tmp_path, "free", "1.0"))
    needs = f"inhouse @ {local.as_uri()}"
    index.add(sdist(tmp_path, "user", "1.0", build_requires=[needs]))
    make_project(
        '[tool.pipshim]\nno-build-isolation-package = ["free"]\n',
        dependencies=[f"inhouse @ {local.as_uri()}", "free", "user"],
        backend=Backend(),
    )
    made = cli.ok("builds", "plan", env={"PYTHONPATH": f"{tmp_path}:{ROOT}"})
    plan = json.loads(made.out)
    jsonschema.validate(plan, SCHEMA)
    assert plan["builds"] == []
    reasons = {one["name"]: one["reason"] for one in plan["left_out"]}
    assert reasons == {
        "inhouse": "inhouse 1.0 comes from a file of this machine",
        "user": "it needs inhouse: inhouse 1.0 comes from a file of this machine",
        "free": "it is built without isolation, and PYTHONPATH is set",
        "demo": "it is built from its folder",
    }
    assert "warning: demo is not in the plan: it is built from its folder" in made.err


def test_another_machine_is_told_how_it_differs(cli: Cli, project: Path) -> None:
    plan = planned(cli)
    path = project / "plan.json"

    def said(**changed: Any) -> str:
        path.write_text(json.dumps({**plan, **changed}))
        return cli.fails("builds", "run", "plan.json").err

    assert "is for win32 AMD64, and this machine is linux" in said(platform="win32 AMD64")
    err = said(python="cpython 3.4", python_abi="cp34m")
    assert "is for cpython 3.4 (cp34m), and " in err
    assert "hint: choose another Python: --python 3.4" in err
    assert "is for cc: gcc 1.2; this machine has " in said(tools={"cc": "gcc 1.2"})
    assert "is for nothing: 1; this machine does not have it" in said(tools={"nothing": "1"})
    (one,) = [one for one in plan["builds"] if one["name"] == "needy"]
    one["environment"][0]["wheels"][0]["name"] = "fakelib-1.0-cp311-cp311-win_amd64.whl"
    assert "needy==1.0 needs a file that does not suit this machine: fakelib 1.0 has no" in said()
    one["environment"][0]["wheels"][0]["name"] = "fakelib-1.0-py3-none-any.whl"
    one["environment"][0]["wheels"][0]["hashes"]["sha256"] = "0" * 64
    err = said()
    assert "fakelib: fakelib-1.0-py3-none-any.whl is not the file that was locked" in err
    assert "hint: the index has another file now: create the plan again" in err


def test_variables_that_are_set_here_only_are_named(cli: Cli, other: Cli, project: Path) -> None:
    cli.ok("builds", "plan", "-o", "plan.json", env={"CXXFLAGS": "-O1"})
    done = other.ok("builds", "run", project / "plan.json", "tool", env={"LDFLAGS": "-s"})
    assert "LDFLAGS is set here, and not where the plan was made" in done.err
    assert "CXXFLAGS" not in done.err


PLAN = {
    "schema": 1,
    "pipshim": "0.1.0",
    "python": "cpython 3.11",
    "python_abi": "cp311",
    "platform": "linux x86_64",
    "tools": {},
    "variables": {},
    "own_variables": {},
    "constraints": [],
    "record_variables": [],
    "ignore_variables": [],
    "rebuild": "auto",
    "abi": {},
    "builds": [],
    "left_out": [{"name": "demo", "version": None, "reason": "it is built from its folder"}],
}


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["plan", "needy"], 2, "builds plan takes no arguments: needy"),
        (["plan", "-r", "requirements.txt"], 2, "builds plan reads a lock"),
        (["plan", "--tool", "nonesuch"], 2, "there is no nonesuch on this machine"),
        (["run"], 2, "pipshim builds run plan.json"),
        (["run", "none.json"], 1, "none.json: cannot be read: No such file"),
        (["run", "."], 1, ".: cannot be read: Is a directory"),
        (["run", "pyproject.toml"], 1, "pyproject.toml: invalid JSON"),
        (["run", "plan.json", "nedy"], 2, "plan.json has no build 'nedy'"),
        (["run", "plan.json", "demo"], 2, "plan.json does not have demo: it is built from its"),
        (["run", "plan.json", "--no-build-isolation"], 2, "no such option"),
        (["run", "plan.json", "--rebuild", "nedy"], 2, "plan.json has no build 'nedy'"),
    ],
)
def test_mistakes_are_explained(
    cli: Cli, make_project: MakeProject, words: list[str], status: int, said: str
) -> None:
    make_project(files={"plan.json": json.dumps(PLAN)})
    assert said in cli.fails("builds", *words, status=status).err


def test_a_failed_build_ends_the_run_and_what_was_built_is_kept(
    cli: Cli, other: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "good", "1.0"))
    bad = Backend(fail_in="build_wheel", message="no such luck")
    index.add(sdist(tmp_path, "bad", "1.0", build_requires=["good"], backend=bad))
    project = make_project(dependencies=["bad"])
    cli.ok("builds", "plan", "-o", "plan.json")
    failed = other.fails("builds", "run", project / "plan.json", "--output-format", "json")
    assert "no such luck" in failed.err
    document = json.loads(failed.out)
    assert [one["build"] for one in document["wheels"]] == ["good==1.0"]
    assert document["errors"][0]["package"] == "bad 1.0"


@pytest.mark.skipif(another_python() is None, reason="needs another Python")
def test_a_plan_for_another_python_is_run_with_it(
    cli: Cli, other: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    python = another_python()
    index.add(sdist(tmp_path, "plain", "1.0"))
    project = make_project(dependencies=["plain"])
    cli.ok("builds", "plan", "-o", "plan.json", "--python", str(python))
    other.fails("builds", "run", project / "plan.json")
    (other.cwd / "pyproject.toml").write_text(
        '[project]\nname = "other"\nversion = "1"\nrequires-python = ">=3.99"\n'
    )
    done = other.ok("builds", "run", project / "plan.json", "--python", str(python))
    assert "1 built (1 isolated)" in done.err


def test_a_build_that_asks_the_gpu_needs_one_or_the_list_of_architectures(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    backend = Backend(reads=["TORCH_CUDA_ARCH_LIST"])
    index.add(sdist(tmp_path, "needy", "1.0", backend=backend))
    make_project(dependencies=["needy"])
    assert planned(cli)["builds"][0]["reads"] == []
    cli.ok("sync")
    plan = planned(cli, env={"TORCH_CUDA_ARCH_LIST": ""})
    assert plan["builds"][0]["reads"] == ["TORCH_CUDA_ARCH_LIST"]
    path = cli.cwd / "plan.json"
    path.write_text(json.dumps(plan))
    elsewhere = {"PIPSHIM_CACHE_DIR": str(tmp_path / "elsewhere"), "PATH": "/usr/bin:/bin"}
    err = cli.fails("builds", "run", path, env=elsewhere).err
    assert "needy==1.0 reads TORCH_CUDA_ARCH_LIST, which is not set, and this machine" in err
    assert 'needy = { TORCH_CUDA_ARCH_LIST = "8.0;9.0" }' in err
    plan = planned(cli, env={"TORCH_CUDA_ARCH_LIST": "9.0"})
    path.write_text(json.dumps(plan))
    assert "1 built" in cli.ok("builds", "run", path, env=elsewhere).err


def test_a_plan_is_read_from_standard_input(cli: Cli, project: Path) -> None:
    plan = cli.ok("builds", "plan", cwd=project).out
    assert "+ tool 1.0\n1 built earlier in" in cli.ok("builds", "run", "-", "tool", stdin=plan).err
    assert "standard input: invalid JSON" in cli.fails("builds", "run", "-", stdin="{").err
