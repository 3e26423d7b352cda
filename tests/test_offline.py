"""``--offline``: what the caches hold serves; what they lack is named; nobody is asked."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.support.dists import Backend, sdist, wheel
from tests.support.facts import calls
from tests.support.files import distributions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import MakeProject
    from tests.support.index import Index
    from tests.support.pipshim import Cli


@pytest.fixture
def cli(cli: Cli, index: Index) -> Cli:
    """Give the command with an index whose answers pip keeps, and finds stale at once."""
    index.cache_control = "max-age=0"
    cli.env["PIP_TRUSTED_HOST"] = "127.0.0.1"
    return cli


def forget_environment(project: Path) -> None:
    shutil.rmtree(project / ".venv")


def forget_store(cli: Cli) -> None:
    shutil.rmtree(cli.shim_cache)


def test_sync_asks_nobody_when_the_store_has_all(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"), sdist(tmp_path, "sourced", "2.0"))
    project = make_project(dependencies=["fakelib", "sourced"], backend=Backend())
    cli.ok("sync")
    before = distributions(project / ".venv")
    forget_environment(project)
    shutil.rmtree(cli.cache)
    index.requests.clear()
    cli.ok("sync", "--offline")
    assert distributions(project / ".venv") == before
    assert index.requests == []


def test_sync_takes_files_from_pips_cache_and_builds_them(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    index.add(
        wheel(tmp_path, "fakelib", "1.0"),
        sdist(
            tmp_path, "sourced", "2.0", build_requires=["fakelib"], backend=Backend(log=str(log))
        ),
    )
    project = make_project(dependencies=["sourced"])
    cli.ok("sync")
    cli.ok("download", "-d", "wheels", "fakelib")
    forget_environment(project)
    forget_store(cli)
    log.unlink()
    index.stop()
    cli.ok("sync", "--offline")
    assert distributions(project / ".venv") == ["sourced-2.0"]
    assert [call.hook for call in calls(log) if call.event == "start"] == ["build_wheel"]


def test_a_wheel_that_the_store_has_does_not_lie_in_pips_cache_too(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    files = [wheel(tmp_path, "fakelib", "1.0"), sdist(tmp_path, "sourced", "2.0")]
    index.add(*files)
    make_project(dependencies=["fakelib", "sourced"])
    cli.ok("sync")
    kept = {path.read_bytes() for path in cli.cache.rglob("*.body")}
    assert [file.read_bytes() in kept for file in files] == [False, True]


def test_sync_names_the_file_that_no_cache_has(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"])
    cli.ok("lock")
    index.requests.clear()
    err = cli.fails("sync", "--offline").err
    assert "fakelib-1.0-py3-none-any.whl is not in the cache, and --offline is given" in err
    assert "hint: run it once without --offline" in err
    assert not (project / ".venv").exists()
    assert index.requests == []


def test_run_is_offline_too_and_a_variable_says_so(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    offline = {"PIPSHIM_OFFLINE": "1"}
    code = "import fakelib; print(fakelib.__version__)"
    err = cli.fails("run", "python", "-c", code, env=offline).err
    assert "not in the cache, and --offline is given" in err
    cli.ok("sync")
    index.stop()
    assert cli.ok("run", "python", "-c", code, env=offline).out == "1.0\n"


def test_lock_reads_stale_pages_and_writes_the_same_bytes(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(
        wheel(tmp_path, "fakelib", "1.0", requires=["other"]),
        wheel(tmp_path, "other", "3.0"),
        sdist(tmp_path, "sourced", "2.0", build_requires=["other"]),
    )
    project = make_project(dependencies=["fakelib", "sourced"])
    cli.ok("lock")
    lock = project / "pylock.toml"
    before = lock.read_bytes()
    lock.unlink()
    index.add(wheel(tmp_path, "fakelib", "1.1"))
    index.requests.clear()
    cli.ok("lock", "--offline")
    assert lock.read_bytes() == before
    assert index.requests == []
    index.stop()
    cli.ok("lock", "--offline", "--upgrade")
    assert lock.read_bytes() == before


@pytest.mark.parametrize("is_hashed", [True, False])
def test_lock_has_metadata_files_from_one_cache_or_the_other(
    cli: Cli, make_project: MakeProject, index: Index, tmp_path: Path, is_hashed: bool
) -> None:
    index.add(wheel(tmp_path, "one", "1.0", requires=["two"]), wheel(tmp_path, "two", "1.0"))
    index.without_metadata_hashes = not is_hashed
    project = make_project(dependencies=["one"])
    cli.ok("lock")
    before = (project / "pylock.toml").read_bytes()
    assert len(list(cli.shim_cache.glob("metadata-v2/*"))) == (2 if is_hashed else 0)
    index.requests.clear()
    (project / "pylock.toml").unlink()
    cli.ok("lock", "--offline")
    assert (project / "pylock.toml").read_bytes() == before
    assert index.requests == []


def test_pages_without_etag_survive(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.cache_control = "max-age=1"
    index.etags = False
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"])
    cli.ok("lock")
    index.stop()
    for _ in range(2):
        (project / "pylock.toml").unlink()
        cli.ok("lock", "--offline")


def test_lock_names_the_page_that_is_missing(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    project = make_project(dependencies=["fakelib"])
    cli.ok("lock")
    before = (project / "pylock.toml").read_bytes()
    make_project(dependencies=["fakelib", "absent"])
    err = " ".join(cli.fails("lock", "--offline").err.split())
    assert "absent cannot be looked up in the index" in err
    assert f"{index.url}absent/: it is not in the cache, and --offline is given" in err
    assert "hint: run it once without --offline" in err
    assert (project / "pylock.toml").read_bytes() == before


def test_lock_names_the_file_that_is_missing(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.without_metadata = True
    index.add(wheel(tmp_path, "fakelib", "1.0"), wheel(tmp_path, "fakelib", "2.0"))
    make_project(dependencies=["fakelib<2"])
    cli.ok("lock")
    make_project(dependencies=["fakelib"])
    cli.ok("lock", "--offline")
    err = cli.fails("lock", "--offline", "--upgrade").err
    assert "fakelib-2.0-py3-none-any.whl is not in the cache, and --offline is given" in err


def test_a_cache_that_is_switched_off_has_nothing(
    cli: Cli, index: Index, make_project: MakeProject, tmp_path: Path
) -> None:
    index.add(wheel(tmp_path, "fakelib", "1.0"))
    make_project(dependencies=["fakelib"])
    cli.ok("lock")
    index.requests.clear()
    err = cli.fails("lock", "--offline", "--no-cache-dir", "--upgrade").err
    assert "is not in the cache, and --offline is given" in err
    assert index.requests == []


def test_requirements_files_and_the_hosts_that_they_trust_are_not_asked(
    cli: Cli, index: Index, tmp_path: Path
) -> None:
    del cli.env["PIP_TRUSTED_HOST"]
    (tmp_path / "r.txt").write_text("--trusted-host 127.0.0.1\nfakelib\n")
    err = cli.fails("lock", "--offline", "-r", tmp_path / "r.txt").err
    assert "is not in the cache, and --offline is given" in err
    err = cli.fails("lock", "--offline", "-r", f"{index.root}/far.txt").err
    assert "far.txt is not in the cache, and --offline is given" in err
    assert index.requests == []


def test_files_of_this_machine_need_no_network(
    cli: Cli, index: Index, project_dir: Path, tmp_path: Path
) -> None:
    found = wheel(tmp_path / "wheels", "fakelib", "1.0")
    index.stop()
    cli.ok("lock", "--offline", "--no-index", "--find-links", found.parent, "fakelib")
    assert 'name = "fakelib"' in (project_dir / "pylock.toml").read_text()


def test_checkouts_are_refused(cli: Cli, make_project: MakeProject) -> None:
    make_project(dependencies=["far @ git+https://user:word@127.0.0.1:9/far.git"])
    err = cli.fails("lock", "--offline").err
    assert "127.0.0.1:9/far.git has to be checked out, and --offline is given" in " ".join(
        err.split()
    )
    assert "word" not in err
