"""What pip's commands print, log and require while pipshim builds: what pip would.

They run beside pip itself, on the same sources: what differs is only how the build went on.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, project, sdist, wheel
from tests.support.facts import calls
from tests.support.files import distributions
from tests.support.pipshim import make_venv

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.index import Index
    from tests.support.pipshim import Cli, Result

_PIPS = re.compile(
    r"^\s*(?:Installing build dependencies|Checking if build|Getting requirements to build"
    r"|Preparing (?:editable )?metadata|Building (?:wheel|editable)s? for|Created wheel for"
    r"|Stored in directory|Successfully built|Failed to build|Using cached \S+\.whl)"
)


def pips_lines(output: str) -> list[str]:
    """Return what pip prints of builds, without file names, sizes and hashes that differ."""
    lines = [line for line in output.splitlines() if _PIPS.match(line)]
    return [re.sub(r"(Stored in directory:|size=|sha256=).*", r"\1", line) for line in lines]


def both(cli: Cli, env: Path, *arguments: str | Path) -> tuple[Result, Result]:
    """Run a command with pipshim, and with pip in another environment."""
    other = env.with_name("other")
    make_venv(other)
    return cli("--python", env, *arguments), cli.pip("--python", other, *arguments)


@pytest.mark.parametrize("how", ["sdist", "editable", "failing"])
def test_pips_lines_of_a_build_are_on_standard_output(
    how: str, cli: Cli, env: Path, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(wheel(dists, "tool", "1.0"))
    tool = ["tool"]
    backend = Backend(fail_in="build_wheel" if how == "failing" else None)
    given: list[str | Path]
    if how == "editable":
        given = ["-e", project(tmp_path / "src", build_requires=tool, backend=backend)]
    else:
        given = [
            sdist(dists, "demo", "0.1", build_requires=tool, backend=backend, static_metadata=False)
        ]
    ours, pips = both(cli, env, "install", *given)
    assert ours.status == pips.status == (1 if how == "failing" else 0)
    assert pips_lines(ours.out) == pips_lines(pips.out)
    assert len(pips_lines(ours.out)) >= 9
    assert "demo 0.1  isolated" in ours.err
    assert "isolated" not in ours.out


def test_a_wheel_that_an_earlier_command_built_is_a_cached_one(
    cli: Cli, env: Path, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(sdist(dists, "needy", "1.0"))
    first = cli.ok("--python", env, "wheel", "-w", tmp_path / "one", "needy")
    assert "Successfully built needy" in first.out
    again = cli.ok("--python", env, "wheel", "-w", tmp_path / "two", "needy")
    assert pips_lines(again.out) == ["Using cached needy-1.0-py3-none-any.whl"]
    assert [one.name for one in (tmp_path / "two").iterdir()] == ["needy-1.0-py3-none-any.whl"]


def failing(kind: str, dists: Path, tmp_path: Path) -> list[str | Path]:
    """Return arguments of an install that fails, and how pip says so."""
    folder = tmp_path / "src"
    if kind == "metadata":
        return [
            sdist(dists, "needy", "1.0", backend=Backend(fail_in="metadata"), static_metadata=False)
        ]
    if kind == "build dependencies":
        return [sdist(dists, "needy", "1.0", build_requires=["absent"])]
    if kind == "cycle":
        sdist(dists, "needy", "1.0", build_requires=["needy"])
        return ["needy", "--find-links", dists]
    if kind == "old setuptools":
        wheel(dists, "setuptools", "1.0")
        table = "[build-system]\nrequires = ['setuptools==1.0']\n"
        return [project(folder, table, name="needy"), "--find-links", dists]
    if kind == "no editables":
        return ["-e", project(folder, name="needy", backend=Backend(editable=False))]
    if kind == "unavailable":
        tree = project(folder, name="needy", backend=Backend())
        (tree / "_backend" / "tinybackend.py").write_text("import not_there\n")
        return [tree]
    if kind == "backend conflict":
        more = Backend(get_requires=["tool==2.0"])
        return [project(folder, name="needy", build_requires=["tool==1.0"], backend=more)]
    wanted = {"missing": "absent==1.0", "conflict": "tool==2.0"}[kind]
    tree = project(folder, name="needy", build_requires=[wanted], backend=Backend())
    return ["--no-build-isolation", "--check-build-dependencies", tree]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("metadata", ["metadata-generation-failed"]),
        ("build dependencies", ["Failed to build 'needy' when installing build dependencies"]),
        ("cycle", ["needy-1.0.tar.gz is already being built: needy from file://"]),
        (
            "old setuptools",
            ["PEP 517/518 supported requirements: setuptools==1.0 is incompatible with "],
        ),
        ("no editables", ["uses a build backend that is missing the 'build_editable' hook"]),
        ("unavailable", ["No module named 'not_there'"]),
        (
            "backend conflict",
            [
                "Some build dependencies for file://",
                "conflict with the backend dependencies: tool==1.0 is incompatible with tool==2.0.",
            ],
        ),
        ("missing", ["Some build dependencies for file://", "are missing: 'absent==1.0'."]),
        (
            "conflict",
            ["conflict with the backend dependencies: tool==1.0 is incompatible with tool==2.0."],
        ),
    ],
)
def test_errors_of_builds_have_pips_words_too(
    kind: str, said: list[str], cli: Cli, env: Path, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(wheel(dists, "tool", "1.0"), wheel(dists, "tool", "2.0"))
    cli.ok("--python", env, "install", "tool==1.0")
    failed = cli("--python", env, "install", *failing(kind, dists, tmp_path))
    assert failed.status == 1, str(failed)
    for words in said:
        assert words in failed.err, str(failed)
    assert "error: " in failed.err
    assert "Exception:" not in failed.err
    assert distributions(env) == ["tool-1.0"]


def test_what_a_failed_build_printed_is_shown_once_with_verbose(
    cli: Cli, env: Path, dists: Path
) -> None:
    backend = Backend(fail_in="build_wheel", message="I DIE")
    file = sdist(dists, "needy", "1.0", backend=backend)
    for options in ([], ["--verbose"]):
        failed = cli("--python", env, "install", file, *options)
        assert failed.status == 1
        assert failed.err.count("RuntimeError: I DIE") == 1, str(failed)


def test_a_backend_that_cannot_be_imported_has_pips_name(
    cli: Cli, env: Path, tmp_path: Path
) -> None:
    pytest.importorskip("pip._internal.exceptions.build")  # pip 26.3 or later
    failed = cli("--python", env, "install", *failing("unavailable", tmp_path, tmp_path))
    assert "backend-unavailable" in failed.err


def test_an_editable_has_what_only_its_editable_wheel_requires(
    cli: Cli, env: Path, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(wheel(dists, "low", "1.0"))
    folder = project(tmp_path / "src", name="needy", backend=Backend(editable_requires=["low"]))
    cli.ok("--python", env, "install", "-e", folder)
    assert distributions(env) == ["low-1.0", "needy-0.1"]
    other = env.with_name("other")
    make_venv(other)
    cli.ok("--python", other, "install", folder)
    assert distributions(other) == ["needy-0.1"]


def test_sync_installs_what_only_the_projects_editable_wheel_requires(
    cli: Cli, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(wheel(dists, "low", "1.0"), wheel(dists, "high", "1.0"))
    log = tmp_path / "hooks"
    backend = Backend(editable_requires=["low", "high"], log=str(log))
    folder = project(tmp_path / "src", name="needy", dependencies=["high"], backend=backend)
    cli.ok("lock", "--project", folder)
    hooks = [call.hook for call in calls(log) if call.event == "start"]
    assert hooks.count("prepare_metadata_for_build_editable") == 1
    before = log.read_text()
    cli.ok("lock", "--check", "--project", folder)
    assert "up to date" in cli.ok("lock", "--project", folder).err
    cli.ok("lock", "--project", folder, "--upgrade-package", "high")
    assert "prepare_metadata" not in log.read_text().removeprefix(before)
    done = cli.ok("run", "--project", folder, "--", "python", "-c", "import low, high, needy")
    assert "requires low" not in done.err


def test_a_project_that_is_not_installed_is_not_asked_what_it_requires(
    cli: Cli, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(wheel(dists, "low", "1.0"))
    log = tmp_path / "hooks"
    backend = Backend(editable_requires=["low"], log=str(log))
    table = "[tool.pipshim]\npackage = false\n"
    folder = project(tmp_path / "src", table, name="needy", backend=backend)
    cli.ok("lock", "--project", folder)
    assert not log.exists()


def test_a_lock_goes_on_if_the_projects_editable_metadata_fails(
    cli: Cli, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(wheel(dists, "low", "1.0"))
    backend = Backend(fail_in="metadata", editable_requires=["low"])
    folder = project(tmp_path / "src", name="needy", backend=backend)
    done = cli.ok("sync", "--project", folder)
    assert done.err.count("what only its editable wheel requires is not known") == 1
    assert "RuntimeError: this build fails on purpose" in done.err
    assert "needy is installed as an editable, which requires low; the lock does" in done.err


@pytest.mark.parametrize("mode", ["isolated", "no-isolation"])
@pytest.mark.parametrize("targets", [[], ["linux-x86_64-cp312", "windows-x86_64-cp312"]])
def test_a_lock_has_what_only_the_editable_wheel_requires_in_every_mode(
    mode: str, targets: list[str], cli: Cli, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(wheel(dists, "low", "1.0"))
    backend = Backend(editable_requires=["low"])
    table = f"[tool.pipshim]\ntarget-environments = {targets}\n" if targets else ""
    folder = project(tmp_path / "src", table, name="needy", backend=backend)
    options = ["--no-build-isolation"] if mode == "no-isolation" else []
    done = cli.ok("lock", "--project", folder, *options)
    assert "warning" not in done.err
    assert 'name = "low"' in (folder / "pylock.toml").read_text()


@pytest.mark.parametrize("how", ["folder", "editable", "sdist"])
def test_an_extra_that_is_provided_is_not_warned_of(
    how: str, cli: Cli, env: Path, index: Index, dists: Path, tmp_path: Path
) -> None:
    index.add(wheel(dists, "low", "1.0"))
    extras = {"x": ["low"]}
    folder = project(tmp_path / "src", name="needy", extras=extras, backend=Backend())
    sdist(dists, "dynamic", "1.0", extras=extras, static_metadata=False)
    options = {"folder": [], "editable": ["-e"], "sdist": ["--find-links", str(dists)]}[how]
    asked = "dynamic" if how == "sdist" else str(folder)
    missing = cli.ok("--python", env, "install", "--dry-run", *options, f"{asked}[x,y]")
    assert missing.err.count("does not provide the extra 'y'") == 1
    assert "the extra 'x'" not in missing.err
    done = cli.ok("--python", env, "install", *options, f"{asked}[x]")
    assert "does not provide the extra" not in done.err
    assert "low-1.0" in distributions(env)


def test_an_extra_of_a_locked_source_is_not_warned_of(cli: Cli, index: Index, dists: Path) -> None:
    index.add(wheel(dists, "low", "1.0"))
    index.add(sdist(dists, "dynamic", "1.0", extras={"x": ["low"]}, static_metadata=False))
    done = cli.ok("lock", "dynamic[x,y]", "-o", "pylock.x.toml")
    assert done.err.count("does not provide the extra") == 1
    assert "dynamic 1.0 does not provide the extra 'y'" in done.err
    assert 'name = "low"' in (cli.cwd / "pylock.x.toml").read_text()


@pytest.mark.parametrize("command", ["install", "sync"])
def test_a_log_file_has_what_builds_print(
    command: str, cli: Cli, env: Path, tmp_path: Path
) -> None:
    backend = Backend(output="compiling a\n", acts_at=["build_wheel", "build_editable"])
    folder = project(tmp_path / "src", name="needy", backend=backend)
    log, second = tmp_path / "pip.log", tmp_path / "second.log"
    given: list[str | Path] = ["--python", env, "install", folder]
    if command == "sync":
        given = ["sync", "--project", folder]
    done = cli.ok(*given, "--log", log)
    assert "needy: compiling a" in log.read_text()
    assert "compiling a" not in done.out + done.err
    fails = Backend(fail_in="build_editable" if command == "sync" else "build_wheel")
    project(folder, name="needy", version="0.2", backend=fails)
    assert cli(*given, "--log", second).status == 1
    assert "needy: RuntimeError: this build fails on purpose" in second.read_text()


@pytest.mark.parametrize("cache_control", ["no-store", "max-age=600"])
@pytest.mark.parametrize("hashes", [True, False])
def test_a_wheel_of_a_build_environment_is_fetched_once(
    hashes: bool, cache_control: str, cli: Cli, env: Path, index: Index, dists: Path
) -> None:
    index.without_metadata = True
    index.without_hashes = not hashes
    index.cache_control = cache_control
    index.add(wheel(dists, "tool", "1.0", requires=["dep"]), wheel(dists, "dep", "1.0"))
    more = Backend(get_requires=["late"])
    index.add(sdist(dists, "needy", "1.0", build_requires=["tool"], backend=more))
    index.add(wheel(dists, "late", "1.0"))
    cli.ok("--python", env, "install", "needy")
    names = ["dep-1.0-py3-none-any.whl", "late-1.0-py3-none-any.whl", "needy-1.0.tar.gz"]
    assert sorted(index.downloads) == [*names, "tool-1.0-py3-none-any.whl"]


@pytest.mark.parametrize("cache_control", ["no-store", "max-age=600"])
@pytest.mark.parametrize("hashes", [True, False])
@pytest.mark.parametrize("is_static", [True, False])
def test_an_sdist_that_a_build_requires_is_fetched_once(
    is_static: bool,
    hashes: bool,
    cache_control: str,
    cli: Cli,
    env: Path,
    index: Index,
    dists: Path,
) -> None:
    index.without_hashes = not hashes
    index.cache_control = cache_control
    index.add(
        wheel(dists, "dep", "1.0"),
        sdist(dists, "tool", "1.0", requires=["dep"], static_metadata=is_static),
        sdist(dists, "needy", "1.0", build_requires=["tool"], static_metadata=is_static),
    )
    cli.ok("--python", env, "install", "needy")
    files = [name for name in index.downloads if not name.endswith(".metadata")]
    assert sorted(files) == ["dep-1.0-py3-none-any.whl", "needy-1.0.tar.gz", "tool-1.0.tar.gz"]
