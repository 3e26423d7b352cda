"""The paths that more than one of several distributions would bring to an environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from pipshim.store.placing import may_be_shared

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pipshim.store.layout import Layout
    from pipshim.store.tree import Tree


class Conflict(NamedTuple):
    """A path that two distributions bring, with different contents."""

    path: str
    first: str
    second: str


def find_conflicts(trees: Iterable[Tree], env: Layout) -> list[Conflict]:
    """Find the paths that more than one of these distributions would bring to ``env``.

    Files that say the same and do nothing but make a folder a package (legacy namespace packages
    have such an ``__init__.py`` each, PEP 420 lists them) are no conflict.
    """
    folders: dict[str, list[tuple[Tree, list[str]]]] = {}
    for tree in trees:
        for folder, names in tree.placements(env):
            folders.setdefault(folder, []).append((tree, names))
    found: list[Conflict] = []
    for folder, several in folders.items():
        owners: dict[str, Tree] = {}
        for tree, names in several if len(several) > 1 else ():
            for name in names:
                first = owners.setdefault(name, tree)
                path = f"{folder}/{name}"
                if first is not tree and not _is_shared(path, first, tree, env):
                    found.append(Conflict(path, first.name, tree.name))
    return sorted(found)


def _is_shared(path: str, one: Tree, other: Tree, env: Layout) -> bool:
    first, second = (tree.file_at(path, env) for tree in (one, other))
    if first is None or second is None or not may_be_shared(path, first.size):
        return False
    return first.hash == second.hash != ""
