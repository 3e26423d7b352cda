"""Locks for several targets, end to end: made here, read and installed where they are for."""

from __future__ import annotations

import json
import platform
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.pylock import Pylock
from packaging.tags import parse_tag

from pipshim.lock.forked_resolvers import AVAILABLE
from pipshim.model.targets import MACHINES, TargetName
from tests.support.backend import Backend
from tests.support.dists import sdist, source_tree, wheel
from tests.support.facts import built, calls
from tests.support.index import Index
from tests.support.pipshim import PATIENCE, ROOT, is_running, pythons, site_packages, until
from tests.support.repositories import git_repository, needs_git
from tests.support.terminal import Typist

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.conftest import MakeProject
    from tests.support.pipshim import Cli

SYSTEM = {"linux": "linux", "darwin": "macos"}[sys.platform]
MACHINE = {own: name for name, own in MACHINES[SYSTEM].items()}[platform.machine()]
MINOR = sys.version_info[1]
HERE_FULL = platform.python_version()
HERE = f"{SYSTEM}-{MACHINE}-cp3{MINOR}"
PLATFORM_TAGS = {
    "linux-x86_64": "manylinux_2_17_x86_64",
    "linux-arm64": "manylinux_2_17_aarch64",
    "macos-arm64": "macosx_11_0_arm64",
    "macos-x86_64": "macosx_11_0_x86_64",
    "windows-x86_64": "win_amd64",
    "windows-arm64": "win_arm64",
}


def configured(targets: Sequence[str], more: str = "") -> str:
    return f"[tool.pipshim]\ntarget-environments = {json.dumps(list(targets))}\n{more}"


def tag(target: str) -> str:
    place, _, interpreter = target.rpartition("-")
    return f"{interpreter}-{interpreter}-{PLATFORM_TAGS[place]}"


def read(cli: Cli) -> dict[str, Any]:
    return tomllib.loads((cli.cwd / "pylock.toml").read_text())


def chosen(cli: Cli, target: str) -> dict[str, str]:
    """Select as PEP 751 says, with packaging's own reader; give the file of each package."""
    python = TargetName.parse(target).python
    tags = [tag for one in python.tags for tag in parse_tag(one)]
    found = Pylock.from_dict(read(cli)).select(
        environment=dict(python.markers),  # type: ignore[arg-type]
        tags=tags,
    )
    return {one.name: str(getattr(file, "filename", "")) for one, file in found}


def entries(cli: Cli, name: str) -> list[tuple[str, str]]:
    """Tell version and marker of each entry of a package."""
    return [
        (one["version"], one.get("marker", "").replace('"', "'"))
        for one in read(cli)["packages"]
        if one["name"] == name
    ]


def test_each_target_gets_what_pip_would_give_it_and_versions_differ_only_where_they_must(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    old, new, mac, windows = targets = [
        "linux-x86_64-cp310",
        "linux-x86_64-cp313",
        "macos-arm64-cp312",
        "windows-x86_64-cp310",
    ]
    index.add(
        # All but the oldest Python could have 2.0.
        wheel(dists, "everywhere", "1.0"),
        wheel(dists, "everywhere", "2.0", requires_python=">=3.11"),
        # What no version serves for all is as new as can be, with what it needs besides.
        wheel(dists, "split", "1.0", requires_python="<3.13"),
        wheel(dists, "split", "2.0", requires=["part"], requires_python=">=3.13"),
        wheel(dists, "part", "1.0"),
        *(wheel(dists, "native", "1.0", tag=tag(one)) for one in targets),
        wheel(dists, "native", "2.0", tag=tag(new)),
        # To have one version, it would have to be built where another one is a wheel.
        *(wheel(dists, "built", "1.0", tag=tag(one)) for one in (old, windows)),
        sdist(dists, "built", "1.0"),
        *(wheel(dists, "built", "2.0", tag=tag(one)) for one in (new, mac)),
        wheel(dists, "base", "1.0", requires=["colo; sys_platform == 'win32'", "native"]),
        wheel(dists, "colo", "1.0"),
    )
    make_project(configured(targets), dependencies=["everywhere", "split", "base", "built"])
    assert "locked 9 packages for 4 targets in pylock.toml" in cli.ok("lock").err
    text = (cli.cwd / "pylock.toml").read_text()
    assert read(cli)["tool"]["pipshim"]["targets"] == sorted(targets)
    assert len(read(cli)["environments"]) == len(targets)
    assert entries(cli, "everywhere") == entries(cli, "native") == [("1.0", "")]
    assert entries(cli, "part") == [("1.0", "python_version == '3.13'")]
    assert entries(cli, "split") == [
        ("1.0", "python_version == '3.10' or python_version == '3.12'"),
        ("2.0", "python_version == '3.13'"),
    ]
    assert entries(cli, "built") == [
        ("1.0", "python_version == '3.10'"),
        ("2.0", "python_version == '3.12' or python_version == '3.13'"),
    ]
    assert entries(cli, "colo") == [("1.0", "sys_platform == 'win32'")]
    for target in targets:
        name, found = TargetName.parse(target), chosen(cli, target)
        folder = cli.home / target
        got = cli.pip(
            *("download", "--no-deps", "--only-binary=:all:", "-q", "-d", folder),
            *("--platform", PLATFORM_TAGS[target.rpartition("-")[0]]),
            *("--python-version", f"3.{name.minor}", "--implementation", "cp"),
            *(f"{key}=={file.split('-')[1]}" for key, file in found.items()),
        )
        assert got.status == 0, str(got)
        assert sorted(one.name for one in folder.iterdir()) == sorted(found.values())
    cli.ok("lock")
    assert (cli.cwd / "pylock.toml").read_text() == text
    cli.ok("lock", "--check")


def test_every_target_of_this_machine_is_synced_and_built_from_one_lock(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    targets = {f"{SYSTEM}-{MACHINE}-cp3{minor}": path for minor, path in pythons().items()}
    everything = [*targets, "windows-arm64-cp312"]
    index.add(
        wheel(dists, "tool", "1.0"),
        wheel(dists, "only-new", "1.0"),
        *(wheel(dists, "fakelib", "1.0", tag=tag(one)) for one in everything),
        wheel(dists, "older", "1.0"),
        sdist(
            dists,
            "src",
            "1.0",
            build_requires=["tool", "fakelib", "only-new; python_version >= '3.12'"],
            requires=["older; python_version < '3.12'", "fakelib"],
            backend=Backend(imports=("fakelib",)),
            static_metadata=False,
        ),
    )
    make_project(configured(everything), dependencies=["src"])
    cli.ok("lock")
    (src,) = (one for one in read(cli)["packages"] if one["name"] == "src")
    tool = src["tool"]["pipshim"]
    builds = tool.get("builds") or dict.fromkeys(everything, tool["build"])
    assert set(builds) == set(everything)
    assert {one["metadata-from"] for one in builds.values()} == {HERE}
    environments = read(cli)["tool"]["pipshim"]["build-environments"]
    for target, build in builds.items():
        assert build["mode"] == "matched"
        more = ["only-new==1.0"] if TargetName.parse(target).minor >= 12 else []
        assert environments[build["environment"]] == ["fakelib==1.0", *more, "tool==1.0"]
        is_old = TargetName.parse(target).minor < 12
        assert set(chosen(cli, target)) == {"src", "fakelib", *(["older"] if is_old else [])}
    place = cli.home / "environment"
    for target, python in targets.items():
        shutil.rmtree(place, ignore_errors=True)
        made = subprocess.run([python, "-m", "venv", "--without-pip", place], check=False)
        assert made.returncode == 0
        cli.ok("sync", "--locked", env={"VIRTUAL_ENV": str(place)})
        facts = built(site_packages(place), "src")
        assert facts["python_version"].startswith(f"3.{TargetName.parse(target).minor}")
        assert facts["against"] == {"fakelib": "1.0"}
        names = {one.name.partition("-")[0] for one in site_packages(place).glob("*.dist-info")}
        assert names == set(chosen(cli, target))
    again = cli.ok("sync", "--locked", env={"VIRTUAL_ENV": str(place)})
    assert "up to date" in again.err


def test_an_environment_that_is_no_target_is_refused_until_it_is_one(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    elsewhere = ["windows-x86_64-cp312"]
    index.add(
        wheel(dists, "aa", "1.0"),
        sdist(dists, "src", "1.0", requires=["aa"], static_metadata=False),
    )
    make_project(configured(elsewhere), dependencies=["src"])
    line = f'target-environments = ["windows-x86_64-cp312", "{HERE}"]'
    for _ in range(2):  # without a lock, and with one
        failed = cli.fails("sync")
        assert f"not for this environment ({HERE})" in failed.err
        assert "windows-x86_64-cp312" in failed.err
        assert f"    {line}\n" in failed.err
        assert not (cli.cwd / ".venv").exists()
        cli.ok("lock")  # its backend is asked here, though this is no target
    assert HERE in cli.fails("sync", "--frozen").err
    assert set(chosen(cli, elsewhere[0])) == {"src", "aa"}
    make_project(f"[tool.pipshim]\n{line}\n", dependencies=["src"])
    assert "out of date" in cli.fails("sync", "--locked").err
    cli.ok("sync")
    assert (site_packages(cli.cwd / ".venv") / "aa").is_dir()
    assert read(cli)["tool"]["pipshim"]["targets"] == sorted([HERE, *elsewhere])
    assert "out of date" not in cli.ok("tree", "--project", ".").err


def test_targets_of_the_command_line_come_on_top_and_sync_keeps_them(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "aa", "1.0"), wheel(dists, "aa", "2.0", requires_python=">=3.11"))
    make_project(dependencies=["aa"])
    failed = cli.fails("lock", "--target-environment", "win-x86_64-cp310", status=2)
    assert "did you mean 'windows-x86_64-cp310'?" in failed.err
    cli.ok("lock", "--target-environment", "windows-x86_64-cp310")
    assert read(cli)["tool"]["pipshim"]["targets"] == [HERE, "windows-x86_64-cp310"]
    assert entries(cli, "aa") == [("1.0", "")]
    cli.ok("sync", "--locked")
    make_project(dependencies=["aa>=0"])
    cli.ok("sync")
    assert read(cli)["tool"]["pipshim"]["targets"] == [HERE, "windows-x86_64-cp310"]
    cli.ok("lock", "--check")
    assert f"made with --target-environment {HERE} --target-env" in cli.ok("lock").err
    assert "targets" not in read(cli)["tool"]["pipshim"]
    given = cli.ok("lock", "--target-environment", "windows-x86_64-cp310", "aa", "-o", "-").out
    assert tomllib.loads(given)["tool"]["pipshim"]["targets"] == [HERE, "windows-x86_64-cp310"]


def test_what_cannot_be_locked_says_for_which_target(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "native", "1.0", tag=tag("linux-x86_64-cp312")))
    both = configured(["linux-x86_64-cp312", "windows-arm64-cp312"])
    make_project(both, dependencies=["native"])
    failed = cli.fails("lock")
    assert "error: windows-arm64-cp312: no file of native suits it\n" in failed.err
    assert "hint: remove windows-arm64-cp312 from the targets, or do without" in failed.err
    make_project(both, dependencies=["native"], requires_python=">=3.13")
    failed = cli.fails("lock")
    assert "requires-python >=3.13 excludes the target linux-x86_64-cp312" in failed.err
    assert not (cli.cwd / "pylock.toml").exists()


def test_the_example_is_locked_for_three_targets_and_synced_on_each_python_here(
    cli: Cli, index: Index, dists: Path
) -> None:
    shutil.copytree(ROOT / "examples" / "targets", cli.cwd, dirs_exist_ok=True)
    three = ["linux-x86_64-cp312", "macos-arm64-cp312", "windows-x86_64-cp312"]
    here = {f"{SYSTEM}-{MACHINE}-cp3{minor}": path for minor, path in pythons().items()}
    index.add(
        *(wheel(dists, "numpy", "2.2.6", tag=tag(one)) for one in {*three, *here}),
        wheel(dists, "numpy", "2.3.1", tag=tag(three[0])),
        wheel(dists, "colorama", "0.4.6"),
        wheel(dists, "tomli", "2.5.0"),
    )
    cli.ok("lock")
    assert read(cli)["tool"]["pipshim"]["targets"] == three
    assert entries(cli, "numpy") == [("2.2.6", "")]
    assert set(chosen(cli, three[2])) == {"numpy", "colorama"}
    more = [part for one in here for part in ("--target-environment", one)]
    assert f"locked 3 packages for {len({*three, *here})} targets" in cli.ok("lock", *more).err
    for name, python in here.items():
        shutil.rmtree(cli.cwd / ".venv", ignore_errors=True)
        cli.ok("sync", "--locked", "--python", python)
        printed = cli.ok("run", "python", "main.py").out
        minor = TargetName.parse(name).minor
        also = ", tomli 2.5.0" if minor < 11 else ""
        assert printed == f"Python 3.{minor} on {sys.platform}: numpy 2.2.6{also}\n"


def test_a_name_is_the_newest_patch_release_and_an_older_one_is_told_what_it_lacks(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    newer = f"3.{MINOR}.98"
    index.add(
        wheel(dists, "aa", "1.0", requires=[f"old; python_full_version < '{newer}'"]),
        wheel(dists, "old", "1.0"),
        wheel(dists, "new", "1.0", requires_python=f">={newer}"),
    )
    make_project(configured([HERE]), dependencies=["aa"], extras={"more": ["new"]})
    cli.ok("sync")
    assert set(chosen(cli, HERE)) == {"aa"}
    said = " ".join(cli.fails("sync", "--extra", "more").err.split())
    assert f"new 1.0 requires Python >={newer}, this environment has {HERE_FULL}" in said
    assert not (site_packages(cli.cwd / ".venv") / "new").exists()


# --- several at once

THREE = [HERE, "macos-arm64-cp312" if SYSTEM != "macos" else "linux-arm64-cp312"]
THREE += ["windows-x86_64-cp313"]
OTHERS = ["macos; sys_platform == 'darwin'", "windows; sys_platform == 'win32'"]

forking = pytest.mark.skipif(not AVAILABLE or SYSTEM != "linux", reason="no forks here")


@pytest.fixture
def meeting(index: Index, dists: Path) -> Iterator[threading.Barrier]:
    """Let the pages of what two targets need wait for each other."""
    index.add(wheel(dists, "macos", "1.0"), wheel(dists, "windows", "1.0"))
    barrier = threading.Barrier(2, timeout=PATIENCE)
    index.meetings = {"/simple/macos/": barrier, "/simple/windows/": barrier}
    yield barrier
    barrier.abort()


@forking
def test_all_but_the_first_target_are_resolved_at_the_same_time(
    cli: Cli, make_project: MakeProject, meeting: threading.Barrier
) -> None:
    make_project(configured(THREE), dependencies=OTHERS)
    said = cli.ok("lock", "--progress", "json", "-j", "2").err.splitlines()
    events = [json.loads(line) for line in said]
    resolved = {one["target"]: one["packages"] for one in events if "target-res" in one["event"]}
    assert resolved == dict(zip(THREE, (0, 1, 1), strict=True))
    assert {one["name"]: one["target"] for one in events if one["event"] == "pinned"} == {
        "macos": THREE[1],
        "windows": THREE[2],
    }
    assert not meeting.broken


@forking
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_processes_of_all_targets(
    cli: Cli,
    make_project: MakeProject,
    index: Index,
    meeting: threading.Barrier,
    number: signal.Signals,
    status: int,
) -> None:
    barrier = threading.Barrier(3)
    index.meetings = dict.fromkeys(index.meetings, barrier)
    project = make_project(configured(THREE), dependencies=OTHERS)
    with cli.start("lock", "-j", "2") as process:
        until(lambda: {f"GET {page}" for page in index.meetings} <= set(index.requests))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
    barrier.abort()
    assert process.returncode == status
    assert err == f"pipshim: {'interrupted' if status == 130 else 'terminated'}\n"
    assert len(children) == 2
    until(lambda: not any(is_running(int(pid)) for pid in children))
    until(lambda: [*cli.temporary.iterdir()] == [])
    assert not (project / "pylock.toml").exists()
    assert not meeting.broken


def test_the_lock_is_the_same_as_one_target_after_the_other(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    log = dists / "log"
    targets = [*THREE, "windows-arm64-cp310", "macos-x86_64-cp311"]
    asked = Backend(log=str(log))
    index.add(
        wheel(dists, "everywhere", "1.0"),
        wheel(dists, "everywhere", "2.0", requires_python=">=3.11"),
        wheel(dists, "split", "1.0", requires_python="<3.13"),
        wheel(dists, "split", "2.0", requires=["part"], requires_python=">=3.13"),
        wheel(dists, "part", "1.0"),
        wheel(dists, "tool", "1.0"),
        wheel(dists, "tool", "2.0", requires_python="<3.13"),
        *(wheel(dists, "native", "1.0", tag=tag(one)) for one in targets),
        wheel(dists, "native", "2.0", tag=tag(targets[1])),
        sdist(
            dists,
            "src",
            "1.0",
            build_requires=["tool"],
            requires=["part; sys_platform == 'darwin'"],
            backend=asked,
            static_metadata=False,
        ),
        # Two of the targets need it, and none of them is here.
        sdist(
            dists,
            "winsrc",
            "1.0",
            build_requires=["tool", "native"],
            requires=["split"],
            backend=asked,
            static_metadata=False,
        ),
    )
    needed = ["everywhere", "split", "native", "src", "winsrc; sys_platform == 'win32'"]
    make_project(configured(targets), dependencies=needed, extras={"more": ["tool"]})

    def made(*arguments: str) -> tuple[bytes, list[str]]:
        shutil.rmtree(cli.shim_cache)
        (cli.cwd / "pylock.toml").unlink(missing_ok=True)
        log.unlink(missing_ok=True)
        said = cli.ok("lock", *arguments).err
        assert "locked" in said
        hooks = sorted(f"{one.name} {one.hook}" for one in calls(log) if one.event == "start")
        return (cli.cwd / "pylock.toml").read_bytes(), hooks

    text, hooks = made("-j", "1")
    assert hooks.count("winsrc prepare_metadata_for_build_wheel") == 1
    for jobs in ("2", "5"):
        assert made("-j", jobs) == (text, hooks)


@forking
def test_on_a_terminal_one_process_alone_asks_for_passwords(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "aa", "1.0"))
    with Index(credentials=("user", "s3cret-word")) as closed:
        closed.add(wheel(dists, "macos", "1.0"), wheel(dists, "windows", "1.0"))
        links = []
        for one in OTHERS:
            name, _, marker = one.partition(";")
            links.append(f"{name} @ {closed.file_url(f'{name}-1.0-py3-none-any.whl')} ;{marker}")
        make_project(configured(THREE), dependencies=["aa", *links])
        words = [sys.executable, "-m", "pipshim", "lock", "-j", "2"]
        with Typist(words, cli.env, cli.cwd) as typist:
            status, shown = typist.wait()
    assert status == 1, shown
    assert "macos-1.0-py3-none-any.whl cannot be fetched: the server answers 401" in shown
    assert "give the index's user and password" in shown
    assert "bug" not in shown


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_settings_of_a_requirements_file_are_heeded_for_every_target(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, jobs: str
) -> None:
    for name in ("src", "winsrc"):
        index.add(sdist(dists, name, "1.0", static_metadata=False))
    folder = make_project(configured(THREE))
    lines = ["src --config-settings a=b", "winsrc; sys_platform == 'win32' --config-settings c=d"]
    (folder / "given.txt").write_text("\n".join(lines))
    cli.ok("lock", "-r", "given.txt", "-j", jobs)
    found = {
        one["name"]: one["tool"]["pipshim"]["build"].get("config-settings")
        for one in read(cli)["packages"]
    }
    assert found == {"src": {"a": "b"}, "winsrc": {"c": "d"}}


@needs_git
def test_a_commit_is_kept_for_each_target_by_itself(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path
) -> None:
    index.add(wheel(dists, "aa", "1.0"), wheel(dists, "aa", "2.0"))
    tree = source_tree(sdist(dists, "vv", "1.0", requires=["aa<2"]), dists / "repository")
    first = git_repository(tree)
    there = [f"vv @ git+file://{tree}@main", "aa"]
    make_project(configured(THREE), dependencies=there)
    cli.ok("lock", "-j", "1")
    shutil.copytree(source_tree(sdist(dists, "vv", "1.0"), dists / "new"), tree, dirs_exist_ok=True)
    second = git_repository(tree)
    # The commit that is kept does not fit on one target only.
    make_project(configured(THREE), dependencies=[*there, "aa>=2; sys_platform == 'win32'"])
    old = (cli.cwd / "pylock.toml").read_bytes()
    texts = set()
    for jobs in ("1", "2", "3"):
        (cli.cwd / "pylock.toml").write_bytes(old)
        cli.ok("lock", "-j", jobs)
        texts.add((cli.cwd / "pylock.toml").read_text())
    assert len(texts) == 1
    commits = {
        one["vcs"]["commit-id"]: one["tool"]["pipshim"].get("targets")
        for one in read(cli)["packages"]
        if one["name"] == "vv"
    }
    assert commits == {first: sorted(THREE[:2]), second: [THREE[2]]}


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_a_warning_is_said_once_for_all_targets(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, jobs: str
) -> None:
    index.add(wheel(dists, "aa", "1.0"), wheel(dists, "macos", "1.0"))
    make_project(configured(THREE), dependencies=["aa", OTHERS[0]])
    said = cli.ok("lock", "-j", jobs, "--find-links", dists / "nowhere").err
    assert said.count(str(dists / "nowhere")) == 1


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_an_error_is_the_same_from_whichever_process(
    cli: Cli, make_project: MakeProject, index: Index, dists: Path, jobs: str
) -> None:
    fails = Backend(fail_in="metadata", message="no compiler")
    index.add(
        sdist(dists, "macos", "1.0", backend=fails, static_metadata=False),
        wheel(dists, "aa", "1.0", requires=["bb<2"]),
        wheel(dists, "bb", "2.0"),
        wheel(dists, "bb", "1.0", requires_python="<3"),
    )
    make_project(configured(THREE), dependencies=["aa; sys_platform == 'win32'"])
    failed = cli.fails("lock", "-j", jobs)
    assert f"error: {THREE[2]}: no version of bb satisfies what is required" in failed.err
    assert f"hint: remove {THREE[2]} from the targets, or loosen" in failed.err
    make_project(configured(THREE), dependencies=[OTHERS[0], "aa; sys_platform == 'win32'"])
    failed = cli.fails("lock", "-j", jobs)
    assert "macos 1.0" in failed.err
    assert "no compiler" in failed.err
    assert "no version of bb" not in failed.err
    index.fail = {"/simple/windows/": 503}
    make_project(configured(THREE), dependencies=[OTHERS[1]])
    assert "503 Service Unavailable" in cli.fails("lock", "-j", jobs).err
    assert "in another process" in cli("lock", "-j", jobs, "--debug").err or jobs == "1"
