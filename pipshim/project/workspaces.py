"""Combine a workspace's root and members into one project with the root's folder."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pipshim.base.errors import ProjectError
from pipshim.base.spelling import nearest
from pipshim.model.combinations import (
    PREFIX,
    PROJECT,
    Conflicts,
    group_of_extra,
    group_of_group,
    group_of_member,
    named,
    origin_of_member,
)
from pipshim.model.package_sources import PackageSource
from pipshim.model.project import PYPROJECT, Project, Workspace
from pipshim.model.settings import Configuration
from pipshim.project.conflicts import included_twice, including
from pipshim.project.pyproject import find_project, read_project, read_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from pipshim.model.package_sources import Index, PackageSources
    from pipshim.model.settings import WorkspaceTable

_MAY_HAVE_SETTINGS = re.compile(rb"pipshim|\btool\b.{0,3}\buv\b", re.DOTALL)

_OF_ROOT = (
    "constraint_dependencies",
    "override_dependencies",
    "build_constraint_dependencies",
    "target_environments",
    "resolution",
    "exclude_newer",
    "exclude_newer_package",
    "dependency_metadata",
    "match_runtime",
    "rebuild",
    "config_settings",
)
"""Settings that count in the root only."""

_BY_PACKAGE = (
    "extra_build_dependencies",
    "extra_build_variables",
    "build_memory",
    "config_settings_package",
)
"""Settings of which a member's own entry counts."""


def load_project(directory: Path, texts: Mapping[Path, str] | None = None) -> Project:
    """Read the project of a folder, with its workspace.

    Args:
        directory: the folder of its pyproject.toml.
        texts: new texts of files, by folder.

    Raises:
        ProjectError: there is no file, or one is invalid; with the line.

    """
    known = texts or {}

    def read(folder: Path) -> str:
        return known[folder] if folder in known else read_text(folder / PYPROJECT)

    own = read(directory)
    if "workspace" in own:
        project = read_project(directory, own)
        if project.configuration.workspace is not None:
            return _joined(project, read, None)
    for root in directory.absolute().parents:
        if not (root / PYPROJECT).is_file() or "workspace" not in (text := read(root)):
            continue
        project = read_project(root, text)
        table = project.configuration.workspace
        if table is None:
            continue
        if directory.resolve() in _folders(root, table):
            return _joined(project, read, directory)
        break
    return _without_members(read_project(directory, own))


def load_builder(named: Path | None, here: Path) -> Project | None:
    """Read the project whose build settings apply to pip's commands, if there is one with any.

    Args:
        named: the folder of ``--project``.
        here: the folder to use without it.

    Raises:
        ProjectError: it is invalid, or the named one does not exist.

    """
    if named is not None:
        return load_project(find_project(named))
    try:
        directory = find_project(here)
        if _MAY_HAVE_SETTINGS.search((directory / PYPROJECT).read_bytes()) is None:
            return None  # pip does not look at it, whatever is in it
    except (OSError, ProjectError):
        return None
    return load_project(directory)


def _folders(root: Path, table: WorkspaceTable) -> dict[Path, str]:
    """Return the members' folders, each with its pattern, in the order of their paths."""
    found: dict[Path, str] = {}
    top = root.resolve()
    for pattern in table.members:
        is_plain = not any(sign in pattern for sign in "*?[")
        try:
            matching = [root / pattern] if is_plain else sorted(root.glob(pattern))
        except (ValueError, NotImplementedError) as error:
            raise _of_table(root, f"members: {pattern!r} is not a pattern: {error}") from None
        for folder in matching:
            path = folder.resolve()
            if path == top or _is_excluded(path, top, table):
                continue
            if top not in path.parents:
                raise _of_table(root, f"members: {pattern!r} is outside of the workspace's root")
            if (path / PYPROJECT).is_file():
                found.setdefault(path, pattern)
            elif is_plain and path.is_dir():  # uv passes over what is not there
                raise _of_table(root, f"members: {pattern!r} has no {PYPROJECT}")
    return dict(sorted(found.items()))


def _is_excluded(folder: Path, root: Path, table: WorkspaceTable) -> bool:
    if root not in folder.parents:
        return False
    relative = folder.relative_to(root).as_posix()
    return any(fnmatch(relative, pattern.rstrip("/")) for pattern in table.exclude)


def _of_table(root: Path, problem: str) -> ProjectError:
    return ProjectError(root / PYPROJECT, f"workspace.{problem}")


def _watched(root: Path, table: WorkspaceTable) -> Iterator[Path]:
    """Return the folders in which another member may be added."""
    for pattern in table.members:
        *above, _ = pattern.rstrip("/").split("/")
        for folder in root.glob("/".join(above)) if above else [root]:
            if folder.is_dir():
                yield folder


def _joined(root: Project, read: Callable[[Path], str], here: Path | None) -> Project:
    """Return the root with the parts of its members."""
    table = root.configuration.workspace
    assert table is not None
    members: dict[NormalizedName, Project] = {}
    for folder in _folders(root.directory, table):
        member = read_project(folder, read(folder), more_indexes=root.configuration.index)
        _check_member(member, members, root)
        assert member.name is not None
        members[member.name] = member
    at = next((m.name for m in members.values() if here and m.directory == here.resolve()), None)
    everybody = [root, *members.values()]
    python = [str(one.requires_python) for one in everybody if one.requires_python is not None]
    groups = dict(root.dependency_groups)
    for name, member in members.items():
        groups.update(_groups(name, member, groups, _extras_in_conflict(name, member, root)))
    configuration = _configuration(root, members)
    conflicts = _conflicts(root, members, groups)
    return replace(
        root,
        requires_python=SpecifierSet(",".join(python)) if python else None,
        dependency_groups=groups,
        configuration=replace(configuration, conflicts=conflicts.sets),
        conflicts=conflicts,
        ignored_settings=tuple(dict.fromkeys(x for one in everybody for x in one.ignored_settings)),
        notes=tuple(note for member in members.values() for note in _notes(member)),
        workspace=Workspace(members, at, tuple(_watched(root.directory, table))),
    )


def _check_member(
    member: Project, members: Mapping[NormalizedName, Project], root: Project
) -> None:
    """Check that a member is valid."""
    if member.name is None:
        raise ProjectError(
            member.file,
            "is a member of the workspace and has no [project] with a name",
            hint=f"give it one, or exclude its folder in {root.file}",
        )
    if member.configuration.workspace is not None:
        raise ProjectError(
            member.file,
            f"is a member of the workspace of {root.file} and has a workspace itself",
            hint="exclude its folder, or remove its workspace table",
        )
    if member.name in members or member.name == root.name:
        other = root if member.name == root.name else members[member.name]
        raise ProjectError(
            member.file, f"has the name {member.name}, as {other.file} has, in one workspace"
        )


def _extras_in_conflict(name: NormalizedName, member: Project, root: Project) -> Iterator[str]:
    """Return the extras that conflicts name of a member whose backend alone knows its extras."""
    if "optional-dependencies" not in member.dynamic:
        return
    start = origin_of_member(name, "extra ")
    for origin in sorted({origin for each in root.configuration.conflicts for origin in each}):
        if origin.startswith(start):
            yield origin.removeprefix(start)
    for origin in member.conflicts.members:
        if origin.startswith("extra "):
            yield origin.removeprefix("extra ")


def _groups(
    name: NormalizedName, member: Project, there: Mapping[str, object], more_extras: Iterable[str]
) -> dict[str, tuple[Requirement, ...]]:
    """Return the root's groups for a member: itself, its extras and its groups."""
    own = member.dependencies
    if member.is_package:
        own = (Requirement(name),)
    found: dict[str, tuple[Requirement, ...]] = {group_of_member(name): own}
    for extra, requirements in member.optional_dependencies.items():
        wanted = (Requirement(f"{name}[{extra}]"),) if member.is_package else requirements
        found[group_of_extra(name, extra)] = wanted
    for one in more_extras:
        found[group_of_extra(name, one)] = (Requirement(f"{name}[{one}]"),)
    for group, requirements in member.dependency_groups.items():
        found[group_of_group(name, group)] = requirements
    taken = next((group for group in found if group in there), None)
    if taken is not None:
        raise ProjectError(
            member.file, f"needs the group {taken} in the workspace's root, which has one already"
        )
    return found


def _configuration(root: Project, members: Mapping[NormalizedName, Project]) -> Configuration:
    settings = root.configuration
    indexes = {index.name: index for index in settings.index}
    isolated = set(settings.no_build_isolation_package)
    by_package: dict[str, Any] = {key: dict(vars(settings)[key]) for key in _BY_PACKAGE}
    for name, member in members.items():
        own = member.configuration
        for index in own.index:
            _add_index(indexes, index.located(member.directory), member, root)
        if own.no_build_isolation or name in own.no_build_isolation_package:
            isolated.add(name)
        for key in _BY_PACKAGE:
            if name in vars(own)[key]:
                by_package[key][name] = vars(own)[key][name]
    return replace(
        settings,
        index=tuple(indexes.values()),
        sources=_sources(root, members),
        no_build_isolation_package=frozenset(isolated),
        **by_package,
    )


def _conflicts(
    root: Project, members: Mapping[NormalizedName, Project], groups: Mapping[str, object]
) -> Conflicts:
    """Return which extras and groups exclude each other, those of members as groups of the root."""
    sets = [*root.conflicts.sets]
    for name, member in members.items():
        sets += [tuple(map(partial(origin_of_member, name), s)) for s in member.conflicts.sets]
    declared = {origin for each in sets if len(each) > 1 for origin in each}
    kept = tuple(dict.fromkeys(s for s in sets if len(s) > 1 or s[0] not in declared))
    if not kept:
        return Conflicts()
    includes = _includes(root, members, groups)
    included_by = {}
    for origin in sorted({origin for each in kept for origin in each}):
        if origin.startswith(PREFIX) and origin.partition(" ")[2] not in groups:
            known = f"the members are: {', '.join(members)}"
            raise ProjectError(
                root.file,
                f"conflicts: the workspace has no {named(origin)}",
                hint=known if members else "the workspace has no members",
            )
        by = including(origin, includes)
        if PROJECT in by:
            raise ProjectError(
                root.file,
                f"requires {named(origin)}, which is in a conflict: it is always on",
                hint="require it in an extra",
            )
        if by:
            included_by[origin] = tuple(sorted(by))
    conflicts = Conflicts(kept, included_by)
    both = included_twice(kept, conflicts, includes)
    if both is not None:
        _, problem, hint = both
        raise ProjectError(root.file, f"conflicts: {problem}", hint=hint)
    return conflicts


def _includes(
    root: Project, members: Mapping[NormalizedName, Project], groups: Mapping[str, object]
) -> dict[str, set[str]]:
    """Return the extras and groups, as the root's, that each of all extras and groups names."""
    found: dict[str, set[str]] = {origin: set(of) for origin, of in root.includes.items()}
    lists = root.lists
    for name, member in members.items():
        of_root = partial(origin_of_member, name)
        for origin, of in member.includes.items():
            found.setdefault(of_root(origin), set()).update(map(of_root, of))
        lists |= {of_root(origin): of for origin, of in member.lists.items()}
        for extra in member.optional_dependencies:
            found.setdefault(of_root(f"extra {extra}"), set()).add(of_root(PROJECT))
    for origin, requirements in lists.items():
        for one in requirements:
            own = [group_of_member(one.name), *(group_of_extra(one.name, e) for e in one.extras)]
            found.setdefault(origin, set()).update(
                f"group {each}" for each in own if each in groups
            )
    return found


def _add_index(indexes: dict[str, Index], index: Index, member: Project, root: Project) -> None:
    known = indexes.setdefault(index.name, index)
    if known.located(root.directory) != index:
        raise ProjectError(
            member.file,
            f"has another index {index.name!r} than the rest of the workspace",
            hint=f"leave it to {root.file}",
        )


def _sources(root: Project, members: Mapping[NormalizedName, Project]) -> PackageSources:
    """Return the sources of all, and the members' own folders."""
    found: PackageSources = {}
    stated: dict[NormalizedName, Project] = {}
    for one in (root, *members.values()):
        required = _required(one)
        for name, entries in one.configuration.sources.items():
            if name not in {*members, root.name} and any(entry.workspace for entry in entries):
                if name in required:
                    raise _no_member(one, name, members)
                continue  # nothing needs it
            placed = tuple(_placed(entry, name, one, members, root) for entry in entries)
            if found.setdefault(name, placed) != placed:
                raise ProjectError(
                    one.file,
                    f"sources.{name}: differs from the source in {stated[name].file}",
                    hint="a workspace has one lock: state the source in one place",
                )
            stated.setdefault(name, one)
    for name, member in members.items():
        if member.is_package:
            found.setdefault(name, (_folder(member, root),))
    return found


def _required(project: Project) -> set[NormalizedName]:
    """Return the names that a project, its extras and groups require."""
    return {canonicalize_name(one.name) for of in project.lists.values() for one in of}


def _placed(
    entry: PackageSource,
    name: NormalizedName,
    project: Project,
    members: Mapping[NormalizedName, Project],
    root: Project,
) -> PackageSource:
    """Return an entry with paths relative to the root."""
    if entry.workspace:
        if name == root.name:
            return _folder(root, root, entry)
        return _folder(members[name], root, entry)
    if entry.origin is not None and project is not root and project.name is not None:
        entry = replace(entry, origin=origin_of_member(project.name, entry.origin))
    if entry.path is None or project is root:
        return entry
    path = os.path.relpath(entry.place(project.directory), root.directory.resolve())
    return replace(entry, path=Path(path).as_posix())


def _folder(member: Project, root: Project, entry: PackageSource | None = None) -> PackageSource:
    path = member.directory.resolve().relative_to(root.directory.resolve()).as_posix()
    if entry is None:
        return PackageSource(path=path, editable=True)
    return replace(entry, workspace=False, path=path)


def _without_members(project: Project) -> Project:
    """Remove the sources of workspace members from a project that is in no workspace."""
    required, sources = _required(project), {}
    for name, entries in project.configuration.sources.items():
        if not any(entry.workspace for entry in entries):
            sources[name] = entries
        elif name in required:
            raise ProjectError(
                project.file,
                f"sources.{name} is a member of the workspace, and there is no workspace",
                hint="add [tool.pipshim.workspace] with its folder in members, here or in a "
                "folder above",
            )
    if len(sources) == len(project.configuration.sources):
        return project
    return replace(project, configuration=replace(project.configuration, sources=sources))


def _no_member(
    project: Project, name: NormalizedName, members: Mapping[NormalizedName, Project]
) -> ProjectError:
    known = f"; did you mean {nearest(name, members)!r}?" if members else ""
    return ProjectError(
        project.file,
        f"sources.{name}: the workspace has no member {name}{known}",
    )


def _notes(project: Project) -> Iterator[str]:
    """Warn of a member's settings without effect."""
    settings, default = vars(project.configuration), vars(Configuration())
    ignored = [key for key in _OF_ROOT if settings[key] != default[key]]
    ignored += [key for key in _BY_PACKAGE if set(settings[key]) - {project.name}]
    if project.configuration.no_build_isolation_package - {project.name}:
        ignored.append("no_build_isolation_package")
    if ignored:
        names = ", ".join(key.replace("_", "-") for key in ignored)
        yield f"{project.file}: {names} take effect only in the workspace's root"
