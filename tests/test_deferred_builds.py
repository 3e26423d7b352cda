"""With dependency-metadata, no hook of a package can fail its lock: what it cannot say waits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.support.backend import Backend
from tests.support.dists import sdist, wheel
from tests.support.facts import built, calls
from tests.support.locks import read_lock
from tests.support.pipshim import site_packages
from tests.test_up_to_date import is_recognised

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

NEEDS_A_GPU = """\
import os
import engine
from engine import *


def get_requires_for_build_wheel(config_settings=None):
    if not os.environ.get("GPU"):
        raise RuntimeError("there is no GPU here")
    return ["extratool"]
"""
STATED = '[[tool.pipshim.dependency-metadata]]\nname = "needy"\nrequires-dist = ["low"]\n'
GPU = {"GPU": "1"}


@pytest.fixture
def dists(tmp_path: Path, index: Index) -> Path:
    """Give the folder that distributions are made in; the index has what needy needs."""
    folder = tmp_path / "dists"
    index.add(*(wheel(folder, name, "1.0") for name in ("low", "tool", "extratool")))
    return folder


@pytest.fixture
def needy(index: Index, dists: Path) -> None:
    """Offer an sdist whose backend can be asked only where there is a GPU."""
    index.add(
        sdist(
            dists,
            "needy",
            "1.0",
            backend_source=NEEDS_A_GPU,
            build_requires=["tool"],
            static_metadata=False,
        )
    )


@pytest.mark.usefixtures("needy")
def test_a_hook_that_fails_here_is_asked_where_the_package_is_built(
    cli: Cli, index: Index, make_project: MakeProject
) -> None:
    project = make_project(STATED, dependencies=["needy"])
    result = cli.ok("lock")
    assert "needy 1.0: its build environment is resolved where it is built" in result.err
    assert "there is no GPU here" in result.err
    locked = read_lock(cli.cwd)
    assert locked.versions == {"needy": "1.0", "low": "1.0"}
    assert locked.build("needy")["deferred"] is True
    cli.ok("lock", "--check")

    failed = cli.fails("sync")
    assert "there is no GPU here" in failed.err
    synced = cli.ok("sync", env=GPU)
    assert "needy 1.0: resolving its build environment" in synced.err
    installed = built(site_packages(project / ".venv"), "needy")["installed"]
    assert {"tool", "extratool"} <= set(installed)

    index.requests.clear()
    assert "up to date" in cli.ok("sync").err
    assert is_recognised(cli, project, "sync")
    assert not index.requests
    assert read_lock(cli.cwd).text == locked.text


@pytest.mark.usefixtures("needy")
def test_the_lock_is_explained_and_exported_without_that_environment(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(STATED, dependencies=["needy"])
    cli.ok("lock")
    assert "unknown until it is built" in cli.ok("tree", "--builds").out
    assert "unknown until it is built" in cli.ok("why", "tool").out
    assert "unknown until it is built" in cli.fails("why", "extratool").err
    tree = json.loads(cli.ok("tree", "--builds", "--output-format", "json").out)
    (needed,) = tree["tree"][0]["branches"]
    assert needed["branches"][1]["build_environment_deferred"] is True
    assert "needy==1.0" in cli.ok("export").out
    assert "build-requires" in cli.fails("export", "--build", "needy").err


@pytest.mark.usefixtures("needy")
def test_build_requires_that_are_stated_are_not_asked_for(
    cli: Cli, make_project: MakeProject
) -> None:
    project = make_project(f'{STATED}build-requires = ["extratool"]\n', dependencies=["needy"])
    result = cli.ok("lock")
    assert "failed" not in result.err
    assert "warning" not in result.err
    locked = read_lock(cli.cwd)
    assert "deferred" not in locked.build("needy")
    assert locked.environment("needy") == ["extratool==1.0", "tool==1.0"]
    cli.ok("sync")
    installed = built(site_packages(project / ".venv"), "needy")["installed"]
    assert {"tool", "extratool"} <= set(installed)


def test_build_requires_of_none_are_stated_too(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    noted = Backend(log=str(log))
    index.add(sdist(dists, "needy", "1.0", backend=noted, static_metadata=False))
    make_project(f"{STATED}build-requires = []\n", dependencies=["needy"])
    cli.ok("lock")
    assert calls(log) == []
    make_project(f'{STATED}build-requires = ["tool"]\n', dependencies=["needy"])
    assert cli("lock", "--check").status == 1


def test_a_build_requirement_that_cannot_be_had_here_is_resolved_where_it_can(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path
) -> None:
    index.add(sdist(dists, "needy", "1.0", build_requires=["gputool"], static_metadata=False))
    project = make_project(STATED, dependencies=["needy"])
    assert "gputool" in cli.ok("lock").err
    assert "environment" not in read_lock(cli.cwd).build("needy")
    assert "unknown until it is built" in cli.ok("tree", "--builds").out
    assert "gputool" in cli.fails("sync").err
    index.add(wheel(dists, "gputool", "1.0"))
    cli.ok("sync")
    assert "gputool" in built(site_packages(project / ".venv"), "needy")["installed"]
    assert "up to date" in cli.ok("sync").err


@pytest.mark.parametrize("is_static", [False, True], ids=["metadata", "requirements"])
def test_a_build_requirement_that_cannot_be_built_here_is_built_where_it_can(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path, *, is_static: bool
) -> None:
    """The backend of the build requirement fails: at its metadata, or at what it requires."""
    source = NEEDS_A_GPU
    if not is_static:
        source += (
            "def prepare_metadata_for_build_wheel(directory, config_settings=None):\n"
            '    os.environ["GPU"]\n'
            "    return engine.prepare_metadata_for_build_wheel(directory, config_settings)\n"
        )
    index.add(
        sdist(dists, "gputool", "1.0", backend_source=source, static_metadata=is_static),
        sdist(dists, "needy", "1.0", build_requires=["gputool"], static_metadata=False),
    )
    project = make_project(STATED, dependencies=["needy"])
    cli.ok("lock")
    assert read_lock(cli.cwd).build("needy")["deferred"] is True
    cli.fails("sync")
    cli.ok("sync", env=GPU)
    assert "gputool" in built(site_packages(project / ".venv"), "needy")["installed"]


@pytest.mark.parametrize("how", ["unimportable", "declared", "told by the backend"])
def test_neither_an_import_nor_a_contradiction_of_match_runtime_fails_the_lock(
    how: str, cli: Cli, index: Index, make_project: MakeProject, dists: Path
) -> None:
    index.add(*(wheel(dists, "torch", version, tag="native") for version in ("1.0", "2.0")))
    source = {
        "unimportable": "import cuda_toolkit\n",
        "declared": "from engine import *\n",
        "told by the backend": NEEDS_A_GPU.replace("extratool", "torch<2"),
    }[how]
    requires = ["torch<2"] if how == "declared" else ["tool"]
    index.add(
        sdist(
            dists,
            "needy",
            "1.0",
            backend_source=source,
            build_requires=requires,
            static_metadata=False,
        )
    )
    table = "[tool.pipshim]\nmatch-runtime = ['torch']\n"
    project = make_project(table + STATED, dependencies=["needy", "torch"])
    result = cli.ok("lock", env=GPU)
    words = "cuda_toolkit" if how == "unimportable" else "torch"
    (warning,) = (line for line in result.err.splitlines() if "resolved where it is built" in line)
    assert words in warning
    assert read_lock(cli.cwd).build("needy")["deferred"] is True
    assert words in cli.fails("sync", env=GPU).err
    make_project(STATED, dependencies=["needy", "torch"])
    if how != "unimportable":
        cli.ok("sync", env=GPU)
        assert built(site_packages(project / ".venv"), "needy")["installed"]["torch"] == "1.0"


def test_without_dependency_metadata_a_failing_hook_fails_the_lock(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path
) -> None:
    index.add(sdist(dists, "needy", "1.0", backend_source=NEEDS_A_GPU))
    make_project(dependencies=["needy"])
    assert "there is no GPU here" in cli.fails("lock").err


@pytest.mark.usefixtures("needy")
def test_targets_that_are_not_here_are_locked_though_the_hook_fails_here(
    cli: Cli, make_project: MakeProject
) -> None:
    targets = ["linux-x86_64-cp312", "macos-arm64-cp312"]
    make_project(
        f"[tool.pipshim]\ntarget-environments = {json.dumps(targets)}\n{STATED}",
        dependencies=["needy"],
    )
    cli.ok("lock")
    locked = read_lock(cli.cwd)
    assert locked.versions == {"needy": "1.0", "low": "1.0"}
    assert locked.build("needy")["deferred"] is True
    cli.ok("lock", "--check")


def test_a_build_against_the_run_time_version_is_done_again_when_that_changes(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path
) -> None:
    index.add(*(wheel(dists, "torch", version, tag="native") for version in ("1.0", "2.0")))
    index.add(
        sdist(
            dists,
            "needy",
            "1.0",
            backend_source=NEEDS_A_GPU,
            build_requires=["torch"],
            static_metadata=False,
        )
    )
    project = make_project(STATED, dependencies=["needy", "torch<2"])
    cli.ok("sync", env=GPU | {"PIPSHIM_JOBS": "1"})
    make_project(STATED, dependencies=["needy", "torch>1"])
    cli.ok("lock")
    assert read_lock(cli.cwd).build("needy")["deferred"] is True
    assert "up to date" not in cli.ok("sync", env=GPU).err
    assert built(site_packages(project / ".venv"), "needy")["installed"]["torch"] == "2.0"
    assert "up to date" in cli.ok("sync").err
