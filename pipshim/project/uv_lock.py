"""Read versions from uv.lock, as preferences for a project's first lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base import toml_files

if TYPE_CHECKING:
    from pathlib import Path

UV_LOCK = "uv.lock"


def read_versions(directory: Path) -> dict[NormalizedName, tuple[Version, ...]]:
    """Read the versions of the packages that a uv.lock has from an index, the newest last.

    A package has several where uv resolved platforms, Pythons or conflicting extras apart.

    Args:
        directory: the project's; there need be no uv.lock in it.

    """
    found: dict[NormalizedName, set[Version]] = {}
    try:
        for one in toml_files.read(directory / UV_LOCK)["package"]:
            if "registry" in one.get("source", {}):
                versions = found.setdefault(canonicalize_name(one["name"]), set())
                versions.add(Version(one["version"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidVersion):
        return {}  # it is not pipshim's to judge
    return {name: tuple(sorted(versions)) for name, versions in found.items()}
