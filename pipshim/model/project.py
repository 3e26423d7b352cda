"""A project, or a script with metadata (PEP 723), as a value."""

from __future__ import annotations

from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.light.dataclasses import dataclass
from pipshim.model.combinations import PROJECT, Conflicts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet
    from packaging.utils import NormalizedName

    from pipshim.model.settings import Configuration

PYPROJECT = "pyproject.toml"

STDIN = Path("<stdin>")
"""Stands for the file of a script that was read from standard input."""


@dataclass(frozen=True, kw_only=True)
class Project:
    """What a pyproject.toml says, or a script's metadata.

    Attributes:
        directory: the folder of pyproject.toml, or of the script.
        name: None if there is no ``[project]``.
        display_name: the name as written; without one, the folder's.
        version: None if it is missing or dynamic.
        dependencies, optional_dependencies, dependency_groups: references to the project's own
            extras and to groups are expanded; only with dynamic optional-dependencies do references
            to extras stay.
        dynamic: the keys of ``[project]`` that only the build backend knows.
        ignored_settings: keys of ``[tool.uv]`` that pipshim ignores, if it reads that table.
        notes: warnings about members of a workspace.
        workspace: of the root of a workspace, its members; dependency_groups has groups for them.
        script: the script (PEP 723); None for a project.
        block: the script's metadata, as it is written.
        conflicts: which extras and groups exclude each other.
        includes: by extra, group and ``project``, the own extras and groups that it names.

    """

    directory: Path
    name: NormalizedName | None = None
    display_name: str
    version: str | None = None
    requires_python: SpecifierSet | None
    dependencies: tuple[Requirement, ...]
    optional_dependencies: Mapping[NormalizedName, tuple[Requirement, ...]] = field(
        default_factory=dict
    )
    dependency_groups: Mapping[str, tuple[Requirement, ...]] = field(default_factory=dict)
    dynamic: frozenset[str] = frozenset()
    has_build_system: bool = False
    configuration: Configuration
    ignored_settings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    workspace: Workspace | None = None
    script: Path | None = None
    block: bytes = b""
    conflicts: Conflicts = field(default_factory=Conflicts)
    includes: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.script or self.directory / PYPROJECT

    @property
    def here(self) -> Project:
        """The project in whose folder a command runs: a member of the workspace, or this one."""
        workspace = self.workspace
        if workspace is None or workspace.here is None:
            return self
        return workspace.members[workspace.here]

    @property
    def lists(self) -> dict[str, tuple[Requirement, ...]]:
        """Its requirements, by origin: ``project``, ``extra NAME``, ``group NAME``."""
        return {
            PROJECT: self.dependencies,
            **{f"extra {name}": of for name, of in self.optional_dependencies.items()},
            **{f"group {name}": of for name, of in self.dependency_groups.items()},
        }

    @property
    def is_package(self) -> bool:
        """Whether it is installed itself, and not only its dependencies."""
        package = self.configuration.package
        return self.name is not None and (self.has_build_system if package is None else package)

    @property
    def dynamic_members(self) -> list[Project]:
        """The members of a workspace whose backends are asked for more than pip asks them for."""
        members = self.workspace.members.values() if self.workspace is not None else ()
        keys = {"dependencies", "optional-dependencies"}
        # pip reads what a package requires, but not what that includes of conflicting extras.
        of_package = keys if self.conflicts else {"optional-dependencies"}
        return [one for one in members if one.dynamic & (of_package if one.is_package else keys)]

    @property
    def default_groups(self) -> tuple[str, ...]:
        """The groups to take when none are asked for; uv's rule: ``dev``, if there is one."""
        if self.configuration.default_groups is not None:
            return self.configuration.default_groups
        return ("dev",) if "dev" in self.dependency_groups else ()


@dataclass(frozen=True)
class Workspace:
    """The members of a workspace, besides its root.

    Attributes:
        members: by name.
        here: the member whose folder a command runs in; None for the root.
        watched: the folders where another member may be added.

    """

    members: Mapping[NormalizedName, Project] = field(default_factory=dict)
    here: NormalizedName | None = None
    watched: tuple[Path, ...] = ()
