"""Read a source tree's build system, as pip does (``pip._internal.pyproject``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pip._internal.exceptions import PipError
from pip._internal.pyproject import load_pyproject_toml

from pipshim._pip.errors import translate
from pipshim.base import toml_files
from pipshim.base.errors import ProjectError
from pipshim.project.static_metadata import BuildSystem

if TYPE_CHECKING:
    from pip._internal.req import InstallRequirement


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
    except (ValueError, RecursionError) as error:
        raise ProjectError(name, f"pyproject.toml {_problem(pyproject)}") from error
    return BuildSystem(
        requires=tuple(details.requires),
        backend=details.backend,
        backend_path=tuple(details.backend_path or ()),
        needs=tuple(details.check),
    )


def load(req: InstallRequirement) -> None:
    """Let pip read the build system of an unpacked requirement.

    Raises:
        InstallationError: pip refuses it.
        ProjectError: it is not TOML that Python can parse.

    """
    try:
        req.load_pyproject_toml()
    except (ValueError, RecursionError) as error:
        name = str(req.name or req.link or req)
        problem = _problem(Path(req.pyproject_toml_path))
        raise ProjectError(name, f"pyproject.toml {problem}") from error


def _problem(pyproject: Path) -> str:
    try:
        toml_files.read(pyproject)
    except toml_files.TomlError as error:
        return error.problem if error.line is None else f"{error.problem} (line {error.line})"
    return "cannot be read"
