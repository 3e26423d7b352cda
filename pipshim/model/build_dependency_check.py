"""Check an environment for declared build requirements (``--check-build-dependencies``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim.base.errors import BuildRequirementsError
from pipshim.model.requirements import applies, valid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipshim.model.build_record import Used


def check(
    package: str,
    requirements: Iterable[str],
    available: Mapping[str, Used],
    environment: Mapping[str, str],
) -> None:
    """Check that a build without isolation has what it declares.

    Args:
        package: name and version of what is built.
        requirements: what it declares (PEP 508).
        available: the versions in its environment, by name.
        environment: the values of markers.

    Raises:
        BuildRequirementsError: a requirement is missing, or its version does not fit.

    """
    lines: list[str] = []
    missing: list[str] = []
    conflicts: list[tuple[str, str]] = []
    for requirement in valid(requirements):
        if not applies(requirement, environment):
            continue
        found = available.get(canonicalize_name(requirement.name))
        if found is None:
            lines.append(f"  {requirement} is not installed")
            missing.append(str(requirement))
        elif not requirement.specifier.contains(found.version, prereleases=True):
            lines.append(f"  {requirement}, but {requirement.name} {found.version} is installed")
            conflicts.append((f"{requirement.name}=={found.version}", str(requirement)))
    if lines:
        error = BuildRequirementsError(
            "\n".join([f"{package}: the environment lacks what its build declares", *lines]),
            package=package,
            mode="no-isolation",
            step="build requirements",
            hint="add it to dependencies or a dependency group of pyproject.toml",
        )
        error.missing, error.conflicts = tuple(missing), tuple(conflicts)
        raise error
