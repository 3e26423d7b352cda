"""One build at a time of an sdist, and who waits is told."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from pipshim.builds.build_cache import BuildCache
from tests.support.pipshim import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path


def test_who_comes_second_is_told_and_waits(tmp_path: Path) -> None:
    first, second = BuildCache(tmp_path), BuildCache(tmp_path)
    told, order = threading.Event(), []

    def wait() -> None:
        with second.lock("ab" * 32, told.set):
            order.append("second")

    with first.lock("ab" * 32, lambda: order.append("the first waits")):
        thread = threading.Thread(target=wait)
        thread.start()
        assert told.wait(PATIENCE)
        order.append("first")
    thread.join(PATIENCE)
    assert order == ["first", "second"]
