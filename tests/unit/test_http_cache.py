"""pip's cache of responses: what is not kept in it, and large bodies that do not stay in memory."""

from __future__ import annotations

import mmap
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pip._internal.network.session import PipSession
from pip._vendor.cachecontrol.filewrapper import CallbackFileWrapper

from pipshim._pip.http_cache import LargeBodies, spare
from tests.support.dists import wheel

if TYPE_CHECKING:
    from tests.support.index import Index

SIZE = 40 << 20
URL = "http://127.0.0.1/files/big-1.0-py3-none-any.whl"


def resident(path: Path) -> int:
    """Tell how many bytes of a mapped file are resident in this process."""
    blocks = Path("/proc/self/smaps").read_text().split("VmFlags:")
    (block,) = (block for block in blocks if str(path) in block)
    found = re.search(r"^Rss: +(\d+) kB", block, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells what is resident")
@pytest.mark.parametrize("size", [1, mmap.PAGESIZE, SIZE - 1, SIZE])
def test_a_mapped_body_is_kept_and_leaves_memory(tmp_path: Path, size: int) -> None:
    path = tmp_path / "buffer"
    contents = b"0123456789abcdef" * (SIZE // 16)
    path.write_bytes(contents[:size])
    cache = LargeBodies(str(tmp_path / "cache"))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        with memoryview(mapped) as view:
            cache.set(URL, b"headers")
            cache.set_body(URL, view)
        assert resident(path) < SIZE / 2
    body = cache.get_body(URL)
    assert body is not None
    with body:
        assert body.read() == contents[:size]


def test_what_is_spared_is_neither_kept_nor_written_down_on_its_way(
    tmp_path: Path, index: Index
) -> None:
    index.cache_control = "max-age=600"
    index.add(wheel(tmp_path, "lib", "1.0"), wheel(tmp_path, "lib", "2.0"))
    kept, spared = (index.file_url(f"lib-{one}.0-py3-none-any.whl") for one in (1, 2))
    session = PipSession(cache=str(tmp_path / "cache"), trusted_hosts=["127.0.0.1"])
    spare(session, {spared})
    for url, is_written in ((kept, True), (spared, False)):
        response = session.get(url, stream=True)
        assert isinstance(response.raw._fp, CallbackFileWrapper) is is_written
        assert response.content == (tmp_path / url.rpartition("/")[2]).read_bytes()
    for url in (kept, spared):
        session.get(url)
    assert [index.downloads.count(url.rpartition("/")[2]) for url in (kept, spared)] == [1, 2]


def test_what_the_cache_has_is_an_answer_for_what_is_spared_too(
    tmp_path: Path, index: Index
) -> None:
    index.cache_control = "max-age=600"
    index.add(wheel(tmp_path, "lib", "1.0"))
    url = index.file_url("lib-1.0-py3-none-any.whl")
    for spared in (set[str](), {url}):
        session = PipSession(cache=str(tmp_path / "cache"), trusted_hosts=["127.0.0.1"])
        spare(session, spared)
        assert session.get(url).content == (tmp_path / "lib-1.0-py3-none-any.whl").read_bytes()
    assert index.downloads == ["lib-1.0-py3-none-any.whl"]
