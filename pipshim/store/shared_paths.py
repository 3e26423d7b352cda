"""Files that several distributions install at the same path: the last distribution by name wins."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from pipshim.envs.layout import Layout
    from pipshim.store.unpacked_wheel import UnpackedWheel


class SharedPath(NamedTuple):
    """A path that several distributions install.

    Attributes:
        path: absolute.
        owners: the normalized names of the distributions, sorted; the file is the last one's.
        differs: whether their files differ.

    """

    path: str
    owners: tuple[NormalizedName, ...]
    differs: bool


def find_shared(trees: Mapping[NormalizedName, UnpackedWheel], env: Layout) -> list[SharedPath]:
    """Find the paths that more than one of these distributions would install in ``env``."""
    owners: dict[str, set[NormalizedName]] = {}
    for name, tree in trees.items():
        for path in tree.destinations(env):
            owners.setdefault(path, set()).add(name)
    shared = {path: sorted(names) for path, names in owners.items() if len(names) > 1}
    involved = {name for names in shared.values() for name in names}
    contents = {name: trees[name].contents(env) for name in involved}
    return [
        SharedPath(path, tuple(names), len({contents[one][path] for one in names}) > 1)
        for path, names in sorted(shared.items())
    ]


def losing_paths(shared: Iterable[SharedPath]) -> dict[NormalizedName, set[str]]:
    """Return the paths that each distribution leaves to another one."""
    found: dict[NormalizedName, set[str]] = {}
    for one in shared:
        for name in one.owners[:-1]:
            found.setdefault(name, set()).add(one.path)
    return found
