"""Check and combine the ``conflicts`` and ``sources`` of extras and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.base.graph_search import distances
from pipshim.base.spelling import nearest
from pipshim.model.combinations import PREFIX, PROJECT, Conflicts, named

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from pipshim.base.errors import FileError
    from pipshim.base.toml_files import KeyPath
    from pipshim.model.project import Project
    from pipshim.model.settings import Configuration
    from pipshim.model.value_reader import Reader


def read_conflicts(
    reader: Reader,
    settings: KeyPath,
    project: Project,
    origins: Collection[str],
    includes: Mapping[str, Collection[str]],
) -> Conflicts:
    """Return the extras and groups that exclude each other, or are resolved with and without.

    Args:
        reader: of pyproject.toml.
        settings: the table of the settings: ``tool.pipshim``.
        project: the values of pyproject.toml.
        origins: the existing extras and groups.
        includes: by extra, group and ``project``, the extras and groups that it includes.

    Raises:
        ProjectError: there is no such extra or group, or a conflict is impossible.

    """
    configuration = project.configuration
    mentioned = list(_named_origins(settings, configuration))
    if not mentioned:
        return Conflicts()
    for origin, path in mentioned:
        _check_member(reader, path, origin, origins, project)
    declared = {member for each in configuration.conflicts for member in each}
    members = {origin for origin, _ in mentioned}
    included_by = {member: including(member, includes) for member in sorted(members)}
    _check_always_on(reader, settings, project, included_by)
    conflicts = Conflicts(
        (*configuration.conflicts, *((one,) for one in sorted(members - declared))),
        {member: tuple(sorted(by)) for member, by in included_by.items() if by},
    )
    both = included_twice(configuration.conflicts, conflicts, includes)
    if both is not None:
        number, problem, hint = both
        raise reader.error((*settings, "conflicts", number), problem, hint=hint)
    return conflicts


def _check_member(
    reader: Reader, path: KeyPath, origin: str, origins: Collection[str], project: Project
) -> None:
    """Check that there is such an extra or group."""
    if origin == PROJECT:
        raise reader.error(
            path,
            "names the project itself: what it requires is always on",
            hint="move what is in the conflict from project.dependencies to an extra",
        )
    if origin.startswith(PREFIX):
        if project.configuration.workspace is None:
            raise reader.error(path, f"names {named(origin)}, and there is no workspace")
        return  # a member's, which is looked at with the members
    dynamic = "optional-dependencies" in project.dynamic
    if origin not in origins and not (dynamic and origin.startswith("extra ")):
        raise _unknown(reader, path, origin, origins)


def _named_origins(
    settings: KeyPath, configuration: Configuration
) -> Iterator[tuple[str, KeyPath]]:
    for number, each in enumerate(configuration.conflicts):
        for index, origin in enumerate(each):
            yield origin, (*settings, "conflicts", number, index)
    for name, entries in configuration.sources.items():
        for entry in entries:
            if entry.origin is not None:
                yield entry.origin, (*settings, "sources", name)


def _unknown(reader: Reader, path: KeyPath, origin: str, origins: Collection[str]) -> FileError:
    kind, _, name = origin.partition(" ")
    known = [one.partition(" ")[2] for one in origins if one.startswith(f"{kind} ")]
    near = f"; did you mean {nearest(name, known)!r}?" if known else ""
    table = "project.optional-dependencies" if kind == "extra" else "dependency-groups"
    return reader.error(path, f"names the {kind} {name!r}, which [{table}] does not have{near}")


def including(member: str, includes: Mapping[str, Collection[str]]) -> set[str]:
    """Return the extras and groups (and ``project``) that include one, also indirectly."""
    found = distances([member], lambda one: (by for by, of in includes.items() if one in of))
    return {*found} - {member}


def _check_always_on(
    reader: Reader,
    settings: KeyPath,
    project: Project,
    included_by: Mapping[str, Collection[str]],
) -> None:
    """Refuse conflicts of what is always installed, or installed by default.

    uv's table may name default groups: the other side is then for those who leave them out.
    """
    sets = project.configuration.conflicts
    is_of_uv = settings[-1] == "uv"
    defaults = set() if is_of_uv else {f"group {name}" for name in project.default_groups}
    for member, by in included_by.items():
        number = next((n for n, each in enumerate(sets) if member in each), None)
        if PROJECT in by:
            path: KeyPath = (*settings, "sources" if number is None else "conflicts")
            raise reader.error(
                path,
                f"names {named(member)}, which the project's dependencies include: it is always on",
                hint=f"remove {named(member)} from project.dependencies",
            )
        default = sorted(defaults & {member, *by})
        if number is not None and default:
            how = "" if member in defaults else f", which {named(default[0])} includes"
            left = [repr(one.partition(" ")[2]) for one in sorted(defaults - {default[0]})]
            raise reader.error(
                (*settings, "conflicts", number),
                f"names {named(member)}{how}: it is a default group, and could not be installed "
                "with the others",
                hint=f"remove it from the default groups, under [tool.pipshim]:\n"
                f"    default-groups = [{', '.join(left)}]".replace("'", '"'),
            )


def included_twice(
    sets: Sequence[Collection[str]], conflicts: Conflicts, includes: Iterable[str]
) -> tuple[int, str, str] | None:
    """Find an extra or group that includes two which exclude each other.

    Returns:
        the number of the set, what is wrong, and the hint; None if there is none.

    """
    for number, members in enumerate(sets):
        for origin in includes:
            both = [
                named(member)
                for member in members
                if origin in (member, *conflicts.included_by.get(member, ()))
            ]
            if len(both) > 1:
                problem = f"names {both[0]} and {both[1]}, but {named(origin)} includes both"
                return number, problem, f"let {named(origin)} include one of them"
    return None
