"""Ask build backends for the requirements and extras of the project and of members."""

from __future__ import annotations

from email.parser import HeaderParser
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipshim.base.errors import ProjectError
from pipshim.model.combinations import PROJECT, named, origin_of_member
from pipshim.model.requirements import applies

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pipshim.model.project import Project


def of_member(
    metadata: bytes, member: Project, root: Project, environment: dict[str, str]
) -> dict[str, Sequence[Requirement]]:
    """Return the requirements that the root has for a member, by origin of the root.

    Raises:
        ProjectError: the metadata is invalid, or includes an extra that others exclude.

    """
    assert member.name is not None
    told = of_backend(metadata, member, environment)
    check_included({origin_of_member(member.name, o): found for o, found in told.items()}, root)
    if member.is_package:
        extras = [one.removeprefix("extra ") for one in told if one != PROJECT]
        told = {f"extra {one}": [Requirement(f"{member.name}[{one}]")] for one in extras}
    else:
        stated = {f"extra {name}": one for name, one in member.optional_dependencies.items()}
        told = expanded({PROJECT: member.dependencies, **stated, **told}, member, environment)
    return {origin_of_member(member.name, origin): found for origin, found in told.items()}


def of_backend(
    metadata: bytes, project: Project, environment: dict[str, str]
) -> dict[str, Sequence[Requirement]]:
    """Read the requirements of a project, and of its extras, from its metadata, by origin.

    Raises:
        ProjectError: one is invalid.

    """
    headers = HeaderParser().parsestr(metadata.decode("utf-8", "replace"))
    extras = sorted({canonicalize_name(one) for one in headers.get_all("Provides-Extra", [])})
    told: dict[str, list[Requirement]] = {f"extra {one}": [] for one in extras}
    for text in headers.get_all("Requires-Dist", []):
        try:
            requirement = Requirement(text)
        except InvalidRequirement as error:
            raise ProjectError(
                project.directory, f"its backend states an invalid requirement: {error}"
            ) from error
        marker, requirement.marker = requirement.marker, None
        if marker is None or marker.evaluate({**environment, "extra": ""}):
            told.setdefault(PROJECT, []).append(requirement)
            continue
        for extra in extras:
            if marker.evaluate({**environment, "extra": extra}):
                told[f"extra {extra}"].append(requirement)
    return {**told}


def check_included(told: Mapping[str, Iterable[Requirement]], project: Project) -> None:
    """See that no extra that only the backend knows includes one that others exclude.

    Raises:
        ProjectError: one does, so it is not known which combinations it is in.

    """
    conflicts = project.conflicts
    for origin, requirements in told.items():
        for member in _own_extras(requirements, project):
            known = (*conflicts.members, *conflicts.included_by.get(member, ()))
            if member in conflicts.members and origin not in known:
                who = "the project" if origin == PROJECT else named(origin)
                raise ProjectError(
                    project.file,
                    f"{who} includes {named(member)}, which conflicts or sources name; only the "
                    "build backend says so",
                    hint=f"state what {who} requires in [project]",
                )


def _own_extras(requirements: Iterable[Requirement], project: Project) -> Iterator[str]:
    """Return the extras of the project, and of members, that are named."""
    for one in requirements:
        for extra in map(canonicalize_name, sorted(one.extras)):
            of_project = canonicalize_name(one.name) == project.name
            own = f"extra {extra}"
            yield own if of_project else origin_of_member(one.name, own)


def expanded(
    stated: dict[str, Sequence[Requirement]], project: Project, environment: dict[str, str]
) -> dict[str, Sequence[Requirement]]:
    """Replace the project's requirements on its own extras, which only the backend knows."""

    def expand(requirements: Sequence[Requirement], seen: set[str]) -> Iterator[Requirement]:
        for one in requirements:
            if canonicalize_name(one.name) != project.name:
                yield one
            elif applies(one, environment):
                for extra in sorted(map(canonicalize_name, one.extras)):
                    if extra not in seen:
                        seen.add(extra)
                        yield from expand(stated.get(f"extra {extra}", ()), seen)

    return {origin: list(expand(found, set())) for origin, found in stated.items()}
