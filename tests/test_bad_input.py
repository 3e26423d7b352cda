"""Bad input: one clear message, the right exit status, no traceback, and nothing is lost.

Each refusal is judged as a new user would: what happened, to which package or file and line, why,
and what to type. The folder of the project, lock and environment included, is as before.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Protocol

import pytest

from tests.support.dists import Backend, project, sdist, source_tree, wheel
from tests.support.files import distributions, listing
from tests.support.pipshim import make_venv
from tests.support.repositories import git_repository

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli, Result


STAMPS = (".pipshim-fresh",)
"""What pipshim notes for itself in an environment that it found to be up to date."""

HEAD = "[project]\nname = 'x'\nversion = '1'\n"


class Refuses(Protocol):
    """Runs pipshim, and asserts that it refuses: see `refuses`."""

    def __call__(
        self,
        *args: str | Path,
        says: str | tuple[str, ...],
        hint: str | None = None,
        status: int = 1,
        env: Mapping[str, str] | None = None,
    ) -> Result: ...


def flat(text: str) -> str:
    """Give a message as one line: where it is broken depends on the length of paths."""
    return re.sub(r"\s+", " ", text)


@pytest.fixture
def refuses(cli: Cli, project_dir: Path) -> Refuses:
    """Give the runner of what must fail and leave the project's folder as it was."""

    def run(
        *args: str | Path,
        says: str | tuple[str, ...],
        hint: str | None = None,
        status: int = 1,
        env: Mapping[str, str] | None = None,
    ) -> Result:
        before = listing(project_dir, without=STAMPS)
        result = cli.fails(*args, status=status, env=env)
        assert listing(project_dir, without=STAMPS) == before, str(result)
        assert result.out == "", str(result)
        said = flat(result.err)
        for words in (says,) if isinstance(says, str) else says:
            assert words in said, str(result)
        assert "pipshim has a bug" not in said, str(result)
        if hint is not None:
            assert hint in said.partition(" hint: ")[2], str(result)
        return result

    return run


@pytest.fixture
def old(cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path) -> Path:
    """Give a project with a lock and an environment, and two versions of a library to choose."""
    index.add(*(wheel(tmp_path / "dists", "fakelib", one) for one in ("1.0", "2.0")))
    directory = make_project(dependencies=["fakelib<2"])
    cli.ok("sync")
    return directory


@pytest.fixture
def locked(cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path) -> Path:
    """Give the same without environment."""
    index.add(*(wheel(tmp_path / "dists", "fakelib", one) for one in ("1.0", "2.0")))
    directory = make_project(dependencies=["fakelib<2"])
    cli.ok("lock")
    return directory


# --- pyproject.toml


@pytest.mark.parametrize("command", [["lock"], ["sync"], ["run", "true"]])
def test_without_a_pyproject_the_folder_is_named(
    refuses: Refuses, project_dir: Path, command: list[str]
) -> None:
    refuses(
        *command, says=f"error: {project_dir}: no pyproject.toml in this folder", hint="--project"
    )


def test_a_folder_without_a_pyproject_shows_how_to_begin(
    refuses: Refuses, cli: Cli, project_dir: Path
) -> None:
    (project_dir / "requirements.txt").touch()
    result = refuses("lock", says="no pyproject.toml", hint="pipshim lock -r requirements.txt")
    start = result.err.index("    [project]")
    (project_dir / "pyproject.toml").write_text(textwrap.dedent(result.err[start:]))
    cli.ok("lock")


@pytest.mark.parametrize(
    ("written", "line", "says"),
    [
        ("[project]\nname = 'x'\nversion =\n", 3, "invalid TOML"),
        ("[project]\nname = 'x'\n[project]\n", 3, "invalid TOML"),
        ("[project]\nversion = '1'\nname = 'x'\ndependencies = ['fake lib>=1']\n", 4, "fake lib"),
        (
            f"{HEAD}dependencies = ['a', \"fakelib; python_versio > '3'\"]\n",
            4,
            "project.dependencies[1] is not a valid requirement",
        ),
        ("[project]\nname = 'x'\nversion = 'one'\n", 3, "is not a valid version: 'one'"),
        (f"{HEAD}requires-python = '3'\n", 4, "requires-python"),
        (
            f"{HEAD}[dependency-groups]\ndev = ['fakelib>=one']\n",
            5,
            "fakelib>=one",
        ),
        (
            f"{HEAD}[dependency-groups]\ndev = [{{include-group = 'tst'}}]\ntest = []\n",
            5,
            "tst",
        ),
        (
            f"{HEAD}[tool.pipshim]\nno-build-isolaton = true\n",
            5,
            "'no-build-isolaton' in tool.pipshim; did you mean 'no-build-isolation'?",
        ),
        (
            f"{HEAD}[tool.pipshim]\nno-build-isolation = 'yes'\n",
            5,
            "must be true or false, not the string 'yes'",
        ),
        (
            f"{HEAD}[tool.pipshim.extra-build-dependencies]\nnatten = ['to rch']\n",
            5,
            "to rch",
        ),
    ],
)
def test_a_mistake_in_pyproject_is_said_with_file_and_line(
    refuses: Refuses, project_dir: Path, written: str, line: int, says: str
) -> None:
    (project_dir / "pyproject.toml").write_text(written)
    refuses("lock", says=(f"error: {project_dir}/pyproject.toml:{line}: ", says))


def test_a_mistake_in_pyproject_leaves_lock_and_environment_as_they_are(
    refuses: Refuses, old: Path
) -> None:
    with (old / "pyproject.toml").open("a") as file:
        file.write("[tool.pipshim]\nmatch-runtim = []\n")
    for command in (["lock"], ["lock", "--check"], ["sync"], ["run", "true"]):
        refuses(*command, says="did you mean 'match-runtime'?")


@pytest.mark.parametrize("locked_before", [False, True])
def test_an_unknown_group_or_extra_is_said_with_those_that_exist(
    refuses: Refuses, cli: Cli, make_project: MakeProject, locked_before: bool
) -> None:
    make_project(extras={"fast": [], "slow": []}, groups={"docs": [], "test": []})
    if locked_before:
        cli.ok("lock")
    where = "pylock.toml" if locked_before else "pyproject.toml"
    refuses(
        "sync",
        "--extra",
        "fst",
        status=2,
        says=f"error: no extra 'fst' in {where}",
        hint="those it has: fast, slow",
    )
    options = ("--group",) if locked_before else ("--only-group", "--no-group")
    for option in options:
        refuses(
            "sync",
            option,
            "dcs",
            status=2,
            says=f"error: no group 'dcs' in {where}",
            hint="those it has: docs, test",
        )


def test_a_group_where_there_is_none_is_said_so(
    refuses: Refuses, make_project: MakeProject
) -> None:
    make_project()
    refuses("sync", "--group", "dev", status=2, says="no group 'dev'", hint="it has no groups")


# --- the lock


DAMAGE: Mapping[str, Callable[[str], str]] = {
    "cut off": lambda text: text[: len(text) // 2],
    "empty": lambda _: "",
    "a key less": lambda text: text.replace('name = "fakelib"\n', ""),
    "no place to fetch from": lambda text: text.replace("url = ", "ulr = "),
    "a table of another shape": lambda text: text.replace(
        "[tool.pipshim]\n", "[tool.pipshim]\nbuild-environments = 3\n"
    ),
    "pipshim's table is no table": lambda text: (
        text.partition("[tool.pipshim]")[0] + "[tool]\npipshim = 3\n"
    ),
    "pipshim's version is no number": lambda text: text.replace(
        "[tool.pipshim]\nversion = 1", '[tool.pipshim]\nversion = "x"'
    ),
}


def test_a_damaged_lock_is_refused_and_kept(refuses: Refuses, locked: Path) -> None:
    path = locked / "pylock.toml"
    text = path.read_text()
    for damage in DAMAGE.values():
        path.write_text(damage(text))
        assert path.read_text() != text
        says = (f"error: {path}:", "the lock is damaged: ")
        result = refuses("sync", says=says, hint="lock --upgrade")
        assert "Error:" not in result.err, "the name of a Python exception helps nobody"


NESTED = f"{'[' * 3000}{']' * 3000}"
DIGITS = "1" * 6000
UNREADABLE = (
    pytest.param(f"x = {NESTED}", "nested too deeply", id="nested arrays"),
    pytest.param(f"x{'.a' * 3000} = 1", "nested too deeply", id="dotted key"),
    pytest.param(f"x = {DIGITS}", "value has 6000 digits", id="long integer"),
)


@pytest.mark.parametrize(("value", "says"), UNREADABLE)
def test_a_lock_that_python_cannot_read_is_damaged(
    refuses: Refuses, locked: Path, value: str, says: str
) -> None:
    path = locked / "pylock.toml"
    text = f"{path.read_text()}\n[tool.other]\n{value}\n"
    path.write_text(text)
    for command in (["sync"], ["lock"], ["export"], ["sync", "-r", "pylock.toml"]):
        refuses(*command, says=(f"error: {path}: the lock is damaged: ", says))


def test_a_lock_with_a_deeply_nested_marker_is_damaged(refuses: Refuses, locked: Path) -> None:
    path = locked / "pylock.toml"
    marker = f"{'(' * 3000}os_name == 'x'{')' * 3000}"
    path.write_text(path.read_text() + f'\n[[packages]]\nname = "deep"\nmarker = "{marker}"\n')
    refuses("sync", says=(f"{path}: the lock is damaged: ", "nested"))


@pytest.mark.parametrize(("value", "says"), UNREADABLE)
@pytest.mark.parametrize("table", ["[tool.pipshim]", "[tool.other]", "[build-system]"])
def test_a_pyproject_that_python_cannot_read_is_refused(
    refuses: Refuses, project_dir: Path, table: str, value: str, says: str
) -> None:
    path = project_dir / "pyproject.toml"
    path.write_text(f"{HEAD}{table}\n{value}\n")
    refuses("lock", says=(f"error: {path}: ", says))


@pytest.mark.parametrize(("value", "says"), [UNREADABLE[0], UNREADABLE[2]])
@pytest.mark.parametrize("command", ["lock", "install"])
def test_a_source_whose_pyproject_python_cannot_read_is_named(
    cli: Cli, make_project: MakeProject, tmp_path: Path, command: str, value: str, says: str
) -> None:
    table = f"[tool.other]\n{value}\n"
    source = project(tmp_path / "deep", table, name="deep", backend=Backend())
    if command == "lock":
        make_project(dependencies=[f"deep @ {source.as_uri()}"])
        result = cli.fails("lock")
    else:
        result = cli.fails("install", "--dry-run", source)
    assert "pipshim has a bug" not in result.err, str(result)
    assert "deep" in flat(result.err), str(result)
    assert says in flat(result.err), str(result)


def test_an_installed_package_with_unreadable_json_is_no_obstacle(cli: Cli, old: Path) -> None:
    (info,) = old.glob(".venv/lib/*/site-packages/fakelib-*.dist-info")
    (info / "direct_url.json").write_text(NESTED)
    cli.ok("sync", "--reinstall")


def test_every_command_refuses_a_damaged_lock_and_the_hint_mends_it(
    refuses: Refuses, cli: Cli, locked: Path
) -> None:
    (locked / "pylock.toml").write_text("lock-version = ")
    for command in (["lock"], ["lock", "--check"], ["sync", "--frozen"], ["run", "true"]):
        refuses(*command, says="the lock is damaged", hint="pipshim lock --upgrade")
    cli.ok("lock", "--upgrade")
    cli.ok("sync")


@pytest.mark.parametrize(
    ("old_text", "new_text", "says"),
    [
        ('lock-version = "1.0"', 'lock-version = "2.0"', "lock-version is 2.0, which is newer"),
        ("[tool.pipshim]\nversion = 1", "[tool.pipshim]\nversion = 2", "made by a newer pipshim"),
    ],
)
def test_a_newer_lock_is_refused_and_the_hint_mends_it(
    refuses: Refuses, cli: Cli, locked: Path, old_text: str, new_text: str, says: str
) -> None:
    path = locked / "pylock.toml"
    assert old_text in path.read_text()
    path.write_text(path.read_text().replace(old_text, new_text))
    for command in ("lock", "sync"):
        refuses(command, says=(str(path), says), hint="upgrade pipshim, or recreate the lock")
    cli.ok("lock", "--upgrade")


def test_a_lock_for_another_python_is_refused(refuses: Refuses, cli: Cli, locked: Path) -> None:
    path = locked / "pylock.toml"
    minor = f"{sys.version_info[0]}.{sys.version_info[1]}"
    path.write_text(path.read_text().replace(f'\\"{minor}\\"', '\\"3.9\\"'))
    for command in (["sync"], ["sync", "--frozen"], ["run", "true"]):
        refuses(
            *command,
            says=(f"for another Python or platform than cpython {minor}", '"3.9"'),
            hint="--python",
        )
    cli.ok("lock")


def test_a_lock_for_several_pythons_serves_each_of_them(cli: Cli, locked: Path) -> None:
    path = locked / "pylock.toml"
    text = path.read_text()
    path.write_text(
        text.replace("environments = [\n", "environments = [\n'sys_platform == \"x\"',\n")
    )
    assert path.read_text() != text
    cli.ok("sync", "--frozen")


def test_a_lock_that_is_missing_or_out_of_date_is_said_so(
    refuses: Refuses, make_project: MakeProject, locked: Path
) -> None:
    make_project(dependencies=["fakelib"])
    refuses("sync", "--locked", says="the lock is out of date", hint="pipshim lock")
    refuses("lock", "--check", says="pylock.toml is out of date")
    (locked / "pylock.toml").unlink()
    refuses("sync", "--frozen", says="there is no lock file", hint="pipshim lock")


# --- Python and the environment


@pytest.mark.parametrize(
    ("command", "python"),
    [
        ("lock", "nosuchpython"),
        ("sync", "/nosuch/python"),
        ("sync", "3.2"),
        ("lock", "/etc/passwd"),
    ],
)
def test_an_interpreter_that_is_none_is_named(
    refuses: Refuses, make_project: MakeProject, command: str, python: str
) -> None:
    make_project()
    refuses(command, "--python", python, says=python)


def test_a_python_that_requires_python_does_not_admit_is_said_with_both(
    refuses: Refuses, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project(requires_python="<3")
    make_venv(tmp_path / "venv")
    version = ".".join(map(str, sys.version_info[:3]))
    only_this = {"PATH": "/nonexistent"}
    for command in (["lock"], ["sync"], ["run", "true"]):
        refuses(
            *command,
            says="no Python satisfying requires-python (<3) was found",
            hint="--python",
            env=only_this,
        )
    venv = str(tmp_path / "venv")
    for where, env in ((["--python", venv], {}), ([], {"VIRTUAL_ENV": venv})):
        refuses(
            "sync",
            *where,
            says=(f"{venv} has Python {version}", "requires-python is <3"),
            hint="--python",
            env=env,
        )


def test_a_folder_that_is_no_environment_is_left_alone(
    refuses: Refuses, old: Path, tmp_path: Path
) -> None:
    some = tmp_path / "some"
    some.mkdir()
    (some / "mine").write_text("mine")
    says = f"{some} is not a virtual environment: it has no pyvenv.cfg"
    refuses("sync", "--python", some, says=says, hint="give a virtual environment")
    refuses("sync", env={"VIRTUAL_ENV": str(some)}, says=says, hint="VIRTUAL_ENV")
    (old / ".venv" / "pyvenv.cfg").unlink()
    (old / ".venv" / ".gitignore").unlink()  # the mark of an environment that pipshim made
    refuses("run", "true", says="is not a virtual environment", hint="move it away")
    assert [path.name for path in some.iterdir()] == ["mine"]


def test_an_active_environment_that_is_gone_is_named(
    refuses: Refuses, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project()
    refuses("sync", env={"VIRTUAL_ENV": f"{tmp_path}/gone"}, says=f"{tmp_path}/gone", hint="unset")


@pytest.mark.parametrize(
    ("command", "place", "says"),
    [
        ("sync", ".venv/lib/*/site-packages", ".venv cannot be written"),
        ("sync", ".venv", ".venv cannot be written"),
        ("lock", ".", "pylock.toml: cannot be written: Permission denied"),
    ],
)
def test_what_cannot_be_written_is_named_and_as_before(
    refuses: Refuses, make_project: MakeProject, old: Path, command: str, place: str, says: str
) -> None:
    make_project(dependencies=["fakelib>=2"])
    (folder,) = old.glob(place) if place != "." else [old]
    folder.chmod(0o555)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("this user may write everywhere")
        refuses(command, says=says)
    finally:
        folder.chmod(0o755)
    assert distributions(old / ".venv") == ["fakelib-1.0"]


# --- the network


def test_a_refused_connection_names_package_and_page(
    refuses: Refuses, index: Index, make_project: MakeProject, old: Path
) -> None:
    page = f"{index.url}fakelib/"
    index.stop()
    assert (old / "pylock.toml").exists()
    refuses(
        "lock",
        "-U",
        says=("fakelib cannot be looked up", f"{page}: Connection refused", "the project requires"),
        hint="check the network, the index URL (--index-url) and the proxy",
    )
    make_project(dependencies=["fakelib>=2"])
    refuses("sync", says="Connection refused")
    refuses("run", "true", says="Connection refused")


def test_a_user_who_waits_for_retries_is_told_so(
    cli: Cli, index: Index, make_project: MakeProject
) -> None:
    make_project(dependencies=["fakelib"])
    index.stop()
    with cli.start("lock", env={"PIP_RETRIES": "3"}) as process:
        assert process.stderr is not None
        assert any("trying again" in line for line in process.stderr)
        process.terminate()


@pytest.mark.parametrize(
    ("status", "says", "hint"),
    [
        (500, "the server answers 500 Internal Server Error", "try again later"),
        (503, "the server answers 503 Service Unavailable", "try again later"),
        (403, "the server answers 403 Forbidden", "user and password"),
        (401, "the server answers 401 Unauthorized", "user and password"),
    ],
)
def test_an_index_that_answers_an_error_is_not_a_missing_package(
    refuses: Refuses,
    index: Index,
    make_project: MakeProject,
    status: int,
    says: str,
    hint: str,
) -> None:
    make_project(dependencies=["fakelib"])
    index.fail["/simple/fakelib/"] = status
    refuses("lock", says=("fakelib cannot be looked up", says), hint=hint)


@pytest.mark.parametrize(
    ("status", "says", "hint"),
    [(404, "404: it was not found", "pipshim lock -U"), (500, "500 Internal", "try again later")],
)
def test_a_file_that_cannot_be_fetched_is_named(
    refuses: Refuses,
    index: Index,
    cli: Cli,
    make_project: MakeProject,
    old: Path,
    status: int,
    says: str,
    hint: str,
) -> None:
    index.fail["/files/fakelib-2.0-py3-none-any.whl"] = status
    make_project(dependencies=["fakelib>=2"])
    cli.ok("lock")
    refuses("sync", says=("fakelib-2.0-py3-none-any.whl cannot be fetched", says), hint=hint)
    assert distributions(old / ".venv") == ["fakelib-1.0"]


def test_a_user_that_the_index_asks_for_is_not_asked_where_nobody_can_answer(
    refuses: Refuses, index: Index, make_project: MakeProject
) -> None:
    make_project(dependencies=["fakelib"])
    index.credentials = ("me", "secret")
    refuses("lock", says="the server answers 401", hint="in its URL, in ~/.netrc, or with keyring")


# --- no versions fit


def test_a_package_that_does_not_exist_is_said_with_who_wants_it(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project(dependencies=["nosuch"])
    refuses(
        "lock",
        says=("package nosuch was not found", "the project requires nosuch", f"{index.url}nosuch/"),
        hint="check the name",
    )
    index.add(wheel(tmp_path, "app", "1.0", requires=["nosuch>=2"]))
    make_project(dependencies=["app"])
    refuses("lock", says=("package nosuch was not found", "app 1.0 requires nosuch>=2"))
    refuses("lock", "nosuch", says="the command line requires nosuch")
    make_project(groups={"dev": ["nosuch"]})
    refuses("lock", says="group 'dev' of the project requires nosuch")


def test_a_version_that_does_not_exist_is_said_with_those_that_do(
    refuses: Refuses, make_project: MakeProject, old: Path
) -> None:
    assert old.exists()
    make_project(dependencies=["fakelib>3"])
    refuses(
        "sync",
        says=("the project requires fakelib>3", "fakelib has 2.0, 1.0"),
        hint="choose one of the versions listed above",
    )


def test_a_conflict_is_said_with_both_sides(
    refuses: Refuses,
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    old: Path,
    tmp_path: Path,
) -> None:
    assert old.exists()
    index.add(
        wheel(tmp_path, "app", "1.0", requires=["fakelib<2"]),
        wheel(tmp_path, "other", "1.0", requires=["fakelib>=2"]),
    )
    make_project(dependencies=["app", "other", "fakelib"])
    done = refuses("lock", says="no version of fakelib", hint="loosen one of these")
    assert done.err.splitlines()[1:-1] == [
        "  the project requires app",
        "    app 1.0 requires fakelib<2",
        "  the project requires other",
        "    other 1.0 requires fakelib>=2",
        "  fakelib has 2.0, 1.0",
    ]
    make_project(dependencies=["app"], groups={"dev": ["fakelib==2.0"]})
    refuses(
        "lock",
        says="group 'dev' of the project requires fakelib==2.0 "
        "the project requires app app 1.0 requires fakelib<2",
        hint="locked together, one version of each package for all",
    )
    extras = {"old": ["fakelib<2"], "new": ["fakelib>=2"]}
    project = make_project(extras=extras)
    sets = '[{ extra = "old" }, { extra = "new" }]'
    refuses("lock", says="no version of fakelib", hint=f"add {sets} to the list 'conflicts'")
    make_project(f"[tool.pipshim]\nconflicts = [{sets}]\n", extras=extras)
    cli.ok("lock", cwd=project)


def test_a_constraint_that_leaves_no_version_is_named(
    refuses: Refuses, make_project: MakeProject, old: Path, tmp_path: Path
) -> None:
    assert old.exists()
    (tmp_path / "constraints.txt").write_text("fakelib<2\n")
    make_project(dependencies=["fakelib==2.0"])
    refuses(
        "lock",
        "-c",
        tmp_path / "constraints.txt",
        says="constraints.txt (line 1) allows only fakelib<2",
    )
    make_project(
        '[tool.pipshim]\nconstraint-dependencies = ["fakelib<2"]\n', dependencies=["fakelib==2.0"]
    )
    refuses(
        "lock",
        says="constraint-dependencies of pyproject.toml allows only fakelib<2",
        hint="loosen the constraint",
    )
    make_project(
        '[tool.pipshim]\noverride-dependencies = ["fakelib==9"]\n', dependencies=["fakelib<2"]
    )
    refuses(
        "lock",
        says=(
            "the project requires fakelib (overridden)",
            "override-dependencies of pyproject.toml make it fakelib==9",
        ),
        hint="change override-dependencies",
    )


def test_a_package_for_other_pythons_is_said_with_those(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(
        wheel(tmp_path, "oldlib", "1.0", requires_python="<3"),
        wheel(tmp_path, "oldlib", "2.0", requires_python=">=3.99"),
        wheel(tmp_path, "app", "1.0", requires=["oldlib"]),
    )
    make_project(dependencies=["app"])
    version = ".".join(map(str, sys.version_info[:3]))
    refuses(
        "lock",
        says=(
            f"no version of oldlib supports Python {version}",
            "app 1.0 requires oldlib",
            "oldlib 2.0 requires Python >=3.99",
        ),
        hint="use another Python",
    )


def test_a_package_for_other_platforms_only_is_said_with_its_files(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "windows-only", "1.0", tag="cp311-cp311-win_amd64"))
    make_project(dependencies=["windows-only"])
    refuses(
        "lock",
        says=(
            "no file of windows-only suits Python",
            "windows_only-1.0-cp311-cp311-win_amd64.whl is for another Python or platform",
        ),
    )


def test_files_that_the_options_exclude_are_said_so(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "source", "1.0"))
    make_project(dependencies=["source"])
    refuses(
        "lock", "--only-binary", ":all:", says="source-1.0.tar.gz is excluded", hint="--only-binary"
    )


def test_a_yanked_version_is_said_so(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "broken", "1.0"))
    index.yank("broken-1.0-py3-none-any.whl", "it breaks")
    make_project(dependencies=["broken"])
    refuses(
        "lock",
        says=("broken has 1.0 (yanked)", "broken 1.0 was yanked: it breaks"),
        hint="required with ==",
    )


def test_a_version_that_would_do_and_may_not_be_taken_is_named(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(
        wheel(tmp_path, "lib", "1.0"),
        wheel(tmp_path, "lib", "2.0", requires_python=">=3.99"),
        wheel(tmp_path, "lib", "3.0rc1"),
        sdist(tmp_path, "lib", "4.0"),
        wheel(tmp_path, "lib", "5.0", tag="cp311-cp311-win_amd64"),
    )
    index.add(wheel(tmp_path, "lib", "6.0"), upload_time="2025-01-01T00:00:00Z")
    cases = {
        "lib>=2,<3": ("lib 2.0 requires Python >=3.99", "use another Python"),
        "lib>=3rc1,<4": ("lib has", "lib 3.0rc1 is a prerelease"),
        "lib>=4,<5": ("lib-4.0.tar.gz is excluded", "--only-binary"),
        "lib>=5,<6": ("lib-5.0-cp311-cp311-win_amd64.whl is for another", "Python and platform"),
        "lib>=6": ("lib-6.0-py3-none-any.whl was uploaded later", "choose a later date"),
    }
    options = ["--only-binary", "lib", "--only-final", "lib", "--uploaded-prior-to", "2024-06-01"]
    for requirement, (says, hint) in cases.items():
        make_project(dependencies=[requirement])
        refuses("lock", *options, says=says, hint=hint)


# --- files that are not what they should be


def test_a_wheel_that_is_not_the_locked_one_is_refused(
    refuses: Refuses, index: Index, cli: Cli, make_project: MakeProject, old: Path
) -> None:
    make_project(dependencies=["fakelib>=2"])
    cli.ok("lock")
    index.tamper("fakelib-2.0-py3-none-any.whl", b"something else")
    expected = index.sha256("fakelib-2.0-py3-none-any.whl")
    refuses(
        "sync",
        says=("fakelib: fakelib-2.0-py3-none-any.whl is not the file that was locked", expected),
        hint="pipshim lock -P fakelib",
    )
    assert distributions(old / ".venv") == ["fakelib-1.0"]


def test_an_sdist_that_is_not_the_one_its_index_names_is_refused(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(sdist(tmp_path, "source", "1.0"))
    index.tamper("source-1.0.tar.gz", b"something else")
    make_project(dependencies=["source"])
    refuses(
        "lock",
        says=("source-1.0.tar.gz does not have the expected hash", "expected sha256:", "got"),
        hint="tampered",
    )


def test_a_lock_without_a_file_for_this_platform_is_refused(refuses: Refuses, locked: Path) -> None:
    path = locked / "pylock.toml"
    path.write_text(
        path.read_text().replace("1.0-py3-none-any.whl", "1.0-cp311-cp311-win_amd64.whl")
    )
    refuses(
        "sync",
        "--frozen",
        says=("fakelib 1.0 has no wheel for this platform", "win_amd64.whl"),
        hint="pipshim lock",
    )


BROKEN_FILES: Mapping[str, tuple[bytes, str]] = {
    "bad-1.0-py3-none-any.whl": (b"no zip", "bad-1.0-py3-none-any.whl is not a valid wheel"),
    "bad-1.0.tar.gz": (
        b"no archive",
        "bad-1.0.tar.gz cannot be unpacked: it is not a valid archive",
    ),
    "bad-2.0.tar.gz": (
        bytes.fromhex("1f8b0800000000000003"),
        "bad-2.0.tar.gz cannot be unpacked: it is not a valid archive",
    ),
    "bad-1.0.zip": (
        b"PK\5\6" + bytes(18),
        "bad-1.0.zip is not a Python project: it has neither pyproject.toml nor setup.py",
    ),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_file_that_is_not_what_its_name_says_is_named(
    refuses: Refuses, index: Index, make_project: MakeProject, name: str
) -> None:
    data, says = BROKEN_FILES[name]
    index.add_bytes(name, data)
    make_project(dependencies=["bad"])
    refuses("sync", says=says)


def test_a_wheel_of_another_name_is_passed_over_and_said_so(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add_bytes("good-1.0-py3-none-any.whl", wheel(tmp_path, "evil", "1.0").read_bytes())
    make_project(dependencies=["good"])
    refuses("lock", says=("good-1.0-py3-none-any.whl is ignored", "evil"))


def test_a_direct_reference_that_leads_nowhere_says_why(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "other", "1.0"))
    make_project(dependencies=[f"fakelib @ {index.file_url('other-1.0-py3-none-any.whl')}"])
    refuses(
        "lock",
        says="fakelib is required from a URL, which is of a wheel of other",
        hint="the URL of a wheel of",
    )
    make_project(dependencies=["fakelib @ ../fakelib"])
    refuses("lock", says="Invalid URL '../fakelib'", hint="[tool.pipshim.sources]")


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_what_git_says_of_a_repository_is_shown(
    refuses: Refuses, make_project: MakeProject, tmp_path: Path
) -> None:
    tree = source_tree(sdist(tmp_path / "dists", "checkout", "1.0"), tmp_path)
    (tree.parent / "around").mkdir()
    tree = tree.rename(tree.parent / "around" / "inside").parent
    git_repository(tree)
    for url, says, hint in (
        (f"file://{tree}@nosuch", ("checkout: git checkout", "'nosuch'"), "the revision"),
        (f"file://{tree}x@main", ("checkout: git clone", "repository"), "check the URL"),
        (f"file://{tree}@main", "around@main is not a Python project", "#subdirectory="),
    ):
        make_project(dependencies=[f"checkout @ git+{url}"])
        said = refuses("lock", says=says, hint=hint).err
        assert said.count("error:") == 1 + said.count("| error:")


def test_a_folder_in_place_of_a_wheel_is_named(
    refuses: Refuses, make_project: MakeProject, tmp_path: Path
) -> None:
    folder = tmp_path / "links" / "fakelib-1.0-py3-none-any.whl"
    folder.mkdir(parents=True)
    make_project(dependencies=["fakelib"])
    refuses("lock", "--no-index", "--find-links", folder.parent, says=str(folder))
    make_project(dependencies=[f"fakelib @ {folder.as_uri()}"])
    refuses("lock", says=str(folder))


def test_a_folder_that_is_no_project_is_named(
    refuses: Refuses, make_project: MakeProject, tmp_path: Path
) -> None:
    make_project(dependencies=[f"fakelib @ {tmp_path.as_uri()}"])
    refuses("lock", says=f"{tmp_path} is not a Python project")
    refuses("lock", "-e", tmp_path, says=str(tmp_path))


@pytest.mark.parametrize(
    ("files", "record", "says"),
    [
        (
            {"../evil.py": "x"},
            None,
            "'../evil.py' leads out of the folder to install into",
        ),
        (
            {"bad.py": "x"},
            "bad.py,sha256=AAAA,1\nbad-1.0.dist-info/RECORD,,\n",
            "'bad.py' does not match its hash in RECORD",
        ),
    ],
)
def test_a_wheel_that_must_not_be_installed_is_refused(
    refuses: Refuses,
    index: Index,
    cli: Cli,
    make_project: MakeProject,
    tmp_path: Path,
    files: Mapping[str, str],
    record: str | None,
    says: str,
) -> None:
    index.add(wheel(tmp_path / "dists", "bad", "1.0", files=files, record=record))
    make_project(dependencies=["bad"])
    cli.ok("lock")
    refuses("sync", says=("bad-1.0-py3-none-any.whl", says))
    assert not list(tmp_path.rglob("evil.py"))


# --- builds that cannot be


WRONG_BACKENDS: Mapping[str, tuple[str, str]] = {
    "names what is not there": (
        "return 'bad-1.0-py3-none-any.whl'",
        "the backend named a wheel that does not exist: bad-1.0-py3-none-any.whl",
    ),
    "names nothing": ("return None", "the backend answered None"),
    "makes no zip": (
        "Path(d, 'bad-1.0.whl').write_text('x'); return 'bad-1.0.whl'",
        "bad-1.0.whl is not a valid wheel",
    ),
    "makes another version": (
        "return write_wheel(Path(d), Metadata('bad', '2.0'), {}, tag='py3-none-any').name",
        "the backend made version 2.0, not 1.0",
    ),
    "makes another package": (
        "return write_wheel(Path(d), Metadata('evil', '1.0'), {}, tag='py3-none-any').name",
        "does not start with 'bad'",
    ),
}


@pytest.mark.parametrize("wrong", WRONG_BACKENDS)
def test_a_wheel_that_a_backend_may_not_make_is_refused(
    refuses: Refuses,
    index: Index,
    cli: Cli,
    make_project: MakeProject,
    tmp_path: Path,
    wrong: str,
) -> None:
    body, says = WRONG_BACKENDS[wrong]
    source = (
        "from engine import *\nfrom engine import Metadata, Path, write_wheel\n"
        f"def build_wheel(d, config_settings=None, metadata_directory=None):\n    {body}\n"
    )
    index.add(sdist(tmp_path, "bad", "1.0", backend_source=source))
    make_project(dependencies=["bad"])
    cli.ok("lock")
    refuses("sync", says=("error: bad 1.0: ", says, "step: wheel", "log: "))


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"pyproject.toml": "[build-system\n"}, "bad 1.0: pyproject.toml invalid TOML"),
        (
            {"pyproject.toml": "[build-system]\nrequires = ['a b']\nbuild-backend = 'x'\n"},
            "It contains an invalid requirement: 'a b'",
        ),
        (
            {"pyproject.toml": "[build-system]\nrequires = []\nbuild-backend = 'nosuch.api'\n"},
            "the build backend could not be imported: cannot import nosuch.api",
        ),
        ({"_backend/tinybackend.py": "x = 1\n"}, "has no attribute 'build_wheel'"),
        ({"_backend/tinybackend.py": "x =\n"}, "SyntaxError: invalid syntax"),
    ],
)
def test_a_source_with_a_mistake_is_named_with_it(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    files: Mapping[str, str],
    says: str,
) -> None:
    index.add(sdist(tmp_path, "bad", "1.0", files=files))
    make_project(dependencies=["bad"])
    result = cli.fails("sync")
    said = flat(result.err).partition("error: ")[2]
    assert said.startswith("bad 1.0: "), str(result)
    assert says in said, str(result)
    assert "pipshim has a bug" not in said, str(result)
    assert not (cli.cwd / ".venv").exists()


def test_a_build_requirement_that_is_not_there_is_said_with_its_place(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(
        sdist(tmp_path, "stated", "1.0", build_requires=["nosuchtool>=2"]),
        sdist(tmp_path, "asked", "1.0", backend=Backend(get_requires=["nosuchtool>=2"])),
        sdist(tmp_path, "nonsense", "1.0", backend=Backend(get_requires=["no such"])),
    )
    for name in ("stated", "asked"):
        make_project(dependencies=[name])
        refuses(
            "lock",
            says=(
                "package nosuchtool was not found",
                f"the build of {name} 1.0 requires nosuchtool>=2",
            ),
            hint=f"build-system.requires of {name}, or in its extra-build-dependencies",
        )
    make_project(dependencies=["nonsense"])
    refuses(
        "lock", says=("nonsense 1.0: the backend requires 'no such'", "step: build requirements")
    )


# --- the command line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sync", "--frobnicate"], "no such option: --frobnicate"),
        (["lock", "--upgrad-package", "x"], "--upgrad-package; did you mean --upgrade-package?"),
        (["install", "--no-dpes", "x"], "no such option: --no-dpes; did you mean --no-deps?"),
        (["cache", "store", "list", "--fromat", "x"], "did you mean --format?"),
        (["sync", "--locked", "--frozen"], "--locked and --frozen cannot be used together"),
        (["sync", "--exact", "--inexact"], "--exact and --inexact cannot be used together"),
        (["sync", "fakelib"], "sync takes no arguments: fakelib"),
        (["sync", "-j", "0"], "-j: '0' is not a whole number above 0"),
        (["sync", "--link-mode", "glue"], "'glue'"),
        (["lock", "--extra-build-dependency", "x"], "PACKAGE=REQUIREMENT"),
        (["lock", "--config-settings-package", "x"], "PACKAGE:KEY=VALUE"),
        (["lock", "--no-build-isolation-package", "a b"], "'a b' is not a valid name"),
        (["run"], "no command given"),
    ],
)
def test_a_wrong_command_line_is_status_two(
    refuses: Refuses, make_project: MakeProject, arguments: list[str], says: str
) -> None:
    make_project()
    refuses(*arguments, status=2, says=says)


def test_a_variable_with_a_wrong_value_is_named(
    refuses: Refuses, make_project: MakeProject
) -> None:
    make_project()
    for name in ("PIPSHIM_JOBS", "PIPSHIM_NO_BUILD_ISOLATION"):
        refuses("lock", status=2, env={name: "perhaps"}, says=f"{name}: 'perhaps'")


def test_a_command_that_does_not_exist_is_status_two(refuses: Refuses, old: Path) -> None:
    says = f"command 'nosuchcommand' was not found, neither in {old}/.venv nor on PATH"
    refuses("run", "nosuchcommand", status=2, says=says, hint="add the package that provides it")


def test_files_that_are_not_there_are_named(refuses: Refuses, make_project: MakeProject) -> None:
    make_project()
    for arguments in (["-r", "nosuch.txt"], ["-c", "nosuch.txt"], ["./nosuch"]):
        refuses("lock", *arguments, says="nosuch")
    refuses("--project", "/nosuch", "lock", says="/nosuch: there is no such folder")
    refuses("lock", "-o", "nosuch/pylock.toml", says="nosuch/pylock.toml: cannot be written")


# --- --debug


@pytest.mark.parametrize(
    ("dependencies", "kind"),
    [(["fakelib>3"], "ResolveError"), (["fake lib"], "ProjectError"), (["failing"], "BuildError")],
)
def test_debug_shows_the_traceback_and_the_message_all_the_same(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    tmp_path: Path,
    dependencies: list[str],
    kind: str,
) -> None:
    index.add(
        wheel(tmp_path, "fakelib", "1.0"),
        sdist(tmp_path, "failing", "1.0", backend=Backend(fail_in="get_requires")),
    )
    make_project(dependencies=dependencies)
    result = cli("lock", "--debug")
    assert result.status == 1, str(result)
    assert "Traceback (most recent call last)" in result.err
    assert f"pipshim.base.errors.{kind}" in result.err
    assert "\nerror: " in result.err


def test_a_yanked_version_that_would_not_fit_is_no_hint(
    refuses: Refuses, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(
        wheel(tmp_path, "one", "1.0"),
        wheel(tmp_path, "one", "2.0"),
    )
    index.yank("one-1.0-py3-none-any.whl")
    make_project(dependencies=["one<1"])
    refuses(
        "lock", says="one has 2.0, 1.0 (yanked)", hint="choose one of the versions listed above"
    )
