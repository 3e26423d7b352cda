"""Read a source tree without building it: name, version and metadata."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base import toml_files
from pipshim.base.errors import PipshimError
from pipshim.model.build_system import editable_may_require_more, metadata_text
from pipshim.model.project import PYPROJECT
from pipshim.project.pyproject import read_project, read_text

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName

_READ_BY_RESOLVER = {"dependencies", "optional-dependencies", "requires-python"}


def name_and_version(
    directory: Path, name: str | None
) -> tuple[NormalizedName | None, Version | None]:
    """Read name and version from PKG-INFO (of an sdist) or pyproject.toml.

    Args:
        directory: the source tree.
        name: the name in its requirement.

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
    """Read name and version from ``[project]`` (PEP 621)."""
    try:
        data = toml_files.read(directory / "pyproject.toml")
        table = data["project"]
        name = canonicalize_name(table["name"])
        version = None if "version" in table.get("dynamic", ()) else Version(table["version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidVersion):
        return None, None
    return name, version


def stated_metadata(directory: Path) -> bytes | None:
    """Return the METADATA of a folder whose ``[project]`` states all that a resolver reads.

    Backends may not contradict it (PEP 621). None if the backend may add requirements to an
    editable wheel, or lies in the folder itself.
    """
    try:
        project = read_project(directory, read_text(directory / PYPROJECT))
    except PipshimError:
        return None  # its backend will say what is wrong
    if project.name is None or project.version is None or project.dynamic & _READ_BY_RESOLVER:
        return None
    if editable_may_require_more(directory):
        return None
    extras = project.optional_dependencies
    requires = [*project.dependencies]
    requires += [_of_extra(one, extra) for extra, of in extras.items() for one in of]
    return metadata_text(project.name, project.version, requires, extras, project.requires_python)


def _of_extra(requirement: Requirement, extra: str) -> Requirement:
    own = Marker(f'extra == "{extra}"')
    narrowed = Requirement(str(requirement))
    narrowed.marker = own if requirement.marker is None else requirement.marker & own
    return narrowed
