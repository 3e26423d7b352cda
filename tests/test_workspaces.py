"""``[tool.pipshim.workspace]``: several projects with one lock and one environment."""

from __future__ import annotations

import sys
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, wheel, write_dynamic_project
from tests.support.dists import project as backend_project
from tests.support.files import distributions
from tests.support.locks import read_lock

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.index import Index
    from tests.support.pipshim import Cli

ROOT = """
[project]
name = "app"
version = "1"
dependencies = ["library"]
[project.optional-dependencies]
more = ["speed"]
[dependency-groups]
dev = ["linter"]
[tool.pipshim.workspace]
members = ["packages/*", "tools/cli"]
exclude = ["packages/seeds"]
[tool.pipshim.sources]
library = { workspace = true }
"""
BACKEND = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""
LIBRARY = """
[project]
name = "library"
version = "1"
dependencies = ["helper"]
[project.optional-dependencies]
fast = ["speed"]
[dependency-groups]
dev = ["tester"]
"""
CLI = """
[project]
name = "cli"
version = "1"
dependencies = ["library[fast]", "shell"]
[tool.pipshim.sources]
library = { workspace = true }
"""


@pytest.fixture
def root(project_dir: Path, index: Index, tmp_path: Path) -> Path:
    """Give the root of a workspace: a project that needs a member, and a member that does too."""
    for name in ("fresh", "helper", "speed", "tester", "shell", "linter"):
        index.add(wheel(tmp_path / "dists", name, "1"))
    write(project_dir, ROOT)
    write(project_dir / "packages" / "library", LIBRARY + BACKEND)
    (project_dir / "packages" / "library" / "backend.py").write_text(EDITABLE)
    write(project_dir / "packages" / "seeds", "[project]\nname = 'seeds'\n")
    write(project_dir / "tools" / "cli", CLI)
    return project_dir


EDITABLE = '''
import os, zipfile

NAME = "library-1.dist-info"
WHEEL = "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any"
METADATA = """Metadata-Version: 2.1
Name: library
Version: 1
Requires-Dist: helper
Provides-Extra: fast
Requires-Dist: speed; extra == "fast"
"""


def get_requires_for_build_editable(config_settings=None):
    return []


def prepare_metadata_for_build_editable(folder, config_settings=None):
    os.mkdir(os.path.join(folder, NAME))
    with open(os.path.join(folder, NAME, "METADATA"), "w") as file:
        file.write(METADATA)
    return NAME


prepare_metadata_for_build_wheel = prepare_metadata_for_build_editable
get_requires_for_build_wheel = get_requires_for_build_editable


def build_editable(folder, config_settings=None, metadata_directory=None):
    name = "library-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("library.pth", os.getcwd())
        wheel.writestr(f"{NAME}/METADATA", METADATA)
        wheel.writestr(f"{NAME}/WHEEL", WHEEL)
        wheel.writestr(f"{NAME}/RECORD", "")
    return name


build_wheel = build_editable
'''


def write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(dedent(text))


def installed(root: Path) -> set[str]:
    return {name.partition("-")[0] for name in distributions(root / ".venv")}


def test_members_share_one_lock_and_one_environment(cli: Cli, root: Path) -> None:
    cli.ok("sync")
    assert installed(root) == {"library", "helper", "linter"}
    assert set(read_lock(root).packages) == {"helper", "speed", "tester", "shell", "linter"}
    member, tool = root / "packages" / "library", root / "tools" / "cli"

    cli.ok("sync", cwd=member)
    assert installed(root) == {"library", "helper", "tester"}
    cli.ok("sync", "--extra", "fast", "--no-dev", cwd=member)
    assert installed(root) == {"library", "helper", "speed"}
    cli.ok("sync", "--package", "cli", "--group", "dev", "--package", "library")
    assert installed(root) == {"library", "helper", "speed", "shell", "tester"}
    cli.ok("sync", "--all-packages", "--no-default-groups", cwd=tool)
    assert installed(root) == {"library", "helper", "speed", "shell"}
    cli.ok("sync", "--only-group", "dev", cwd=member)
    assert installed(root) == {"tester"}
    cli.ok("sync", "--all-groups", "--all-extras")
    assert installed(root) == {"library", "helper", "linter", "speed"}

    code = "import shell, sys; print(sys.prefix)"
    for _ in range(2):  # the second time nothing is looked at but a stamp
        assert cli.ok("run", "python", "-c", code, cwd=tool).out.strip() == str(root / ".venv")
    for folder in (member, tool):
        assert not (folder / "pylock.toml").exists()
        assert not (folder / ".venv").exists()
        cli.ok("lock", "--check", cwd=folder)

    assert "shell==1" in cli.ok("export", "--no-hashes", "--package", "cli").out
    assert "shell" not in cli.ok("export", "--no-hashes").out
    assert "shell 1 (member cli)" in cli.ok("tree", "--package", "cli").out
    assert "tester 1 (group dev of library)" in cli.ok("tree").out
    assert "tester" not in cli.ok("tree", "--package", "cli").out


def test_a_change_or_a_new_member_makes_the_lock_out_of_date(cli: Cli, root: Path) -> None:
    cli.ok("lock")
    cli.ok("lock", "--check")
    write(root / "packages" / "seeds", "[project]\nname = 'seeds'\ndependencies = ['none']\n")
    cli.ok("lock", "--check")
    write(root / "packages" / "third", "[project]\nname = 'third'\nversion = '1'\n")
    assert cli("lock", "--check").status == 1
    cli.ok("lock")
    write(root / "packages" / "third", "[project]\nname = 'third'\ndependencies = ['shell']\n")
    assert cli("lock", "--check", cwd=root / "tools" / "cli").status == 1


def test_members_are_edited(cli: Cli, root: Path) -> None:
    tool, member = root / "tools" / "cli", root / "packages" / "library"
    cli.ok("add", "fresh", cwd=tool)
    assert '"fresh>=1"' in (tool / "pyproject.toml").read_text()
    assert {"fresh", "shell"} <= installed(root)
    cli.ok("remove", "--package", "cli", "fresh", cwd=member)
    assert "fresh" not in (tool / "pyproject.toml").read_text()
    cli.ok("add", "--package", "library", "fresh", "--no-sync")  # it has a backend
    assert '"fresh>=1"' in (member / "pyproject.toml").read_text()
    cli.ok("add", "--package", "library", "--dev", "shell", "--no-sync")
    assert '"shell>=1"' in (member / "pyproject.toml").read_text()

    write(root / "packages" / "third", "[project]\nname = 'third'\nversion = '1'\n")
    third = root / "packages" / "third"
    done = cli.ok("add", "library", cwd=third)
    added = tomllib.loads((third / "pyproject.toml").read_text())
    assert added["tool"]["pipshim"]["sources"] == {"library": {"workspace": True}}
    assert "library = { workspace = true } to tool.pipshim.sources" in done.err
    before = (tool / "pyproject.toml").read_text()
    assert "member 'cli' requires nowhere" in cli.fails("add", "nowhere", cwd=tool).err
    assert (tool / "pyproject.toml").read_text() == before
    failed = cli.fails("add", "helper", "--package", "cli", "--package", "library", status=2)
    assert "edit one at a time" in failed.err


def test_a_root_that_is_no_project_stands_for_all_members(
    cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path / "dists", "helper", "1"), wheel(tmp_path / "dists", "shell", "1"))
    write(project_dir, "[tool.uv.workspace]\nmembers = ['a', 'b']\n")
    write(project_dir / "a", "[project]\nname = 'a'\ndependencies = ['helper']\n")
    write(project_dir / "b", "[project]\nname = 'b'\ndependencies = ['shell']\n")
    cli.ok("sync")
    assert installed(project_dir) == {"helper", "shell"}
    cli.ok("sync", cwd=project_dir / "b")
    assert installed(project_dir) == {"shell"}


@pytest.mark.parametrize(
    ("folder", "text", "problem"),
    [
        ("tools/cli", "[project]\nversion = '1'\n", "project has no 'name'"),
        ("tools/cli", "[dependency-groups]\n", "is a member of the workspace and has no [project]"),
        ("tools/cli", "[project]\nname = 'Library'\n", "has the name library, as "),
        ("tools/cli", "[project]\nname = 'app'\n", "has the name app, as "),
        (".", "[tool.pipshim]\nworkspace.members = ['../x']", "is outside of the workspace's root"),
        (".", "[tool.pipshim]\nworkspace.members = ['packages']", "has no pyproject.toml"),
        (".", "[tool.pipshim]\nworkspace.member = []", "unknown key 'member'"),
        (
            "tools/cli",
            CLI.replace("library", "libary"),
            "the workspace has no member libary; did you mean 'library'",
        ),
        (
            "tools/cli",
            CLI.replace("{ workspace = true }", "{ path = '../../packages/seeds' }"),
            "differs from the source in",
        ),
        (
            "tools/cli",
            f"{CLI}[tool.pipshim.workspace]\nmembers = []\n",
            "has a workspace itself",
        ),
    ],
)
def test_wrong_workspaces_are_errors(
    cli: Cli, root: Path, folder: str, text: str, problem: str
) -> None:
    write(root / folder, text)
    write(root.parent / "x", "[project]\nname = 'x'\n")
    assert problem in cli.fails("lock").err


def test_a_conflict_with_a_member_is_told_with_what_the_member_requires(
    cli: Cli, root: Path
) -> None:
    write(root, f"{ROOT}[tool.pipshim]\nconstraint-dependencies = ['helper<1']\n")
    said = cli.fails("lock").err
    assert "library 1 requires helper" in said
    assert "constraint-dependencies of pyproject.toml allows only helper<1" in said


@pytest.mark.usefixtures("root")
def test_wrong_packages_are_errors(cli: Cli, tmp_path: Path) -> None:
    for words, problem in (
        (("--package", "libary"), "no such member; did you mean 'library'"),
        (("--package", "cli", "--extra", "fast"), "no extra 'fast' in cli"),
        (("--package", "library", "--extra", "more"), "no extra 'more' in library"),
        (("--group", "member-cli"), "no group 'member-cli' in app"),
    ):
        assert problem in cli.fails("sync", *words, status=2).err
    assert "did you mean 'cli'?" in cli.fails("lock", "--package", "cly", status=2).err
    cli.ok("lock", "--package", "cli", "--all-packages")
    write(tmp_path / "alone", "[project]\nname = 'alone'\n")
    failed = cli.fails("sync", "--package", "other", cwd=tmp_path / "alone", status=2)
    assert "--package other: there is no workspace" in failed.err
    write(tmp_path / "alone", CLI)
    failed = cli.fails("lock", cwd=tmp_path / "alone")
    assert "there is no workspace" in failed.err
    write(tmp_path / "alone", CLI.replace('"library[fast]", ', ""))
    cli.ok("lock", cwd=tmp_path / "alone")  # nothing needs it
    script = tmp_path / "script.py"
    script.write_text(
        "# /// script\n# dependencies = ['library']\n"
        "# tool.pipshim.sources.library = { workspace = true }\n# ///\n"
    )
    assert "a script has no workspace" in cli.fails("run", script).err


def test_settings_of_a_member_count_for_its_own_build(cli: Cli, root: Path) -> None:
    write(
        root / "packages" / "library",
        LIBRARY
        + BACKEND
        + """
        [tool.pipshim]
        constraint-dependencies = ["helper<2"]
        [tool.pipshim.extra-build-dependencies]
        library = ["speed"]
        other = ["speed"]
        """.replace("        ", ""),
    )
    done = cli.ok("lock")
    note = (
        "constraint-dependencies, extra-build-dependencies take effect only in the workspace's root"
    )
    assert note in done.err
    assert "speed" in cli.ok("export", "--build", "library").out


def test_extras_of_members_may_exclude_each_other(
    cli: Cli, root: Path, index: Index, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path / "dists", "speed", "2"))
    slow = CLI.replace('"library[fast]"', '"library"') + (
        "[project.optional-dependencies]\nold = ['speed<2']\nnew = ['library[fast]', 'speed>=2']\n"
    )
    write(root / "tools" / "cli", slow)
    conflict = """
        [tool.pipshim]
        conflicts = [[{ package = "cli", extra = "old" }, { package = "cli", extra = "new" }]]
        """
    assert "speed" in cli.fails("lock").err
    write(root, ROOT + dedent(conflict))
    cli.ok("lock")
    for extra, version in (("old", "1"), ("new", "2")):
        cli.ok("sync", "--locked", "--package", "cli", "--extra", extra)
        assert f"speed-{version}" in distributions(root / ".venv")
    both = ("--package", "cli", "--extra", "old", "--extra", "new")
    failed = cli.fails("sync", *both, status=2)
    assert "extra 'old' of cli and extra 'new' of cli conflict" in failed.err
    assert "--no-extra old or --no-extra new" in failed.err

    for text, problem in (
        (conflict.replace('"new"', '"none"'), "the workspace has no extra 'none' of cli"),
        (conflict.replace('"cli", extra = "new"', '"app", extra = "no"'), "no extra 'no' of app"),
    ):
        write(root, ROOT + dedent(text))
        assert problem in cli.fails("lock").err
    write(root, ROOT.partition("[tool")[0].replace('"library"', "") + dedent(conflict))
    assert "names extra 'old' of cli, and there is no workspace" in cli.fails("lock").err


def test_extras_that_only_a_members_backend_knows_are_locked_and_selected(
    cli: Cli, root: Path, index: Index, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path / "dists", "quick", "1"), wheel(tmp_path / "dists", "slow", "1"))
    extras = {"quick": ["quick"], "slow": ["slow"], "all": ["dyn[quick]", "slow"]}
    folder = root / "packages" / "dyn"
    backend_project(folder, name="dyn", backend=Backend())
    write_dynamic_project(folder, requires=["helper"], extras=extras, name="dyn")
    cli.ok("sync", "--package", "dyn", "--extra", "quick")
    assert installed(root) == {"dyn", "helper", "quick"}
    cli.ok("run", "--locked", "--extra", "slow", "python", "-c", "import slow", cwd=folder)
    cli.ok("sync", "--locked", "--extra", "slow", cwd=folder)
    assert installed(root) == {"dyn", "helper", "slow"}
    cli.ok("sync", "--package", "dyn", "--all-extras", "--no-extra", "all")
    assert installed(root) == {"dyn", "helper", "quick", "slow"}
    lines = cli.ok("export", "--package", "dyn", "--extra", "all", "--no-hashes").out
    assert "quick==1" in lines
    assert "extra slow of dyn" in cli.ok("tree", "--package", "dyn", "--extra", "slow").out
    failed = cli.fails("sync", "--package", "dyn", "--extra", "quik", status=2)
    assert "no extra 'quik' in dyn" in failed.err
    assert "those it has: all, quick, slow" in failed.err

    conflict = """
        [tool.pipshim]
        conflicts = [[{ package = "dyn", extra = "quick" }, { package = "dyn", extra = "slow" }]]
        """
    write(root, ROOT + dedent(conflict))
    told = "extra 'all' of dyn includes extra 'quick' of dyn, which conflicts or sources name"
    assert told in cli.fails("lock").err
    del extras["all"]
    write_dynamic_project(folder, requires=["helper"], extras=extras, name="dyn")
    cli.ok("lock")
    both = ("--package", "dyn", "--extra", "quick", "--extra", "slow")
    assert "extra 'quick' of dyn and extra 'slow' of dyn" in cli.fails("sync", *both, status=2).err


def test_a_source_of_a_member_may_depend_on_its_extra(
    cli: Cli, root: Path, index: Index, tmp_path: Path
) -> None:
    wheel(root / "wheels", "torch", "2.9.0+cpu")
    index.add(wheel(tmp_path / "dists", "torch", "2.9.0"))
    config = """
        [project.optional-dependencies]
        cpu = ["torch"]
        gpu = ["torch"]
        [[tool.pipshim.index]]
        name = "cpu"
        url = "../../wheels"
        format = "flat"
        explicit = true
        [tool.pipshim.sources.torch]
        index = "cpu"
        extra = "cpu"
        """
    write(root / "tools" / "cli", CLI + dedent(config))
    cli.ok("lock")
    for extra, version in (("cpu", "2.9.0+cpu"), ("gpu", "2.9.0")):
        cli.ok("sync", "--locked", "--extra", extra, cwd=root / "tools" / "cli")
        assert f"torch-{version}" in distributions(root / ".venv")
