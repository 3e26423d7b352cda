"""``run --with``: a layer over the environment, which stays as it is; runs without a project."""

from __future__ import annotations

import json
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.facts import built
from tests.support.files import distributions, listing
from tests.support.pipshim import make_venv, site_packages
from tests.test_scripts import environments, requires, script
from tests.test_up_to_date import is_recognised

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

SHOW = """
import importlib.metadata, json, sys
found = {}
for one in importlib.metadata.distributions():
    found.setdefault(one.name, one.version)
print(json.dumps({"prefix": sys.prefix, "versions": found}))
"""
MAIN = "import fakelib, sys\ndef main():\n    print(fakelib.__version__, sys.prefix)\n"


@pytest.fixture
def project(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path) -> Path:
    """Give a synced project of fakelib 1.0 and of a tool that shows which fakelib it sees."""
    for version in ("1.0", "2.0"):
        index.add(wheel(tmp_path, "fakelib", version))
    index.add(
        wheel(
            tmp_path,
            "tool",
            "1.0",
            requires=["fakelib"],
            files={"tool.py": MAIN},
            entry_points={"console_scripts": {"tool": "tool:main"}},
        ),
        wheel(tmp_path, "plugin", "1.0", requires=["fakelib", "tool"]),
        wheel(tmp_path, "other", "1.0"),
    )
    project = make_project(dependencies=["fakelib<2", "tool"])
    cli.ok("sync")
    return project


def versions(cli: Cli, *options: str, env: Mapping[str, str] | None = None) -> dict[str, str]:
    out = cli.ok("run", *options, "python", "-c", SHOW, env=env).out
    found: dict[str, str] = json.loads(out)["versions"]
    return found


def test_a_layer_is_made_once_and_changes_nothing_below(
    cli: Cli, index: Index, project: Path
) -> None:
    without = (".pipshim-fresh", ".pipshim.lock", "__pycache__")
    before = listing(project, without=without)
    assert versions(cli, "--with", "other") == {"fakelib": "1.0", "tool": "1.0", "other": "1.0"}
    (layer,) = environments(cli)
    # What is below in the same version is not there again.
    assert distributions(layer) == ["other-1.0"]
    index.requests.clear()
    assert versions(cli, "--with", "other")["other"] == "1.0"
    assert is_recognised(cli, project, "run", "--with", "other", "true")
    assert index.requests == []
    assert listing(project, without=without) == before
    assert cli("run", "python", "-c", "import other").status == 1

    shutil.rmtree(layer)
    assert versions(cli, "--with", "other")["other"] == "1.0"
    assert versions(cli, "--with", "plugin, other")["plugin"] == "1.0"
    assert versions(cli, "--with", "plugin", "--with", "other")["plugin"] == "1.0"
    assert len(environments(cli)) == 2


def test_what_the_environment_has_needs_no_layer(
    cli: Cli, index: Index, project: Path, tmp_path: Path
) -> None:
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("fakelib<2\nother==3\n")
    more = tmp_path / "more.txt"
    more.write_text("tool  # a comment\nnone; python_version < '3'\n")
    cli.ok("run", "-c", str(constraints), "true")  # they count for the project too
    index.requests.clear()
    options = ["-c", str(constraints), "--with", "fakelib>=1", "--with-requirements", str(more)]
    assert versions(cli, *options) == {"fakelib": "1.0", "tool": "1.0"}
    assert is_recognised(cli, project, "run", *options, "true")
    assert index.requests == []
    assert environments(cli) == []
    more.write_text("fakelib>1\n")
    constraints.unlink()
    assert versions(cli, "--with-requirements", str(more))["fakelib"] == "2.0"


def test_the_layers_version_wins_for_scripts_below_too(
    cli: Cli, index: Index, project: Path, tmp_path: Path
) -> None:
    options = ("run", "--with", "fakelib==2.0")
    out = cli.ok(*options, "tool").out
    (layer,) = environments(cli)
    for _ in "long way", "stamp":
        assert cli.ok(*options, "tool").out == out == f"2.0 {layer}\n"
    assert cli.ok("run", "tool").out == f"1.0 {project / '.venv'}\n"

    # A change below is seen: the layer takes what is there now, and its scripts.
    index.add(wheel(tmp_path, "fakelib", "1.1"))
    assert versions(cli, "--with", "plugin")["fakelib"] == "1.0"
    cli.ok("lock", "-P", "fakelib")
    assert versions(cli, "--with", "plugin") == {"fakelib": "1.1", "tool": "1.0", "plugin": "1.0"}
    cli.ok("sync")
    assert cli.ok(*options, "tool").out == out


def test_a_conflict_is_an_error_and_leaves_no_layer(cli: Cli, project: Path) -> None:
    err = cli.fails("run", "--with", "fakelib<1", "true").err
    assert "fakelib<1" in err
    assert environments(cli) == []
    cli.fails("run", "--with", "no such <", "true")
    cli.fails("run", "--with-requirements", "missing.txt", "true")
    assert (project / ".venv").exists()


def test_what_the_environment_sees_of_the_system_is_below_too(
    cli: Cli, index: Index, project: Path, tmp_path: Path
) -> None:
    # Of the system's packages the user's are those that a test can have.
    active = tmp_path / "active"
    make_venv(active, system_site=True)
    minor = site_packages(active).parent.name
    users = tmp_path / "users" / "lib" / minor / "site-packages"
    users.mkdir(parents=True)
    shared = wheel(tmp_path, "shared", "1.0")
    with zipfile.ZipFile(shared) as archive:
        archive.extractall(users)
    index.add(shared, wheel(tmp_path, "shared", "2.0"))
    index.add(wheel(tmp_path, "user", "1.0", requires=["shared"]))
    env = {"VIRTUAL_ENV": str(active), "PYTHONUSERBASE": str(tmp_path / "users")}
    without = versions(cli, env=env)
    assert without["shared"] == "1.0"
    assert versions(cli, "--with", "shared", env=env) == without
    assert environments(cli) == []
    for _ in "long way", "stamp":
        assert versions(cli, "--with", "user", env=env) == without | {"user": "1.0"}
    (layer,) = environments(cli)
    assert distributions(layer) == ["user-1.0"]
    assert is_recognised(cli, project, "run", "--with", "user", "true", env=env)
    assert versions(cli, "--with", "shared>1", env=env)["shared"] == "2.0"


def test_builds_without_isolation_see_what_is_below(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    for version in ("1.0", "2.0"):
        index.add(wheel(tmp_path, "fakelib", version, tag="native"))
    index.add(
        sdist(tmp_path, "natten", "0.1", backend=Backend(imports=["fakelib"])),
        sdist(tmp_path, "matches", "0.1", build_requires=["fakelib"]),
    )
    settings = '[tool.pipshim]\nno-build-isolation-package = ["natten"]\n'
    make_project(settings, dependencies=["fakelib<2"])
    assert set(versions(cli, "--with", "natten", "--with", "matches")) == {
        "fakelib",
        "natten",
        "matches",
    }
    (layer,) = environments(cli)
    assert built(site_packages(layer), "natten")["against"] == {"fakelib": "1.0"}
    assert built(site_packages(layer), "matches")["installed"]["fakelib"] == "1.0"


def test_the_project_below_counts_for_what_requires_it(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "addon", "1.0", requires=["demo"]), wheel(tmp_path, "demo", "99"))
    make_project(backend=Backend())
    found = versions(cli, "--with", "addon")
    assert found["addon"] == "1.0"
    assert found["demo"] != "99"
    (layer,) = environments(cli)
    assert distributions(layer) == ["addon-1.0"]
    sibling = make_project(folder="sibling", backend=Backend(), name="sibling")
    assert "sibling" in versions(cli, "--with-editable", str(sibling))


def test_an_isolated_run_has_the_lock_and_nothing_else(
    cli: Cli, index: Index, project: Path, tmp_path: Path
) -> None:
    del index
    shutil.rmtree(project / ".venv")
    other = tmp_path / "active"
    make_venv(other)
    assert versions(cli, "--isolated", env={"VIRTUAL_ENV": str(other)}) == {
        "fakelib": "1.0",
        "tool": "1.0",
    }
    (fresh,) = environments(cli)
    cli.ok("run", "--isolated", "true")
    assert is_recognised(cli, project, "run", "--isolated", "true")
    info = site_packages(fresh) / "extra-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: extra\nVersion: 1\n")
    (info / "RECORD").write_text("extra-1.dist-info/METADATA,,\nextra-1.dist-info/RECORD,,\n")
    assert set(versions(cli, "--isolated", "--with", "other")) == {"fakelib", "tool", "other"}
    assert not (project / ".venv").exists()
    assert distributions(other) == []


def test_without_a_project(cli: Cli, index: Index, tmp_path: Path, project_dir: Path) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    assert "--no-project" in cli.fails("run", "true").err
    assert versions(cli, "--with", "fakelib") == {"fakelib": "1.0"}
    assert is_recognised(cli, project_dir, "run", "--with", "fakelib", "true")
    idle = cli.ok("run", "--with", "fakelib", "--extra", "x", "--locked", "true").err
    assert "warning: --extra and --locked have no effect without a project" in idle
    (project_dir / "show.py").write_text(SHOW)
    assert json.loads(cli.ok("run", "show.py").out)["prefix"]
    active = {"VIRTUAL_ENV": str(tmp_path / "active")}
    make_venv(tmp_path / "active")
    code = "import sys; print(sys.prefix)"
    assert cli.ok("run", "--no-project", "python", "-c", code, env=active).out == (
        f"{tmp_path / 'active'}\n"
    )
    assert cli.ok("run", "--with", "fakelib", "-", stdin="import fakelib", env=active).out == ""
    assert len(environments(cli)) == 2
    # A project that appears is not passed over.
    (project_dir / "pyproject.toml").write_text('[project]\nname = "demo"\nversion = "1"\n')
    cli.ok("run", "--with", "fakelib", "true")
    assert (project_dir / ".venv").exists()


def test_a_layer_over_a_scripts_environment(
    cli: Cli, index: Index, tmp_path: Path, project_dir: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), wheel(tmp_path, "other", "1.0"))
    script(project_dir / "show.py", requires("fakelib"), code="import fakelib, other\n")
    assert cli("run", "show.py").status == 1
    cli.ok("run", "--with", "other", "show.py")
    assert is_recognised(cli, project_dir, "run", "--with", "other", "show.py")
    assert len(environments(cli)) == 2
