"""Changing an environment in one step: what leaves goes and what comes is linked, or nothing."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipshim.cores import available_cores
from pipshim.env import installed
from pipshim.env.notes import site_folders
from pipshim.errors import InstallError
from pipshim.parallel import each
from pipshim.store.compiling import compiled
from pipshim.store.conflicts import find_conflicts
from pipshim.store.placing import is_same, may_be_shared
from pipshim.sync.journal import Journal
from pipshim.sync.removal import leaving_files

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from pipshim.env.installed import Installed
    from pipshim.progress import events
    from pipshim.progress.events import Observer
    from pipshim.python.target import Target
    from pipshim.store.linking import Linker
    from pipshim.store.tree import Tree
    from pipshim.sync.plan import Step

_MOST_THREADS = 4
"""How many distributions are linked at once: linking is the file system's work."""


@dataclass(frozen=True)
class Ready:
    """A distribution that can be linked into the environment.

    Attributes:
        tree: its files.
        origin: what pipshim notes beside it: what it was installed from, its build record.
        source: where the wheel came from: ``index``, ``built``, ``cached`` or ``editable``.
        mode: the mode that it was built in; None for a wheel of the index.
        direct_url: PEP 610's note, for a direct reference.
        built: what chose that mode, and why its wheel can be taken next time; None likewise.

    """

    tree: Tree
    origin: Mapping[str, Any]
    source: events.Source
    mode: str | None = None
    direct_url: Mapping[str, Any] | None = None
    built: tuple[str, str] | None = None


@dataclass
class Change:
    """One change of one environment.

    Attributes:
        target: the environment.
        present: what it has.
        requested: what the user asked for by name (REQUESTED).
        linker: how files are placed.
        bytecode: whether what comes brings bytecode.
        observer: told of what is installed and removed.

    """

    target: Target
    present: Mapping[NormalizedName, Installed]
    requested: Collection[NormalizedName]
    linker: Linker
    bytecode: bool = False
    observer: Observer | None = None

    def make(
        self,
        steps: Iterable[Step],
        ready: Mapping[NormalizedName, Ready],
        last: Iterable[Callable[[], tuple[NormalizedName, Ready]]] = (),
    ) -> None:
        """Remove and link what the steps say, one distribution after the other.

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
        ready = self._compiled(ready)
        going = self._going(steps, ready)
        found = self._look(ready, going)
        # What changes what is there goes one after the other; what only comes is linked at once.
        added = [s.name for s in steps if s.old is None and s.name not in found.in_the_way]
        journal = Journal(self.target)
        taken: set[str] = set()
        try:
            for step in steps:
                name = step.name
                if name in added:
                    continue
                # One that comes later may have what comes now: that goes now too.
                old = dict.fromkeys([*going.get(name, ()), *found.in_the_way.get(name, ())])
                self._take(journal, step, [path for path in old if path not in taken])
                taken.update(old)
                if step.action == "remove":
                    self._removed(name, step.old or "")
                elif name in ready:
                    self._link(journal, name, ready[name], found.shared)
                    self._installed(name, ready[name])
            coming = {name: ready[name] for name in added if name in ready}
            each(
                lambda name: self._link(journal, name, coming[name], found.shared),
                sorted(coming, key=lambda name: coming[name].tree.weight, reverse=True),
                at_once=min(_MOST_THREADS, available_cores()),
            )
            for name, one in coming.items():
                self._installed(name, one)
            for made in last:
                ((name, one),) = self._compiled(dict([made()])).items()
                late = self._look({name: one}, {})
                self._take(journal, None, late.in_the_way.get(name, ()))
                self._link(journal, name, one, late.shared)
                self._installed(name, one)
        except BaseException:
            journal.undo()
            raise
        journal.commit()

    def _compiled(self, ready: Mapping[NormalizedName, Ready]) -> dict[NormalizedName, Ready]:
        """Give what comes its bytecode, if that is wanted."""
        if not self.bytecode:
            return dict(ready)
        trees = compiled([one.tree for one in ready.values()], self.target)
        return {
            name: replace(one, tree=tree)
            for (name, one), tree in zip(ready.items(), trees, strict=True)
        }

    def _going(
        self, steps: Iterable[Step], ready: Mapping[NormalizedName, Ready]
    ) -> dict[NormalizedName, list[str]]:
        """Tell which files go with each distribution that is removed or replaced."""
        leaving = {s.name: self.present[s.name] for s in steps if s.old is not None}
        lost = {
            name: ready[name].tree.destinations(self.target)
            for name, old in leaving.items()
            if old.damaged and name in ready
        }
        staying = [one for name, one in self.present.items() if name not in leaving]
        return leaving_files(leaving, staying, self.target.prefix, lost)

    def _look(
        self,
        ready: Mapping[NormalizedName, Ready],
        going: Mapping[NormalizedName, Iterable[str]],
    ) -> _Found:
        """See what is where files will come, and that no distribution's file is overwritten.

        Raises:
            InstallError: two distributions bring the same file, of those that come or stay.

        """
        target = self.target
        for conflict in find_conflicts([one.tree for one in ready.values()], target):
            raise InstallError(
                f"{conflict.first} and {conflict.second} both bring {conflict.path}",
                hint=f"leave one of them out: --no-install-package {conflict.second}",
            )
        gone = {path for paths in going.values() for path in paths}
        found = _Found()
        folders = _Folders()
        for name, one in ready.items():
            tree = one.tree
            for path in folders.there(tree.placements(target)):
                owner = self._owner(name, path, gone)
                if owner is None:
                    found.in_the_way.setdefault(name, []).append(_real(path))
                elif _is_shared(tree, path, target):
                    found.shared.add(path)
                else:
                    raise InstallError(
                        f"{tree.name} {tree.version} brings {path}, which belongs to {owner}",
                        hint=f"leave it out: --no-install-package {tree.name}",
                    )
            for path in folders.there(tree.bytecode_placements(target)):
                if self._owner(name, path, gone) is None:
                    found.in_the_way.setdefault(name, []).append(_real(path))
                else:
                    found.shared.add(path)
        return found

    def _owner(self, name: NormalizedName, path: str, gone: Collection[str]) -> str | None:
        """Tell which distribution that stays has a path, if any does."""
        if _real(path) in gone:
            return None
        old = self.present.get(name)
        own = str(old.dist_info) if old is not None else None
        return installed.owner_of(path, site_folders(self.target), besides=own)

    def _take(self, journal: Journal, step: Step | None, paths: Iterable[str]) -> None:
        try:
            journal.take(paths)
        except OSError as error:
            where = f"{error.filename or self.target.prefix}: {error.strerror}"
            if step is None or step.old is None:
                raise InstallError(f"what is in the way cannot be removed: {where}") from error
            raise InstallError(f"{step.name} {step.old} cannot be removed: {where}") from error

    def _link(
        self, journal: Journal, name: NormalizedName, one: Ready, shared: Collection[str]
    ) -> None:
        def announce(names: dict[str, list[str]]) -> None:
            for folder in {path.rpartition("/")[0] for path in shared} & names.keys():
                names[folder] = [n for n in names[folder] if f"{folder}/{n}" not in shared]
            journal.announce(names)

        one.tree.link(
            self.target,
            mode=self.linker,
            requested=name in self.requested,
            direct_url=one.direct_url,
            origin={**one.origin, **one.tree.where(self.target)},
            announce=announce,
        )

    def _installed(self, name: NormalizedName, one: Ready) -> None:
        if self.observer is not None:
            from pipshim.progress import events  # noqa: PLC0415 thirty classes to make

            self.observer(events.Installed(name, one.tree.version, one.source))

    def _removed(self, name: NormalizedName, version: str) -> None:
        if self.observer is not None:
            from pipshim.progress import events  # noqa: PLC0415 thirty classes to make

            self.observer(events.Removed(name, version))


@dataclass
class _Found:
    """What is already where files will come.

    Attributes:
        in_the_way: by the distribution that comes, the real paths of files that go: of
            distributions that leave, or of none at all, which are replaced as pip does.
        shared: files of distributions that stay, which may be the same.

    """

    in_the_way: dict[NormalizedName, list[str]] = field(default_factory=dict)
    shared: set[str] = field(default_factory=set)


def _real(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{os.path.realpath(folder)}/{name}"


def _is_shared(tree: Tree, path: str, target: Target) -> bool:
    file = tree.file_at(path, target)
    return (
        file is not None
        and may_be_shared(path, file.size)
        and is_same(f"{tree.folder}/{file.scheme}/{file.path}", path)
    )


class _Folders:
    """What is in folders before a change; each is read once."""

    def __init__(self) -> None:
        self._names: dict[str, frozenset[str] | None] = {}

    def there(self, placements: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
        """Yield the paths that are there already; most of the folders are not."""
        for folder, names in placements:
            if folder not in self._names:
                self._names[folder] = self._read(folder)
            here = self._names[folder]
            if here:
                yield from (f"{folder}/{name}" for name in names if name in here)

    def _read(self, folder: str) -> frozenset[str] | None:
        if self._names.get(folder.rpartition("/")[0], frozenset()) is None:
            return None
        try:
            return frozenset(os.listdir(folder))  # noqa: PTH208 strings are faster
        except (FileNotFoundError, NotADirectoryError):
            return None
