"""Build modes: who chooses them, that they are said, and what a build without or in one gets."""

from __future__ import annotations

import os
import re
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.facts import built, calls
from tests.support.locks import read_lock
from tests.support.pipshim import PATIENCE, site_packages, until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.conftest import MakeProject
    from tests.support.dists import Step
    from tests.support.index import Index
    from tests.support.pipshim import Cli, Result

SECRET = "s3cret"


@pytest.fixture
def pair(index: Index, dists: Path) -> tuple[str, ...]:
    """Give dependencies: two sources that look for ``fakelib`` while they are built, and that."""
    for name in ("native", "other"):
        index.add(sdist(dists, name, "1.0", backend=Backend(tries=["fakelib"])))
    index.add(wheel(dists, "fakelib", "1.5"))
    return ("native", "other", "fakelib")


def against(directory: Path, name: str) -> dict[str, str | None]:
    found: dict[str, str | None] = built(site_packages(directory / ".venv"), name)["against"]
    return found


# --- who chooses the mode

NONE = ("isolated", "default")

CHOICES: Mapping[str, tuple[Sequence[str], Mapping[str, str], str, str, tuple[str, str]]] = {
    "nothing said": ((), {}, "", "", NONE),
    "the option": (("--no-build-isolation",), {}, "", "", ("no-isolation", "command line")),
    "pipshim's variable": (
        (),
        {"PIPSHIM_NO_BUILD_ISOLATION": "1"},
        "",
        "",
        ("no-isolation", "PIPSHIM_NO_BUILD_ISOLATION"),
    ),
    "pip's variable": (
        (),
        {"PIP_NO_BUILD_ISOLATION": "0"},
        "",
        "",
        ("no-isolation", "PIP_NO_BUILD_ISOLATION"),
    ),
    "pip's variable as pip reads it": (
        (),
        {"PIP_NO_BUILD_ISOLATION": "1"},
        "no-build-isolation = true",
        "",
        ("isolated", "PIP_NO_BUILD_ISOLATION"),
    ),
    "pyproject.toml": (
        (),
        {},
        "no-build-isolation = true",
        "",
        ("no-isolation", "pyproject.toml"),
    ),
    "pip.conf": ((), {}, "", "no-build-isolation = 0", ("no-isolation", "pip.conf")),
    "the option over all": (
        ("--build-isolation",),
        {"PIPSHIM_NO_BUILD_ISOLATION": "1"},
        "no-build-isolation = true",
        "no-build-isolation = 0",
        ("isolated", "command line"),
    ),
    "the option over a package's setting": (
        ("--build-isolation",),
        {},
        'no-build-isolation-package = ["native", "other"]',
        "",
        ("isolated", "command line"),
    ),
    "a variable over pyproject.toml": (
        (),
        {"PIPSHIM_NO_BUILD_ISOLATION": "0"},
        "no-build-isolation = true",
        "",
        ("isolated", "PIPSHIM_NO_BUILD_ISOLATION"),
    ),
    "pyproject.toml over pip.conf": (
        (),
        {},
        "no-build-isolation = false",
        "no-build-isolation = 0",
        ("isolated", "pyproject.toml"),
    ),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_a_mode_is_chosen_by_the_strongest_that_says_something(
    cli: Cli, make_project: MakeProject, pair: tuple[str, ...], tmp_path: Path, choice: str
) -> None:
    arguments, variables, table, conf, expected = CHOICES[choice]
    (tmp_path / "pip.conf").write_text(f"[global]\n{conf}\n")
    directory = make_project(f"[tool.pipshim]\n{table}\n", dependencies=pair)
    cli.ok("lock", *arguments, env={"PIP_CONFIG_FILE": str(tmp_path / "pip.conf"), **variables})
    lock = read_lock(directory)
    for name in ("native", "other"):
        assert (lock.build(name)["mode"], lock.build(name)["chosen-by"]) == expected


PACKAGE_CHOICES: Mapping[str, tuple[Sequence[str], Mapping[str, str], str, str, str]] = {
    "the option": (("--no-build-isolation-package", "Native"), {}, "", "command line", "default"),
    "pipshim's variable": (
        (),
        {"PIPSHIM_NO_BUILD_ISOLATION_PACKAGE": "native"},
        "",
        "PIPSHIM_NO_BUILD_ISOLATION_PACKAGE",
        "default",
    ),
    "pyproject.toml": (
        (),
        {},
        'no-build-isolation-package = ["Native"]',
        "pyproject.toml",
        "default",
    ),
    "over the setting for all beside it": (
        (),
        {},
        'no-build-isolation = false\nno-build-isolation-package = ["native"]',
        "pyproject.toml",
        "pyproject.toml",
    ),
    "over what variables say for all": (
        ("--no-build-isolation-package", "native"),
        {"PIPSHIM_NO_BUILD_ISOLATION": "0"},
        "",
        "command line",
        "PIPSHIM_NO_BUILD_ISOLATION",
    ),
}


@pytest.mark.parametrize("choice", PACKAGE_CHOICES)
def test_a_package_may_have_a_mode_of_its_own(
    cli: Cli, make_project: MakeProject, pair: tuple[str, ...], choice: str
) -> None:
    arguments, variables, table, native, other = PACKAGE_CHOICES[choice]
    directory = make_project(f"[tool.pipshim]\n{table}\n", dependencies=pair)
    cli.ok("lock", *arguments, env=variables)
    lock = read_lock(directory)
    chosen = {name: lock.build(name) for name in ("native", "other")}
    assert (chosen["native"]["mode"], chosen["native"]["chosen-by"]) == ("no-isolation", native)
    assert (chosen["other"]["mode"], chosen["other"]["chosen-by"]) == ("isolated", other)


@pytest.mark.parametrize("value", ["0", "1"])
def test_pips_variable_means_what_it_means_to_pip(
    cli: Cli, make_project: MakeProject, pair: tuple[str, ...], tmp_path: Path, value: str
) -> None:
    variables = {"PIP_NO_BUILD_ISOLATION": value}
    done = cli.pip("wheel", "--no-deps", "-w", tmp_path / "out", "native", env=variables)
    assert done.status == 0, str(done)
    (made,) = (tmp_path / "out").iterdir()
    isolated_by_pip = any("pip-build-env" in path for path in built(made, "native")["path"])
    directory = make_project(dependencies=pair)
    cli.ok("lock", env=variables)
    mode = read_lock(directory).build("native")["mode"]
    assert (mode == "isolated") is isolated_by_pip


# --- the mode holds, and is said


@pytest.mark.parametrize("command", [["sync"], ["run"]])
@pytest.mark.parametrize(
    ("option", "native", "other"),
    [
        (["--no-build-isolation"], "no-isolation  command line", "no-isolation  command line"),
        (
            ["--no-build-isolation-package", "native"],
            "no-isolation  command line",
            "isolated  default",
        ),
    ],
)
def test_a_build_runs_in_its_mode_and_one_line_says_which_and_why(
    cli: Cli,
    make_project: MakeProject,
    pair: tuple[str, ...],
    command: list[str],
    option: list[str],
    native: str,
    other: str,
) -> None:
    directory = make_project(dependencies=pair)
    result = cli.ok(*command, *option, *(["true"] if command == ["run"] else []))
    said = re.sub(r" {2,}", "  ", result.err)
    for name, mode in (("native", native), ("other", other)):
        lines = re.findall(rf"^built +{name} 1\.0 +(.+)$", said, re.MULTILINE)
        assert len(lines) == 1, said
        assert lines[0].startswith(mode), said
        expected = "1.5" if mode.startswith("no-isolation") else None
        assert against(directory, name) == {"fakelib": expected}


def test_build_constraints_have_nothing_to_constrain_without_isolation(
    cli: Cli, make_project: MakeProject, tmp_path: Path
) -> None:
    (tmp_path / "constraints.txt").write_text("fakelib<2\n")
    make_project()
    option = ("--build-constraint", tmp_path / "constraints.txt")
    cli.fails("lock", "--no-build-isolation", *option, status=2)
    cli.ok("lock", *option, env={"PIPSHIM_NO_BUILD_ISOLATION": "1"})


# --- a build that fails


FAILURES: Mapping[Step, str] = {
    "get_requires": "build requirements",
    "metadata": "metadata",
    "build_wheel": "wheel",
    "build_editable": "editable",
}


def log_of(result: Result) -> Path:
    (path,) = re.findall(r"^  log: (.+)$", result.err, re.MULTILINE)
    return Path(path)


@pytest.mark.parametrize("step", FAILURES)
def test_a_failure_shows_package_mode_step_last_lines_and_log(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path, step: Step
) -> None:
    lines = [f"line {number} of many" for number in range(100)]
    backend = Backend(
        output="\n".join([*lines, ""]),
        acts_at=[step],
        fail_in=step,
        exit_code=3,
        message="it cannot be done",
    )
    if step == "build_editable":
        make_project(name="bad", version="1.0", backend=backend)
    else:
        index.add(sdist(dists, "bad", "1.0", backend=backend, static_metadata=False))
        make_project(dependencies=["bad"])
    result = cli.fails("sync")
    assert re.search(r"^error: bad( 1\.0)?: .*exit status 3", result.err, re.MULTILINE), str(result)
    assert "  mode: isolated\n" in result.err
    assert f"  step: {FAILURES[step]}\n" in result.err
    assert "  | line 99 of many\n  | it cannot be done\n" in result.err
    assert "line 0 of many" not in result.err
    text = log_of(result).read_text()
    assert [line for line in text.splitlines() if line.startswith("line ")] == lines
    assert "it cannot be done" in text


def pasted(result: Result) -> list[str]:
    """Give the tables that a hint says to paste."""
    hint = result.err.partition("hint: ")[2]
    lines = [line[4:] for line in hint.splitlines() if line.startswith("    ")]
    tables = "\n".join([*lines, ""]).split("[tool.")[1:]
    return [f"[tool.{table}" for table in tables]


@pytest.mark.parametrize("step", ["get_requires", "metadata", "build_wheel"])
def test_each_line_that_the_hint_gives_for_a_missing_module_mends_the_build(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path, step: Step
) -> None:
    backend = Backend(imports=["fakelib"], imports_at=[step, "build_wheel"])
    index.add(
        sdist(dists, "native", "1.0", backend=backend, static_metadata=False),
        wheel(dists, "fakelib", "1.5"),
    )
    dependencies = ["native", "fakelib"]
    directory = make_project(dependencies=dependencies)
    result = cli.fails("sync")
    assert "native imports fakelib while it is built" in result.err
    tables = pasted(result)
    assert [table.splitlines()[0] for table in tables] == [
        "[tool.pipshim.extra-build-dependencies]",
        "[tool.pipshim]",
    ]
    for table in tables:
        make_project(table, dependencies=dependencies)
        cli.ok("sync", "--reinstall")
        assert against(directory, "native") == {"fakelib": "1.5"}


def test_the_hint_for_a_missing_backend_mends_the_build(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path
) -> None:
    engine = wheel(
        dists,
        "nativetool",
        "1.0",
        files={
            "nativetool.py": "def build_wheel(d, config_settings=None, metadata_directory=None):\n"
            "    import pathlib, shutil\n"
            "    found = pathlib.Path('ready').glob('*.whl')\n"
            "    return [shutil.copy(one, d) and one.name for one in found][0]\n"
        },
    )
    ready = wheel(dists / "ready", "native", "1.0")
    files: dict[str, str | bytes] = {f"ready/{ready.name}": ready.read_bytes()}
    files["pyproject.toml"] = "[build-system]\nrequires = []\nbuild-backend = 'nativetool'\n"
    index.add(engine, sdist(dists, "native", "1.0", files=files))
    make_project(dependencies=["native"])
    result = cli.fails("sync")
    assert "the build backend could not be imported" in result.err
    assert "No module named 'nativetool'" in log_of(result).read_text()
    make_project(pasted(result)[0], dependencies=["native"])
    cli.ok("sync")


def test_a_missing_module_without_isolation_is_to_be_installed(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path
) -> None:
    backend = Backend(imports=["fakelib"], imports_at=["build_wheel"])
    index.add(sdist(dists, "native", "1.0", backend=backend), wheel(dists, "fakelib", "1.5"))
    directory = make_project(dependencies=["native"])
    result = cli.fails("sync", "--no-build-isolation")
    assert "  mode: no-isolation\n" in result.err
    hint = re.sub(r"\s+", " ", result.err.partition("hint: ")[2])
    assert 'Add to pyproject.toml: [dependency-groups] dev = ["fakelib"]' in hint
    assert "no-build-isolation" not in hint
    make_project(dependencies=["native", "fakelib"])
    cli.ok("sync", "--no-build-isolation")
    assert against(directory, "native") == {"fakelib": "1.5"}


# --- what a build gets


def test_what_a_build_gets_of_the_users_variables(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path, tmp_path: Path
) -> None:
    for name in ("alone", "within"):
        index.add(sdist(dists, name, "1.0", backend=Backend()))
    index.credentials = ("me", SECRET)
    url = index.url_with_credentials
    path = os.pathsep.join(filter(None, [cli.env.get("PYTHONPATH"), str(tmp_path / "leak")]))
    directory = make_project(dependencies=["alone", "within"])
    cli.ok(
        "sync",
        "--no-build-isolation-package",
        "within",
        env={
            "PIP_INDEX_URL": url,
            "PIP_EXTRA_INDEX_URL": url,
            "UV_INDEX_URL": url,
            "UV_INDEX_MINE_PASSWORD": SECRET,
            "TWINE_PASSWORD": SECRET,
            "UV_PUBLISH_TOKEN": SECRET,
            "UV_PUBLISH_URL": "https://upload.example.org",
            "HATCH_INDEX_AUTH": SECRET,
            "POETRY_PYPI_TOKEN_MINE": SECRET,
            "MY_PYPI_PASSWORD": SECRET,
            "PIPENV_PYPI_MIRROR": url,
            "PYTHONPATH": path,
            "MINE": "reaches it",
            "GITHUB_TOKEN": "reaches it too",
        },
    )
    site = site_packages(directory / ".venv")
    for name in ("alone", "within"):
        facts = built(site, name)
        variables = facts["variables"]
        assert not [key for key, value in variables.items() if SECRET in value]
        assert "UV_PUBLISH_URL" not in variables
        assert variables["MINE"] == "reaches it"
        assert variables["GITHUB_TOKEN"] == "reaches it too"
        assert variables["VIRTUAL_ENV"] == facts["python"]
        scripts = str(Path(facts["executable"]).parent)
        assert variables["PATH"].split(os.pathsep)[0] == scripts
    assert "PYTHONPATH" not in built(site, "alone")["variables"]
    assert str(tmp_path / "leak") not in built(site, "alone")["path"]
    assert built(site, "within")["variables"]["PYTHONPATH"] == path


@pytest.mark.parametrize("option", [[], ["--no-build-isolation"]])
def test_a_build_reads_nothing_of_what_is_there_for_the_command(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path, option: list[str]
) -> None:
    index.add(sdist(dists, "curious", "1.0", backend=Backend(read_stdin=True)))
    directory = make_project(dependencies=["curious"])
    result = cli.ok("run", *option, "cat", stdin="for cat\n")
    assert result.out == "for cat\n"
    assert built(site_packages(directory / ".venv"), "curious")["stdin"] == ""


def test_a_child_that_keeps_the_output_open_is_not_waited_for(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path, log: Path
) -> None:
    backend = Backend(child_seconds=600, log=str(log))
    index.add(sdist(dists, "parent", "1.0", backend=backend))
    make_project(dependencies=["parent"])
    cli.ok("sync")
    (child,) = [call.child for call in calls(log) if call.child is not None]
    assert is_alive(child)
    end(child)


def test_megabytes_of_output_are_in_the_log_and_not_on_the_screen(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path
) -> None:
    index.add(sdist(dists, "loud", "1.0", backend=Backend(megabytes=5, fail_in="build_wheel")))
    make_project(dependencies=["loud"])
    result = cli.fails("sync")
    assert log_of(result).stat().st_size > 5_000_000
    assert len(result.err) < 10_000


# --- a build that hangs


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def end(process: int) -> None:
    if is_alive(process):
        os.kill(process, signal.SIGKILL)


DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nfrom engine import *\n"


HANGS: Mapping[str, tuple[Sequence[str], Step, signal.Signals, str | None]] = {
    "metadata, SIGINT": (["lock"], "metadata", signal.SIGINT, None),
    "wheel, SIGTERM": (["sync"], "build_wheel", signal.SIGTERM, None),
    "deaf to SIGTERM": (["run", "true"], "build_wheel", signal.SIGINT, DEAF),
}


@pytest.mark.parametrize("hang", HANGS)
def test_a_signal_ends_the_whole_tree_of_a_hanging_build_within_seconds(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    dists: Path,
    log: Path,
    hang: str,
) -> None:
    command, step, number, source = HANGS[hang]
    backend = Backend(acts_at=[step], sleep_seconds=600, child_seconds=600, log=str(log))
    archive = sdist(
        dists, "stuck", "1.0", backend=backend, backend_source=source, static_metadata=False
    )
    index.add(archive)
    directory = make_project(dependencies=["stuck"])
    with cli.start(*command) as process:
        until(lambda: any(call.child for call in calls(log)))
        started = [(call.pid, call.child) for call in calls(log) if call.child]
        process.send_signal(number)
        _, said = process.communicate(timeout=PATIENCE)
    tree = [one for pair in started for one in pair]
    try:
        until(lambda: not any(map(is_alive, tree)))
    finally:
        for one in tree:
            end(one)
    assert process.returncode == 128 + number, said
    assert "Traceback" not in said
    assert not (directory / ".venv").exists()
    until(lambda: not list(cli.temporary.iterdir()))


# --- where environments are made


def test_environments_are_made_where_files_of_the_store_can_be_linked_to(
    cli: Cli, dists: Path, index: Index, make_project: MakeProject, log: Path
) -> None:
    elsewhere = Path("/dev/shm")  # noqa: S108 another file system, on most machines
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == cli.cwd.stat().st_dev:
        pytest.skip("there is one file system only")
    index.add(sdist(dists, "sourced", "1.0", backend=Backend(log=str(log))))
    make_project(dependencies=["sourced"])
    with tempfile.TemporaryDirectory(dir=elsewhere) as folder:
        cli.ok("sync", env={"TMPDIR": folder})
        assert not list(Path(folder).iterdir())
    work = cli.shim_cache / "work"
    assert {Path(call.prefix).parents[1] for call in calls(log)} == {work}
    assert not list(work.iterdir())


# --- builds that need builds


def test_a_build_requirement_may_need_a_build_itself(
    cli: Cli, index: Index, make_project: MakeProject, dists: Path, log: Path
) -> None:
    index.add(
        wheel(dists, "fakelib", "1.5"),
        sdist(
            dists,
            "inner",
            "1.0",
            build_requires=["fakelib"],
            backend=Backend(imports=["fakelib"], log=str(log)),
        ),
        sdist(
            dists,
            "outer",
            "1.0",
            backend=Backend(get_requires=["inner"], log=str(log)),
        ),
        sdist(dists, "native", "1.0", build_requires=["outer"], backend=Backend(imports=["outer"])),
    )
    directory = make_project(dependencies=["native"])
    cli.ok("sync")
    site = site_packages(directory / ".venv")
    assert built(site, "native")["against"] == {"outer": "1.0"}
    assert built(site, "native")["installed"] == {"outer": "1.0"}
    assert [path.name for path in site.glob("*.dist-info")] == ["native-1.0.dist-info"]
    order = [call.name for call in calls(log) if (call.event, call.hook) == ("end", "build_wheel")]
    assert order == ["inner", "outer"]


@pytest.mark.parametrize(
    ("requires", "shown"),
    [
        (
            {"one": "two", "two": "three", "three": "one"},
            "one 1.0 -> two 1.0 -> three 1.0 -> one 1.0",
        ),
        ({"one": "one"}, "one 1.0 -> one 1.0"),
    ],
)
@pytest.mark.parametrize("declared", [True, False])
def test_a_cycle_of_build_requirements_is_shown(
    cli: Cli,
    index: Index,
    make_project: MakeProject,
    dists: Path,
    requires: Mapping[str, str],
    shown: str,
    declared: bool,
) -> None:
    for name, other in requires.items():
        if declared:
            index.add(sdist(dists, name, "1.0", build_requires=[other]))
        else:
            index.add(sdist(dists, name, "1.0", backend=Backend(get_requires=[other])))
    make_project(dependencies=["one"])
    result = cli.fails("lock")
    assert "form a cycle" in result.err
    assert shown in re.sub(r"\s+", " ", result.err)
    assert not (cli.cwd / "pylock.toml").exists()


def test_a_wheel_for_another_platform_is_refused(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    backend = Backend(tag="cp311-cp311-win_arm64")
    index.add(sdist(tmp_path, "one", "1.0", backend=backend))
    make_project(dependencies=["one"])
    result = cli.fails("sync")
    assert "another platform" in result.err
    assert "win_arm64" in result.err
    assert not (cli.cwd / ".venv").exists()


@pytest.mark.parametrize("size", [10, 200_000], ids=["small", "large"])
def test_what_a_build_writes_into_its_environment_nobody_else_sees(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, size: int
) -> None:
    module = "changed = False\n" + "#" * size + "\n"
    backend = Backend(appends={"fakelib/__init__.py": "changed = True\n"})
    index.add(
        wheel(tmp_path, "fakelib", "1.0", files={"fakelib/__init__.py": module}),
        sdist(tmp_path, "one", "1.0", build_requires=["fakelib"], backend=backend),
    )
    make_project(dependencies=["one", "fakelib"])
    told = cli.ok("sync").err
    assert ("changed files of fakelib 1.0" in told) is (size > 64 * 1024)
    code = "import fakelib; print(fakelib.changed)"
    assert cli.ok("run", "python", "-c", code).out == "False\n"
    shutil.rmtree(cli.cwd / ".venv")
    cli.ok("sync", "--reinstall")
    assert cli.ok("run", "python", "-c", code).out == "False\n"
