"""Order builds without isolation by their dependencies. Pure."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, TypeVar

from packaging.utils import canonicalize_name

from pipshim.base.errors import BuildError
from pipshim.base.graph_search import distances
from pipshim.model.requirements import valid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

Key = TypeVar("Key", bound=str)


def needs(
    name: NormalizedName,
    requirements: Iterable[str],
    dependencies: Mapping[NormalizedName, Sequence[NormalizedName]],
) -> set[NormalizedName]:
    """Return everything that a package built without isolation needs in its environment.

    These are its build and runtime requirements, and theirs in turn.

    Args:
        requirements: its build requirements (PEP 508), declared and extra.
        dependencies: by name, what each package of the environment needs at run time.

    """
    own = (canonicalize_name(one.name) for one in valid(requirements))
    found = distances([*own, *dependencies.get(name, ())], lambda one: dependencies.get(one, ()))
    return {one for one in found if one in dependencies} - {name}


def ordered(
    waits_for: Mapping[NormalizedName, Iterable[NormalizedName]],
) -> list[NormalizedName]:
    """Order builds so that each comes after those it waits for.

    Raises:
        BuildError: some wait for each other; it names them.

    """
    graph = {name: sorted({*waits_for[name]} & waits_for.keys()) for name in sorted(waits_for)}
    try:
        return [*TopologicalSorter(graph).static_order()]
    except CycleError as error:
        members = error.args[1][::-1]
        raise BuildError(
            f"these builds wait for each other: {' -> '.join(members)}",
            package=members[0],
            mode="no-isolation",
            step="order",
            hint="build one of them in isolation: remove it from no-build-isolation-package",
        ) from error


def longest_first(
    seconds: Mapping[Key, float], waits_for: Mapping[Key, Iterable[Key]]
) -> list[Key]:
    """Order builds by how long they and what waits for them take, the longest path first.

    Args:
        seconds: by name, how long each build takes. Of equal ones the first goes first.
        waits_for: by name, the other builds that each waits for; without cycles.

    """
    waiting: dict[Key, list[Key]] = {name: [] for name in seconds}
    for name, others in waits_for.items():
        for other in set(others) & seconds.keys():
            waiting[other].append(name)
    paths: dict[Key, float] = {}

    def path(name: Key) -> float:
        if name not in paths:
            paths[name] = seconds[name] + max(map(path, waiting[name]), default=0.0)
        return paths[name]

    return sorted(seconds, key=lambda name: -path(name))
