"""``pipshim cache store``: what pipshim adds to the cache, shown and cleared; the rest is pip's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipshim.base.cache_folders import Alone, InUse
from tests.support.dists import Backend, sdist, wheel
from tests.support.facts import calls
from tests.support.files import distributions, listing
from tests.support.pipshim import PATIENCE, site_packages, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

PYTHON = f"cpython {sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def synced(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path) -> Path:
    """Sync a project of a wheel and of two builds; give its folder."""
    index.add(
        wheel(tmp_path, "fakelib", "1.0"),
        sdist(tmp_path, "Built_One", "1.0", build_requires=["fakelib"]),
        sdist(tmp_path, "other", "2.0"),
    )
    project = make_project(dependencies=["fakelib", "built-one", "other"])
    cli.ok("sync", "--link-mode", "copy")
    return project


def store(cli: Cli, *args: str, **more: Any) -> str:
    return cli.ok("cache", "store", *args, **more).out


def built(cli: Cli) -> list[str]:
    return [
        f"{one['name']} {one['version']}" for one in json.loads(store(cli, "list", "--format=json"))
    ]


def trees(cli: Cli) -> list[Path]:
    return [*cli.shim_cache.glob("trees-*/*/*")]


def grow_old(*paths: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for path in paths:
        os.utime(path, (then, then))


# --- to whom it goes


@pytest.mark.parametrize(
    "args",
    [
        ("dir",),
        ("info",),
        ("list",),
        ("list", "store"),
        ("list", "--format=abspath"),
        ("remove", "store"),
        ("purge",),
        ("purge", "store"),
        ("stores",),
        ("--format", "abspath", "store"),
        (),
    ],
)
def test_all_other_cache_commands_are_pips(args: tuple[str, ...], cli: Cli) -> None:
    ours, theirs = cli("cache", *args), cli.pip("cache", *args)
    assert (ours.status, ours.out) == (theirs.status, theirs.out)
    assert ours.err == theirs.err.replace(f"{sys.executable} -m pip", "pipshim")


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize("words", [("verify",), ("prune", "--dry-run"), ("prune", "--days", "few")])
def test_store_may_be_left_out_of_what_pip_has_no_word_for(
    words: tuple[str, ...], cli: Cli
) -> None:
    short, long = cli("-v", "cache", *words), cli("-v", "cache", "store", *words)
    assert (short.status, short.out, short.err) == (long.status, long.out, long.err)
    assert short.out or short.err


@pytest.mark.parametrize(
    "args",
    [
        ("cache", "store", "info"),
        ("-q", "cache", "--no-color", "store", "info"),
        ("--project", "nowhere", "cache", "store", "info"),
        ("--cache-dir", "{cache}", "cache", "store", "info"),
        ("cache", "--cache-dir", "{cache}", "store", "info"),
        ("cache", "store", "--cache-dir={cache}", "info"),
    ],
)
def test_general_options_may_stand_anywhere(
    args: tuple[str, ...], cli: Cli, tmp_path: Path
) -> None:
    del cli.env["PIPSHIM_CACHE_DIR"]
    cache = tmp_path / "elsewhere" / "pip"
    given = [one.format(cache=cache) for one in args]
    expected = cache if given != list(args) else cli.cache
    assert cli.ok(*given).out.startswith(f"Location: {expected.with_name('pipshim')}\n")


def test_help_shows_the_actions(cli: Cli) -> None:
    out = store(cli, "--help")
    for action in ("info", "list", "remove", "prune", "verify"):
        assert f"pipshim cache store {action}" in out


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((), "no action given"),
        (("bogus",), "unknown action 'bogus'"),
        (("info", "x"), "too many arguments: x"),
        (("list", "a", "b"), "too many arguments: a b"),
        (("remove",), "no package given"),
        (("remove", "=="), "'==' is not of the form NAME or NAME==VERSION"),
        (("verify", "x"), "too many arguments: x"),
        (("prune", "--days", "few"), "--days: 'few' is not a number of days"),
    ],
)
def test_a_wrong_line_is_said_and_exits_2(args: tuple[str, ...], expected: str, cli: Cli) -> None:
    assert expected in cli.fails("cache", "store", *args, status=2).err


def test_without_a_cache_there_is_an_error(cli: Cli) -> None:
    del cli.env["PIPSHIM_CACHE_DIR"]
    err = cli.fails("cache", "store", "info", "--no-cache-dir").err
    assert "the cache is disabled" in err
    assert "PIPSHIM_CACHE_DIR" in err


def test_a_cache_that_is_not_there_is_empty_and_stays_so(cli: Cli, tmp_path: Path) -> None:
    cli.env["PIPSHIM_CACHE_DIR"] = str(tmp_path / "nowhere")
    assert "Unpacked wheels: 0 (0 B)" in store(cli, "info")
    assert store(cli, "list") == ""
    assert store(cli, "prune") == "nothing to remove\n"
    assert "no builds of x" in cli.fails("cache", "store", "remove", "x").err
    assert not (tmp_path / "nowhere").exists()


# --- info and list


@pytest.mark.usefixtures("synced")
def test_info_counts_what_there_is(cli: Cli) -> None:
    before = listing(cli.shim_cache)
    out = store(cli, "info")
    assert out.startswith(f"Location: {cli.shim_cache}\nSize: ")
    assert "Unpacked wheels: 3 (" in out
    assert "Built wheels: 2 (" in out
    data = json.loads(store(cli, "info", "--format", "json"))
    counts = {part["name"]: part["count"] for part in data["parts"]}
    logs = len([*(cli.shim_cache / "logs").iterdir()])
    assert counts["unpacked wheels"] == 3
    assert counts["built wheels"] == 2
    assert counts["logs"] == logs
    assert counts["builds in the history"] == 2
    (history,) = (one for one in data["parts"] if one["name"] == "builds in the history")
    assert history["size"] == (cli.shim_cache / "build-history-v1.jsonl").stat().st_size
    assert "Builds in the history: 2 (" in out
    assert counts["tool versions"] == len([*(cli.shim_cache / "tools-v1").glob("*")])
    assert data["location"] == str(cli.shim_cache)
    assert data["size"] >= sum(part["size"] for part in data["parts"][:1])
    assert listing(cli.shim_cache) == before


@pytest.mark.usefixtures("synced")
def test_list_has_a_line_for_each_built_wheel(cli: Cli) -> None:
    first, second = store(cli, "list").splitlines()
    assert first.split()[:3] == ["built-one", "1.0", "isolated"]
    assert PYTHON in first
    assert first.endswith("  against fakelib 1.0")
    assert second.split()[:3] == ["other", "2.0", "isolated"]
    assert second.endswith("  against nothing")
    for pattern in ("built.one", "Built_*", "b*"):
        assert store(cli, "list", pattern).splitlines() == [first]
    assert store(cli, "list", "fakelib") == ""


@pytest.mark.usefixtures("synced")
def test_list_as_json_says_all_of_it(cli: Cli, index: Index) -> None:
    (one,) = json.loads(store(cli, "list", "built-one", "--format=json"))
    assert one["name"] == "built-one"
    assert one["version"] == "1.0"
    assert one["mode"] == "isolated"
    assert one["python"] == PYTHON
    assert one["against"] == {"fakelib": "1.0"}
    assert one["source"] == index.sha256("built_one-1.0.tar.gz")
    assert cli.shim_cache.joinpath("trees-v2", one["wheel"][:2], one["wheel"]).is_dir()
    assert one["size"] > 0
    assert one["built"].endswith("Z")


# --- remove


def test_remove_takes_a_packages_results_and_wheels(cli: Cli, synced: Path) -> None:
    before = distributions(synced / ".venv")
    assert "built-one" in str(built(cli))
    out = store(cli, "remove", "built.one")
    assert "1 unpacked wheel" in out
    assert built(cli) == ["other 2.0"]
    assert len(trees(cli)) == 2
    assert distributions(synced / ".venv") == before
    cli.ok("sync", "--reinstall")
    assert built(cli) == ["built-one 1.0", "other 2.0"]


@pytest.mark.usefixtures("synced")
def test_remove_may_name_a_version(cli: Cli) -> None:
    assert "no builds of other==1" in cli.fails("cache", "store", "remove", "other==1").err
    store(cli, "remove", "other==2", "built-one==1.0")
    assert built(cli) == []
    assert not [*(cli.shim_cache / "builds-v1").iterdir()]


@pytest.mark.usefixtures("synced")
def test_a_dry_run_removes_nothing(cli: Cli) -> None:
    before = listing(cli.shim_cache, without=("in-use",))
    assert "would remove" in store(cli, "remove", "--dry-run", "other")
    assert "would remove" in store(cli, "prune", "--dry-run", "--days", "0")
    after = listing(cli.shim_cache, without=("in-use",))
    del before[str(cli.shim_cache)], after[str(cli.shim_cache)]
    assert after == before


@pytest.mark.usefixtures("synced")
def test_what_is_not_there_is_said(cli: Cli) -> None:
    err = cli.fails("cache", "store", "remove", "other", "absent").err
    assert "no builds of absent" in err
    assert "pipshim cache store list" in err
    assert built(cli) == ["built-one 1.0", "other 2.0"]


# --- prune


def test_prune_keeps_what_is_new_and_referred_to(cli: Cli, synced: Path) -> None:
    before = listing(cli.shim_cache)
    assert store(cli, "prune") == "nothing to remove\n"
    assert listing(cli.shim_cache) == before
    assert synced.is_dir()


def test_prune_removes_wheels_that_were_not_used_for_days(cli: Cli, synced: Path) -> None:
    manifests = [tree / "tree.json" for tree in trees(cli)]
    grow_old(*manifests, days=29)
    assert store(cli, "prune") == "nothing to remove\n"
    grow_old(*manifests, cli.shim_cache / "build-history-v1.jsonl", days=31)
    out = store(cli, "prune", "-v")
    assert "3 unpacked wheels" in out
    assert "not used for 30 days" in out
    assert trees(cli) == []
    assert built(cli) == []
    assert len(distributions(synced / ".venv")) == 3
    assert "Builds in the history: 2 (" in store(cli, "info")


def test_days_says_how_many(cli: Cli, synced: Path) -> None:
    assert synced.is_dir()
    grow_old(*(tree / "tree.json" for tree in trees(cli)), days=3)
    store(cli, "prune", "--days", "4")
    assert len(trees(cli)) == 3
    store(cli, "prune", env={"PIPSHIM_DAYS": "2"})
    assert trees(cli) == []


def test_a_sync_counts_as_use(cli: Cli, synced: Path) -> None:
    grow_old(*(tree / "tree.json" for tree in trees(cli)), days=31)
    cli.ok("sync", "--reinstall-package", "fakelib", "--link-mode", "copy")
    store(cli, "prune")
    assert [json.loads((tree / "tree.json").read_text())["name"] for tree in trees(cli)] == [
        "fakelib"
    ]
    assert synced.is_dir()


def test_a_wheel_that_an_environment_shares_files_with_is_in_use(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    cli.ok("sync", "--link-mode", "hardlink")
    grow_old(*(tree / "tree.json" for tree in trees(cli)), days=31)
    assert store(cli, "prune") == "nothing to remove\n"


def test_prune_removes_built_wheels_without_record_and_records_without_wheel(
    cli: Cli, synced: Path
) -> None:
    assert synced.is_dir()
    by_name = {one["name"]: one["wheel"] for one in json.loads(store(cli, "list", "--format=json"))}
    for path in cli.shim_cache.glob("builds-v1/*/*/wheel-*.json"):
        if by_name["other"] in path.read_text():
            path.unlink()
    (gone,) = cli.shim_cache.glob(f"trees-v2/*/{by_name['built-one']}")
    gone.rename(gone.with_name("0" * 64))
    out = store(cli, "prune", "-v")
    assert "built wheel without a record" in out
    assert "its wheel is gone" in out
    assert built(cli) == []
    assert [json.loads((tree / "tree.json").read_text())["name"] for tree in trees(cli)] == [
        "fakelib"
    ]


def test_prune_removes_what_was_left_behind(cli: Cli, synced: Path) -> None:
    assert synced.is_dir()
    cache = cli.shim_cache
    left = [cache / "trees-v2" / name for name in (".tmp-1-abc", ".old-1-abc")]
    left.append(cache / "work" / "pipshim-abc")
    for folder in left:
        (folder / "purelib").mkdir(parents=True)
        (folder / "purelib" / "file").touch()
    results = next(cache.glob("builds-v1/*/*"))
    left += [results / "wheel-x.1.tmp", results / "metadata-broken.json"]
    left.append(cache / "interpreters" / ".pipshim-0123.tmp")
    left.append(cache / "interpreters" / "gone.json")
    for path in left[3:]:
        path.write_text("{")
    (cache / "interpreters" / "gone.json").write_text('{"answer": {"python": "/nowhere/python"}}')
    logs = sorted((cache / "logs").iterdir())
    grow_old(logs[0], days=31)
    store(cli, "prune")
    assert not [path for path in left if path.exists()]
    assert sorted((cache / "logs").iterdir()) == logs[1:]
    assert built(cli) == ["built-one 1.0", "other 2.0"]


# --- others at work


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize("args", [("prune", "--days=0"), ("remove", "other")])
def test_nothing_is_removed_while_another_command_uses_the_store(
    args: tuple[str, ...], cli: Cli
) -> None:
    with InUse(cli.shim_cache, lambda: None):
        err = cli.fails("cache", "store", *args).err
        assert "another pipshim command is using" in err
        assert len(trees(cli)) == 3
        store(cli, "info")
    store(cli, *args)
    assert len(trees(cli)) < 3


def test_a_build_that_runs_uses_the_store(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    index.add(sdist(tmp_path, "slow", "1.0", backend=Backend(sleep_seconds=600, log=str(log))))
    make_project(dependencies=["slow"])
    with cli.start("sync") as process:
        until(lambda: any(call.hook == "build_wheel" for call in calls(log)))
        err = cli.fails("cache", "store", "prune").err
        process.terminate()
        process.communicate(timeout=PATIENCE)
    assert "another pipshim command is using" in err
    store(cli, "prune")


def test_a_command_waits_while_the_cache_is_tidied_up(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"])
    holder = (
        "import pathlib, sys\nfrom pipshim.base.cache_folders import Alone\n"
        "with Alone(pathlib.Path(sys.argv[1])):\n    print('held', flush=True)\n    input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(cli.shim_cache)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=cli.env,
        cwd=tmp_path,
    ) as tidying:
        assert tidying.stdout is not None
        assert tidying.stdout.readline() == "held\n"
        with cli.start("sync") as process:
            assert process.stderr is not None
            heard = ""
            while "waiting for a command that cleans the cache" not in heard:
                line = process.stderr.readline()
                assert line, heard
                heard += line
            assert not (project / ".venv").exists()
            tidying.communicate("\n")
            process.communicate(timeout=PATIENCE)
            assert process.returncode == 0
    assert distributions(project / ".venv") == ["fakelib-1.0"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_that_cannot_be_written_serves(cli: Cli, synced: Path) -> None:
    folders = [cli.shim_cache, *(path for path in cli.shim_cache.rglob("*") if path.is_dir())]
    (cli.shim_cache / "in-use").unlink()
    for folder in folders:
        folder.chmod(0o555)
    try:
        cli.ok("sync", "--reinstall-package", "fakelib")
    finally:
        for folder in folders:
            folder.chmod(0o755)
    assert len(distributions(synced / ".venv")) == 3


# --- verify


def edit(path: Path) -> None:
    """Edit a file in place so that neither its size nor its time tells."""
    before = path.stat()
    path.write_bytes(bytes(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_verify_finds_what_was_edited_through_a_link_and_it_is_made_again(
    cli: Cli, synced: Path
) -> None:
    assert store(cli, "verify") == cli.ok("cache", "verify").out == "all files are intact\n"
    cli.ok("sync", "--link-mode", "hardlink", "--reinstall", cwd=synced)
    module = site_packages(synced / ".venv") / "fakelib" / "__init__.py"
    good = module.read_bytes()
    edit(module)
    before = trees(cli)
    for arguments, left in ((["--dry-run"], 0), ([], 1)):
        result = cli("cache", "store", "verify", *arguments)
        assert result.status == 1
        assert "fakelib 1.0: fakelib/__init__.py is not as it was written" in result.out
        assert "other" not in result.out
        assert len(before) - len(trees(cli)) == left
    assert store(cli, "verify") == "all files are intact\n"
    cli.ok("sync", "--link-mode", "hardlink", "--reinstall-package", "fakelib", cwd=synced)
    assert module.read_bytes() == good


def test_verify_finds_other_modes_lists_and_bytecode(cli: Cli, synced: Path) -> None:
    cli.ok("sync", "--compile", "--reinstall", "--link-mode", "hardlink", cwd=synced)
    site = site_packages(synced / ".venv")
    (site / "other" / "__init__.py").chmod(0o755)
    edit(next(site.glob("fakelib/__pycache__/*.pyc")))
    (damaged,) = (
        tree
        for tree in trees(cli)
        if json.loads((tree / "tree.json").read_text())["name"] == "Built_One"
    )
    (damaged / "tree.json").write_text("[]")
    out = cli("cache", "store", "verify").out
    assert "unpacked wheel: its list of files is damaged" in out
    assert "unpacked wheel: other 2.0: other/__init__.py is not as it was written" in out
    assert "bytecode: fakelib 1.0: fakelib/__pycache__/__init__." in out
    assert len(trees(cli)) == 1
    assert store(cli, "verify") == "all files are intact\n"
    cli.ok("sync", "--compile", "--reinstall", cwd=synced)
    assert len(trees(cli)) == 3


def test_environments_of_scripts_go_when_they_were_not_used(cli: Cli, project_dir: Path) -> None:
    for name in ("one", "two"):
        (project_dir / f"{name}.py").write_text("# /// script\n# dependencies = []\n# ///\n")
        cli.ok("run", f"{name}.py")
    assert "Environments: 2 (" in store(cli, "info")
    grow_old(*cli.shim_cache.glob("environments-*/*"), days=31)
    cli.ok("run", "two.py")  # by its stamp
    store(cli, "prune")
    (left,) = cli.shim_cache.glob("environments-*/*")
    assert left.name.startswith("two-")
    cli.ok("run", "one.py")


def test_who_cannot_be_told_of_waiting_does_not_go_on(tmp_path: Path) -> None:
    def waiting() -> None:
        raise BrokenPipeError

    with Alone(tmp_path), pytest.raises(BrokenPipeError), InUse(tmp_path, waiting):
        pass
