"""Read a source tree without building it: build system, name, version and metadata."""

from __future__ import annotations

import re
from email.parser import HeaderParser
from typing import TYPE_CHECKING
from zipfile import ZipFile

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from pipshim.base import toml_files
from pipshim.base.errors import PipshimError
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.project import PYPROJECT
from pipshim.model.requirements import requires_dist, valid
from pipshim.project.pyproject import read_project, read_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from email.message import Message
    from pathlib import Path

    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName

    from pipshim.model.settings import StaticMetadata

_STATIC_SINCE = Version("2.2")
_RESOLVED_BY = frozenset({"name", "version", "requires-dist", "requires-python", "provides-extra"})
_EDITABLE_LIKE_WHEEL = frozenset(
    {
        "enscons",
        "flit",
        "flit_core",
        "jupyter_packaging",
        "maturin",
        "mesonpy",
        "poetry",
        "scikit_build_core",
        "setuptools",
        "sipbuild",
        "uv_build",
        "whey",
    }
)
"""Modules of backends whose editable wheels never require more than their wheels."""

_EDITABLE_SETTINGS = {
    "hatchling": re.compile(r"\bdev-mode-exact\W+true\b"),
    "pdm": re.compile(r"\beditable-backend\W+editables\b"),
}
"""By module of a backend, the setting without which that holds too."""


@dataclass(frozen=True)
class BuildSystem:
    """``[build-system]`` (PEP 518), or pip's defaults where there is none.

    Attributes:
        backend: ``module:object`` (PEP 517).
        backend_path: folders of the source tree that the backend is imported from.
        needs: additional requirements where no backend is declared.

    """

    requires: tuple[str, ...]
    backend: str
    backend_path: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


def editable_may_require_more(directory: Path) -> bool:
    """Return whether the editable wheel of a source tree may require more than its wheel."""
    try:
        system = toml_files.read(directory / "pyproject.toml").get("build-system", {})
    except (OSError, ValueError):
        system = {}
    if not isinstance(system, dict) or "backend-path" in system:
        return True
    module = str(system.get("build-backend", "setuptools")).partition(":")[0].partition(".")[0]
    setting = _EDITABLE_SETTINGS.get(module)
    if setting is None:
        return module not in _EDITABLE_LIKE_WHEEL
    return any(setting.search(_text(directory / name)) for name in ("pyproject.toml", "hatch.toml"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def static_metadata(
    directory: Path,
    name: NormalizedName | None,
    version: Version | None,
    written: Iterable[StaticMetadata] = (),
) -> bytes | None:
    """Return a source's METADATA without running anything, or None.

    It comes from the configuration, or from PKG-INFO of Metadata 2.2 or later if no field that a
    resolver reads is ``Dynamic`` (PEP 643).
    """
    for one in written:
        if one.is_about(name, version):
            extras, python = one.provides_extra, one.requires_python
            return metadata_text(str(name), str(version), one.requires_dist, extras, python)
    headers = _pkg_info(directory)
    dynamic = {field.strip().lower() for field in headers.get_all("Dynamic", [])}
    since = _version(headers.get("Metadata-Version", "0"))
    if since is None or since < _STATIC_SINCE or dynamic & _RESOLVED_BY:
        return None
    return (directory / "PKG-INFO").read_bytes()


def _pkg_info(directory: Path) -> Message:
    """Return the headers of PKG-INFO; none without it."""
    return HeaderParser().parsestr(_text(directory / "PKG-INFO"))


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def metadata_text(
    name: str,
    version: str,
    requires: Iterable[Requirement],
    extras: Iterable[str],
    python: SpecifierSet | None,
) -> bytes:
    """Write METADATA with what a resolver reads."""
    lines = ["Metadata-Version: 2.2", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Python: {python}"] if python is not None else []
    lines += [f"Requires-Dist: {one}" for one in requires]
    lines += [f"Provides-Extra: {one}" for one in extras]
    return "\n".join([*lines, "", ""]).encode()


def required_by(wheel: Path) -> list[Requirement]:
    """Return the valid requirements in the METADATA of a wheel file."""
    with ZipFile(wheel) as archive:
        names = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(names[0]).decode("utf-8", "replace") if names else ""
    return list(valid(requires_dist(text)))


def stub_metadata(name: NormalizedName, version: Version) -> bytes:
    """Return metadata with only name and version, until the real one is known."""
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\n".encode()


_READ_BY_RESOLVER = {"dependencies", "optional-dependencies", "requires-python"}


def name_and_version(
    directory: Path, name: str | None
) -> tuple[NormalizedName | None, Version | None]:
    """Read name and version from PKG-INFO (of an sdist) or pyproject.toml.

    Args:
        directory: the source tree.
        name: the name in its requirement.

    """
    headers = _pkg_info(directory)
    stated_in = name or headers.get("Name", "").strip()
    known = canonicalize_name(stated_in) if stated_in else None
    version = _version(headers.get("Version", ""))
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
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
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
