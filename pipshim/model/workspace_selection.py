"""Map a selection of workspace members to extras and groups of the root.

The lock is the root's alone, which has a dependency group for each member, and one for each extra
and group of a member.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name

from pipshim.base.errors import UsageError
from pipshim.base.spelling import nearest
from pipshim.model.combinations import group_of_extra, group_of_group, group_of_member
from pipshim.model.selection import check_names, choose

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.requirements import Requirement

    from pipshim.model.project import Project
    from pipshim.model.pylock import Lock
    from pipshim.model.requests import SelectionOptions


def selected(
    options: SelectionOptions, project: Project | None, lock: Lock | None = None
) -> SelectionOptions:
    """Return a selection in terms of the workspace's root.

    Without ``--package`` and ``--all-packages`` it is the member, or the root, in whose folder the
    command runs. A root that is no project stands for all members.

    Args:
        project: the root, or a project without a workspace.
        lock: has the extras that only backends know; without it, those that are asked for are
            taken to exist.

    Raises:
        UsageError: there is no such package.
        UnknownNameError: no selected package has such an extra or group.

    """
    if project is None or project.workspace is None:
        check_members(options.packages, project)
        return options
    targets = _targets(options, project)
    extras = {id(one): _extras(one, project, options, lock) for one in targets}
    check_names(
        options,
        extras=tuple(sorted(set().union(*extras.values()))),
        groups=tuple({name: None for one in targets for name in _own_groups(one, project)}),
        where=", ".join(one.display_name for one in targets),
    )
    members = [one for one in targets if one is not project]
    groups = [
        group for one in members for group in _groups_of_member(options, one, extras[id(one)])
    ]
    left_out = [one.name for one in members if one.name] if options.no_install_project else []
    found = replace(
        options,
        packages=(),
        all_packages=False,
        no_install_packages=(*options.no_install_packages, *left_out),
        no_groups=(),
        no_extras=(),
        no_dev=False,
        all_groups=False,
        all_extras=False,
        no_default_groups=True,
    )
    if project not in targets:
        return replace(found, extras=(), groups=(), only_groups=tuple(groups))
    own = _chosen_groups(options, project)
    if options.only_groups:
        return replace(found, extras=(), groups=(), only_groups=(*own, *groups))
    chosen = choose(options, extras[id(project)], (), ()).extras
    return replace(found, extras=tuple(sorted(chosen)), groups=(*own, *groups))


def with_requirements_of_member(
    project: Project, member: Project, requirements: Iterable[Requirement]
) -> Project:
    """Return the root with additional requirements of a member that its file does not have yet."""
    assert member.name is not None
    group = group_of_member(member.name)
    asked = (*project.dependency_groups[group], *requirements)
    return replace(project, dependency_groups={**project.dependency_groups, group: asked})


def member_to_edit(project: Project, packages: Sequence[NormalizedName]) -> Project:
    """Return the project whose pyproject.toml is edited.

    Args:
        project: the root, or a project without a workspace.
        packages: the selected members; without any, that of the current folder.

    Raises:
        UsageError: there are several, or it does not exist.

    """
    if not packages:
        return project.here
    if len(packages) > 1:
        raise UsageError(
            f"--package names several members: {' '.join(packages)}", hint="edit one at a time"
        )
    if project.workspace is None and packages[0] == project.name:
        return project
    return _named(packages, project)[0]


def check_members(packages: Sequence[NormalizedName], project: Project | None) -> None:
    """Check that these are the root or members of its workspace, or the project itself."""
    others = [name for name in packages if project is None or name != project.name]
    if others and project is not None:
        _named(others, project)


def _targets(options: SelectionOptions, project: Project) -> list[Project]:
    workspace = project.workspace
    assert workspace is not None
    everything = [*([project] if project.name is not None else []), *workspace.members.values()]
    if options.all_packages:
        return everything
    if options.packages:
        return _named(options.packages, project)
    if workspace.here is not None:
        return [project.here]
    return [project] if project.name is not None else everything


def _named(names: Sequence[NormalizedName], project: Project) -> list[Project]:
    workspace = project.workspace
    if workspace is None:
        raise UsageError(
            f"--package {names[0]}: there is no workspace",
            hint="a workspace is a table [tool.pipshim.workspace] in pyproject.toml",
        )
    by_name = dict(workspace.members)
    if project.name is not None:
        by_name = {project.name: project, **by_name}
    for name in names:
        if name not in by_name:
            known = f"; did you mean {nearest(name, by_name)!r}?" if by_name else ""
            raise UsageError(
                f"--package {name}: the workspace has no such member{known}",
                hint=f"the members are: {', '.join(by_name)}",
            )
    return [by_name[name] for name in dict.fromkeys(names)]


def _extras(
    one: Project, project: Project, options: SelectionOptions, lock: Lock | None
) -> set[NormalizedName]:
    """Return a project's extras, those that only its backend knows included."""
    found = set(map(canonicalize_name, one.optional_dependencies))
    if "optional-dependencies" not in one.dynamic:
        return found
    if lock is None:
        return {*found, *options.extras, *options.no_extras}
    if one is project:
        return {*found, *lock.extras}
    start = group_of_extra(one.display_name, "")
    of_lock = (name.removeprefix(start) for name in lock.groups if name.startswith(start))
    return {*found, *map(canonicalize_name, of_lock)}


def _own_groups(one: Project, project: Project) -> list[str]:
    """Return a project's groups, without those that the root has for members."""
    if one is not project:
        return list(one.dependency_groups)
    assert project.workspace is not None
    return [name for name in one.dependency_groups if name not in groups_of(project)]


def groups_of(project: Project) -> set[str]:
    """Return the groups that the root of a workspace has for its members."""
    members = project.workspace.members.items() if project.workspace is not None else ()
    found: set[str] = set()
    for name, member in members:
        found.add(group_of_member(name))
        start = group_of_extra(name, "")
        found.update(one for one in project.dependency_groups if one.startswith(start))
        found.update(group_of_group(name, group) for group in member.dependency_groups)
    return found


def _groups_of_member(
    options: SelectionOptions, member: Project, extras: set[NormalizedName]
) -> Iterable[NormalizedName]:
    assert member.name is not None  # every member has one
    if not options.only_groups:
        yield group_of_member(member.name)
        for extra in sorted(choose(options, extras, (), ()).extras):
            yield group_of_extra(member.name, extra)
    for group in _chosen_groups(options, member):
        yield group_of_group(member.name, group)


def _chosen_groups(options: SelectionOptions, one: Project) -> list[NormalizedName]:
    there = set(one.dependency_groups) - groups_of(one)
    return sorted(choose(options, (), there, one.default_groups).groups)
