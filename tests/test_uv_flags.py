"""docs/reference/uv-flags.md lists every flag of uv, and names options that pipshim has."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pip
import pytest
from packaging.version import Version
from pip._internal.commands import create_command

from pipshim.cli.pip_main import register
from tests.support.pipshim import ROOT

TEXT = (ROOT / "docs" / "reference" / "uv-flags.md").read_text(encoding="utf-8")
COMMANDS = ("run", "lock", "sync")
UV = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
_FLAG = re.compile(r"(?:  (-\w), |      )(--[a-z][a-z-]*)")


class Row(NamedTuple):
    """A line of the table."""

    short: str | None
    flag: str
    of: tuple[str, ...]
    here: str

    @property
    def named(self) -> list[str]:
        """The options of pipshim's that the line names, up to what it explains."""
        return re.findall(r"`(--?[a-zA-Z][a-z-]*)", self.here.partition(";")[0])

    @property
    def too_new(self) -> set[str]:
        """Those of them that this pip does not have yet."""
        since = re.findall(r"`(--[a-z-]+)[^`]*` \(pip ([\d.]+)\)", self.here)
        return {name for name, version in since if Version(version) > Version(pip.__version__)}


def table() -> list[Row]:
    found = re.findall(
        r"^\| (?:`(-\w)`, )?`(--[a-z-]+)` \| ([a-z, ]+) \| (.+) \|$", TEXT, re.MULTILINE
    )
    return [
        Row(short or None, flag, tuple(of.split(", ")), here) for short, flag, of, here in found
    ]


@cache
def options(command: str) -> frozenset[str]:
    register()
    parser = create_command(command).parser
    return frozenset({*parser._long_opt, *parser._short_opt})


def test_the_table_has_every_flag_of_the_uv_that_it_is_of() -> None:
    if UV is None:
        pytest.skip("needs uv")
    version = re.search(r"of uv (\S+) show", TEXT)
    assert version is not None
    told = subprocess.run([UV, "--version"], check=True, capture_output=True, text=True).stdout
    if told.split()[1] != version[1]:
        pytest.skip(f"the table is of uv {version[1]}, and this is {told.strip()}")
    shown: dict[str, tuple[str, ...]] = {}
    shorts: dict[str, str | None] = {}
    for command in COMMANDS:
        run = subprocess.run([UV, command, "--help"], check=True, capture_output=True, text=True)
        for line in run.stdout.splitlines():
            match = _FLAG.match(line)
            if match is not None:
                shown[match[2]] = (*shown.get(match[2], ()), command)
                shorts[match[2]] = match[1] or shorts.get(match[2])
    assert len(shown) > 80
    assert {row.flag: row.of for row in table()} == shown
    assert {row.flag: row.short for row in table()} == shorts


@pytest.mark.parametrize("row", table(), ids=lambda row: row.flag)
def test_pipshim_has_what_the_table_says_and_says_what_it_has(row: Row) -> None:
    if row.here.startswith("not supported"):
        assert not [one for one in row.of if row.flag in options(one)]
    else:
        known = options("run") | options("lock") | options("sync")
        assert set(row.named) - known == row.too_new
