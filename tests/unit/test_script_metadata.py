"""Finding script metadata (PEP 723)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipshim.project import script_metadata
from pipshim.project.script_metadata import BlockError, find

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (b"", None),
        (b"print(1)\n", None),
        (b"# /// script\n# a = 1\n# ///\n", (b"a = 1", 2)),
        (
            b"\xef\xbb\xbf# /// script\r\n# a = 1\r\n#\r\n# b = 2\r\n# ///\r\n",
            (b"a = 1\n\nb = 2", 2),
        ),
        (b"#!/usr/bin/env x\n\n# /// script\n# a = 1\n# ///", (b"a = 1", 4)),
        # The last line of that kind closes it; what is indented or has no space is no part of it.
        (b"# /// script\n# a = 1\n# ///\n# b = 2\n# ///\nx = 1\n", (b"a = 1\n///\nb = 2", 2)),
        (b"# /// script\n# a = 1\n# ///\n\n# ///\n", (b"a = 1", 2)),
        (b"  # /// script\n  # a = 1\n  # ///\n", None),
        (b"# /// other\n# # /// script\n# a = 1\n# ///\n", None),
        (b"# /// other\n# a = 1\n# ///\n# /// script\n# b = 1\n# ///\n", None),
        (b"# /// other\n# a = 1\n# ///\n\n# /// script\n# b = 1\n# ///\n", (b"b = 1", 6)),
    ],
)
def test_the_block_is_found_where_it_stands(
    source: bytes, expected: tuple[bytes, int] | None
) -> None:
    assert find(source) == expected


@pytest.mark.parametrize(
    ("source", "line", "problem"),
    [
        (b"\n# /// script\n# a = 1\n\n# ///\n", 2, "no line '# ///'"),
        (b"# /// script\n#a = 1\n# ///\n", 1, "no line '# ///'"),
        (b"# /// script\n# ///\n", 1, "no line '# ///'"),
        (b"# /// script\n# a = 1\n# ///\n\n# /// script\n# a = 1\n# ///\n", 5, "second"),
    ],
)
def test_a_block_that_cannot_be_told_is_an_error_with_its_line(
    source: bytes, line: int, problem: str
) -> None:
    with pytest.raises(BlockError, match=problem) as caught:
        find(source)
    assert caught.value.line == line


def test_a_file_that_cannot_be_read_has_none(tmp_path: Path) -> None:
    assert script_metadata.read(str(tmp_path / "no.py")) is None
    (tmp_path / "broken.py").write_bytes(b"# /// script\n")
    assert script_metadata.read(str(tmp_path / "broken.py")) is None
