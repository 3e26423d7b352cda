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
    folders: dict[str, list[tuple[NormalizedName, list[str]]]] = {}
    for owner, tree in trees.items():
        for folder, names in tree.placements(env):
            folders.setdefault(folder, []).append((owner, names))
    owners: dict[str, set[NormalizedName]] = {}
    for folder, several in folders.items():
        first: dict[str, NormalizedName] = {}
        for owner, names in several if len(several) > 1 else ():
            for name in names:
                other = first.setdefault(name, owner)
                if other != owner:
                    owners.setdefault(f"{folder}/{name}", {other}).add(owner)
    involved = {name for names in owners.values() for name in names}
    contents = {name: tree.contents(env) for name, tree in trees.items() if name in involved}
    return [
        SharedPath(path, tuple(sorted(names)), len({contents[one][path] for one in names}) > 1)
        for path, names in sorted(owners.items())
    ]


def losing_paths(shared: Iterable[SharedPath]) -> dict[NormalizedName, set[str]]:
    """Return the paths that each distribution leaves to another one."""
    found: dict[NormalizedName, set[str]] = {}
    for one in shared:
        for name in one.owners[:-1]:
            found.setdefault(name, set()).add(one.path)
    return found
