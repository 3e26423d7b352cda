"""Which versions a lock has: strategies, overrides, cut-off dates; what it remembers of them."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, Step, sdist, source_tree, wheel
from tests.support.files import distributions
from tests.support.locks import read_lock

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli


def versions(cli: Cli, *args: str | Path) -> dict[str, str]:
    cli.ok("lock", *args)
    return read_lock(cli.cwd).versions


@pytest.fixture
def libs(index: Index, tmp_path: Path) -> None:
    """Put aa (needs bb and, from 2.0 on, cc), bb, cc and dd (of which 1.0 is source) there."""
    index.add(
        *(wheel(tmp_path, "aa", one, requires=["bb"], extras={"x": ["cc>=2"]}) for one in "12"),
        wheel(tmp_path, "aa", "3", requires=["bb", "cc"]),
        *(wheel(tmp_path, name, one) for name in ("bb", "cc") for one in ("1", "2", "3rc1", "3")),
        sdist(tmp_path, "dd", "1", requires=["bb>=2"], build_requires=["cc"]),
        wheel(tmp_path, "dd", "2"),
    )


@pytest.mark.usefixtures("libs")
def test_the_lowest_versions_are_those_that_everybody_admits(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project(dependencies=["aa[x]>=2", "dd", "bb>=1"])
    done = cli.ok("lock", "--resolution", "lowest")
    # dd 1 is an sdist, which asks for bb>=2; aa's extra for cc>=2
    locked = read_lock(cli.cwd)
    assert locked.versions == {"aa": "2", "bb": "2", "cc": "2", "dd": "1"}
    assert "dd 1 is the lowest that fits" in done.err
    assert done.err.count("lowest that fits") == 1
    # a build is not a place to try the oldest setuptools in
    assert locked.environment("dd") == ["cc==3"]

    assert versions(cli, "--resolution", "lowest-direct") == {
        "aa": "2", "bb": "2", "cc": "3", "dd": "1",
    }  # fmt: skip
    (tmp_path / "c.txt").write_text("dd>1\nbb!=1\n")
    constrained = versions(cli, "--resolution", "lowest", "-c", tmp_path / "c.txt")
    assert constrained == {"aa": "2", "bb": "2", "cc": "2", "dd": "2"}
    assert versions(cli) == {"aa": "3", "bb": "3", "cc": "3", "dd": "2"}


@pytest.mark.usefixtures("libs")
def test_prereleases_are_the_lowest_only_where_they_are_admitted(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(dependencies=["bb>2"])
    assert versions(cli, "--resolution", "lowest") == {"bb": "3"}
    assert versions(cli, "-U", "--resolution", "lowest", "--pre") == {"bb": "3rc1"}
    assert versions(cli, "-U", "--resolution", "lowest", "--all-releases", "bb") == {"bb": "3rc1"}
    make_project(dependencies=["bb>=3rc1"])
    assert versions(cli, "--resolution", "lowest") == {"bb": "3rc1"}
    assert versions(cli, "-U", "--resolution", "lowest", "--only-final", ":all:") == {"bb": "3"}


@pytest.mark.usefixtures("libs")
def test_what_a_folder_requires_that_is_given_is_direct(cli: Cli, tmp_path: Path) -> None:
    tree = source_tree(sdist(tmp_path, "own", "1.0", requires=["aa>=3", "dd"]), tmp_path / "tree")
    for given in (["-e", tree], [tree]):
        cli.ok("lock", "--resolution", "lowest-direct", *given)
        found = read_lock(cli.cwd).versions
        assert {name: found[name] for name in ("aa", "bb", "cc", "dd")} == {
            "aa": "3", "bb": "3", "cc": "3", "dd": "1",
        }  # fmt: skip


@pytest.mark.usefixtures("libs")
def test_the_strategy_is_said_by_pyproject_a_variable_or_the_command_line(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project('[tool.pipshim]\nresolution = "lowest"\n', dependencies=["bb>=1"])
    assert versions(cli) == {"bb": "1"}
    cli.ok("lock", env={"PIPSHIM_RESOLUTION": "highest"})
    assert read_lock(cli.cwd).versions == {"bb": "3"}
    # Pins that still fit are kept within a strategy, not from one to the other.
    assert versions(cli, "--resolution", "lowest") == {"bb": "1"}
    make_project('[tool.pipshim]\nresolution = "lowest"\n', dependencies=["bb>=1", "cc>=1"])
    assert versions(cli) == {"bb": "1", "cc": "1"}


@pytest.mark.usefixtures("libs")
def test_sync_and_check_go_by_what_the_lock_was_made_with(
    cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "bb", "2"))
    make_project(dependencies=["bb<3"])
    cli.ok("lock", "--no-binary", "bb", "--resolution", "lowest-direct", "-c", _constraint(cli))
    lock = (cli.cwd / "pylock.toml").read_bytes()
    assert read_lock(cli.cwd).tool["options"] == {
        "no-binary": ["bb"], "resolution": "lowest-direct",
    }  # fmt: skip
    cli.ok("lock", "--check", "-c", "c.txt")
    cli.ok("sync", "--locked", "-c", "c.txt")
    cli.fails("lock", "--check", "-c", "c.txt", "--no-binary", ":none:")
    assert (cli.cwd / "pylock.toml").read_bytes() == lock

    # What changes in pyproject.toml is locked as the lock was made.
    make_project(dependencies=["bb<3", "cc"])
    cli.ok("sync", "-c", "c.txt")
    locked = read_lock(cli.cwd)
    assert locked.versions == {"bb": "2", "cc": "1"}
    assert list(locked.files("bb")) == ["bb-2.tar.gz"]
    # A lock that is made without says so.
    done = cli.ok("lock")
    assert "was made with --no-binary bb --resolution lowest-direct, this one is not" in done.err
    assert "options" not in read_lock(cli.cwd).tool


@pytest.mark.usefixtures("libs")
def test_what_a_frozen_lock_does_not_heed_is_refused(
    cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "bb", "3"))
    make_project(dependencies=["bb"])
    cli.ok("lock", "--resolution", "lowest")
    idle = ("--no-binary", "bb"), ("--pre",), ("--prefer-binary",), ("--resolution", "highest")
    for option in idle:
        for command in ("sync", "--frozen"), ("run", "--frozen", *option, "true"):
            err = cli.fails(*command, *(option if command[0] == "sync" else ()), status=2).err
            assert "leave out --frozen" in " ".join(err.split())
    assert not (cli.cwd / ".venv").exists()
    given = cli.fails("sync", "-r", "pylock.toml", "--no-binary", "bb", status=2).err
    assert "pylock.toml is used as it is" in " ".join(given.split())
    # What the lock was made with, what changes nothing, and what no one typed now.
    cli.ok("sync", "--frozen", "--resolution", "lowest", "--no-binary", ":none:")
    cli.ok("sync", "--frozen", "--reinstall", env={"PIP_NO_BINARY": "bb", "PIP_PRE": "1"})
    assert distributions(cli.cwd / ".venv") == ["bb-1"]


def test_what_the_lowest_version_fails_to_build_needs_is_a_bound(
    cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path
) -> None:
    def fails(step: Step) -> Backend:
        return Backend(fail_in=step, exit_code=1)

    index.add(
        sdist(tmp_path, "built", "1", backend=fails("build_wheel")),
        sdist(tmp_path, "told", "1", backend=fails("metadata"), static_metadata=False),
        *(sdist(tmp_path, name, "2") for name in ("built", "told")),
        sdist(tmp_path, "tool", "1", backend=fails("build_wheel")),
        sdist(tmp_path, "tooled", "1", build_requires=["tool"]),
        wheel(tmp_path, "asks", "1", requires=["told"]),
    )

    def hint(*dependencies: str, strategy: str = "lowest", pyproject: str = "") -> str:
        make_project(pyproject, dependencies=dependencies)
        err = cli.fails("sync", "--resolution", strategy).err
        return " ".join(err.partition("hint: ")[2].split())

    assert 'raise its lower bound, as in "built>1"' in hint("built")
    assert 'as in "told>1"' in hint("told>=1", strategy="lowest-direct")
    assert 'constraint-dependencies = ["told>1"]' in hint("asks")
    settings = '[tool.pipshim]\nconstraint-dependencies = ["other<3"]\n'
    assert '= ["other<3", "told>1"]' in hint("asks", pyproject=settings)
    # None of these is the strategy's to choose.
    assert "bound" not in hint("built==1")
    assert "bound" not in hint("tooled")
    make_project(dependencies=["asks"])
    cli.ok("sync", "--resolution", "lowest-direct")


def test_who_requires_what_for_a_build_is_said_where_nothing_fits(
    cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path
) -> None:
    index.add(
        *(wheel(tmp_path, "lib", one) for one in ("1.0", "2.0")),
        wheel(tmp_path, "tool", "1.0", requires=["lib<2"]),
        sdist(tmp_path, "natten", "0.1", build_requires=["tool", "lib>=2"]),
        sdist(tmp_path, "outer", "1.0", build_requires=["natten"]),
        sdist(tmp_path, "old", "1.0", build_requires=["lib<2"]),
        wheel(tmp_path, "asks", "1.0", requires=["natten"]),
    )

    def told(dependency: str, pyproject: str = "") -> str:
        make_project(pyproject, dependencies=[dependency])
        return cli.fails("lock").err.partition("error: ")[2]

    conflict = (
        "no version of lib satisfies what the build of natten 0.1 requires\n"
        "  the build of natten 0.1 requires lib>=2\n"
        "  the build of natten 0.1 requires tool\n"
        "    tool 1.0 requires lib<2\n"
        "  lib has 2.0, 1.0\n"
    )
    assert told("natten").startswith(f"{conflict}hint: change what natten requires")
    assert told("asks").startswith(f"{conflict}  natten 0.1 is needed by asks 1.0\nhint: ")
    assert told("outer").startswith(
        f"{conflict}  natten 0.1 is needed for the build of outer 1.0\nhint: "
    )
    table = "[tool.pipshim.extra-build-dependencies]\n"
    assert told("old", f"{table}old = ['lib>1']\n") == (
        "no version of lib satisfies what the build of old 1.0 requires\n"
        "  the build of old 1.0 requires lib<2\n"
        "  extra-build-dependencies of old 1.0 requires lib>1\n"
        "  lib has 2.0, 1.0\n"
        "hint: loosen extra-build-dependencies of old\n"
    )
    missing = told("old", f"{table}old = ['libb']\n")
    assert "check the name in extra-build-dependencies of old" in missing


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_is_locked_is_never_the_reason_of_a_conflict(
    cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "aa", "1"), *(wheel(tmp_path, "bb", one) for one in ("1", "2")))
    tree = source_tree(sdist(tmp_path, "vv", "1"), tmp_path)
    commit(tree)
    given = [f"vv @ git+file://{tree}@main", "aa"]
    make_project(dependencies=[*given, "bb<2"])
    assert versions(cli) == {"aa": "1", "bb": "1", "vv": ""}
    newer = source_tree(sdist(tmp_path / "newer", "vv", "2"), tmp_path / "newer")
    shutil.copytree(newer, tree, dirs_exist_ok=True)
    second = commit(tree)
    index.add(wheel(tmp_path, "aa", "2", requires=["vv>=2"]))
    make_project(dependencies=[*given[:1], "aa>=2", "bb"])
    assert versions(cli) == {"aa": "2", "bb": "1", "vv": ""}
    assert read_lock(cli.cwd).packages["vv"]["vcs"]["commit-id"] == second


def commit(tree: Path) -> str:
    def git(*args: str) -> str:
        who = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.check_output(["git", *who, *args], cwd=tree, text=True).strip()

    git("init", "--quiet", "--initial-branch=main")
    # Files made here are all of one time and, but for a digit, of one size: git has to look anew.
    (tree / ".git" / "index").unlink(missing_ok=True)
    git("add", "--all")
    git("commit", "--quiet", "--message=x")
    return git("rev-parse", "HEAD")


def test_files_that_were_uploaded_too_late_are_not_there(
    cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "aa", "1"), upload_time="2024-01-01T12:00:00Z")
    index.add(wheel(tmp_path, "aa", "2"), upload_time="2025-06-01T12:00:00Z")
    now = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    index.add(wheel(tmp_path, "aa", "3"), upload_time=now)
    make_project(dependencies=["aa"])
    assert versions(cli, "--uploaded-prior-to", "2025-06-01T00:00:00Z") == {"aa": "1"}
    cli.ok("sync", "--locked")
    # A duration is remembered as one: with every day that passes the lock would be out of date.
    assert versions(cli, "-U", "--uploaded-prior-to", "P1D") == {"aa": "2"}
    assert read_lock(cli.cwd).tool["options"] == {"uploaded-prior-to": "P1D"}
    cli.ok("lock", "--check")

    cases = {'"2024-01-01"': "1", "2025-06-01": "2", '"1 day"': "2"}
    for text, version in cases.items():
        make_project(f"[tool.pipshim]\nexclude-newer = {text}\n", dependencies=["aa"])
        assert versions(cli, "-U") == {"aa": version}
        cli.ok("lock", "--check")
    assert versions(cli, "-U", "--uploaded-prior-to", "P0D") == {"aa": "3"}
    make_project('[tool.pipshim]\nexclude-newer = "2023-01-01"\n', dependencies=["aa"])
    failed = cli.fails("lock", "-U")
    assert "no version of aa was uploaded before 2023-01-02T00:00:00Z" in failed.err
    index.html_only = True
    failed = cli.fails("lock", "-U")
    assert "does not say when files were uploaded" in failed.err


def _constraint(cli: Cli) -> str:
    (cli.cwd / "c.txt").write_text("bb>=2\n")
    return "c.txt"


def test_a_lock_says_what_it_changed_build_environments_included(
    cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path
) -> None:
    index.add(
        *(wheel(tmp_path, name, "1") for name in ("aa", "bb", "cc")),
        sdist(tmp_path, "ss", "1", build_requires=["bb"]),
    )
    make_project(dependencies=["aa", "ss", "cc"])
    assert cli.ok("lock").err.startswith("locked 3 packages in pylock.toml")
    index.add(wheel(tmp_path, "aa", "2"), wheel(tmp_path, "bb", "2"), wheel(tmp_path, "dd", "1"))
    make_project(dependencies=["aa", "ss", "dd"])
    assert cli.ok("lock", "-U", "--dry-run").err.splitlines()[:-1] == [
        "~ aa 1 -> 2",
        "- cc 1",
        "+ dd 1",
        "~ bb 1 -> 2 (for builds)",
    ]
    assert cli.ok("lock", "-P", "bb").err.splitlines()[:-1] == [
        "- cc 1",
        "+ dd 1",
        "~ bb 1 -> 2 (for builds)",
    ]
