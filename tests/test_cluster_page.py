"""The examples of docs/how-to/build-on-a-cluster.md: YAML is parsed, and its commands are run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.backend import Backend
from tests.support.dists import sdist, wheel
from tests.support.pipshim import ROOT, Cli
from tests.test_pages import run, surroundings

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index

PAGE = "build-on-a-cluster.md"
INSTALL = 'python -m pip install "pipshim[remote]"'


@pytest.fixture
def project(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path) -> Path:
    index.add(wheel(tmp_path, "fakelib", "1.0", tag="native"))
    index.add(sdist(tmp_path, "tool", "1.0"))
    native = Backend(tag="native")
    needs = ["fakelib", "tool"]
    index.add(sdist(tmp_path, "needy", "1.0", build_requires=needs, backend=native))
    project = make_project(dependencies=["needy", "fakelib"])
    cli.ok("lock")
    return project


def manifests() -> list[Any]:
    text = (ROOT / "docs" / "how-to" / PAGE).read_text(encoding="utf-8")
    return [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]


def shell(script: str, directory: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def comes_from_the_remote(project: Path, index: Index, tmp_path: Path, remote: Path) -> list[str]:
    """Sync a copy of the project on a machine without caches; return what was built elsewhere."""
    copy = shutil.copytree(project, tmp_path / "clone", ignore=shutil.ignore_patterns(".venv"))
    fresh = Cli(tmp_path / "fresh", cwd=copy, index_url=index.url_with_credentials)
    done = fresh.ok("sync", "--remote", remote, "--output-format", "json")
    return [one["name"] for one in json.loads(done.out)["builds"] if one["outcome"] == "remote"]


def test_xargs_builds_what_sync_then_reuses(cli: Cli, project: Path, tmp_path: Path) -> None:
    shown = run(PAGE, cli, project, tmp_path)
    assert "planned 2 builds in plan.json" in shown
    assert "1 built earlier" in shown.rpartition("$ pipshim sync")[2]


def test_the_matrix_of_github_actions_fills_the_remote(
    cli: Cli, project: Path, index: Index, tmp_path: Path
) -> None:
    jobs = manifests()[0]["jobs"]
    remote, output = tmp_path / "remote", tmp_path / "output"
    own = surroundings(cli, tmp_path) | {"PIPSHIM_REMOTE_URL": str(remote)}
    remote.mkdir()
    for step in jobs["plan"]["steps"]:
        if step.get("run", INSTALL) != INSTALL:
            shell(step["run"], project, own | {"GITHUB_OUTPUT": str(output)})
    names = json.loads(output.read_text().removeprefix("names="))
    assert names == ["tool", "needy"]
    assert (
        jobs["build"]["strategy"]["matrix"]["name"] == "${{ fromJSON(needs.plan.outputs.names) }}"
    )
    for number, name in enumerate(names):
        runner = tmp_path / f"runner{number}"
        runner.mkdir()
        shutil.copy(project / "plan.json", runner)
        caches = {"PIPSHIM_CACHE_DIR": str(runner / "cache"), "PIP_CACHE_DIR": str(runner / "pip")}
        for step in jobs["build"]["steps"]:
            if step.get("run", INSTALL) != INSTALL:
                assert step["env"] == {"NAME": "${{ matrix.name }}"}
                shell(step["run"], runner, own | caches | {"NAME": name})
    assert comes_from_the_remote(project, index, tmp_path, remote) == ["needy"]


def test_the_pods_of_a_kubernetes_job_fill_the_remote(
    cli: Cli, project: Path, index: Index, tmp_path: Path
) -> None:
    spec = manifests()[1]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    (mount,) = container["volumeMounts"]
    remote, builds = tmp_path / "remote", tmp_path / "builds"
    remote.mkdir()
    builds.mkdir()
    planned = cli.ok("builds", "plan", "-o", builds / "plan.json").out
    (builds / "names.txt").write_text(planned)
    assert spec["completions"] == len(planned.splitlines())
    own = surroundings(cli, tmp_path) | {"PIPSHIM_REMOTE_URL": str(remote)}
    (script,) = container["args"]
    assert script.startswith(f"{INSTALL} &&\n")
    script = script.removeprefix(f"{INSTALL} &&\n").replace(mount["mountPath"], str(builds))
    for number in range(spec["completions"]):
        pod = tmp_path / f"pod{number}"
        pod.mkdir()
        caches = {"PIPSHIM_CACHE_DIR": str(pod / "cache"), "PIP_CACHE_DIR": str(pod / "pip")}
        shell(script, pod, own | caches | {"JOB_COMPLETION_INDEX": str(number)})
    assert comes_from_the_remote(project, index, tmp_path, remote) == ["needy"]
