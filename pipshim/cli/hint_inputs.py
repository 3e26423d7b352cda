"""Read what the user has written and typed, for the lines of hints."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from pipshim.base import toml_files
from pipshim.builds.hint_snippets import UserInput
from pipshim.model.requests import LockRequest, SyncRequest

if TYPE_CHECKING:
    from pipshim.model.project import Project


def user_input(
    project: Project | None, request: LockRequest, *, of_pip: bool, is_layer: bool
) -> UserInput:
    """Return what the user has written and typed for a command.

    Args:
        of_pip: whether the command is one of pip's, which does nothing for the project.
        is_layer: whether the requirements are those of ``--with``.

    """
    owner = _owner(project, request)
    document = _document(project)
    return UserInput(
        document=document,
        groups=_groups(document if owner is project else _document(owner)),
        groups_file="" if project is owner or owner is None else os.path.relpath(owner.file),
        is_script=project is not None and project.script is not None,
        files=() if of_pip or is_layer else request.lock.requirement_files,
        requirements=request.lock.requirements,
        option="--with" if is_layer else "",
        extra={
            name: tuple(map(str, found))
            for name, found in request.build.extra_build_dependencies.items()
        },
        typed=of_pip or request.lock.given,
    )


def _owner(project: Project | None, request: LockRequest) -> Project | None:
    """Return the project whose groups are installed: of a workspace, the member in use."""
    if project is None or project.workspace is None:
        return project
    packages = request.selection.packages if isinstance(request, SyncRequest) else ()
    members = project.workspace.members
    return next((members[name] for name in packages if name in members), project.here)


def _document(project: Project | None) -> dict[str, Any]:
    if project is None:
        return {}
    try:
        if project.script is not None:
            return toml_files.loads(project.block.decode())
        return toml_files.read(project.file)
    except (OSError, ValueError):  # it is being edited
        return {}


def _groups(document: dict[str, Any]) -> dict[str, Any]:
    groups = document.get("dependency-groups", {})
    return groups if isinstance(groups, dict) else {}
