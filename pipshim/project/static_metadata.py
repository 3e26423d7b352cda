"""Name and version of a source tree, as far as they are known without building it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base import toml_files

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName


def name_and_version(
    directory: Path, name: str | None
) -> tuple[NormalizedName | None, Version | None]:
    """Read name and version off PKG-INFO (an sdist has one) or pyproject.toml.

    Args:
        directory: the source tree.
        name: what its requirement says.

    """
    known = canonicalize_name(name) if name else None
    version: Version | None = None
    info = directory / "PKG-INFO"
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if not line.strip():
                break
            if key == "Name" and known is None:
                known = canonicalize_name(value.strip())
            elif key == "Version":
                try:
                    version = Version(value.strip())
                except ValueError:
                    version = None
    if known is None or version is None:
        stated_name, stated_version = stated(directory)
        if known in (None, stated_name):
            return stated_name, version or stated_version
    return known, version


def stated(directory: Path) -> tuple[NormalizedName | None, Version | None]:
    """Tell name and version of a project, where ``[project]`` states them (PEP 621)."""
    try:
        data = toml_files.read(directory / "pyproject.toml")
        table = data["project"]
        name = canonicalize_name(table["name"])
        version = None if "version" in table.get("dynamic", ()) else Version(table["version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidVersion):
        return None, None
    return name, version
