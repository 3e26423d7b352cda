"""Read a source tree: its build system, and metadata that needs no build."""

from __future__ import annotations

import re
from email.parser import HeaderParser
from typing import TYPE_CHECKING
from zipfile import ZipFile

from packaging.version import InvalidVersion, Version

from pipshim.base import toml_files
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.requirements import requires_dist, valid

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from packaging.requirements import Requirement
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
    info = directory / "PKG-INFO"
    if not info.is_file():
        return None
    text = info.read_bytes()
    headers = HeaderParser().parsestr(text.decode("utf-8", "replace"))
    try:
        stated = Version(headers.get("Metadata-Version", "0"))
    except InvalidVersion:
        return None
    dynamic = {field.strip().lower() for field in headers.get_all("Dynamic", [])}
    if stated < _STATIC_SINCE or dynamic & _RESOLVED_BY:
        return None
    return text


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
