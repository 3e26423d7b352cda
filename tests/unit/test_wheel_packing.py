"""Wheels that are packed again: always the same bytes, and the same content."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pipshim.model.artifacts import digest_of_file
from pipshim.store.store import Store
from pipshim.store.wheel_packing import pack
from tests.support.dists import wheel

if TYPE_CHECKING:
    from pathlib import Path


def test_a_wheel_is_packed_reproducibly(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "one/__init__.py": "",
        "one/b.so": b"\0" * 5000,
        "one-1.0.data/scripts/run": "#!python\n",
        "one-1.0.data/data/share/x.txt": "x",
    }
    made = wheel(tmp_path, "one", "1.0", files=files, tag="native", build="2")
    tree = Store(tmp_path / "first").add(made, "one")
    packed = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        packed.append(pack(tree, tmp_path / name))
        time.sleep(1.1)  # two files of different times
    assert packed[0].name == made.name
    assert digest_of_file(packed[0]) == digest_of_file(packed[1])
    again = Store(tmp_path / "second").add(packed[0], "one")
    assert again.content == tree.content
    (tmp_path / "c").mkdir()
    assert digest_of_file(pack(again, tmp_path / "c")) == digest_of_file(packed[0])
