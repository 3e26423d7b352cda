"""``cache store push``, ``pull`` and ``prune --remote``, and ``builds list``."""

from __future__ import annotations

import json
import os
import shutil
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist
from tests.test_remote import folder_served

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli

DAY = 86_400


@pytest.fixture
def built(cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, remote: Path) -> Cli:
    """Build two packages of a project that has a remote, without adding them to it."""
    for name in ("one", "two"):
        backend = Backend(tag="native", dynamic_requires=())
        index.add(sdist(tmp_path, name, "1.0", backend=backend, static_metadata=True))
    remote.mkdir()
    settings = f'[tool.pipshim.remote]\nurl = "{remote}"\n'
    make_project(settings, dependencies=["one", "two"])
    cli.ok("sync")
    return cli


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("v1/*/**/*") if path.is_file())


def test_what_was_built_is_pushed_and_pulled(built: Cli, other: Cli, remote: Path) -> None:
    pushed = built.ok("cache", "store", "push", "One")
    assert "pushed one 1.0 (" in pushed.err
    assert pushed.out.startswith("pushed 1 wheel (")
    assert len([*remote.glob("v1/wheels/*.whl")]) == 1
    pushed = built.ok("cache", "store", "push")
    assert "pushed 1 wheel (" in pushed.out
    assert "there already" in pushed.out
    everything = names(remote)
    assert "pushed nothing" not in built.ok("cache", "store", "push").out
    assert names(remote) == everything

    (listed, _) = json.loads(built.ok("builds", "list", "--remote", "--output-format", "json").out)
    assert (listed["name"], listed["version"], listed["signer"]) == ("one", "1.0", None)
    rows = built.ok("builds", "list", "--remote", "t*").out.splitlines()
    assert [row.split()[:3] for row in rows] == [["two", "1.0", "isolated"]]
    assert built.ok("builds", "list", "one").out.startswith("one 1.0  isolated  cpython")

    pulled = other.ok("cache", "store", "pull", "two")
    assert pulled.out.startswith("pulled 1 wheel (")
    assert "pulled 0 wheels" in other.ok("cache", "store", "pull", "two").out
    shutil.copy(built.cwd / "pylock.toml", other.cwd)
    assert "pulled 1 wheel (" in other.ok("cache", "store", "pull").out
    result = other.ok("sync", "--no-remote")
    assert "2 built earlier" in result.err
    assert other.ok("cache", "store", "push").out == "pushed nothing\n"  # it came from there


def test_a_remote_is_pruned_by_age_and_size(built: Cli, remote: Path) -> None:
    def prune(*args: str) -> list[str]:
        return built.ok("cache", "store", "prune", "--remote", *args).out.splitlines()

    assert built("cache", "store", "prune", "--remote").status == 2
    built.ok("cache", "store", "push")
    everything = names(remote)
    assert prune("--days", "1") == ["nothing to remove"]
    (old,) = remote.glob("v1/records/*/*-wheel-one-*.json")
    os.utime(old, (0, time.time() - 3 * DAY))
    shown = prune("--days", "2", "--dry-run")
    assert [line.partition(":")[0] for line in shown[:2]] == ["record", "wheel"]
    assert names(remote) == everything
    assert prune("--days", "2")[0].startswith("removed 1 record, 1 wheel")
    assert len(names(remote)) == len(everything) - 2
    assert prune("--max-size", "0.1KB")[0].startswith("removed 1 record, 1 wheel")
    assert not [*remote.glob("v1/wheels/*")]
    assert "50X" in built("cache", "store", "prune", "--remote", "--max-size", "50X").err


def test_wheels_that_nobody_needs_are_pruned(built: Cli, remote: Path) -> None:
    built.ok("cache", "store", "push")
    (record,) = remote.glob("v1/records/*/*-wheel-one-*.json")
    record.unlink()
    prune = ("cache", "store", "prune", "--remote", "--days", "30")
    assert "nothing to remove" in built.ok(*prune).out  # its record may be on the way
    for path in remote.glob("v1/*/*.whl"):
        os.utime(path, (0, time.time() - 3 * DAY))
    assert built.ok(*prune).out.startswith("removed 1 wheel")
    claim = remote / "v1" / "claims" / "a" / "1.json"
    claim.parent.mkdir(parents=True)
    claim.touch()
    assert "nothing to remove" in built.ok(*prune).out
    os.utime(claim, (0, 0))
    assert built.ok(*prune).out.startswith("removed 1 claim")
    next(remote.glob("v1/wheels/*.whl")).unlink()
    assert "its wheel is gone" in built.ok(*prune, "-v").out


def test_damaged_wheels_are_removed_when_asked_for(built: Cli, other: Cli, remote: Path) -> None:
    built.ok("cache", "store", "push")
    verify = ("cache", "store", "verify", "--remote")
    assert built.ok(*verify).out == "all files are intact\n"
    (record,) = remote.glob("v1/records/*/*-wheel-one-*.json")
    wheel = remote / "v1" / "wheels" / f"{json.loads(record.read_bytes())['result']['sha256']}.whl"
    wheel.write_bytes(wheel.read_bytes()[:-1] + b"x")
    result = other.ok("sync", "--push")
    assert "is not the file that its record names" in result.err
    assert built.ok(*verify, "two").out == "all files are intact\n"
    shown = built(*verify, "one", "--dry-run")
    assert shown.status == 1
    assert "it is not the file that its name says" in shown.out
    assert wheel.exists()
    assert built(*verify).out.startswith("removed 1 record, 1 wheel")
    assert not wheel.exists()
    built.ok("cache", "store", "push")
    assert built.ok(*verify).out == "all files are intact\n"


def test_why_wheels_are_not_shared_is_said_once(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path, remote: Path
) -> None:
    for name in ("one", "two"):
        files = {f"{name}/damaged.so": b"\x7fELF damaged"}
        index.add(sdist(tmp_path, name, "1.0", backend=Backend(tag="native"), files=files))
    settings = f'[tool.pipshim.remote]\nurl = "{remote}"\n'
    make_project(settings, dependencies=["one", "two"])
    result = cli.ok("sync", "--push")
    why = "not shared: damaged.so is not a valid ELF file"
    assert [line[-len(why) :] for line in result.err.splitlines() if "shared" in line] == [why]
    result = cli.ok("cache", "store", "push")
    assert f"one 1.0, two 1.0 are {why}\n" in result.out
    assert "pipshim sync --push --rebuild one --rebuild two\n" in result.out
    assert not [*remote.glob("v1/wheels/*")]


def test_mistakes_are_said(built: Cli, remote: Path, make_project: MakeProject) -> None:
    assert "the cache has no builds of three" in built.fails("cache", "store", "push", "three").err
    with folder_served(remote) as url:
        for words in (
            ("cache", "store", "push"),
            ("cache", "store", "prune", "--remote", "--days", "1"),
        ):
            assert "can only be read" in built.fails(*words, "--remote-url", url).err
    shutil.rmtree(remote)
    for words in (("cache", "store", "pull"), ("builds", "list", "--remote")):
        assert "the folder does not exist" in built.fails(*words).err
    make_project(dependencies=[])
    assert "there is no remote" in built("cache", "store", "pull").err
    for command in ("cache store push", "cache store prune", "builds list"):
        refused = built(*command.split(), "--remote", "/x")
        assert "if the remote is meant: --remote-url /x\n" in refused.err
    assert "--remote is for prune" in built("cache", "store", "list", "--remote").err
