"""A source tree's build system, as pip reads it (``pip._internal.pyproject``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pip._internal.exceptions import PipError
from pip._internal.pyproject import load_pyproject_toml
from pip._internal.utils.compat import tomllib

from pipshim._pip.errors import translate
from pipshim.build.system import BuildSystem
from pipshim.errors import ProjectError

if TYPE_CHECKING:
    from pathlib import Path

    from packaging.utils import NormalizedName


def build_system(directory: Path, name: str) -> BuildSystem:
    """Read ``[build-system]``, with pip's defaults.

    Raises:
        ProjectError: there is no Python project, or its table is not valid.

    """
    pyproject = directory / "pyproject.toml"
    try:
        details = load_pyproject_toml(str(pyproject), str(directory / "setup.py"), name)
    except PipError as error:
        raise ProjectError(name, f"pyproject.toml: {translate(error).message}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProjectError(name, f"pyproject.toml is not valid TOML: {error}") from error
    return BuildSystem(
        requires=tuple(details.requires),
        backend=details.backend,
        backend_path=tuple(details.backend_path or ()),
    )


def stated(directory: Path) -> tuple[NormalizedName | None, Version | None]:
    """Tell name and version of a project, where ``[project]`` states them (PEP 621)."""
    try:
        data = tomllib.loads((directory / "pyproject.toml").read_text(encoding="utf-8"))
        table = data["project"]
        name = canonicalize_name(table["name"])
        version = None if "version" in table.get("dynamic", ()) else Version(table["version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, InvalidVersion):
        return None, None
    return name, version
