"""Files are written whole or not at all, whoever else writes them."""

from __future__ import annotations

import os
import resource
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipshim.base.atomic_write import TEMPORARY_FILES, replace_file, write_cache_file, write_file
from pipshim.base.errors import FileError
from pipshim.builds.build_cache import BuildCache, BuildResult
from pipshim.fastpath.up_to_date import Stamp
from pipshim.model.build_record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGE = "x" * 100_000


@contextmanager
def files_limited_to(size: int) -> Iterator[None]:
    """Let the system refuse larger files, as a full disk does, in the middle of a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def _forbid_umask(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_value: int) -> int:
        raise AssertionError("the umask is the whole process's")

    monkeypatch.setattr(os, "umask", refuse)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_threads_write_the_same_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "file"
    contents = [str(number) * 50_000 for number in range(8)]
    start = threading.Barrier(len(contents))

    def write(content: str) -> bool:
        start.wait(30)
        return all(write_cache_file(path, content.encode()) for _ in range(20))

    with ThreadPoolExecutor(len(contents)) as pool:
        assert all(pool.map(write, contents))
    assert path.read_text() in contents
    assert list(path.parent.iterdir()) == [path]


def test_processes_with_the_same_id_write_the_same_file_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers that share a cache have the same process ids."""
    cache, record = (
        BuildCache(tmp_path),
        Record("a", "1", "ab" * 32, "isolated", "cpython", "linux"),
    )
    monkeypatch.setattr(os, "getpid", lambda: 1)
    start = threading.Barrier(8)

    def keep(number: int) -> None:
        start.wait(30)
        for _ in range(20):
            cache.store(BuildResult("wheel", record, str(number) * 50_000, 1.0))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(keep, range(8)))
    assert [path.suffix for path in tmp_path.rglob("*") if path.is_file()] == [".json"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "pylock.toml"
    path.write_text("old")
    with files_limited_to(1_000), pytest.raises(FileError, match=r"pylock.toml"):
        write_file(path, LARGE)
    with files_limited_to(1_000), pytest.raises(OSError, match=r"pylock.toml"):
        replace_file(path, LARGE.encode())
    with files_limited_to(1_000):
        assert not write_cache_file(path, LARGE.encode())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_stamp_that_does_not_fit_leaves_nothing_behind(tmp_path: Path) -> None:
    stamp = Stamp(
        command="sync",
        options=(LARGE,),
        variables="",
        directory=str(tmp_path),
        say="",
        files=[],
    )
    with files_limited_to(1_000):
        stamp.write(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_forbid_umask")
def test_a_new_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "touched").touch()
    write_file(tmp_path / "pylock.toml", "new")
    replace_file(tmp_path / "cached", b"new")
    assert mode(tmp_path / "pylock.toml") == mode(tmp_path / "cached") == mode(tmp_path / "touched")


@pytest.mark.usefixtures("_forbid_umask")
@pytest.mark.parametrize("kept", [0o600, 0o640, 0o664, 0o755])
def test_an_existing_file_keeps_its_permissions(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("old")
    path.chmod(kept)
    os.utime(path, (0, 0))
    write_file(path, "new")
    assert (path.read_text(), mode(path)) == ("new", kept)
    assert path.stat().st_mtime > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_root_keeps_the_owner_of_an_existing_file(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("old")
    os.chown(path, 12_345, 23_456)
    write_file(path, "new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12_345, 23_456)


def test_a_symbolic_link_is_written_through(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    for name in ("there", "missing"):
        (tmp_path / f"link-to-{name}").symlink_to(folder / name)
    (folder / "there").write_text("old")
    write_file(tmp_path / "link-to-there", "new")
    write_file(tmp_path / "link-to-missing", "new")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "there": "new",
        "missing": "new",
    }
    assert (tmp_path / "link-to-there").is_symlink()
    assert (tmp_path / "link-to-missing").is_symlink()


def test_what_is_not_a_regular_file_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as pool:
        read = pool.submit(pipe.read_text)
        write_file(pipe, "exported")
        assert read.result(30) == "exported"
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    write_file(Path(os.devnull), "exported")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_the_users_files_are_on_the_disk_before_they_have_their_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, done = tmp_path / "pylock.toml", list[str]()
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor: int) -> None:
        kind = "folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file"
        done.append(f"fsync {kind}")
        fsync(descriptor)

    def note_replace(source: str, target: str) -> None:
        done.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_file(path, "new")
    assert done == ["fsync file", "replace", "fsync folder"]
    done.clear()
    replace_file(path, b"cached")
    assert done == ["replace"]


def test_an_interrupt_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_source: str, _target: str) -> None:
        assert [path.name for path in tmp_path.glob(TEMPORARY_FILES)]
        raise KeyboardInterrupt

    path = tmp_path / "pylock.toml"
    path.write_text("old")
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
