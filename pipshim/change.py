"""Changing an environment in one step: what leaves goes and what comes is linked, or nothing."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipshim import installed, store
from pipshim.errors import InstallError
from pipshim.notes import site_folders
from pipshim.progress import events
from pipshim.removal import remove, take_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from packaging.utils import NormalizedName

    from pipshim.installed import Installed
    from pipshim.linking import Linker
    from pipshim.plan import Step
    from pipshim.progress.events import Observer
    from pipshim.target import Target
    from pipshim.tree import Tree


@dataclass(frozen=True)
class Ready:
    """A distribution that can be linked into the environment.

    Attributes:
        tree: its files.
        origin: what pipshim notes beside it: what it was installed from, its build record.
        source: where the wheel came from: ``index``, ``built``, ``cached`` or ``editable``.
        mode: the mode that it was built in; None for a wheel of the index.
        direct_url: PEP 610's note, for a direct reference.

    """

    tree: Tree
    origin: Mapping[str, Any]
    source: events.Source
    mode: str | None = None
    direct_url: Mapping[str, Any] | None = None


@dataclass
class Change:
    """One change of one environment.

    Attributes:
        target: the environment.
        present: what it has.
        requested: what the user asked for by name (REQUESTED).
        linker: how files are placed.
        observer: told of what is installed and removed.

    """

    target: Target
    present: Mapping[NormalizedName, Installed]
    requested: Collection[NormalizedName]
    linker: Linker
    observer: Observer
    _undo: list[Callable[[], object]] = field(default_factory=list, init=False)
    _sources: list[str] = field(default_factory=list, init=False)

    def make(
        self,
        steps: Iterable[Step],
        ready: Mapping[NormalizedName, Ready],
        last: Iterable[Callable[[], tuple[NormalizedName, Ready]]] = (),
    ) -> None:
        """Remove and link what the steps say.

        Args:
            steps: what to do.
            ready: what comes.
            last: each makes, when the rest is in place, one more thing that comes: an editable
                that builds in the environment itself.

        Raises:
            InstallError: the environment could not be changed; it is as before.
            BuildError: one of the last failed; the environment is as before.

        """
        steps = [step for step in steps if step.action != "keep"]
        leaving = {s.name: self.present[s.name] for s in steps if s.old is not None}
        in_the_way = self._refuse_conflicts(ready, leaving.values())
        done: list[Callable[[], object]] = []
        try:
            if in_the_way:
                site, prefix = self.target.purelib, self.target.prefix
                removed = take_aside(in_the_way, site, prefix)
                self._undo.append(removed.rollback)
                done.append(removed.commit)
            done += self._remove(steps, leaving, ready)
            for step in steps:
                one = ready.get(step.name)
                if one is not None:
                    self._link(step.name, one)
            for made in last:
                self._link(*made())
        except BaseException:
            for back in reversed(self._undo):
                back()
            raise
        for finish in done:
            finish()

    def compile(self) -> None:
        """Write bytecode of what has come, with the environment's own Python."""
        subprocess.run(
            [str(self.target.python), "-I", "-m", "compileall", "-qq", "-i", "-"],
            input="\n".join(self._sources).encode("utf-8", "surrogateescape"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,  # a file of another Python's is passed over
        )

    def _remove(
        self,
        steps: Iterable[Step],
        leaving: Mapping[NormalizedName, Installed],
        ready: Mapping[NormalizedName, Ready],
    ) -> Iterable[Callable[[], object]]:
        target = self.target
        staying = [one for name, one in self.present.items() if name not in leaving]
        done: list[Callable[[], object]] = []
        for step in steps:
            if step.old is not None:
                old, new = leaving[step.name], ready.get(step.name)
                lost = new.tree.destinations(target) if new and old.damaged else ()
                removed = remove(old, target.prefix, others=staying, besides=lost)
                self._undo.append(removed.rollback)
                done.append(removed.commit)
            if step.action == "remove":
                self.observer(events.Removed(step.name, step.old or ""))
        return done

    def _link(self, name: NormalizedName, one: Ready) -> None:
        target = self.target
        placed = one.tree.link(
            target,
            mode=self.linker,
            requested=name in self.requested,
            direct_url=one.direct_url,
            origin={**one.origin, **_place(one.tree, target)},
        )
        self._undo.append(lambda: _unlink(placed, target))
        self._sources += (path for path in placed if path.endswith(".py"))
        self.observer(events.Installed(name, one.tree.version, one.source))

    def _refuse_conflicts(
        self, ready: Mapping[NormalizedName, Ready], leaving: Iterable[Installed]
    ) -> list[str]:
        """See that no distribution's file is overwritten: of those that come, or that stay.

        Returns:
            the files in the way that belong to no distribution (one whose ``.dist-info`` somebody
            removed leaves such); they are replaced, as pip does.

        Raises:
            InstallError: two distributions bring the same file.

        """
        target = self.target
        trees = [one.tree for one in ready.values()]
        for conflict in store.find_conflicts(trees, target):
            raise InstallError(
                f"{conflict.first} and {conflict.second} both bring {conflict.path}",
                hint=f"leave one of them out: --no-install-package {conflict.second}",
            )
        going = {str(path) for one in leaving for path in installed.files_of(one, target.prefix)}
        in_the_way: list[str] = []
        for tree in trees:
            for path in tree.destinations(target):
                if os.path.lexists(path) and os.path.realpath(path) not in going:
                    owner = installed.owner_of(path, site_folders(target))
                    if owner is None:
                        in_the_way.append(os.path.realpath(path))
                    elif not path.endswith("/__init__.py"):
                        raise InstallError(
                            f"{tree.name} {tree.version} brings {path}, which belongs to {owner}",
                            hint=f"leave it out: --no-install-package {tree.name}",
                        )
        return in_the_way


def _place(tree: Tree, target: Target) -> dict[str, str]:
    """Note where scripts look for their interpreter: they do not run in an environment moved."""
    has_scripts = bool(tree.bodies) or any(file.python for file in tree.files)
    return {"prefix": os.path.realpath(target.prefix)} if has_scripts else {}


def _unlink(paths: Iterable[str], target: Target) -> None:
    """Take files away again, and the folders that are empty without them."""
    stay = {
        str(path) for path in (target.prefix, target.scripts, target.headers, *site_folders(target))
    }
    folders = set()
    for path in paths:
        try:
            Path(path).unlink()
        except OSError:
            continue
        folders.add(str(Path(path).parent))
    for folder in sorted(folders, key=len, reverse=True):
        parent = folder
        while parent not in stay and parent.startswith(f"{target.prefix}{os.sep}"):
            try:
                Path(parent).rmdir()
            except OSError:
                break
            parent = str(Path(parent).parent)
