"""Making an environment from a note of what it was (`pipshim.again`): link, and nothing else."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipshim import journal
from pipshim.cache import in_use
from pipshim.change import Change, Ready
from pipshim.linking import Linker
from pipshim.notes import site_folders
from pipshim.plan import Step
from pipshim.progress import summary
from pipshim.store import Store
from pipshim.target import query
from pipshim.venv import create

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from pipshim.target import Target
    from pipshim.tree import Tree


class Remade(NamedTuple):
    """An environment that was made.

    Attributes:
        target: its Python.
        text: what was done, in words.

    """

    target: Target
    text: str


def remake(note: Mapping[str, Any], prefix: Path, cache: Path, *, started: float) -> Remade | None:
    """Make an environment and fill it; None if that cannot be done from the note alone.

    Args:
        note: what the environment was.
        prefix: where it is to be.
        cache: pipshim's.
        started: when the command began (``time.perf_counter``).

    Raises:
        TargetError: the environment cannot be made.
        InstallError: it cannot be filled; it is empty.

    """

    def waiting() -> None:
        sys.stderr.write(f"waiting for another command in {prefix}\n")

    with in_use(cache, waiting):
        store = Store(cache)
        found = [store.tree(one["sha256"]) for one in note["packages"]]
        trees = [tree for tree in found if tree is not None]
        base = query(Path(note["python"]), cache)
        if len(trees) < len(found) or base.full_version != note["version"]:
            return None
        environment = create(prefix, base, cache_dir=cache, waiting=waiting)
        target = environment.target
        if not environment.created_now:
            return None
        with environment.lock(waiting):
            if journal.is_open(target) or _is_filled(target):
                return None  # by another command, since it was made
            linker = _fill(note, target, trees)
    told = [] if linker.told is None else [f"{linker.told}\n"]
    changes = [
        summary.Change("+", one["name"], None, tree.version, None, one["source"], one["mode"])
        for one, tree in zip(note["packages"], trees, strict=True)
    ]
    text = summary.summarize(
        sorted(changes, key=lambda change: change.name),
        packages=len(trees),
        seconds=time.perf_counter() - started,
        no_color=note["no_color"],
    )
    return Remade(target, "".join([*told, text]))


def _fill(note: Mapping[str, Any], target: Target, trees: Sequence[Tree]) -> Linker:
    linker = Linker(note["link_mode"])
    ready: dict[NormalizedName, Ready] = {}
    for one, tree in zip(note["packages"], trees, strict=True):
        ready[one["name"]] = Ready(
            tree, one["origin"], one["source"], one["mode"], one["direct_url"]
        )
    change = Change(
        target,
        {},
        {one["name"] for one in note["packages"] if one["requested"]},
        linker,
        bytecode=note["bytecode"],
    )
    change.make(
        [Step("add", name, None, one.tree.version, "") for name, one in ready.items()], ready
    )
    return linker


def _is_filled(target: Target) -> bool:
    return any(path.endswith(".dist-info") for path in signs(target))


def signs(target: Target) -> list[str]:
    """Tell the files and folders of an environment that show whether it is as it was left."""
    sites = [str(folder) for folder in site_folders(target)]
    infos = [
        entry.path
        for site in sites
        for entry in os.scandir(site)
        if entry.name.endswith(".dist-info")
    ]
    return [
        f"{target.prefix}/pyvenv.cfg",
        *sites,
        *infos,
        str(target.scripts),
        str(target.python),
        os.path.realpath(target.python),
        # Not there; another command may be at work by now, and be killed.
        f"{target.prefix}/{journal.FOLDER}",
    ]
