"""``pipshim lock``, end to end: real files, an index on 127.0.0.1, the command in a process."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.backend import Backend
from tests.support.dists import (
    native_tag,
    project,
    sdist,
    source_tree,
    wheel,
    write_dynamic_project,
)
from tests.support.facts import calls
from tests.support.index import Index
from tests.support.locks import Locked, parse_lock, read_lock
from tests.support.pipshim import PATIENCE, make_venv, site_packages
from tests.support.repositories import git_repository, needs_git

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import MakeProject
    from tests.support.pipshim import Cli

SECRET = "s3cr3t-Pa55"
SEEDS = int(os.environ.get("PIPSHIM_TEST_SEEDS", "2"))
UV = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


@pytest.fixture
def libs(index: Index, dists: Path) -> None:
    """Put aa (needs bb; its extra x needs cc), bb 1.0 and 2.0, cc and dd into the index."""
    index.add(
        wheel(dists, "aa", "1.0", requires=["bb"], extras={"x": ["cc"]}),
        wheel(dists, "bb", "1.0"),
        wheel(dists, "bb", "2.0"),
        wheel(dists, "cc", "1.0"),
        wheel(dists, "dd", "1.0"),
    )


def lock(cli: Cli, *args: str | Path, env: Mapping[str, str] | None = None) -> Locked:
    cli.ok("lock", *args, env=env)
    return read_lock(cli.cwd)


needs_uv = pytest.mark.skipif(UV is None, reason="needs uv")


# --- what the project requires


@pytest.mark.usefixtures("libs")
def test_dependencies_extras_and_groups_of_the_project_are_locked_with_markers(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(
        dependencies=["bb<2"],
        extras={"Extra_One": ["cc"]},
        groups={"Test.Group": ["dd"], "all": [{"include-group": "test_group"}, "aa"]},
    )
    locked = lock(cli)
    assert locked.versions == {"aa": "1.0", "bb": "1.0", "cc": "1.0", "dd": "1.0"}
    assert locked.markers == {
        "aa": "'all' in dependency_groups",
        "cc": "'extra-one' in extras",
        "dd": "'all' in dependency_groups or 'test-group' in dependency_groups",
    }
    assert locked.raw["extras"] == ["extra-one"]
    assert locked.raw["dependency-groups"] == ["all", "test-group"]
    assert "default-groups" not in locked.raw
    assert "folders" not in locked.tool


@pytest.mark.usefixtures("libs")
def test_the_dev_group_is_a_default_group_unless_configured(
    cli: Cli, make_project: MakeProject
) -> None:
    groups = {"dev": ["bb"], "docs": ["cc"]}
    make_project(groups=groups)
    assert lock(cli).raw["default-groups"] == ["dev"]
    make_project('[tool.pipshim]\ndefault-groups = ["docs"]\n', groups=groups)
    assert lock(cli).raw["default-groups"] == ["docs"]


@pytest.mark.usefixtures("libs")
def test_a_package_of_two_extras_is_there_for_each(cli: Cli, make_project: MakeProject) -> None:
    make_project(extras={"a": ["cc", "bb"], "b": ["cc"], "all": ["demo[a,b]"]})
    assert lock(cli).markers == {
        "bb": "'a' in extras or 'all' in extras",
        "cc": "'a' in extras or 'all' in extras or 'b' in extras",
    }


@pytest.mark.usefixtures("libs")
def test_an_extra_of_a_dependency_through_a_group_alone_marks_only_what_it_adds(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(dependencies=["aa"], groups={"dev": ["aa[x]"]})
    assert lock(cli).markers == {"cc": "'dev' in dependency_groups"}


@pytest.mark.usefixtures("libs")
def test_a_package_only_of_a_group_with_its_extra_is_marked_whole(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(dependencies=["bb"], groups={"dev": ["aa[x]"]}, extras={"e": ["aa"]})
    assert lock(cli).markers == {
        "aa": "'e' in extras or 'dev' in dependency_groups",
        "cc": "'dev' in dependency_groups",
    }


@pytest.mark.usefixtures("libs")
def test_one_version_serves_the_project_its_extras_and_its_groups(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(dependencies=["bb"], extras={"old": ["bb<2"]})
    assert lock(cli).versions == {"bb": "1.0"}
    make_project(dependencies=["bb>1"], groups={"old": ["bb<2"]})
    failed = cli.fails("lock")
    assert "bb" in failed.err
    assert "group 'old' of the project" in failed.err


@pytest.mark.usefixtures("libs")
def test_requirements_whose_marker_does_not_hold_are_left_out(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(dependencies=["bb", "nowhere; sys_platform == 'amiga'", "cc; python_version>'3'"])
    assert lock(cli).versions == {"bb": "2.0", "cc": "1.0"}


def test_a_project_without_requirements_has_an_empty_lock_that_pip_takes(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project()
    assert lock(cli).packages == {}
    assert cli.ok("lock", "--check").status == 0


def test_files_for_another_python_are_not_chosen_and_requires_python_is_kept(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(
        wheel(dists, "bb", "1.0", requires_python=">=3.8"),
        wheel(dists, "bb", "2.0", requires_python=">=4"),
    )
    make_project(dependencies=["bb"], requires_python=">=3.10")
    locked = lock(cli)
    assert locked.versions == {"bb": "1.0"}
    assert locked.packages["bb"]["requires-python"] == ">=3.8"
    assert locked.raw["requires-python"] == ">=3.10"


@pytest.mark.usefixtures("libs")
def test_dynamic_dependencies_are_asked_of_the_backend(cli: Cli, make_project: MakeProject) -> None:
    make_project(backend=Backend())
    # What the backend says comes from its own configuration; pyproject.toml only says "dynamic".
    write_dynamic_project(cli.cwd, requires=["bb<2"], extras={"e": ["cc"], "all": ["demo[e]"]})
    locked = lock(cli)
    assert locked.versions == {"bb": "1.0", "cc": "1.0"}
    assert locked.markers == {"cc": "'all' in extras or 'e' in extras"}
    assert locked.raw["extras"] == ["all", "e"]
    (cli.cwd / "pylock.toml").unlink()
    assert "cc==1.0" in cli.ok("export", "--extra", "e").out
    write_dynamic_project(cli.cwd, requires=["bb"], extras={})
    assert cli("lock", "--check").status == 1


@pytest.mark.usefixtures("libs")
def test_dynamic_dependencies_are_asked_of_the_backend_at_each_lock(
    cli: Cli, make_project: MakeProject
) -> None:
    """A backend may read them from any file; ``--check`` cannot tell which."""
    make_project(backend=Backend())
    write_dynamic_project(cli.cwd, requires=["bb<2"], extras={})
    assert lock(cli).versions == {"bb": "1.0"}
    config = cli.cwd / "_backend" / "config.json"
    config.write_text(config.read_text().replace("bb<2", "bb>1"))
    assert lock(cli).versions == {"bb": "2.0"}


@pytest.mark.usefixtures("libs")
def test_dynamic_extras_may_conflict_unless_another_one_includes_them(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(backend=Backend())
    extras: dict[str, list[str]] = {"old": ["bb<2"], "new": ["bb>1"], "also": []}
    conflict = '[tool.pipshim]\nconflicts = [[{ extra = "old" }, { extra = "new" }]]\n'
    write_dynamic_project(cli.cwd, requires=[], extras=extras, settings=conflict)
    cli.ok("lock")
    export = ["export", "--no-hashes", "--no-header", "--no-annotate"]
    for extra, version in {"old": "1.0", "new": "2.0"}.items():
        assert cli.ok(*export, "--extra", extra).out == f"bb=={version}\n"
    extras["also"] = ["demo[old]"]
    write_dynamic_project(cli.cwd, requires=[], extras=extras, settings=conflict)
    failed = cli.fails("lock", "-U")
    assert "extra 'also' includes extra 'old', which conflicts or sources name" in failed.err


@pytest.mark.usefixtures("libs")
def test_the_project_itself_is_a_folder_of_the_lock_if_it_has_a_build_system(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(dependencies=["bb"], backend=Backend(), build_requires=["cc"])
    locked = lock(cli)
    assert locked.versions == {"bb": "2.0"}
    (folder,) = locked.tool["folders"]
    assert (folder["name"], folder["path"], folder["for"]) == ("demo", ".", ["project"])
    assert folder["build"]["requires"] == ["cc"]
    assert locked.tool["build-environments"] == {folder["build"]["environment"]: ["cc==1.0"]}
    assert [one["name"] for one in locked.tool["packages"]] == ["cc"]


@pytest.mark.usefixtures("libs")
def test_the_project_is_found_from_below_and_with_an_option(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    directory = make_project(dependencies=["bb"])
    below = directory / "src" / "deep"
    below.mkdir(parents=True)
    cli.ok("lock", cwd=below)
    first = (directory / "pylock.toml").read_bytes()
    (directory / "pylock.toml").unlink()
    cli.ok("lock", "--project", directory, cwd=tmp_path)
    assert (directory / "pylock.toml").read_bytes() == first


# --- requirements given pip's way


@pytest.mark.usefixtures("libs")
def test_specifiers_are_locked_without_a_project(cli: Cli) -> None:
    locked = lock(cli, "aa[x]", "bb<2")
    assert locked.versions == {"aa": "1.0", "bb": "1.0", "cc": "1.0"}
    assert locked.markers == {}
    assert cli.ok("lock", "--check", "aa[x]", "bb<2").status == 0
    assert cli("lock", "--check", "aa[x]").status == 1


@pytest.mark.usefixtures("libs")
def test_given_requirements_are_locked_instead_of_the_project(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(dependencies=["aa"])
    assert lock(cli, "cc").versions == {"cc": "1.0"}


@pytest.mark.usefixtures("libs")
def test_requirement_and_constraint_files_are_read_as_pip_does(cli: Cli) -> None:
    (cli.cwd / "more").mkdir()
    (cli.cwd / "requirements.txt").write_text(
        "# what we need\n--requirement more/base.txt\n-c constraints.txt\ndd ; python_version>'3'\n"
    )
    (cli.cwd / "more" / "base.txt").write_text("aa[x] \\\n  >= 1\n")
    (cli.cwd / "constraints.txt").write_text("bb==1.0\nunused==7\n")
    assert lock(cli, "-r", "requirements.txt").versions == {
        "aa": "1.0",
        "bb": "1.0",
        "cc": "1.0",
        "dd": "1.0",
    }
    assert cli.ok("lock", "--check", "-r", "requirements.txt").status == 0


def test_options_in_a_requirements_file_count_and_do_not_make_the_lock_out_of_date(
    cli: Cli, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "bb", "1.0"), sdist(dists, "bb", "2.0rc1"))
    (cli.cwd / "r.txt").write_text("--pre\n--no-binary bb\nbb\n")
    assert list(lock(cli, "-r", "r.txt").files("bb")) == ["bb-2.0rc1.tar.gz"]
    cli.ok("lock", "--check", "-r", "r.txt")


@pytest.mark.usefixtures("libs")
@pytest.mark.parametrize("changed", ["requirements.txt", "more/base.txt", "constraints.txt"])
def test_a_change_of_any_requirements_file_makes_the_lock_out_of_date(
    cli: Cli, changed: str
) -> None:
    (cli.cwd / "more").mkdir()
    (cli.cwd / "requirements.txt").write_text("-r more/base.txt\n-c constraints.txt\n")
    (cli.cwd / "more" / "base.txt").write_text("bb\n")
    (cli.cwd / "constraints.txt").write_text("cc==1.0\n")
    lock(cli, "-r", "requirements.txt")
    with (cli.cwd / changed).open("a") as file:
        file.write("dd==1.0\n")
    assert cli("lock", "--check", "-r", "requirements.txt").status == 1


@pytest.mark.usefixtures("libs")
def test_constraints_of_the_command_line_and_of_the_project_limit_versions(
    cli: Cli, make_project: MakeProject
) -> None:
    (cli.cwd / "c.txt").write_text("bb<2\n")
    make_project(dependencies=["aa"])
    assert lock(cli, "-c", "c.txt").versions["bb"] == "1.0"
    make_project('[tool.pipshim]\nconstraint-dependencies = ["bb<2"]\n', dependencies=["aa"])
    assert lock(cli, "-U").versions["bb"] == "1.0"


@pytest.mark.usefixtures("libs")
def test_an_editable_is_a_folder_of_the_lock_and_what_it_needs_is_locked(
    cli: Cli, tmp_path: Path
) -> None:
    project(tmp_path / "other", name="other", dependencies=["bb<2"], backend=Backend())
    locked = lock(cli, "-e", "../other", "cc")
    assert locked.versions == {"bb": "1.0", "cc": "1.0"}
    (folder,) = locked.tool["folders"]
    assert (folder["name"], folder["path"]) == ("other", "../other")
    project(tmp_path / "other", name="other", dependencies=["bb"], backend=Backend())
    assert cli("lock", "--check", "-e", "../other", "cc").status == 1


@pytest.mark.usefixtures("libs")
def test_a_dependency_group_is_taken_as_pip_does(cli: Cli, make_project: MakeProject) -> None:
    make_project(groups={"dev": ["bb<2"]}, dependencies=["cc"])
    assert lock(cli, "--group", "dev").versions == {"bb": "1.0"}
    assert cli.ok("lock", "--check", "--group", "dev").status == 0
    make_project(groups={"dev": ["bb"]}, dependencies=["cc"])
    assert cli("lock", "--check", "--group", "dev").status == 1


@pytest.mark.usefixtures("libs")
def test_hashes_in_a_requirements_file_choose_the_file(cli: Cli, index: Index) -> None:
    wrong = "0" * 64
    (cli.cwd / "r.txt").write_text(f"bb==1.0 --hash=sha256:{wrong}\n")
    cli.fails("lock", "-r", "r.txt")
    assert not (cli.cwd / "pylock.toml").exists()
    right = index.sha256("bb-1.0-py3-none-any.whl")
    (cli.cwd / "r.txt").write_text(f"bb==1.0 --hash=sha256:{right}\n")
    assert lock(cli, "-r", "r.txt").versions == {"bb": "1.0"}


def test_paths_and_urls_are_locked_as_what_they_are(
    cli: Cli, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(wheel(dists, "bb", "1.0"), sdist(dists, "bb", "3.0"))
    near = wheel(cli.cwd / "files", "near", "1.0", requires=["bb"])
    source_tree(sdist(dists, "tree", "1.0", requires=["bb"]), cli.cwd)
    locked = lock(
        cli,
        "./files/near-1.0-py3-none-any.whl",
        "./tree-1.0",
        f"bb @ {index.file_url('bb-3.0.tar.gz')}",
    )
    assert sorted(locked.packages) == ["bb", "near", "tree"]
    archive = locked.packages["bb"]["archive"]
    assert archive["url"] == index.file_url("bb-3.0.tar.gz")
    assert archive["hashes"] == {"sha256": index.sha256("bb-3.0.tar.gz")}
    assert locked.packages["bb"]["version"] == "3.0"
    assert locked.packages["near"]["archive"]["path"] == f"files/{near.name}"
    assert set(locked.packages["near"]["archive"]["hashes"]) == {"sha256"}
    assert locked.packages["tree"]["directory"] == {"path": "tree-1.0"}
    assert locked.build("tree")["backend"] == "tinybackend"
    assert str(tmp_path) not in locked.text


@needs_git
@pytest.mark.usefixtures("libs")
def test_a_git_requirement_is_locked_at_its_commit(
    cli: Cli, make_project: MakeProject, dists: Path, tmp_path: Path
) -> None:
    tree = source_tree(sdist(dists, "vv", "1.0", requires=["cc"]), tmp_path)
    commit = git_repository(tree)
    make_project(dependencies=[f"vv @ git+file://{tree}@main"])
    locked = lock(cli)
    assert locked.packages["vv"]["vcs"] == {
        "type": "git",
        "url": f"file://{tree}",
        "requested-revision": "main",
        "commit-id": commit,
    }
    assert locked.versions["cc"] == "1.0"


@needs_git
@pytest.mark.usefixtures("libs")
def test_a_repository_whose_backend_is_asked_between_rounds_is_locked_too(
    cli: Cli, make_project: MakeProject, dists: Path, tmp_path: Path
) -> None:
    made = sdist(dists, "vv", "1.0", requires=["cc"], static_metadata=False)
    tree = source_tree(made, tmp_path)
    commit = git_repository(tree)
    make_project(dependencies=[f"vv @ git+file://{tree}@main"])
    locked = lock(cli)
    assert locked.packages["vv"]["vcs"]["commit-id"] == commit
    assert locked.versions["cc"] == "1.0"


@needs_git
def test_a_checkout_of_unknown_version_is_shown_by_its_commit(
    cli: Cli, make_project: MakeProject, dists: Path, tmp_path: Path
) -> None:
    made = sdist(dists, "vv", "1.0", static_metadata=False)
    tree = source_tree(made, tmp_path)
    (tree / "PKG-INFO").unlink()
    commit = git_repository(tree)
    make_project(dependencies=[f"vv @ git+file://{tree}@main"])
    label = f"vv {commit[:10]}"
    locked = cli.ok("lock", "-vv").err
    assert f"building {label}" in locked
    assert f"built    {label}" in locked
    assert f"{label}: metadata" in locked
    assert f"building {label}" in cli.ok("sync").err
    (tree / "pyproject.toml").write_text("[build-system]\nrequires = []\nbuild-backend = 'gone'\n")
    broken = f"vv {git_repository(tree)[:10]}"
    failed = cli.fails("lock", "-U").err
    assert f"failed   {broken}" in failed
    assert f"{broken}: the build backend could not be imported" in failed
    assert " ?" not in locked + failed


@needs_git
def test_the_commit_of_a_branch_is_kept_until_it_is_upgraded(
    cli: Cli, make_project: MakeProject, dists: Path, tmp_path: Path
) -> None:
    tree = source_tree(sdist(dists, "vv", "1.0"), tmp_path)
    first = git_repository(tree)
    make_project(dependencies=[f"vv @ git+file://{tree}@main"])
    lock(cli)
    (tree / "more.txt").write_text("x")
    second = git_repository(tree)
    assert lock(cli, "-U", "-o", "pylock.toml").packages["vv"]["vcs"]["commit-id"] == second
    (tree / "more.txt").write_text("y")
    third = git_repository(tree)
    assert third not in {first, second}
    kept = lock(cli).packages["vv"]["vcs"]
    assert (kept["commit-id"], kept["requested-revision"]) == (second, "main")
    upgraded = cli.ok("lock", "-P", "vv").err
    assert "warning" not in upgraded
    assert read_lock(cli.cwd).packages["vv"]["vcs"]["commit-id"] == third


# --- the index is asked ahead of the resolver


def test_pages_and_metadata_are_fetched_at_once_and_each_once(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    names = [f"n{number}" for number in range(6)]
    for name in names:
        index.add(wheel(dists, name, "1.0", requires=[f"{name}-needs; python_version > '3'"]))
        index.add(wheel(dists, name, "0.9"), wheel(dists, f"{name}-needs", "1.0"))
    make_project(dependencies=names)
    index.company = 5
    cli.ok("lock")
    assert index.most_at_once > 1
    counts = Counter(index.requests)
    assert set(counts.values()) == {1}
    assert sum(".metadata" in one for one in counts) == 12


def test_an_index_is_told_what_pip_tells_it(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str], tmp_path: Path
) -> None:
    make_project(dependencies=six)
    cli.ok("lock")
    by_pipshim, index.agents = index.agents, set()
    cli.pip("download", "--dest", tmp_path / "wheels", "n1")
    assert by_pipshim == index.agents
    assert len(by_pipshim) == 1


def test_a_metadata_file_is_fetched_again_only_where_the_kept_one_is_damaged(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "one", "1.0", requires=["two"]), wheel(dists, "two", "1.0"))
    make_project(dependencies=["one"])
    first = lock(cli)
    files = (cli.shim_cache / "metadata-v2").iterdir()
    kept = {path.read_bytes(): path for path in files}
    assert len(kept) == 2
    index.requests.clear()
    assert lock(cli, "-U").packages == first.packages
    assert not [one for one in index.requests if one.endswith(".metadata")]

    (of_one,) = (path for text, path in kept.items() if b"Requires-Dist: two" in text)
    of_one.write_bytes(b"Metadata-Version: 2.1\nName: one\nVersion: 1.0\n\n")
    assert lock(cli, "-U").packages == first.packages
    assert b"Requires-Dist: two" in of_one.read_bytes()


def test_a_metadata_file_that_is_not_what_the_index_says_is_refused(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "one", "1.0"), wheel(dists, "two", "1.0"))
    index.tamper_metadata("one-1.0-py3-none-any.whl", b"Metadata-Version: 2.1\nName: one\n")
    make_project(dependencies=["one", "two"])
    result = cli.fails("lock")
    assert "one-1.0-py3-none-any.whl does not have the expected hash" in result.err
    assert len(list(cli.shim_cache.glob("metadata-v2/*"))) <= 1


def test_sdists_are_fetched_at_once_and_each_once(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    names = [f"n{number}" for number in range(6)]
    index.add(*(sdist(dists, name, "1.0") for name in names))
    make_project(dependencies=names)
    both = threading.Barrier(2, timeout=PATIENCE)
    index.meetings = {f"/files/{name}-1.0.tar.gz": both for name in names[:2]}
    cli.ok("lock")
    assert sorted(one for one in index.requests if one.endswith(".tar.gz")) == [
        f"GET /files/{name}-1.0.tar.gz" for name in names
    ]


def test_an_sdist_that_is_not_the_one_of_the_page_is_refused_though_fetched_ahead(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(*(sdist(dists, name, "1.0") for name in ("one", "two", "three")))
    index.tamper("two-1.0.tar.gz", b"another file")
    make_project(dependencies=["one", "two", "three"])
    result = cli.fails("lock")
    assert "two-1.0.tar.gz does not have the expected hash" in result.err
    assert not (cli.cwd / "pylock.toml").exists()


def test_an_index_that_wants_a_password_is_not_asked_ahead(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "one", "1.0"), wheel(dists, "two", "1.0"))
    index.credentials = ("user", "secret")
    index.latency = 0.1
    make_project(dependencies=["one", "two"])
    cli.fails("lock")
    assert index.requests == ["GET /simple/one/"]
    assert index.most_at_once == 1


# --- a lock that is made again asks for what has changed


@pytest.fixture
def six(index: Index, dists: Path) -> list[str]:
    """Put six packages into the index, each of which needs another; tell their names."""
    names = [f"n{number}" for number in range(6)]
    for name in names:
        index.add(wheel(dists, name, "1.0", requires=[f"{name}-needs"]))
        index.add(wheel(dists, name, "0.9"), wheel(dists, f"{name}-needs", "1.0"))
    return names


def lock_again(cli: Cli, index: Index, *args: str | Path) -> tuple[Locked, list[str]]:
    """Lock, and tell what that asked for; the same, asking for everything, ends the same way."""
    file = cli.cwd / "pylock.toml"
    before = file.read_bytes()
    index.requests.clear()
    result = cli("lock", *args)
    asked = [one.removeprefix("GET /") for one in index.requests]
    made = file.read_bytes()
    file.write_bytes(re.sub(rb"^inputs = .*", b'inputs = ""', before, flags=re.MULTILINE))
    again = cli("lock", *args)
    assert again.status == result.status
    if not again.status:
        assert file.read_bytes() == made
    file.write_bytes(made)
    return read_lock(cli.cwd), sorted(asked)


def test_one_more_requirement_asks_for_its_page_alone(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str], dists: Path
) -> None:
    index.add(wheel(dists, "more", "1.0", requires=["n1-needs"]))
    make_project(dependencies=six)
    cli.ok("lock")
    make_project(dependencies=[*six, "more"])
    locked, asked = lock_again(cli, index)
    assert locked.versions["more"] == "1.0"
    assert asked == ["files/more-1.0-py3-none-any.whl.metadata", "simple/more/"]


def test_a_requirement_that_its_pin_does_not_meet_asks_for_its_page_and_no_other(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str]
) -> None:
    make_project(dependencies=six)
    cli.ok("lock")
    make_project(dependencies=["n0<1", *six[1:]])
    locked, asked = lock_again(cli, index)
    assert locked.versions["n0"] == "0.9"
    assert "n0-needs" not in locked.versions
    assert asked == ["files/n0-0.9-py3-none-any.whl.metadata", "simple/n0/"]


def test_a_requirement_less_asks_for_nothing(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str]
) -> None:
    make_project(dependencies=six)
    cli.ok("lock")
    make_project(dependencies=six[1:])
    locked, asked = lock_again(cli, index)
    assert len(locked.versions) == 10
    assert asked == []


def test_an_upgrade_of_one_package_asks_for_its_page_alone(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str], dists: Path
) -> None:
    make_project(dependencies=six)
    cli.ok("lock")
    index.add(*(wheel(dists, name, "2.0", requires=[f"{name}-needs"]) for name in six))
    locked, asked = lock_again(cli, index, "-P", "n3")
    assert [locked.versions[name] for name in six] == ["1.0"] * 3 + ["2.0"] + ["1.0"] * 2
    assert asked == ["files/n3-2.0-py3-none-any.whl.metadata", "simple/n3/"]


def test_what_is_new_of_a_locked_version_is_seen_when_it_is_upgraded(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str], dists: Path
) -> None:
    make_project(dependencies=six)
    cli.ok("lock")
    index.add(wheel(dists, "n0", "1.0", tag="cp312-abi3-macosx_11_0_arm64"))
    index.yank("n1-1.0-py3-none-any.whl")
    make_project(dependencies=six[:4])
    locked = lock(cli)
    assert len(locked.packages["n0"]["wheels"]) == 1
    assert locked.versions["n1"] == "1.0"
    locked = lock(cli, "-P", "n0", "-P", "n1")
    assert len(locked.packages["n0"]["wheels"]) == 2
    assert locked.versions["n1"] == "0.9"


def test_pins_that_contradict_what_is_new_are_looked_up(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str], dists: Path
) -> None:
    """The pin of ``base`` is admitted by all who ask for it, and what it needs is not."""
    index.add(wheel(dists, "over", "1.0", requires=["base"]))
    index.add(wheel(dists, "base", "1.0", requires=["low==1"]), wheel(dists, "low", "1"))
    make_project(dependencies=[*six, "over"])
    cli.ok("lock")
    index.add(wheel(dists, "base", "2.0", requires=["low>=1"]), wheel(dists, "low", "2"))
    index.add(wheel(dists, "new", "1.0", requires=["low>=2"]))
    make_project(dependencies=[*six, "over", "new"])
    locked, asked = lock_again(cli, index)
    assert (locked.versions["base"], locked.versions["low"]) == ("2.0", "2")
    assert {"simple/base/", "simple/low/", "simple/new/", "simple/n0/"} <= set(asked)


def test_wheels_whose_index_offers_no_metadata_are_fetched_once(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str], dists: Path
) -> None:
    index.without_metadata = True
    index.add(wheel(dists, "more", "1.0", requires=["n1-needs"]))
    make_project(dependencies=six)
    cli.ok("lock")
    make_project(dependencies=[*six, "more"])
    _, asked = lock_again(cli, index)
    assert asked == ["files/more-1.0-py3-none-any.whl", "simple/more/"]
    index.requests.clear()
    cli.ok("lock", "-U")
    assert {one.split("/")[1] for one in index.requests} == {"simple"}


def test_wheels_whose_index_offers_no_metadata_are_fetched_at_once(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str]
) -> None:
    index.without_metadata = True
    both = threading.Barrier(2, timeout=PATIENCE)
    index.meetings = {f"/files/{name}-1.0-py3-none-any.whl": both for name in six[:2]}
    make_project(dependencies=six)
    cli.ok("lock")


@pytest.mark.parametrize("data", [b"no wheel", b""])
def test_a_wheel_that_is_not_what_its_index_says_is_refused(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, data: bytes
) -> None:
    index.without_metadata = True
    index.add(wheel(dists, "bad", "1.0"), wheel(dists, "lib", "1.0"))
    index.tamper("bad-1.0-py3-none-any.whl", data)
    make_project(dependencies=["lib", "bad"])
    result = cli.fails("lock")
    assert "bad" in result.err
    assert index.sha256("bad-1.0-py3-none-any.whl")[:12] in result.err
    assert "Traceback" not in result.err


def test_a_wheel_that_is_none_is_refused(cli: Cli, make_project: MakeProject, index: Index) -> None:
    index.without_metadata = True
    index.add_bytes("bad-1.0-py3-none-any.whl", b"no wheel")
    make_project(dependencies=["bad"])
    result = cli.fails("lock")
    assert "bad-1.0-py3-none-any.whl" in result.err
    assert "Traceback" not in result.err


def test_parts_of_wheels_are_enough_if_pip_is_told_so(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.without_metadata = True
    index.add(wheel(dists, "lib", "1.0"))
    make_project(dependencies=["lib"])
    cli.ok("lock", "--use-feature", "fast-deps")
    assert any(one.startswith("HEAD /files/lib-1.0") for one in index.requests)


def test_metadata_that_ended_too_soon_is_asked_for_again(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "lib", "1.0"))
    path = "/files/lib-1.0-py3-none-any.whl.metadata"
    index.truncate[path] = 10
    make_project(dependencies=["lib"])
    assert "lib-1.0" in cli.fails("lock", "--retries", "2").err
    assert index.requests.count(f"GET {path}") == 1 + 2


def test_of_many_versions_an_old_one_is_found_too(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    """The newest ones are looked at first; what else there is, when none of these fits."""
    index.add(
        *(wheel(dists, "tool", f"{one}.0", requires=[f"lib=={one}.*"]) for one in range(1, 31)),
        *(wheel(dists, "lib", f"{one}.0", tag=native_tag()) for one in range(1, 31)),
        *(wheel(dists, "lib", f"{one}.0", tag="cp39-cp39-win_amd64") for one in range(1, 31)),
    )
    index.yank("lib-4.0-" + native_tag() + ".whl")
    make_project(dependencies=["tool", "lib<7"])
    locked = lock(cli)
    assert locked.versions == {"lib": "6.0", "tool": "6.0"}
    assert sorted(locked.files("lib")) == sorted(
        f"lib-6.0-{tag}.whl" for tag in (native_tag(), "cp39-cp39-win_amd64")
    )
    make_project(dependencies=["tool", "lib<5"])
    assert lock(cli, "-U").versions == {"lib": "3.0", "tool": "3.0"}
    make_project(dependencies=["tool", "lib>30"])
    result = cli.fails("lock")
    assert "lib" in result.err
    said = cli.ok("lock", "lib<3", "-o", "pylock.other.toml", "-vv").err
    assert "Skipping link" in said
    assert "cp39-cp39-win_amd64" in said


def test_a_folder_without_a_package_is_told_of_once(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, tmp_path: Path
) -> None:
    """However often the package is looked at: its newest versions, those that fit, all of them."""
    index.add(*(wheel(dists, "lib", f"{one}.0") for one in range(1, 31)))
    make_project(dependencies=["lib>4,<5"])
    (tmp_path / "folder").mkdir()
    folder = (tmp_path / "folder").as_uri()
    assert cli.fails("lock", "--extra-index-url", folder).err.count(f"{folder}/lib/") == 1


def test_a_prerelease_gives_way_to_a_release_that_fits_as_well(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "one", "1.0"), wheel(dists, "one", "2.0rc1"))
    make_project(dependencies=["one>=2.0rc1"])
    assert lock(cli).versions == {"one": "2.0rc1"}
    make_project(dependencies=["one>=1"])
    locked, _ = lock_again(cli, index)
    assert locked.versions == {"one": "1.0"}


def test_a_lock_that_was_made_elsewhere_is_kept_too(
    cli: Cli, make_project: MakeProject, index: Index, six: list[str]
) -> None:
    """The lock says what wheels require, so that nothing has to be in the cache."""
    make_project(dependencies=six)
    cli.ok("lock")
    shutil.rmtree(cli.shim_cache)
    shutil.rmtree(cli.cache, ignore_errors=True)
    make_project(dependencies=["n0<1", *six[1:]])
    locked, asked = lock_again(cli, index)
    assert len(locked.versions) == 11
    assert asked == ["files/n0-0.9-py3-none-any.whl.metadata", "simple/n0/"]


def test_files_of_another_index_than_those_that_are_asked_are_no_files(
    cli: Cli, make_project: MakeProject, six: list[str], dists: Path
) -> None:
    make_project(dependencies=six)
    cli.ok("lock")
    with Index() as other:
        other.add(*(dists / path.name for path in dists.glob("*.whl")))
        make_project(dependencies=six[:2])
        locked = lock(cli, "--index-url", other.url)
        assert locked.versions == {"n0": "1.0", "n0-needs": "1.0", "n1": "1.0", "n1-needs": "1.0"}
        assert {one["index"] for one in locked.packages.values()} == {other.url}


def test_other_choices_of_files_are_looked_up(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "one", "1.0"), sdist(dists, "one", "1.0"))
    make_project(dependencies=["one"])
    assert "sdist" not in lock(cli, "--only-binary", "one").packages["one"]
    assert "sdist" in lock(cli).packages["one"]


def test_files_that_hashes_had_left_out_are_there_again_without_them(
    cli: Cli, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "one", "1.0"), wheel(dists, "one", "1.0", tag="py2-none-any"))
    requirements = cli.cwd / "requirements.txt"
    sha256 = index.sha256("one-1.0-py3-none-any.whl")
    requirements.write_text(f"one==1.0 --hash=sha256:{sha256}\n")
    assert set(lock(cli, "-r", requirements).files("one")) == {"one-1.0-py3-none-any.whl"}
    requirements.write_text("one==1.0\n")
    assert len(lock(cli, "-r", requirements).files("one")) == 2
    assert "by-hash" not in read_lock(cli.cwd).tool


def test_sdists_and_their_build_environments_are_kept_without_pages(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "tool", "1.0"), wheel(dists, "tool", "2.0"), wheel(dists, "lib", "1.0"))
    index.add(sdist(dists, "made", "1.0", build_requires=["tool<2"], requires=["lib"]))
    index.add(wheel(dists, "more", "1.0"))
    make_project(dependencies=["made", "tool"])
    cli.ok("lock")
    make_project(dependencies=["made", "tool", "more"])
    locked, asked = lock_again(cli, index)
    assert locked.versions == {"lib": "1.0", "made": "1.0", "more": "1.0", "tool": "2.0"}
    assert asked == ["files/more-1.0-py3-none-any.whl.metadata", "simple/more/"]


def test_an_sdist_is_fetched_again_only_to_be_built(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "tool", "1.0"), wheel(dists, "lib", "1.0"))
    index.add(sdist(dists, "made", "1.0", build_requires=["tool"], requires=["lib"]))
    make_project(dependencies=["made"])
    first = lock(cli)

    def fetched(*args: str) -> bool:
        index.requests.clear()
        assert lock(cli, *args).text == first.text
        return "GET /files/made-1.0.tar.gz" in index.requests

    assert not fetched("-U")
    (outline,) = (cli.shim_cache / "outlines-v1").iterdir()
    outline.write_text("{")
    assert fetched("-U")
    assert not fetched("-U")
    shutil.rmtree(cli.shim_cache / "builds-v1")  # its backend has to be asked again
    assert fetched("-U")
    shutil.rmtree(cli.shim_cache / "builds-v1")
    index.tamper("made-1.0.tar.gz", b"another file")
    shutil.rmtree(cli.cache, ignore_errors=True)
    assert "made-1.0.tar.gz does not have the expected hash" in cli.fails("lock", "-U").err


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("[tool.pipshim]\nconstraint-dependencies = ['n1<1']", {"n1": "0.9", "n1-needs": None}),
        ("[tool.pipshim]\nconstraint-dependencies = ['n1-needs<1']", {"n1-needs": "0.9"}),
        ("[tool.pipshim]\noverride-dependencies = ['n2-needs<1']", {"n2-needs": "0.9"}),
        ("[tool.pipshim]\nexclude-newer = '2024-03-01'", {"n4": "0.9", "n4-needs": None}),
        ("[tool.pipshim.exclude-newer-package]\nn4 = '2024-03-01'", {"n4": "0.9"}),
        ("[tool.pipshim.sources]\nn0-needs = { path = '../n0_needs-7' }", {"n0-needs": ""}),
        ("[dependency-groups]\ndev = ['n0[more]']", {"n0": "1.0", "only-more": "1.0"}),
        ("[dependency-groups]\ndev = ['n0-needs', 'n3==0.9']", {"n3": "0.9", "n3-needs": None}),
        ("[dependency-groups]\ndev = ['over']", {"n5-needs": "0.9", "n5": "1.0"}),
        ("[dependency-groups]\ndev = ['over-all']", {"n5-needs": "0.9", "n5": "0.9"}),
        ("[dependency-groups]\ndev = ['n1-needs @ {file}']", {"n1-needs": "0.9"}),
    ],
)
def test_a_change_reaches_what_seemed_not_to_be_affected(
    cli: Cli,
    make_project: MakeProject,
    index: Index,
    six: list[str],
    dists: Path,
    change: str,
    seen: dict[str, str | None],
) -> None:
    index.add(*(wheel(dists, f"{name}-needs", "0.9") for name in six))
    index.add(wheel(dists, "n0", "1.0", requires=["n0-needs"], extras={"more": ["only-more"]}))
    index.add(
        wheel(dists, "only-more", "1.0"), wheel(dists, "over", "1.0", requires=["n5-needs<1"])
    )
    index.add(wheel(dists, "n4", "1.0", requires=["n4-needs"]), upload_time="2024-06-01T00:00:00Z")
    index.add(wheel(dists, "n5", "1.0", requires=["n5-needs>=0.5"]))
    index.add(wheel(dists, "over-all", "1.0", requires=["n5-needs<1", "n5<1"]))
    source_tree(sdist(dists, "n0-needs", "7"), cli.cwd.parent)
    make_project(dependencies=six)
    cli.ok("lock")
    file = (dists / "n1_needs-0.9-py3-none-any.whl").as_uri()
    make_project(change.replace("{file}", file), dependencies=six)
    locked, _ = lock_again(cli, index)
    assert {name: locked.versions.get(name) for name in seen} == seen


def test_a_requirements_file_that_excludes_files_reaches_what_is_locked(
    cli: Cli, index: Index, six: list[str], dists: Path
) -> None:
    index.add(sdist(dists, "n0", "1.0", requires=["n0-needs"]))
    requirements = cli.cwd / "requirements.txt"
    requirements.write_text("\n".join(six))
    assert "wheels" in lock(cli, "-r", requirements).packages["n0"]
    requirements.write_text("\n".join(["--no-binary n0", *six]))
    locked, _ = lock_again(cli, index, "-r", requirements)
    assert "wheels" not in locked.packages["n0"]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_changes_the_lock_is_that_of_all_pages(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, seed: int
) -> None:
    """Packages that require each other at random, and requirements that change at random."""
    chance = random.Random(seed)  # noqa: S311 nothing to hide
    names = [f"p{number}" for number in range(12)]

    def bound(name: str) -> str:
        return name + chance.choice(
            ["", "", f">={chance.randint(1, 3)}", f"<{chance.randint(2, 4)}"]
        )

    for place, name in enumerate(names):
        for version in ("1", "2", "3"):
            below = names[place + 1 :]
            needs = [bound(one) for one in chance.sample(below, min(len(below), 2))]
            index.add(wheel(dists, name, version, requires=needs))
    make_project()
    cli.ok("lock")
    for _ in range(4):
        make_project(dependencies=[bound(one) for one in chance.sample(names, 4)])
        lock_again(cli, index)


# --- what the lock says of files


def test_every_wheel_and_the_sdist_are_listed_with_hash_size_url_time_and_index(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    made = [
        wheel(dists, "bb", "1.0", tag=tag)
        for tag in ("native", "cp39-cp39-win_amd64", "cp312-abi3-macosx_11_0_arm64", "py3-none-any")
    ]
    made.append(sdist(dists, "bb", "1.0"))
    index.add(*made, wheel(dists, "bb", "0.9"), upload_time="2024-05-06T07:08:09Z")
    make_project(dependencies=["bb"])
    locked = lock(cli)
    files = locked.files("bb")
    assert sorted(files) == sorted(path.name for path in made)
    for path in made:
        entry = files[path.name]
        assert entry["hashes"] == {"sha256": index.sha256(path.name)}
        assert entry["size"] == path.stat().st_size
        assert entry["url"] == index.file_url(path.name)
        assert entry["upload-time"].isoformat() == "2024-05-06T07:08:09+00:00"
    assert locked.packages["bb"]["index"] == index.url
    assert "build" not in locked.packages["bb"]["tool"]["pipshim"]
    assert [one for one in index.downloads if not one.endswith(".metadata")] == []


def test_what_a_package_needs_is_said_by_name(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "aa", "1.0", requires=["Bb.B", "cc; extra == 'x'"]))
    index.add(wheel(dists, "bb-b", "1.0"))
    make_project(dependencies=["aa"])
    locked = lock(cli)
    assert locked.packages["aa"]["dependencies"] == [{"name": "bb-b"}]
    assert "dependencies" not in locked.packages["bb-b"]


def test_requirements_are_said_as_they_are_stated_for_those_who_ask_why(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "low", "1.5"))
    index.add(wheel(dists, "plus", "1.0", requires=["low>=1.5"]))
    index.add(
        wheel(
            dists,
            "top",
            "1.0",
            requires=["low<2,>=1; python_version > '3'", "absent; python_version < '3'"],
            extras={"more": ["plus>0"]},
        )
    )
    make_project(dependencies=["top[more]>=1"], groups={"dev": ["low"]})
    locked = lock(cli)
    tools = {name: entry["tool"]["pipshim"] for name, entry in locked.packages.items()}
    assert {name: tool.get("requires") for name, tool in tools.items()} == {
        "top": ['low<2,>=1; python_version > "3"', "plus>0"],
        "plus": ["low>=1.5"],
        "low": None,
    }
    assert locked.tool["roots"] == {"project": ["top[more]>=1"], "group dev": ["low"]}


def test_an_index_in_html_has_hashes_but_no_sizes(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.html_only = True
    index.without_metadata = True
    index.add(wheel(dists, "bb", "1.0"), sdist(dists, "bb", "1.0"))
    make_project(dependencies=["bb"])
    locked = lock(cli)
    assert sorted(locked.files("bb")) == ["bb-1.0-py3-none-any.whl", "bb-1.0.tar.gz"]
    for name, entry in locked.files("bb").items():
        assert entry["hashes"] == {"sha256": index.sha256(name)}
        assert entry["url"] == index.file_url(name)
    assert locked.packages["bb"]["index"] == index.url


def test_a_file_without_a_hash_is_downloaded_and_hashed(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.without_hashes = True
    index.add(wheel(dists, "bb", "1.0"), wheel(dists, "bb", "1.0", tag="cp39-cp39-win_amd64"))
    make_project(dependencies=["bb"])
    locked = lock(cli)
    (name,) = locked.files("bb")
    entry = locked.files("bb")[name]
    assert entry["hashes"] == {"sha256": index.sha256(name)}
    assert entry["size"] == (dists / name).stat().st_size
    before = (cli.cwd / "pylock.toml").read_bytes()
    cli.ok("lock")
    assert (cli.cwd / "pylock.toml").read_bytes() == before


@pytest.mark.usefixtures("libs")
def test_a_folder_of_find_links_is_relative_to_the_lock(
    cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path
) -> None:
    directory = make_project(dependencies=["own", "aa"])
    made = [wheel(directory / "wheels", "own", "1.0"), sdist(directory / "wheels", "own", "1.0")]
    locked = lock(cli, "--find-links", "wheels")
    files = locked.files("own")
    assert sorted(files) == ["own-1.0-py3-none-any.whl", "own-1.0.tar.gz"]
    for path in made:
        assert files[path.name]["path"] == f"wheels/{path.name}"
        assert files[path.name]["size"] == path.stat().st_size
        assert set(files[path.name]["hashes"]) == {"sha256"}
    assert "index" not in locked.packages["own"]
    assert locked.packages["aa"]["index"] == index.url
    assert str(tmp_path) not in locked.text


def test_a_folder_of_find_links_outside_of_the_project_counts_too(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project(dependencies=["own"])
    made = wheel(tmp_path / "outside", "own", "1.0")
    locked = lock(cli, "--no-index", "-f", tmp_path / "outside")
    (entry,) = locked.files("own").values()
    assert (cli.cwd / entry["path"]).resolve() == made if "path" in entry else made.as_uri()
    cli.ok("sync")
    assert (site_packages(cli.cwd / ".venv") / "own" / "__init__.py").is_file()


def test_a_yanked_file_is_locked_only_if_its_version_is_asked_for(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(*(wheel(dists, "bb", version) for version in ("1.0", "2.0")))
    index.yank("bb-2.0-py3-none-any.whl", "broken")
    make_project(dependencies=["bb"])
    assert lock(cli).versions == {"bb": "1.0"}
    make_project(dependencies=["bb==2.0"])
    assert lock(cli).versions == {"bb": "2.0"}


def test_prereleases_are_locked_only_if_asked_for(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(*(wheel(dists, "bb", version) for version in ("1.0", "2.0rc1")))
    make_project(dependencies=["bb"])
    assert lock(cli).versions == {"bb": "1.0"}
    assert lock(cli, "--pre", "-U").versions == {"bb": "2.0rc1"}
    assert lock(cli, "-U").versions == {"bb": "1.0"}
    make_project(dependencies=["bb>=2.0rc1"])
    assert lock(cli).versions == {"bb": "2.0rc1"}


def test_binary_and_source_only_leave_the_other_kind_out_of_the_lock(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "bb", "1.0"), sdist(dists, "bb", "1.0"), sdist(dists, "bb", "2.0"))
    make_project(dependencies=["bb"])
    assert list(lock(cli, "--only-binary", ":all:").files("bb")) == ["bb-1.0-py3-none-any.whl"]
    assert list(lock(cli, "--no-binary", "bb", "-U").files("bb")) == ["bb-2.0.tar.gz"]
    locked = lock(cli, "--no-binary", "bb", "-c", constraint(cli, "bb<2"))
    assert list(locked.files("bb")) == ["bb-1.0.tar.gz"]
    assert locked.build("bb")["mode"] == "isolated"


def constraint(cli: Cli, text: str) -> str:
    (cli.cwd / "c.txt").write_text(text + "\n")
    return "c.txt"


@pytest.mark.usefixtures("libs")
def test_the_build_table_says_how_each_source_is_built(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(
        sdist(dists, "one", "1.0", build_requires=["bb<2"], requires=["cc"]),
        sdist(dists, "two", "1.0", build_requires=["bb<2"]),
        sdist(dists, "three", "1.0", backend=Backend(get_requires=["dd"])),
        sdist(dists, "four", "1.0", build_requires=["bb"]),
    )
    make_project(
        '[tool.pipshim]\nno-build-isolation-package = ["four"]\n',
        dependencies=["one", "two", "three", "four"],
    )
    locked = lock(cli)
    assert {name: locked.build(name)["mode"] for name in ("one", "two", "three", "four")} == {
        "one": "isolated",
        "two": "isolated",
        "three": "isolated",
        "four": "no-isolation",
    }
    assert locked.build("one")["backend"] == "tinybackend"
    assert locked.build("one")["requires"] == ["bb<2"]
    assert locked.build("one")["environment"] == locked.build("two")["environment"]
    assert locked.environment("one") == ["bb==1.0"]
    assert locked.environment("three") == ["dd==1.0"]
    assert locked.build("four")["chosen-by"] == "pyproject.toml"
    assert "environment" not in locked.build("four")
    entries = {one["name"]: one for one in locked.tool["packages"]}
    assert sorted(entries) == ["bb", "dd"]
    (file,) = entries["bb"]["wheels"]
    assert file["hashes"] == {"sha256": index.sha256(file["name"])}


# --- pip's settings


@pytest.mark.parametrize("how", ["option", "variable", "global", "lock", "requirements"])
def test_the_index_is_the_one_that_pip_is_told(
    cli: Cli, tmp_path: Path, dists: Path, how: str
) -> None:
    with Index() as other:
        other.add(wheel(dists, "bb", "7.0"))
        args = ["bb"]
        env = {"PIP_INDEX_URL": ""}
        if how == "option":
            args += ["--index-url", other.url]
        elif how == "variable":
            env["PIP_INDEX_URL"] = other.url
        elif how == "requirements":
            (cli.cwd / "r.txt").write_text(f"--index-url {other.url}\nbb\n")
            args = ["-r", "r.txt"]
        else:
            (tmp_path / "pip.conf").write_text(f"[{how}]\nindex-url = {other.url}\n")
            env["PIP_CONFIG_FILE"] = str(tmp_path / "pip.conf")
        locked = lock(cli, *args, env=env)
        assert locked.versions == {"bb": "7.0"}
        assert locked.packages["bb"]["index"] == other.url


@pytest.mark.usefixtures("libs")
def test_several_indexes_each_give_their_own(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    make_project(dependencies=["bb", "only"])
    with Index() as other:
        other.add(wheel(dists, "only", "1.0"))
        locked = lock(cli, "--extra-index-url", other.url)
        assert locked.packages["only"]["index"] == other.url
        assert locked.packages["bb"]["index"] == index.url


@pytest.mark.usefixtures("libs")
def test_pip_variables_count(cli: Cli, make_project: MakeProject) -> None:
    directory = make_project(dependencies=["own", "bb"])
    wheel(directory / "wheels", "own", "1.0")
    (directory / "c.txt").write_text("bb<2\n")
    env = {"PIP_FIND_LINKS": "wheels", "PIP_CONSTRAINT": "c.txt"}
    assert lock(cli, env=env).versions == {"bb": "1.0", "own": "1.0"}


# --- the life of a lock


@pytest.mark.usefixtures("libs")
def test_two_runs_write_the_same_bytes(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(sdist(dists, "src", "1.0", build_requires=["bb<2", "dd"]))
    make_project(dependencies=["src", "aa[x]"], groups={"dev": ["dd", "cc"]}, extras={"e": ["dd"]})
    first = lock(cli).text
    written = (cli.cwd / "pylock.toml").stat()
    again = cli.ok("lock")
    assert read_lock(cli.cwd).text == first
    after = (cli.cwd / "pylock.toml").stat()
    assert (after.st_mtime_ns, after.st_ino) == (written.st_mtime_ns, written.st_ino)
    assert "up to date" in again.err
    (cli.cwd / "pylock.toml").unlink()
    shutil.rmtree(cli.shim_cache)
    shutil.rmtree(cli.cache)
    make_project(dependencies=["aa[x]", "src"], groups={"dev": ["cc", "dd"]}, extras={"e": ["dd"]})
    assert lock(cli, "-j", "1").text == first


@pytest.fixture
def outgrown(cli: Cli, make_project: MakeProject, index: Index, dists: Path, libs: None) -> Locked:
    """Give a lock of aa and of src, which is built with helper and tool; 9.0 of each came later."""
    del libs
    names = ("tool", "helper")
    index.add(
        sdist(dists, "src", "1.0", build_requires=names),
        *(wheel(dists, name, "1.0") for name in names),
    )
    make_project(dependencies=["aa", "src"])
    old = lock(cli)
    index.add(
        sdist(dists, "src", "9.0", build_requires=names),
        *(wheel(dists, name, "9.0") for name in ("aa", "bb", *names)),
    )
    return old


def test_pins_that_still_fit_are_kept(
    cli: Cli, make_project: MakeProject, outgrown: Locked
) -> None:
    cli.ok("lock", "--check")  # what an index has is not among what a lock is made from
    make_project(dependencies=["aa", "src", "cc"])
    more = lock(cli)
    assert more.versions == {**outgrown.versions, "cc": "1.0"}
    assert more.environment("src") == ["helper==1.0", "tool==1.0"]
    make_project(dependencies=["aa>1", "src"])
    assert lock(cli).versions == {"aa": "9.0", "src": "1.0"}


def test_pins_are_upgraded_by_name(cli: Cli, outgrown: Locked) -> None:
    one = lock(cli, "-P", "BB", "-P", "tool")
    assert one.versions == {**outgrown.versions, "bb": "9.0"}
    assert one.environment("src") == ["helper==1.0", "tool==9.0"]


@pytest.mark.usefixtures("outgrown")
def test_all_pins_are_upgraded(cli: Cli) -> None:
    whole = lock(cli, "-U")
    assert whole.versions == {"aa": "9.0", "src": "9.0"}
    assert whole.environment("src") == ["helper==9.0", "tool==9.0"]


@pytest.mark.usefixtures("libs")
def test_what_is_no_longer_needed_leaves_the_lock(cli: Cli, make_project: MakeProject) -> None:
    make_project(dependencies=["aa[x]"])
    assert set(lock(cli).packages) == {"aa", "bb", "cc"}
    make_project(dependencies=["dd"])
    assert set(lock(cli).packages) == {"dd"}


@pytest.mark.usefixtures("libs")
def test_check_tells_and_changes_nothing(cli: Cli, make_project: MakeProject) -> None:
    make_project(dependencies=["bb"])
    missing = cli.fails("lock", "--check")
    assert "does not exist" in missing.err
    assert not (cli.cwd / "pylock.toml").exists()
    first = lock(cli).text
    cli.ok("lock", "--check")
    make_project(dependencies=["bb", "cc"])
    assert "out of date" in cli.fails("lock", "--check").err
    assert read_lock(cli.cwd).text == first


@pytest.mark.usefixtures("libs")
def test_check_needs_no_index(cli: Cli, make_project: MakeProject, index: Index) -> None:
    make_project(dependencies=["bb"])
    lock(cli)
    index.stop()
    cli.ok("lock", "--check")


@pytest.mark.usefixtures("libs")
def test_a_dry_run_shows_what_would_change_and_changes_nothing(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(dependencies=["bb<2"])
    assert "bb" in cli.ok("lock", "--dry-run").err
    assert not (cli.cwd / "pylock.toml").exists()
    first = lock(cli).text
    make_project(dependencies=["bb"])
    shown = cli.ok("lock", "--dry-run", "-U").err
    assert "1.0" in shown
    assert "2.0" in shown
    assert read_lock(cli.cwd).text == first


@pytest.mark.usefixtures("libs")
def test_the_lock_goes_where_it_is_told(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    directory = make_project(dependencies=["own", "bb<2"])
    wheel(directory / "wheels", "own", "1.0")
    (tmp_path / "elsewhere").mkdir()
    cli.ok("lock", "-f", "wheels", "-o", "pylock.one.toml")
    assert not (directory / "pylock.toml").exists()
    assert read_lock(directory / "pylock.one.toml").versions == {"bb": "1.0", "own": "1.0"}

    cli.ok("lock", "-f", "wheels", "-o", "../project/sub/../pylock.two.toml")
    one, two = (directory / f"pylock.{name}.toml" for name in ("one", "two"))
    assert one.read_text() == two.read_text()

    make_project(dependencies=["own", "bb"])  # the pins of the file that is written are kept
    cli.ok("lock", "-f", "wheels", "-o", "pylock.one.toml")
    assert read_lock(directory / "pylock.one.toml").versions["bb"] == "1.0"
    cli.ok("lock", "--check", "-o", "pylock.one.toml")

    failed = cli.fails("lock", "-f", "wheels", "-o", "nowhere/pylock.toml")
    assert "nowhere" in failed.err


@pytest.mark.usefixtures("libs")
def test_the_lock_goes_to_standard_output_and_nothing_else_does(
    cli: Cli, make_project: MakeProject
) -> None:
    make_project(dependencies=["bb"])
    shown = cli.ok("lock", "-o", "-")
    assert parse_lock(shown.out).versions == {"bb": "2.0"}
    assert not (cli.cwd / "pylock.toml").exists()
    assert lock(cli).text == shown.out


@pytest.mark.usefixtures("libs")
def test_a_lock_of_pip_is_replaced_and_its_pins_are_kept(
    cli: Cli, make_project: MakeProject
) -> None:
    made = cli.pip("lock", "bb==1.0", "dd", "-o", "pylock.toml")
    assert made.status == 0, str(made)
    assert read_lock(cli.cwd).raw["created-by"] == "pip"
    make_project(dependencies=["aa"])
    assert "not made by pipshim" in cli.fails("lock", "--check").err
    locked = lock(cli)
    assert locked.raw["created-by"] == "pipshim"
    assert locked.versions == {"aa": "1.0", "bb": "1.0"}
    cli.ok("lock", "--check")


@pytest.mark.usefixtures("libs")
def test_a_lock_that_cannot_be_made_leaves_the_old_one_as_it_was(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    make_project(dependencies=["bb"])
    first = lock(cli).text
    index.add(
        sdist(dists, "bad", "1.0", backend=Backend(fail_in="metadata"), static_metadata=False)
    )
    index.fail["/simple/dd/"] = 503
    for wrong in (["bb>7"], ["nowhere"], ["bad"], ["dd"]):
        make_project(dependencies=["bb", *wrong])
        failed = cli.fails("lock")
        assert wrong[0][:2] in failed.err
        assert read_lock(cli.cwd).text == first
        assert sorted(path.name for path in cli.cwd.iterdir()) == ["pylock.toml", "pyproject.toml"]


@pytest.mark.usefixtures("libs")
@pytest.mark.parametrize("text", [b"packages = [", b"\xff\xfe", b'lock-version = "2.0"\n'])
def test_a_damaged_lock_is_refused_and_remade_by_an_upgrade(
    cli: Cli, make_project: MakeProject, text: bytes
) -> None:
    make_project(dependencies=["bb"])
    path = cli.cwd / "pylock.toml"
    path.write_bytes(text)
    assert "pylock.toml" in cli.fails("lock").err
    cli.fails("lock", "--check")
    assert path.read_bytes() == text
    assert lock(cli, "--upgrade").versions == {"bb": "2.0"}


@pytest.mark.usefixtures("libs")
def test_a_lock_is_written_where_its_link_points_with_its_permissions(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project(dependencies=["bb<2"])
    lock(cli)
    real = tmp_path / "real.toml"
    (cli.cwd / "pylock.toml").rename(real)
    real.chmod(0o640)
    (cli.cwd / "pylock.toml").symlink_to(real)
    make_project(dependencies=["bb>1"])
    lock(cli)
    assert (cli.cwd / "pylock.toml").is_symlink()
    assert read_lock(real).versions == {"bb": "2.0"}
    assert real.stat().st_mode & 0o777 == 0o640


@pytest.mark.usefixtures("libs")
def test_a_folder_in_place_of_the_lock_is_an_error(cli: Cli, make_project: MakeProject) -> None:
    make_project(dependencies=["bb"])
    (cli.cwd / "pylock.toml").mkdir()
    assert "pylock.toml" in cli.fails("lock").err
    assert "pylock.toml" in cli.fails("lock", "-U").err


# --- what makes a lock out of date


@pytest.mark.usefixtures("libs")
@pytest.mark.parametrize(
    ("parts", "text", "args"),
    [
        ({"dependencies": ["src", "bb"]}, "", []),
        ({"build_requires": ["bb"]}, "", []),
        ({"requires_python": ">=3.9"}, "", []),
        ({}, '[tool.pipshim]\nno-build-isolation-package = ["src"]\n', []),
        ({}, '[tool.pipshim]\nconstraint-dependencies = ["bb<2"]\n', []),
        ({}, "", ["-C", "a=1"]),
        ({}, "", ["--no-binary", "bb"]),
    ],
)
def test_a_lock_is_out_of_date_when_an_input_changes(
    cli: Cli, make_project: MakeProject, parts: dict[str, Any], text: str, args: list[str]
) -> None:
    same: dict[str, Any] = {"dependencies": ["aa"], "backend": Backend()}
    make_project(**same)
    lock(cli)
    make_project(text, **{**same, **parts})
    assert "out of date" in cli.fails("lock", "--check", *args).err


@pytest.mark.usefixtures("libs")
def test_a_lock_is_not_out_of_date_for_anything_else(
    cli: Cli, make_project: MakeProject, index: Index
) -> None:
    make_project(
        dependencies=["aa", "bb>=1,<9"], groups={"a": ["cc"], "b": [{"include-group": "a"}]}
    )
    lock(cli)
    make_project(
        "\n[tool.other]\nx = 1\n[tool.pipshim.extra-build-dependencies]\n",
        dependencies=["bb <9, >=1", "aa"],
        groups={"b": ["cc"], "a": ["cc"]},
        version="7",
        scripts={"demo": "demo:main"},
    )
    with Index() as mirror:
        cli.ok("lock", "--check", "-v", env={"PIP_INDEX_URL": mirror.url, "PIPSHIM_JOBS": "1"})
        assert mirror.requests == []
    make_venv(cli.cwd / ".venv")
    requests = len(index.requests)
    cli.ok("lock", "--check")
    assert len(index.requests) == requests


@pytest.mark.usefixtures("libs")
def test_a_change_in_a_folder_that_is_required_makes_the_lock_out_of_date(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    project(other, name="other", dependencies=["bb<2"], backend=Backend())
    make_project(dependencies=[f"other @ {other.as_uri()}"])
    assert lock(cli).versions["bb"] == "1.0"
    cli.ok("lock", "--check")
    project(other, name="other", dependencies=["bb>1"], backend=Backend())
    assert cli("lock", "--check").status == 1
    assert lock(cli).versions["bb"] == "2.0"


# --- credentials


@pytest.mark.parametrize("how", ["index", "extra", "netrc", "user"])
def test_credentials_of_an_index_never_reach_the_lock(
    cli: Cli, make_project: MakeProject, dists: Path, how: str
) -> None:
    user, password = (SECRET, "x") if how == "user" else ("someone", SECRET)
    with Index(credentials=(user, password)) as private:
        private.add(
            wheel(dists, "bb", "1.0"),
            sdist(dists, "src", "1.0", build_requires=["bb"], requires=["bb"]),
        )
        make_project(dependencies=["src"])
        env = {"PIP_INDEX_URL": private.url_with_credentials}
        if how == "netrc":
            env = {"PIP_INDEX_URL": private.url}
            netrc = cli.home / ".netrc"
            netrc.write_text(f"machine 127.0.0.1 login {user} password {password}\n")
            netrc.chmod(0o600)
        elif how == "extra":
            env = {"PIP_EXTRA_INDEX_URL": private.url_with_credentials}
        done = cli.ok("lock", "-v", env=env)
        locked = read_lock(cli.cwd)
        assert SECRET not in locked.text + done.out + done.err
        assert "@127" not in locked.text
        assert locked.packages["src"]["index"] == private.url
        assert locked.files("bb")["bb-1.0-py3-none-any.whl"]["url"].startswith(private.root)


def test_credentials_of_a_url_never_reach_the_lock(
    cli: Cli, make_project: MakeProject, dists: Path
) -> None:
    with Index(credentials=("someone", SECRET)) as private:
        private.add(
            wheel(dists, "bb", "1.0"),
            sdist(dists, "tool", "1.0", build_requires=[]),
        )
        link = private.file_url("bb-1.0-py3-none-any.whl")
        secret = link.replace("//", f"//someone:{SECRET}@")
        private.add(sdist(dists, "src", "1.0", build_requires=[f"bb @ {secret}"]))
        source = private.file_url("src-1.0.tar.gz").replace("//", f"//someone:{SECRET}@")
        make_project(dependencies=[f"bb @ {secret}", f"src @ {source}"])
        done = cli.ok("lock")
        locked = read_lock(cli.cwd)
        assert locked.packages["bb"]["archive"]["url"] == link
        assert SECRET not in locked.text + done.out + done.err

        given = cli.ok("lock", f"bb @ {secret}", "-o", "pylock.given.toml")
        text = (cli.cwd / "pylock.given.toml").read_text()
        assert SECRET not in text + given.out + given.err
        cli.ok("lock", "--check", f"bb @ {secret}", "-o", "pylock.given.toml")

        (cli.cwd / "r.txt").write_text("bb @ " + link.replace("//", "//someone:${TOKEN}@") + "\n")
        env = {"TOKEN": SECRET}
        assert SECRET not in lock(cli, "-r", "r.txt", env=env).text


@needs_git
@pytest.mark.usefixtures("libs")
def test_a_git_url_keeps_its_user_but_no_password(
    cli: Cli, make_project: MakeProject, dists: Path, tmp_path: Path
) -> None:
    tree = source_tree(sdist(dists, "vv", "1.0"), tmp_path)
    git_repository(tree)
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    env = {"GIT_SSH_COMMAND": str(ssh), "GIT_SSH_VARIANT": "simple"}
    for user in ("git", f"git:{SECRET}"):
        make_project(dependencies=[f"vv @ git+ssh://{user}@example.org{tree}"])
        locked = lock(cli, "-U", env=env)
        assert SECRET not in locked.text
        assert locked.packages["vv"]["vcs"]["url"] == f"ssh://git@example.org{tree}"


# --- what others make of it


def installed(python: Path) -> dict[str, str]:
    script = (
        "import importlib.metadata as m, json, sysconfig; "
        "print(json.dumps({d.name: d.version for d in "
        "m.distributions(path=[sysconfig.get_path('purelib')])}))"
    )
    done = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True)
    found: dict[str, str] = json.loads(done.stdout)
    return found


@pytest.fixture
def varied_lock(cli: Cli, make_project: MakeProject, index: Index, dists: Path) -> Locked:
    """Give a lock with all that other readers could stumble over."""
    index.add(
        wheel(dists, "aa", "1.0", requires=["bb", "deep"], extras={"x": ["cc"]}),
        wheel(dists, "bb", "1.0", tag="native"),
        wheel(dists, "bb", "1.0", tag="cp39-cp39-win_amd64"),
        wheel(dists, "cc", "1.0", build="1"),
        sdist(dists, "deep", "1.0", build_requires=["tool"]),
        wheel(dists, "tool", "1.0"),
        wheel(dists, "dd", "1.0"),
        wheel(dists, "ee", "1.0"),
        wheel(dists, "url", "1.0"),
    )
    directory = make_project(
        dependencies=["aa", f"url @ {index.file_url('url-1.0-py3-none-any.whl')}", "own"],
        extras={"more": ["ee"]},
        groups={"dev": ["aa[x]"], "docs": ["dd"]},
    )
    wheel(directory / "wheels", "own", "1.0")
    return lock(cli, "-f", "wheels")


DEFAULT_SET = {"aa": "1.0", "bb": "1.0", "cc": "1.0", "deep": "1.0", "own": "1.0", "url": "1.0"}


@pytest.mark.usefixtures("varied_lock")
def test_pip_installs_the_same_set_as_sync(cli: Cli, tmp_path: Path) -> None:
    python = make_venv(tmp_path / "pip-env")
    done = cli.pip("--python", python, "install", "-r", "pylock.toml")
    assert done.status == 0, str(done)
    assert installed(python) == DEFAULT_SET
    cli.ok("sync")
    assert installed(cli.cwd / ".venv" / "bin" / "python") == DEFAULT_SET


@needs_uv
@pytest.mark.usefixtures("varied_lock")
def test_uv_installs_the_same_set(cli: Cli, tmp_path: Path) -> None:
    python = make_venv(tmp_path / "uv-env")
    assert uv(cli, tmp_path, python) == DEFAULT_SET
    more = {**DEFAULT_SET, "ee": "1.0", "dd": "1.0"}
    assert uv(cli, tmp_path, python, "--extra", "more", "--group", "docs", "--group", "dev") == more


def uv(cli: Cli, tmp_path: Path, python: Path, *args: str) -> dict[str, str]:
    assert UV is not None
    env = {**cli.env, "UV_CACHE_DIR": str(tmp_path / "uv-cache"), "UV_NO_CONFIG": "1"}
    env["UV_DEFAULT_INDEX"] = cli.env["PIP_INDEX_URL"]  # for the build requirements of deep
    command = [UV, "pip", "sync", "--python", str(python), *args, "pylock.toml"]
    done = subprocess.run(
        command, cwd=cli.cwd, env=env, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return installed(python)


def test_an_empty_lock_and_one_without_defaults_are_accepted_by_pip(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project()
    lock(cli)
    python = make_venv(tmp_path / "env")
    done = cli.pip("--python", python, "install", "-r", "pylock.toml")
    assert done.status == 0, str(done)
    assert installed(python) == {}


# --- the staged lock


DYNAMIC = Backend(imports=["fakelib"], imports_at=["metadata"], dynamic_requires=["low=={fakelib}"])


@pytest.fixture
def staged(index: Index, dists: Path, make_project: MakeProject, tmp_path: Path) -> Path:
    """Give the log of an sdist whose metadata needs fakelib, undeclared, and follows its version.

    With fakelib 1.0 it requires low 1.0; with fakelib 2.0, low 2.0.
    """
    log = tmp_path / "log"
    backend = Backend(**{**vars(DYNAMIC), "log": str(log)})
    index.add(
        *(wheel(dists, name, version) for name in ("fakelib", "low") for version in ("1.0", "2.0")),
        sdist(dists, "needy", "1.0", backend=backend),
        sdist(dists, "needy", "0.9", backend=backend),
    )
    make_project(
        '[tool.pipshim]\nno-build-isolation-package = ["needy"]\n',
        dependencies=["needy", "fakelib<2"],
    )
    return log


def test_a_fresh_clone_locks_what_needs_the_environment_for_its_metadata(
    cli: Cli, staged: Path
) -> None:
    locked = lock(cli)
    assert locked.versions == {"needy": "1.0", "fakelib": "1.0", "low": "1.0"}
    assert locked.packages["needy"]["dependencies"] == [{"name": "low"}]
    assert not (cli.cwd / ".venv").exists()
    asked = [one for one in calls(staged) if one.event == "start"]
    assert {one.version for one in asked} == {"1.0"}  # 0.9 was a candidate only
    assert {one.hook for one in asked} == {"prepare_metadata_for_build_wheel"}


@pytest.mark.usefixtures("staged")
def test_the_lock_is_the_same_whatever_is_installed(cli: Cli, tmp_path: Path) -> None:
    first = lock(cli).text
    (cli.cwd / "pylock.toml").unlink()
    python = make_venv(cli.cwd / ".venv")
    done = cli.pip("--python", python, "install", "--no-deps", "fakelib==2.0", "low==2.0")
    assert done.status == 0, str(done)
    shutil.rmtree(cli.shim_cache)
    assert lock(cli).text == first
    broken = site_packages(cli.cwd / ".venv") / "fakelib" / "__init__.py"
    broken.write_text("raise SystemError\n")
    (cli.cwd / "pylock.toml").unlink()
    shutil.rmtree(cli.shim_cache)
    other = make_venv(tmp_path / "other")
    for args in ((), ("--python", other)):
        assert lock(cli, *args).text == first


@pytest.mark.usefixtures("staged")
def test_the_metadata_follows_when_its_environment_changes(
    cli: Cli, make_project: MakeProject
) -> None:
    lock(cli)
    configuration = '[tool.pipshim]\nno-build-isolation-package = ["needy"]\n'
    make_project(configuration, dependencies=["needy", "fakelib>1"])
    assert lock(cli).versions == {"needy": "1.0", "fakelib": "2.0", "low": "2.0"}


@pytest.mark.usefixtures("staged")
def test_a_library_that_the_metadata_needs_and_the_lock_lacks_is_named(
    cli: Cli, make_project: MakeProject
) -> None:
    configuration = '[tool.pipshim]\nno-build-isolation-package = ["needy"]\n'
    make_project(configuration, dependencies=["needy"])
    failed = cli.fails("lock")
    assert "fakelib" in failed.err
    assert "needy" in failed.err
    assert not (cli.cwd / "pylock.toml").exists()


def test_an_sdist_that_is_a_candidate_only_is_not_built(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    noted = Backend(log=str(log))
    index.add(
        wheel(dists, "aa", "1.0"),
        sdist(dists, "aa", "1.0", backend=noted, static_metadata=False),
        sdist(dists, "aa", "0.5", backend=noted, static_metadata=False),
        sdist(dists, "aa", "2.0", backend=noted, static_metadata=False),
        wheel(dists, "zz", "1.0", requires=["aa<2"]),
    )
    make_project(dependencies=["aa", "zz"])
    assert lock(cli).versions == {"aa": "1.0", "zz": "1.0"}
    assert calls(log) == []
    assert "aa-0.5.tar.gz" not in index.downloads


def test_static_metadata_is_read_and_no_hook_of_it_is_called(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    index.add(
        sdist(dists, "src", "1.0", requires=["bb"], backend=Backend(log=str(log))),
        wheel(dists, "bb", "1.0"),
    )
    make_project(dependencies=["src"])
    assert lock(cli).versions == {"src": "1.0", "bb": "1.0"}
    # The build environment is locked too: that takes the backend's word on what else it needs.
    assert {one.hook for one in calls(log)} <= {"get_requires_for_build_wheel"}


def test_a_wheel_is_built_only_where_a_backend_has_no_metadata_hook(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, tmp_path: Path
) -> None:
    for name, hook in (("with", True), ("without", False)):
        index.add(
            sdist(
                dists,
                name,
                "1.0",
                requires=["bb"],
                static_metadata=False,
                backend=Backend(metadata_hook=hook, log=str(tmp_path / name)),
            )
        )
    index.add(wheel(dists, "bb", "1.0"))
    make_project(dependencies=["with", "without"])
    assert lock(cli).versions == {"with": "1.0", "without": "1.0", "bb": "1.0"}
    assert "build_wheel" not in {one.hook for one in calls(tmp_path / "with")}
    assert "build_wheel" in {one.hook for one in calls(tmp_path / "without")}


def test_a_platform_specific_wheel_of_the_lock_is_what_a_build_is_matched_with(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(
        *(wheel(dists, "fakelib", version, tag=native_tag()) for version in ("1.0", "2.0")),
        sdist(dists, "src", "1.0", build_requires=["fakelib"]),
    )
    make_project(dependencies=["src", "fakelib<2"])
    locked = lock(cli)
    assert locked.build("src")["mode"] == "matched"
    assert locked.build("src")["chosen-by"] == "match-runtime"
    assert locked.environment("src") == ["fakelib==1.0"]
    assert "packages" not in locked.tool


def test_settings_for_packages_that_the_lock_does_not_have_are_warned_of(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "natten", "1.0"))
    make_project(
        "[tool.pipshim]\nno-build-isolation-package = ['nattten', 'natten']\n"
        "match-runtime = ['torhc']\n"
        "[tool.pipshim.extra-build-dependencies]\nflash-attn = ['torch']\n",
        dependencies=["natten"],
    )
    said = cli.ok("lock").err
    assert "no-build-isolation-package names nattten, which the lock does not have" in said
    assert "did you mean natten?" in said
    assert "match-runtime names torhc, which the lock does not have" in said
    assert "extra-build-dependencies names flash-attn, which the lock does not have" in said
    assert "names natten," not in said


def test_typed_settings_for_packages_that_the_lock_does_not_have_are_warned_of(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "natten", "1.0"))
    tree = source_tree(sdist(tmp_path, "folder", "1.0"), tmp_path)
    make_project(
        "[tool.pipshim]\nrebuild = { nattn = 'exact', natten = 'exact', folder = 'exact' }\n"
        "build-memory = { natte = '1 GB' }\nabi = { nattens = 'minor' }\n"
        "exclude-newer-package = { nattena = false }\nsources = { nattenb = { path = '.' } }\n",
        dependencies=["natten", f"folder @ {tree.as_uri()}"],
    )
    typed = ("--no-build-isolation-package", "natteen", "--extra-build-dependency", "naten=x")
    lists = ("--no-binary", "nattem,folder", "--only-binary", "natten,nanten")
    env = {"PIPSHIM_NO_BUILD_ISOLATION_PACKAGE": "nat-ten folder"}
    said = cli.ok("lock", *typed, *lists, env=env).err
    for setting, name in (
        ("rebuild", "nattn"),
        ("build-memory", "natte"),
        ("abi", "nattens"),
        ("exclude-newer-package", "nattena"),
        ("sources", "nattenb"),
        ("--no-build-isolation-package", "natteen"),
        ("PIPSHIM_NO_BUILD_ISOLATION_PACKAGE", "nat-ten"),
        ("extra-build-dependencies", "naten"),
        ("--no-binary", "nattem"),
        ("--only-binary", "nanten"),
    ):
        assert f"{setting} names {name}, which the lock does not have; did you mean natten?" in said
    assert "names folder" not in said
    said = cli.ok("sync", "--reinstall-package", "naten", "--reinstall-package", "natten").err
    assert "--reinstall-package naten: what is installed does not include naten; did you" in said
    assert said.count("--reinstall-package") == 1
