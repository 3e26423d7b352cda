"""Names from a project's files, for shell completion; none without files."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim.base.errors import PipshimError
from pipshim.model.pylock import LOCK_NAME, read
from pipshim.model.workspace_selection import groups_of
from pipshim.project.pyproject import find_project
from pipshim.project.workspaces import load_project

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.requirements import Requirement

    from pipshim.model.project import Project


class Names:
    """The names in the files of a project.

    Args:
        start: where to look for pyproject.toml.

    """

    def __init__(self, start: Path) -> None:
        self._start = start

    @cached_property
    def _project(self) -> Project | None:
        with suppress(PipshimError):
            return load_project(find_project(self._start))
        return None

    @property
    def extras(self) -> list[str]:
        return sorted(self._project.here.optional_dependencies) if self._project else []

    @property
    def groups(self) -> list[str]:
        project = self._project
        return sorted({*project.here.dependency_groups} - groups_of(project)) if project else []

    @property
    def indexes(self) -> list[str]:
        project = self._project
        return [one.name for one in project.configuration.index] if project is not None else []

    @property
    def members(self) -> list[str]:
        workspace = self._project.workspace if self._project is not None else None
        return sorted(workspace.members) if workspace is not None else []

    @property
    def locked(self) -> list[str]:
        """Return the locked runtime packages."""
        folder = self._project.directory if self._project is not None else Path.cwd()
        with suppress(PipshimError):
            return sorted({one.name for one in read(folder / LOCK_NAME).packages})
        return []

    def required(self, *, extra: str | None, group: str | None) -> list[str]:
        """Return what the project requires, or one of its extras or groups."""
        if self._project is None:
            return []
        project = self._project.here
        found: Iterable[Requirement] = project.dependencies
        if group is not None:
            found = project.dependency_groups.get(group, ())
        elif extra is not None:
            found = project.optional_dependencies.get(canonicalize_name(extra), ())
        return sorted({canonicalize_name(one.name) for one in found})
