"""The metadata of a folder, by its ``[project]`` alone."""

from __future__ import annotations

from email.parser import HeaderParser
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from pipshim.project.static_metadata import stated_metadata

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = """
[project]
name = "Demo"
version = "1.5"
requires-python = ">=3.10"
dependencies = ["torch>=2", "tomli; python_version < '3.11'"]
[project.optional-dependencies]
fast = ["ninja", "triton; sys_platform == 'linux'"]
all = ["demo[fast]", "rich"]
"""


def stated(folder: Path, text: str) -> bytes | None:
    (folder / "pyproject.toml").write_text(dedent(text))
    return stated_metadata(folder)


def test_all_that_a_resolver_reads_is_stated(tmp_path: Path) -> None:
    headers = HeaderParser().parsestr((stated(tmp_path, PROJECT) or b"").decode())
    assert (headers["Name"], headers["Version"]) == ("demo", "1.5")
    assert headers["Requires-Python"] == ">=3.10"
    assert headers.get_all("Provides-Extra") == ["fast", "all"]
    assert headers.get_all("Requires-Dist") == [
        "torch>=2",
        'tomli; python_version < "3.11"',
        'ninja; extra == "fast"',
        'triton; sys_platform == "linux" and extra == "fast"',
        'ninja; extra == "all"',
        'triton; sys_platform == "linux" and extra == "all"',
        'rich; extra == "all"',
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[project]\nname = 'demo'\n",
        "[project]\nname = 'demo'\ndynamic = ['version']\n",
        "[project]\nname = 'demo'\nversion = '1'\ndynamic = ['dependencies']\n",
        f"{PROJECT}[build-system]\nrequires = []\nbuild-backend = 'unknown.backend'\n",
        f"{PROJECT}[build-system]\nrequires = []\nbuild-backend = 'b'\nbackend-path = ['.']\n",
        f"{PROJECT}[build-system]\nrequires = 3\n",
        "[project",
    ],
)
def test_otherwise_the_backend_has_to_be_asked(tmp_path: Path, text: str) -> None:
    assert stated(tmp_path, text) is None


def test_a_folder_without_a_pyproject_states_nothing(tmp_path: Path) -> None:
    assert stated_metadata(tmp_path) is None
