"""A wheel that is read while it grows."""

from __future__ import annotations

import os
import zipfile
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

import pytest

from pipshim.store.wheel_stream import LARGE, WheelStream

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipshim.store.unpacked_wheel import UnpackedWheel

CONTENTS = {"a": bytes(1000), "b": os.urandom(LARGE), "c": b"the last one"}


@pytest.fixture
def whole(tmp_path: Path) -> bytes:
    """Give a ZIP file."""
    path = tmp_path / "whole.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in CONTENTS.items():
            archive.writestr(name, data)
    return path.read_bytes()


class Download:
    """A file that grows, and the stream that reads it."""

    def __init__(self, path: Path, whole: bytes, unpack: Callable[[WheelStream], Any]) -> None:
        self.path, self.whole = path, whole
        self.ends: list[int] = []
        self.stream = WheelStream("large.whl", self.end, cast("Any", unpack))
        path.write_bytes(b"")

    def end(self, count: int) -> bytes:
        self.ends.append(count)
        return self.whole[-count:]

    def grow(self, received: int, size: int | None = None) -> None:
        with self.path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            file.truncate(min(file.tell(), received))
            file.seek(0, os.SEEK_END)
            file.write(self.whole[file.tell() : received])
        self.stream.grow(str(self.path), received, len(self.whole) if size is None else size)


def read_all(stream: WheelStream) -> UnpackedWheel:
    with zipfile.ZipFile(stream) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    stream.wait_until_accepted()
    return cast("UnpackedWheel", found)


@pytest.mark.parametrize("pieces", [1, 2, 7])
def test_it_is_read_while_it_grows(whole: bytes, tmp_path: Path, pieces: int) -> None:
    download = Download(tmp_path / "file", whole, read_all)
    with download.stream as stream:
        for piece in range(1, pieces + 1):
            download.grow(len(whole) * piece // pieces)
            assert stream.tree is None
        stream.accept()
    assert cast("Any", stream.tree) == CONTENTS
    assert len(download.ends) == 1


def test_a_small_one_is_left_alone(tmp_path: Path) -> None:
    download = Download(tmp_path / "file", bytes(LARGE - 1), read_all)
    with download.stream as stream:
        download.grow(LARGE - 1)
        stream.grow(str(download.path), LARGE, None)
        stream.accept()
    assert stream.tree is None
    assert not download.ends


@pytest.mark.parametrize("case", ["not accepted", "interrupted", "begun anew", "another size"])
def test_nothing_comes_of_a_file_that_is_not_accepted(
    whole: bytes, tmp_path: Path, case: str
) -> None:
    download = Download(tmp_path / "file", whole, read_all)
    with suppress(KeyboardInterrupt), download.stream as stream:
        download.grow(len(whole) // 2)
        if case == "interrupted":
            raise KeyboardInterrupt
        if case == "begun anew":
            download.grow(100)
        if case == "another size":
            download.grow(len(whole) - 1, len(whole) - 1)
        download.grow(len(whole))
        if case != "not accepted":
            stream.accept()
    assert download.stream.tree is None


@pytest.mark.parametrize("fails", ["the request", "the thread"])
def test_the_download_goes_on_if_the_end_or_a_thread_is_not_to_be_had(
    whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    def fail(*_: object) -> bytes:
        raise RuntimeError("can't start new thread")

    download = Download(tmp_path / "file", whole, read_all)
    if fails == "the request":
        monkeypatch.setattr(download.stream, "_fetch_end", fail)
    else:
        monkeypatch.setattr("threading.Thread.start", fail)
    with download.stream as stream:
        download.grow(1000)
        download.grow(len(whole))
        stream.accept()
    assert stream.tree is None
    assert len(download.ends) == (fails == "the thread")


def test_another_end_is_found_out(whole: bytes, tmp_path: Path) -> None:
    ended: list[object] = []

    def unpack(stream: WheelStream) -> UnpackedWheel:
        with zipfile.ZipFile(stream) as archive:
            assert archive.comment == b"lies"
        ended.append(True)
        stream.wait_until_accepted()
        return cast("UnpackedWheel", ended)

    download = Download(tmp_path / "file", whole[:-2] + b"\x04\x00true", unpack)
    lie = whole[:-2] + b"\x04\x00lies"
    with WheelStream("large.whl", lambda count: lie[-count:], unpack) as stream:
        download.stream = stream
        download.grow(len(lie))
        stream.accept()
    assert ended
    assert stream.tree is None
