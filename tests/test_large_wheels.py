"""Large wheels are unpacked while they are being downloaded, and large files beside small ones."""

from __future__ import annotations

import random
import threading
import zipfile
from typing import TYPE_CHECKING

import pytest

from pipshim.store import wheel_stream
from tests.support.dists import wheel
from tests.support.files import distributions
from tests.support.index import Cut
from tests.support.pipshim import site_packages, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.index import Index
    from tests.support.pipshim import Cli

NAME = "large-1.0-py3-none-any.whl"
PATH = f"/files/{NAME}"
RETRIES = ("--retries", "1", "--resume-retries", "1")
FIRST = random.Random(1).randbytes(wheel_stream.LARGE // 2)  # noqa: S311 the same bytes everywhere
FILES = {
    "large/__init__.py": b"",
    "large/first.so": FIRST,
    "large/second.so": FIRST[::-1],
    "large/third.so": bytes(wheel_stream.LARGE),
    "large-1.0.data/scripts/large": b"#!python\nprint('hello')\n",
}


def stored(directory: Path, extra: str = "fast", **changes: bytes) -> Path:
    """Write the wheel, not compressed, with other contents of files, by their names."""
    path = wheel(directory, "large", "1.0", files=FILES, extras={extra: []})
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in contents.items():
            archive.writestr(name, changes.get(name.rpartition("/")[2].partition(".")[0], data))
    return path


@pytest.fixture
def project(cli: Cli, index: Index, tmp_path: Path, project_dir: Path) -> Path:
    """Give a locked project that depends on a large wheel, on an index that gives parts of it."""
    index.add(wheel(tmp_path / "dists", "large", "1.0", files=FILES))
    return locked(cli, index, project_dir)


def locked(cli: Cli, index: Index, project: Path) -> Path:
    """Lock a project that depends on the wheel; return it."""
    index.ranges = True
    (project / "pyproject.toml").write_text(
        '[project]\nname = "demo"\nversion = "1"\ndependencies = ["large"]\n'
    )
    cli.ok("lock")
    index.requests.clear()
    return project


def check_files(project: Path) -> None:
    """Assert that all files are there, once, and nothing else."""
    packages = site_packages(project / ".venv")
    for name, contents in FILES.items():
        if name.startswith("large/"):
            assert (packages / name).read_bytes() == contents
    assert distributions(project / ".venv") == ["large-1.0"]
    assert (project / ".venv" / "bin" / "large").exists()


def unfinished(cli: Cli) -> Iterator[Path]:
    """Yield the folders that wheels are being unpacked into."""
    return cli.shim_cache.glob("**/.tmp-*")


def test_files_are_there_while_the_rest_is_to_come(cli: Cli, index: Index, project: Path) -> None:
    index.halves[PATH] = threading.Event()
    with cli.start("sync") as syncing:
        until(lambda: any((one / "purelib/large/first.so").exists() for one in unfinished(cli)))
        first = next(unfinished(cli)) / "purelib/large/first.so"
        until(lambda: first.stat().st_size > wheel_stream.LARGE // 4)
        assert not list(cli.shim_cache.glob("**/tree.json"))
        index.halves[PATH].set()
        assert syncing.wait() == 0
    check_files(project)
    assert index.requests.count(f"GET {PATH}") == 2
    assert len(index.parts) == 1
    assert not list(unfinished(cli))


@pytest.mark.parametrize("case", ["no parts", "no end", "cut", "begun anew"])
def test_what_cannot_be_unpacked_meanwhile_is_unpacked_then(
    case: str, cli: Cli, index: Index, project: Path
) -> None:
    index.ranges = case in {"no end", "cut"}
    if case == "no end":
        index.tampered_parts[PATH] = bytes(wheel_stream.LARGE)
    elif case in {"cut", "begun anew"}:
        index.cuts[PATH] = Cut(5_000_000)
    cli.ok("sync", *RETRIES)
    check_files(project)
    assert not list(unfinished(cli))


def test_an_end_that_is_not_the_files_is_not_believed(
    cli: Cli, index: Index, tmp_path: Path, project_dir: Path
) -> None:
    index.add(stored(tmp_path / "true", extra="true"))
    index.tampered_parts[PATH] = stored(tmp_path / "lie", extra="lies").read_bytes()
    project = locked(cli, index, project_dir)
    cli.ok("sync")
    assert len(index.parts) == 1
    check_files(project)
    info = site_packages(project / ".venv") / "large-1.0.dist-info"
    assert "Provides-Extra: true\n" in (info / "METADATA").read_text()


def test_a_wheel_with_another_hash_is_not_kept(
    cli: Cli, index: Index, project: Path, tmp_path: Path
) -> None:
    index.tamper(NAME, stored(tmp_path).read_bytes())
    failed = cli.fails("sync")
    assert "sha256" in failed.err
    assert not (project / ".venv").exists()
    assert len(index.parts) == 1
    assert not list(cli.shim_cache.glob("**/tree.json"))
    assert not list(unfinished(cli))


def test_a_wheel_that_does_not_match_its_record_is_refused_in_words(
    cli: Cli, index: Index, tmp_path: Path, project_dir: Path
) -> None:
    index.add(stored(tmp_path, second=FIRST))
    locked(cli, index, project_dir)
    failed = cli.fails("sync")
    assert failed.err.count("'large/second.so' does not match its hash in RECORD") == 1
    assert f"from {index.root}{PATH}" in failed.err
    assert not list(unfinished(cli))


def test_interrupted_sync_leaves_nothing(cli: Cli, index: Index, project: Path) -> None:
    index.stall.add(PATH)
    with cli.start("sync") as syncing:
        until(lambda: index.stalled and list(unfinished(cli)))
        syncing.terminate()
        assert syncing.wait() == 143
    assert not list(unfinished(cli))
    assert not list(cli.temporary.iterdir())
    index.stall.clear()
    cli.ok("sync")
    check_files(project)
