"""pip's cache of responses, and what is not kept in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pip._internal.network.session import PipSession
from pip._vendor.cachecontrol.filewrapper import CallbackFileWrapper

from pipshim._pip.http_adapters import spare_cache
from tests.support.dists import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.index import Index


def test_what_is_spared_is_neither_kept_nor_written_down_on_its_way(
    tmp_path: Path, index: Index
) -> None:
    index.cache_control = "max-age=600"
    index.add(wheel(tmp_path, "lib", "1.0"), wheel(tmp_path, "lib", "2.0"))
    kept, spared = (index.file_url(f"lib-{one}.0-py3-none-any.whl") for one in (1, 2))
    session = PipSession(cache=str(tmp_path / "cache"), trusted_hosts=["127.0.0.1"])
    spare_cache(session, {spared})
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
        spare_cache(session, spared)
        assert session.get(url).content == (tmp_path / "lib-1.0-py3-none-any.whl").read_bytes()
    assert index.downloads == ["lib-1.0-py3-none-any.whl"]
