"""Which extras and groups of the project the arguments of a command of pip's ask for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipshim.model.workspace_selection import origin_of_member

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.utils import NormalizedName

    from pipshim.model.project import Project

_PATH = re.compile(r"(?P<path>[^\[\]]+)(?:\[(?P<extras>[^\[\]]*)\])?")
_EDITABLE = re.compile(r"(?:-e|--editable)[\s=]\s*")


def requested_origins(
    project: Project,
    arguments: Iterable[str],
    files: Iterable[str],
    groups: Iterable[tuple[str, str]],
) -> set[str]:
    """Return the extras and groups of a project, and of its members, that are asked for.

    Args:
        project: the project, or the root of a workspace.
        arguments: requirements and paths, as ``.[cpu]``.
        files: requirements files, of which the lines count that are no options.
        groups: the files of dependency groups, and their names.

    """
    members = project.workspace.members if project.workspace is not None else {}
    by_folder = {project.directory.resolve(): project}
    by_folder |= {member.directory.resolve(): member for member in members.values()}
    by_name = {one.name: one for one in by_folder.values()}
    found = set()
    for text in (*arguments, *(line for file in files for line in _lines(file))):
        name, extras = _named(text)
        asked = by_name.get(name) if name is not None else by_folder.get(_folder(text))
        for origin in ("project", *(f"extra {canonicalize_name(one)}" for one in extras)):
            if asked is not None:
                found.add(_of_root(asked, origin, project))
    for file, group in groups:
        asked = by_folder.get(Path(file).resolve().parent)
        if asked is not None:
            found.add(_of_root(asked, f"group {canonicalize_name(group)}", project))
    return found


def _of_root(asked: Project, origin: str, root: Project) -> str:
    return origin if asked is root or asked.name is None else origin_of_member(asked.name, origin)


def _named(text: str) -> tuple[NormalizedName | None, Iterable[str]]:
    """Return the name and the extras of a requirement; no name for a path."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        found = _PATH.fullmatch(text)
        extras = (found["extras"] or "") if found else ""
        return None, [one.strip() for one in extras.split(",") if one.strip()]
    return canonicalize_name(requirement.name), requirement.extras


def _folder(text: str) -> Path:
    found = _PATH.fullmatch(text.removeprefix("file://"))
    return Path(found["path"] if found else text).resolve()


def _lines(file: str) -> Iterator[str]:
    """Return the requirements in a file, as far as it can be read here."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return  # pip reads it, and says what is wrong
    for line in lines:
        text = _EDITABLE.sub("", line.partition(" #")[0].strip(), count=1)
        if text and not text.startswith(("-", "#")):
            yield text
