"""Check and combine the ``conflicts`` and ``sources`` of extras and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipshim.base.spelling import nearest
from pipshim.model.combinations import Conflicts, named
from pipshim.model.workspace import PREFIX

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pipshim.base.errors import ProjectError
    from pipshim.model.settings import Configuration
    from pipshim.project.toml_reader import KeyPath, Reader

PROJECT = "project"


def read_conflicts(
    reader: Reader,
    settings: KeyPath,
    configuration: Configuration,
    origins: Collection[str],
    includes: Mapping[str, Collection[str]],
    default_groups: Collection[str],
    *,
    dynamic: bool,
) -> Conflicts:
    """Return the extras and groups that exclude each other, or are resolved with and without.

    Args:
        reader: of pyproject.toml.
        settings: the table of the settings: ``tool.pipshim``.
        configuration: its values.
        origins: the existing extras and groups.
        includes: by extra, group and ``project``, the extras and groups that it includes.
        default_groups: the groups that are installed by default.
        dynamic: whether only the build backend knows the extras.

    Raises:
        ProjectError: there is no such extra or group, or a conflict is impossible.

    """
    if not configuration.conflicts and not any(
        entry.origin for entries in configuration.sources.values() for entry in entries
    ):
        return Conflicts()
    for origin, path in _mentioned(settings, configuration):
        if origin.startswith(PREFIX):
            if configuration.workspace is not None:
                continue  # a member's, which is looked at with the members
            raise reader.error(path, f"names {named(origin)}, and there is no workspace")
        if origin not in origins and not (dynamic and origin.startswith("extra ")):
            raise _unknown(reader, path, origin, origins)
    declared = {member for each in configuration.conflicts for member in each}
    named_by_sources = {
        entry.origin
        for entries in configuration.sources.values()
        for entry in entries
        if entry.origin is not None
    }
    members = declared | named_by_sources
    including = {member: _including(member, includes) for member in sorted(members)}
    _check_always_on(reader, settings, configuration, including, default_groups)
    conflicts = Conflicts(
        (*configuration.conflicts, *((one,) for one in sorted(members - declared))),
        {member: tuple(sorted(by)) for member, by in including.items() if by},
    )
    _check_includes(reader, settings, configuration, conflicts, includes)
    return conflicts


def _mentioned(settings: KeyPath, configuration: Configuration) -> Iterator[tuple[str, KeyPath]]:
    for number, each in enumerate(configuration.conflicts):
        for index, origin in enumerate(each):
            yield origin, (*settings, "conflicts", number, index)
    for name, entries in configuration.sources.items():
        for entry in entries:
            if entry.origin is not None:
                yield entry.origin, (*settings, "sources", name)


def _unknown(reader: Reader, path: KeyPath, origin: str, origins: Collection[str]) -> ProjectError:
    kind, _, name = origin.partition(" ")
    known = [one.partition(" ")[2] for one in origins if one.startswith(f"{kind} ")]
    near = f"; did you mean {nearest(name, known)!r}?" if known else ""
    table = "project.optional-dependencies" if kind == "extra" else "dependency-groups"
    return reader.error(path, f"names the {kind} {name!r}, which [{table}] does not have{near}")


def _including(member: str, includes: Mapping[str, Collection[str]]) -> set[str]:
    """Return the extras and groups (and ``project``) that include one, also indirectly."""
    found: set[str] = set()
    waiting = [member]
    while waiting:
        one = waiting.pop()
        for by, included in includes.items():
            if one in included and by not in found and by != member:
                found.add(by)
                waiting.append(by)
    return found


def _check_always_on(
    reader: Reader,
    settings: KeyPath,
    configuration: Configuration,
    including: Mapping[str, Collection[str]],
    default_groups: Collection[str],
) -> None:
    """Refuse conflicts of what is always installed, or installed by default.

    Raises:
        ProjectError: there is one.

    """
    defaults = {f"group {name}" for name in default_groups}
    for member, by in including.items():
        number = next((n for n, each in enumerate(configuration.conflicts) if member in each), None)
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


def _check_includes(
    reader: Reader,
    settings: KeyPath,
    configuration: Configuration,
    conflicts: Conflicts,
    includes: Mapping[str, Collection[str]],
) -> None:
    """Refuse an extra or group that includes two which exclude each other.

    Raises:
        ProjectError: there is one.

    """
    for number, each in enumerate(configuration.conflicts):
        for origin in includes:
            both = [
                member
                for member in each
                if origin in (member, *conflicts.included_by.get(member, ()))
            ]
            if len(both) > 1:
                first, second = map(named, both[:2])
                raise reader.error(
                    (*settings, "conflicts", number),
                    f"names {first} and {second}, but {named(origin)} includes both",
                    hint=f"let {named(origin)} include one of them",
                )
