"""Scripts with metadata of their own (PEP 723): their environments and their locks."""

from __future__ import annotations

import json
import shutil
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.facts import built
from tests.support.files import distributions, listing
from tests.support.locks import read_lock
from tests.support.pipshim import PATIENCE, another_python, site_packages, until
from tests.test_up_to_date import is_recognised

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

CODE = "import sys, fakelib\nprint(fakelib.__version__, sys.prefix, sys.argv)\n"


def script(path: Path, *lines: str, code: str = CODE) -> Path:
    """Write a script with these lines of metadata."""
    block = "".join(f"# {line}".rstrip() + "\n" for line in lines)
    path.write_text(f"#!/usr/bin/env -S pipshim run --script\n# /// script\n{block}# ///\n{code}")
    return path


def requires(*requirements: str) -> str:
    return f"dependencies = {[*requirements]}"


def environments(cli: Cli) -> list[Path]:
    return sorted(cli.shim_cache.glob("environments-*/*/.venv"))


@pytest.fixture
def fakelibs(index: Index, tmp_path: Path) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), wheel(tmp_path, "fakelib", "2.0"))
    index.add(wheel(tmp_path, "other", "1.0"))


@pytest.mark.usefixtures("fakelibs")
def test_a_script_has_an_environment_of_its_own(cli: Cli, index: Index, project_dir: Path) -> None:
    show = script(project_dir / "show.py", requires("fakelib<2", "other"))
    before = listing(project_dir)
    out = cli.ok("run", "show.py", "--frozen", "a").out
    (environment,) = environments(cli)
    assert out == f"1.0 {environment} ['show.py', '--frozen', 'a']\n"
    index.requests.clear()
    assert is_recognised(cli, project_dir, "run", "show.py")
    assert cli.ok("run", "show.py", "--frozen", "a").out == out
    assert listing(project_dir) == before

    # Its code may change, its metadata not.
    script(show, requires("fakelib<2", "other"), code=f"{CODE}print('more')\n")
    assert is_recognised(cli, project_dir, "run", "show.py")
    assert index.requests == []
    script(show, requires("fakelib"))
    assert cli.ok("run", "./show.py").out.startswith(f"1.0 {environment} ")
    assert distributions(environment) == ["fakelib-1.0"]
    script(show, requires("fakelib>1"))
    assert cli.ok("run", "show.py").out.startswith(f"2.0 {environment} ")
    assert is_recognised(cli, project_dir, "run", "show.py")

    # Whatever has become of the cache.
    (environment.parent / "pylock.toml").write_text("lock-version = ")
    shutil.rmtree(environment)
    assert cli.ok("run", "show.py").out.startswith(f"2.0 {environment} ")
    shutil.rmtree(environment.parent)
    assert cli.ok("run", "show.py").out.startswith(f"2.0 {environment} ")


@pytest.mark.usefixtures("fakelibs")
def test_a_script_in_a_project_has_nothing_of_it(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    project = make_project(dependencies=["other"])
    tool = script(project / "tool", requires("fakelib"))
    for arguments in (("--script", "tool"), ("-s", str(tool)), ("-q", "-s", "--", "./tool")):
        result = cli.ok("run", *arguments, "x")
        assert result.out.endswith(f"/.venv {[arguments[-1], 'x']}\n")
    assert is_recognised(cli, project, "run", "--script", "tool", "x")
    source = tool.read_text()
    result = cli.ok("run", "-", "x", stdin=source, cwd=tmp_path)
    assert result.out.endswith(" ['-', 'x']\n")
    assert cli.ok("run", "-", "x", stdin=source).out == result.out
    assert len(environments(cli)) == 2
    assert not (project / ".venv").exists()
    assert not (project / "pylock.toml").exists()
    active = {"VIRTUAL_ENV": str(tmp_path / "none")}
    assert cli.ok("run", "-s", "tool", env=active).out.startswith("2.0 ")
    cli.fails("run", "-s", "missing", status=1)


@pytest.mark.usefixtures("fakelibs")
def test_a_script_is_locked_beside_it_when_asked(
    cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    show = script(project_dir / "my.show.py", requires("fakelib<2"))
    assert "lock --script my.show.py" in cli.fails("run", "--locked", "my.show.py").err
    cli.fails("lock", "--script", "my.show.py", "--check")
    cli.ok("lock", "--script", "my.show.py")
    path = project_dir / "pylock.my%2Eshow.toml"
    assert [*read_lock(path).packages] == ["fakelib"]
    for _ in "long way", "stamp":
        cli.ok("lock", "--script", "my.show.py", "--check")
    assert cli.ok("run", "--locked", "my.show.py").out.startswith("1.0 ")
    assert is_recognised(cli, project_dir, "run", "--locked", "my.show.py")

    index.add(wheel(tmp_path, "fakelib", "1.5"))
    before = path.read_bytes()
    cli.ok("lock", "--script", str(show))
    assert path.read_bytes() == before
    cli.ok("lock", "--script", "my.show.py", "-P", "fakelib")
    assert cli.ok("run", "--frozen", "my.show.py").out.startswith("1.5 ")
    cli.ok("lock", "--script", "my.show.py", "-U", "-o", str(tmp_path / "pylock.toml"))
    assert (tmp_path / "pylock.toml").read_text() == path.read_text()

    script(show, requires("fakelib"))
    cli.fails("lock", "--script", "my.show.py", "--check")
    cli.fails("run", "--locked", "my.show.py")
    assert cli.ok("run", "--frozen", "my.show.py").out.startswith("1.5 ")
    script(show, requires("fakelib", "other"))
    assert cli.ok("run", "my.show.py").out.startswith("1.5 ")
    assert [*read_lock(path).packages] == ["fakelib", "other"]
    path.unlink()
    assert cli.ok("run", "my.show.py").out.startswith("2.0 ")
    assert not path.exists()


def test_scripts_of_one_folder_have_locks_of_their_own(cli: Cli, project_dir: Path) -> None:
    names = ("tool.py", "tool", "tool.pyw", "my.tool.py", "my_tool.py", "my%2Etool.py", "tool%.py")
    for name in names:
        script(project_dir / name, requires())
        cli.ok("lock", "--script", name)
    assert len([*project_dir.glob("pylock.*.toml")]) == len(names)


@pytest.mark.usefixtures("fakelibs")
def test_sync_makes_the_environment_of_a_script(
    cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    show = script(project_dir / "show.py", requires("fakelib<2", "other"))
    before = listing(project_dir)
    sync = ("sync", "--script", "show.py")
    checked = cli("sync", "--script", "show.py", "--check")
    assert checked.status == 1
    assert "would create the environment " in checked.err
    assert "the script's environment is" not in checked.err
    assert environments(cli) == []
    done = cli.ok(*sync, env={"VIRTUAL_ENV": str(tmp_path / "none")})
    (environment,) = environments(cli)
    assert f"the script's environment is {environment}\n" in done.err
    assert distributions(environment) == ["fakelib-1.0", "other-1.0"]
    assert listing(project_dir) == before
    index.requests.clear()
    assert cli.ok("run", "show.py").out.startswith(f"1.0 {environment} ")
    assert index.requests == []
    cli.ok(*sync)
    assert is_recognised(cli, project_dir, *sync)
    assert str(environment) in cli.ok(*sync).err

    script(show, requires("fakelib"))
    assert cli("sync", "--script", "show.py", "--check").status == 1
    assert json.loads(cli.ok(*sync, "--output-format", "json").out)["environment"] == str(
        environment
    )
    assert distributions(environment) == ["fakelib-1.0"]
    assert "pipshim lock --script show.py" in cli.fails(*sync, "--locked").err
    cli.ok("lock", "--script", "show.py", "-U")
    cli.ok(*sync, "--locked")
    assert distributions(environment) == ["fakelib-2.0"]

    for wrong in (("--extra", "x"), ("--group", "dev"), ("-r", "show.txt"), ("other",)):
        cli.fails(*sync, *wrong, status=2)
    cli.fails("sync", "--script", "missing.py")
    (project_dir / "plain.py").write_text("print(1)\n")
    assert "no script metadata" in cli.fails("sync", "--script", "plain.py").err


def test_hints_are_about_the_script(
    cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    (project_dir / "my tools").mkdir()
    show = script(project_dir / "my tools" / "show.py", requires())
    cli.ok("lock", "--script", str(show))
    lock = show.with_name("pylock.show.toml")
    text = lock.read_text()
    lock.write_text(text.replace('python_version == \\"3.', 'python_version == \\"4.'))
    assert lock.read_text() != text
    hint = "pipshim lock --script 'my tools/show.py'"
    for command in ("sync", "--script"), ("run",):
        err = " ".join(cli.fails(*command, "my tools/show.py").err.split())
        assert "another Python" in err
        assert err.endswith(hint)
    lock.write_text("lock-version = ")
    assert hint in " ".join(cli.fails("run", "my tools/show.py").err.split())
    lock.unlink()
    index.add(sdist(tmp_path, "natten", "0.1", backend=Backend(imports=["fakelib"])))
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    script(show, requires("natten"))
    err = " ".join(cli.fails("run", "my tools/show.py").err.split())
    assert "in the metadata of show.py: # [tool.pipshim.extra-build-dependencies] # natten" in err
    assert "pyproject.toml" not in err.partition("hint:")[2]


def test_a_script_says_how_its_dependencies_are_built(
    cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0", tag="native"))
    index.add(wheel(tmp_path, "fakelib", "2.0", tag="native"))
    index.add(
        sdist(tmp_path, "natten", "0.1", backend=Backend(imports=["fakelib"])),
        sdist(tmp_path, "matches", "0.1", build_requires=["fakelib"]),
    )
    show = project_dir / "show.py"
    lines = [requires("fakelib<2", "natten", "matches"), "[tool.pipshim]", "[tool.other]", "x = 1"]
    script(show, *lines)
    assert "natten" in cli.fails("run", "show.py").err
    lines.insert(2, "no-build-isolation-package = ['natten']")
    script(show, *lines)
    assert cli.ok("run", "show.py").out.startswith("1.0 ")
    (environment,) = environments(cli)
    for name in ("natten", "matches"):
        seen = built(site_packages(environment), name)
        assert seen["installed"]["fakelib"] == "1.0"
    lock = read_lock(environment.parent / "pylock.toml")
    assert lock.build("natten")["mode"] == "no-isolation"
    assert lock.build("natten")["chosen-by"] == "show.py"
    assert lock.build("matches")["mode"] == "matched"


@pytest.mark.usefixtures("fakelibs")
def test_the_python_of_a_script(cli: Cli, project_dir: Path) -> None:
    show = script(project_dir / "show.py", requires("fakelib"), "requires-python = '>=3.99'")
    assert "requires-python" in cli.fails("run", "show.py").err
    script(show, requires("fakelib"), "requires-python = '>=3.10'")
    cli.ok("run", "show.py")
    other = another_python()
    if other is not None:
        cli.ok("run", "--python", str(other), "show.py")
        assert len(environments(cli)) == 2


@pytest.mark.parametrize(
    ("lines", "line", "why"),
    [
        (["dependencies = ["], 3, "invalid TOML"),
        (["requires-python = '>=3.10'", "dependancies = []"], 4, "'dependencies'"),
        (["dependencies = [", "  'fakelib', 'no such <'", "]"], 4, "requirement"),
        (["dependencies = []", "[tool.pipshim]", "", "packag = 1"], 6, "'package'"),
        (["dependencies = 'fakelib'"], 3, "array"),
        (["requires-python = 'x'"], 3, "specifier"),
    ],
)
def test_wrong_metadata_is_an_error_with_its_line(
    cli: Cli, project_dir: Path, lines: list[str], line: int, why: str
) -> None:
    script(project_dir / "show.py", *lines)
    err = cli.fails("run", "show.py").err
    assert f"show.py:{line}: " in err
    assert why in err


def test_what_cannot_be_locked_is_a_clear_error(cli: Cli, project_dir: Path) -> None:
    plain = project_dir / "plain.py"
    plain.write_text("print(1)\n")
    assert "no script metadata" in cli.fails("lock", "--script", "plain.py").err
    assert "No such file" in cli.fails("lock", "--script", "none.py").err
    cli.fails("lock", "--script", "plain.py", "fakelib", status=2)
    plain.write_text("# /// script\n# dependencies = []\n\n# ///\n")
    assert "plain.py:1: " in cli.fails("run", "plain.py").err


@pytest.mark.usefixtures("fakelibs")
def test_two_at_once_and_one_that_is_killed(cli: Cli, project_dir: Path) -> None:
    script(project_dir / "show.py", requires("fakelib", "other"))
    with cli.start("run", "show.py") as one, cli.start("run", "show.py") as two:
        outputs = {process.communicate(timeout=PATIENCE)[0] for process in (one, two)}
        assert (one.returncode, two.returncode) == (0, 0)
    (environment,) = environments(cli)
    assert outputs == {f"2.0 {environment} ['show.py']\n"}

    shutil.rmtree(environment.parent)
    with cli.start("run", "show.py") as process:
        until(lambda: environments(cli) or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
    assert cli.ok("run", "show.py").out == f"2.0 {environment} ['show.py']\n"
