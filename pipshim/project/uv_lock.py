"""Read versions from uv.lock, as preferences for a project's first lock."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base import toml_files

if TYPE_CHECKING:
    from pathlib import Path

UV_LOCK = "uv.lock"


def read_versions(directory: Path) -> dict[NormalizedName, Version]:
    """Read the versions of packages that a uv.lock has in one version from an index.

    Args:
        directory: the project's; there need be no uv.lock in it.

    """
    try:
        packages = toml_files.read(directory / UV_LOCK)["package"]
        names = Counter(canonicalize_name(one["name"]) for one in packages)
        return {
            canonicalize_name(one["name"]): Version(one["version"])
            for one in packages
            if "registry" in one.get("source", {}) and names[canonicalize_name(one["name"])] == 1
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidVersion):
        return {}  # it is not pipshim's to judge
