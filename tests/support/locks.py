"""Readers of lock files, as a stranger would read them: TOML, without pipshim's own code."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Locked:
    """A pylock.toml.

    Attributes:
        text: as it is written.
        raw: as TOML's types.
        packages: ``[[packages]]`` by name.

    """

    text: str
    raw: dict[str, Any]
    packages: dict[str, dict[str, Any]]

    @property
    def versions(self) -> dict[str, str]:
        return {name: entry.get("version", "") for name, entry in self.packages.items()}

    @property
    def markers(self) -> dict[str, str]:
        """Tell the markers, with single quotes, of the packages that have one."""
        return {
            name: entry["marker"].replace('"', "'")
            for name, entry in self.packages.items()
            if "marker" in entry
        }

    @property
    def tool(self) -> dict[str, Any]:
        found: dict[str, Any] = self.raw["tool"]["pipshim"]
        return found

    def files(self, name: str) -> dict[str, dict[str, Any]]:
        """Give the wheels and the sdist of a package, by file name."""
        entry = self.packages[name]
        found = [*entry.get("wheels", ()), *([entry["sdist"]] if "sdist" in entry else ())]
        return {file.get("name") or _file_name(file): file for file in found}

    def build(self, name: str) -> dict[str, Any]:
        """Give the build table of a package."""
        found: dict[str, Any] = self.packages[name]["tool"]["pipshim"]["build"]
        return found

    def environment(self, name: str) -> list[str]:
        """Give what the build environment of a package has: ``name==version``."""
        found: list[str] = self.tool["build-environments"][self.build(name)["environment"]]
        return found


def parse_lock(text: str) -> Locked:
    raw = tomllib.loads(text)
    packages = {entry["name"]: entry for entry in raw.get("packages", ())}
    assert len(packages) == len(raw.get("packages", ())), "a name twice"
    return Locked(text, raw, packages)


def read_lock(where: Path) -> Locked:
    """Read a lock, or the one in a folder."""
    path = where / "pylock.toml" if where.is_dir() else where
    return parse_lock(path.read_text("utf-8"))


def _file_name(file: dict[str, Any]) -> str:
    return unquote(str(file.get("path") or file["url"]).rpartition("/")[2])
