"""``--env-file``: what the files say, and what holds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pipshim.base.errors import FileError
from pipshim.project.env_files import read

if TYPE_CHECKING:
    from pathlib import Path


def test_the_syntax_is_that_of_dotenv_files(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text(
        '# a comment\n\nPLAIN=one two # more\nexport EXPORTED=yes\nDOUBLE="a\\nb # c"\n'
        "SINGLE='a\\nb'\nEMPTY=\nALONE\nREFERS=${PLAIN}-${HOME}-${NONE:-default}\n"
    )
    assert read([str(file)], {"HOME": "/home"}) == {
        "PLAIN": "one two",
        "EXPORTED": "yes",
        "DOUBLE": "a\nb # c",
        "SINGLE": "a\\nb",
        "EMPTY": "",
        "REFERS": "one two-/home-default",
    }


def test_what_is_set_outside_stays_and_a_later_file_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("A=1\nB=1\nSET=file\n")
    second.write_text("B=2\nC=${A}${B}${SET}\n")
    found = read([str(first), str(second)], {"SET": "outside"})
    assert found == {"A": "1", "B": "2", "C": "12outside"}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"\xff\xfe=1\n", "UTF-8"),
        (b"A=1\n\nB='no end\n", ":3: "),
    ],
)
def test_a_file_that_is_not_one_is_an_error(
    tmp_path: Path, content: bytes | None, why: str
) -> None:
    file = tmp_path / ".env"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(FileError, match=why):
        read([str(file)], {})
