"""Change an environment in one step: remove old files and link new ones, or change nothing."""

from __future__ import annotations

import os
from dataclasses import field, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from pipshim.base.cores import available_cores
from pipshim.base.errors import InstallError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.tasks import each
from pipshim.base.write_errors import reason
from pipshim.envs import dist_info, installed, scripts, shared_files
from pipshim.envs.install_notes import WHEEL, site_folders
from pipshim.envs.installed import bytecode_of, recorded_hashes
from pipshim.model import events
from pipshim.store.bytecode import compiled
from pipshim.store.installer import install, restore
from pipshim.store.shared_paths import SharedPath, find_shared, losing_paths
from pipshim.sync.journal import Journal
from pipshim.sync.uninstall_paths import find_uninstall_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from pipshim.envs.installed import Installed
    from pipshim.model.events import Observer
    from pipshim.model.interpreter import Target
    from pipshim.model.sync_plan import Step
    from pipshim.store.linking import Linker
    from pipshim.store.unpacked_wheel import UnpackedWheel
    from pipshim.sync.uninstall_paths import UninstallPaths

_SHOWN = 3
"""How many shared files a warning names."""

_MOST_THREADS = 4
"""How many distributions are linked at once: linking is the file system's work."""


@dataclass(frozen=True)
class Ready:
    """A distribution that is ready to be linked.

    Attributes:
        tree: its files.
        origin: the contents of its ``pipshim.json``: what it was installed from, its build record.
        source: where the wheel came from: ``index``, ``built``, ``cached``, ``remote`` or
            ``editable``.
        mode: the mode that it was built in; None for a wheel of the index.
        direct_url: PEP 610's data, for a direct reference.
        built: what chose that mode, and why its wheel can be reused next time; None likewise.

    """

    tree: UnpackedWheel
    origin: Mapping[str, Any]
    source: events.Source
    mode: str | None = None
    direct_url: Mapping[str, Any] | None = None
    built: tuple[str, str] | None = None


@dataclass
class Transaction:
    """One change of one environment.

    Attributes:
        bytecode: whether to install bytecode.
        tree_of: returns the unpacked wheel of an installed distribution, or None.

    """

    target: Target
    present: Mapping[NormalizedName, Installed]
    requested: Collection[NormalizedName]
    linker: Linker
    bytecode: bool = False
    observer: Observer = events.ignore
    tree_of: Callable[[Installed], UnpackedWheel | None] = lambda _: None
    _journal: Journal = field(init=False)
    _leaving: UninstallPaths = field(init=False)
    _coming: _Coming = field(init=False)

    def make(
        self,
        steps: Iterable[Step],
        ready: Mapping[NormalizedName, Ready],
        last: Iterable[Callable[[], tuple[NormalizedName, Ready]]] = (),
    ) -> None:
        """Carry out the steps, one distribution after the other.

        Args:
            steps: what to do.
            ready: the new distributions.
            last: each builds one more distribution when the rest is in place: an editable that is
                built in the environment itself.

        Raises:
            InstallError: the environment could not be changed; it is as before.
            BuildError: one of the last failed; the environment is as before.

        """
        steps = [step for step in steps if step.action != "keep"]
        ready = self._compiled(ready)
        leaving = self._leaving = self._to_remove(steps, ready)
        staying = [one for one in self.present.values() if one.name not in leaving.files]
        coming = self._coming = self._look(ready, staying)
        lost = self._lost(staying)
        self._warn(coming.shared)
        # What changes what is there goes one after the other; what only comes is linked at once.
        added = [s.name for s in steps if s.old is None and s.name not in coming.in_the_way]
        self._journal = Journal(self.target)
        try:
            self._change([step for step in steps if step.name not in added], ready)
            for tree, files in lost:
                self._restore(tree, files)
            self._add({name: ready[name] for name in added if name in ready})
            for made in last:
                self._add_last(*made())
            self._note_shared()
        except BaseException:
            self._journal.undo()
            raise
        self._journal.commit()

    def _change(self, steps: Iterable[Step], ready: Mapping[NormalizedName, Ready]) -> None:
        """Remove old files and those in the way, and link the new ones."""
        taken: set[str] = set()
        for step in steps:
            name = step.name
            # One that comes later may have what comes now: that goes now too.
            old = dict.fromkeys(
                [*self._leaving.files.get(name, ()), *self._coming.in_the_way.get(name, ())]
            )
            self._take(step, [path for path in old if path not in taken])
            taken.update(old)
            if step.action == "remove":
                self.observer(events.Removed(name, step.old or ""))
            elif name in ready:
                self._link(name, ready[name])
                self._installed(name, ready[name])

    def _add(self, new: Mapping[NormalizedName, Ready]) -> None:
        """Link distributions without a predecessor, the largest first."""
        each(
            lambda name: self._link(name, new[name]),
            sorted(new, key=lambda name: new[name].tree.weight, reverse=True),
            at_once=min(_MOST_THREADS, available_cores()),
        )
        for name, one in new.items():
            self._installed(name, one)

    def _add_last(self, name: NormalizedName, ready: Ready) -> None:
        """Link what could be built only when the rest was in place."""
        one = self._compiled({name: ready})[name]
        scanned = installed.scan(site_folders(self.target))
        late = self._look({name: one}, [it for it in scanned.values() if it.name != name])
        self._warn(late.shared)
        self._take(None, late.in_the_way.get(name, ()))
        self._coming.skip[name] = late.skip.get(name, set())
        self._coming.shared += late.shared
        self._link(name, one)
        self._installed(name, one)

    def _compiled(self, ready: Mapping[NormalizedName, Ready]) -> dict[NormalizedName, Ready]:
        """Add bytecode to new distributions, if it is wanted."""
        if not self.bytecode:
            return dict(ready)
        trees = compiled([one.tree for one in ready.values()], self.target)
        return {
            name: replace(one, tree=tree)
            for (name, one), tree in zip(ready.items(), trees, strict=True)
        }

    def _to_remove(
        self, steps: Iterable[Step], ready: Mapping[NormalizedName, Ready]
    ) -> UninstallPaths:
        """Return the files of each distribution that is removed or replaced."""
        leaving = {s.name: self.present[s.name] for s in steps if s.old is not None}
        lost = {
            name: ready[name].tree.destinations(self.target)
            for name, old in leaving.items()
            if old.damaged and name in ready
        }
        staying = [one for name, one in self.present.items() if name not in leaving]
        return find_uninstall_paths(leaving, staying, self.target.prefix, lost)

    def _look(
        self, ready: Mapping[NormalizedName, Ready], staying: Collection[Installed]
    ) -> _Coming:
        """Find what is in the way of new files, and which distribution's file wins."""
        target = self.target
        trees = {name: one.tree for name, one in ready.items()}
        shared = {one.path: one for one in find_shared(trees, target)}
        coming = _Coming(skip=losing_paths(shared.values()))
        names_in = cache(_names_in)  # most of the folders do not exist yet
        owners = cache(lambda: _owners(staying))  # seldom asked for

        def existing(placements: Iterable[tuple[str, list[str]]]) -> Iterator[str]:
            for folder, names in placements:
                if here := names_in(folder):
                    yield from (f"{folder}/{name}" for name in names if name in here)

        for name, tree in trees.items():
            for path in existing(tree.placements(target)):
                real = _real(path)
                others = owners().get(real, {})
                if others:
                    shared[path] = self._with_others(path, name, tree, others, shared.get(path))
                    if shared[path].owners[-1] != name:
                        coming.skip.setdefault(name, set()).add(path)
                if path not in coming.skip.get(name, ()):
                    way = coming.in_the_way.setdefault(name, [])
                    way += [real, *(installed.bytecode_of(real) if others else ())]
            for path in existing(tree.bytecode_placements(target)):
                if _real(path) not in owners():
                    coming.in_the_way.setdefault(name, []).append(_real(path))
        coming.shared += shared.values()
        return coming

    def _with_others(
        self,
        path: str,
        name: NormalizedName,
        tree: UnpackedWheel,
        others: Mapping[NormalizedName, str],
        known: SharedPath | None,
    ) -> SharedPath:
        """Add the distributions that stay to the owners of a path."""
        names = {name, *others, *(known.owners if known is not None else ())}
        content = tree.contents(self.target)[path]
        differs = any(content != other for other in others.values())
        if differs and path.startswith(f"{self.target.scripts}/"):
            # RECORD has the hash of a script as it was written for this environment.
            first_line = scripts.shebang(str(self.target.python))
            content = dist_info.hash_bytes(first_line + content.encode())
            differs = any(content != other for other in others.values())
        return SharedPath(
            path, tuple(sorted(names)), differs or (known is not None and known.differs)
        )

    def _lost(self, staying: Iterable[Installed]) -> list[tuple[UnpackedWheel, list[str]]]:
        """Find the files to restore for distributions that shared them with removed ones."""
        due = {_real(one.path) for one in self._coming.shared}
        found: dict[NormalizedName, list[str]] = {}
        for path, hashes in self._leaving.left.items():
            name = max(hashes)
            if path.endswith(".pyc"):
                continue  # it goes with its source
            if path not in due and not _has_hash(path, hashes[name]):
                found.setdefault(name, []).append(path)
        distributions = {one.name: one for one in staying}
        restored = []
        for name, paths in found.items():
            tree = self.tree_of(distributions[name])
            if tree is not None:
                restored.append((tree, paths))
            else:
                self._say(
                    f"{_files(self.target, paths)} of {name} cannot be restored, as the store does "
                    f"not have it: pipshim install --force-reinstall --no-deps {name}"
                )
        return restored

    def _restore(self, tree: UnpackedWheel, paths: Collection[str]) -> None:
        self._take(None, [one for path in paths for one in (path, *bytecode_of(path))])
        names: dict[str, list[str]] = {}
        for path in paths:
            folder, _, name = path.rpartition("/")
            names.setdefault(folder, []).append(name)
        self._journal.announce(names)
        placed = {path for path in tree.destinations(self.target) if _real(path) in paths}
        restore(tree, self.target, placed, self.linker)

    def _warn(self, shared: Iterable[SharedPath]) -> None:
        """Warn of distributions that install different files at the same path."""
        found: dict[tuple[str, ...], list[str]] = {}
        for one in shared:
            if one.differs:
                found.setdefault(one.owners, []).append(one.path)
        for owners, paths in sorted(found.items()):
            both = "both" if len(owners) == len(("one", "other")) else "all"
            self._say(
                f"{', '.join(owners[:-1])} and {owners[-1]} {both} install "
                f"{_files(self.target, paths)}; "
                f"{owners[-1]}'s {'is' if len(paths) == 1 else 'are'} used"
            )

    def _note_shared(self) -> None:
        """Note in the environment which files several distributions have now."""
        prefix = os.path.realpath(self.target.prefix)
        path = f"{prefix}/{shared_files.NAME}"
        files: dict[str, tuple[str, ...]] = {}
        for name, owners in shared_files.read(prefix).items():
            left = tuple(one for one in owners if one not in self._leaving.files)
            if len(left) > 1:
                files[name] = left
        for one in self._coming.shared:
            real = _real(one.path)
            if real.startswith(f"{prefix}/"):
                files[real[len(prefix) + 1 :]] = one.owners
        if os.path.lexists(path):
            self._take(None, [path])
        if files:
            self._journal.announce({prefix: [shared_files.NAME]})
            with open(path, "xb") as file:  # noqa: PTH123
                file.write(shared_files.note(prefix, files))

    def _take(self, step: Step | None, paths: Iterable[str]) -> None:
        try:
            self._journal.take(paths)
        except OSError as error:
            where = error.filename or self.target.prefix
            where = f"{where}: {reason(error, where)}"
            if step is None or step.old is None:
                raise InstallError(f"cannot remove {where}") from error
            raise InstallError(f"{step.name} {step.old} cannot be removed: {where}") from error

    def _link(self, name: NormalizedName, one: Ready) -> None:
        install(
            one.tree,
            self.target,
            self.linker,
            requested=name in self.requested,
            direct_url=one.direct_url,
            origin={**one.origin, WHEEL: one.tree.sha256, **one.tree.where(self.target)},
            announce=self._journal.announce,
            skip=self._coming.skip.get(name, ()),
        )

    def _say(self, text: str) -> None:
        self.observer(events.Message("warning", text))

    def _installed(self, name: NormalizedName, one: Ready) -> None:
        self.observer(events.Installed(name, one.tree.version, one.source))


@dataclass
class _Coming:
    """What new distributions find in the environment.

    Attributes:
        skip: by distribution, the paths that it leaves to another one.
        in_the_way: by distribution, the real paths of files that it replaces, as pip does.
        shared: the paths that several distributions have.

    """

    skip: dict[NormalizedName, set[str]] = field(default_factory=dict)
    in_the_way: dict[NormalizedName, list[str]] = field(default_factory=dict)
    shared: list[SharedPath] = field(default_factory=list)


def _owners(
    distributions: Iterable[Installed],
) -> dict[str, dict[NormalizedName, str]]:
    """Return the distributions that have each path, with the hashes in their RECORDs."""
    found: dict[str, dict[NormalizedName, str]] = {}
    for one in distributions:
        for path, known in recorded_hashes(one.dist_info):
            found.setdefault(path, {})[one.name] = known
    return found


def _names_in(folder: str) -> frozenset[str]:
    try:
        return frozenset(os.listdir(folder))  # noqa: PTH208 strings are faster
    except (FileNotFoundError, NotADirectoryError):
        return frozenset()


def _real(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{os.path.realpath(folder)}/{name}"


def _has_hash(path: str, known: str) -> bool:
    """Return whether a file has a hash of RECORD."""
    algorithm = known.partition("=")[0]
    try:
        return dist_info.hash_file(path, algorithm) == known
    except (OSError, ValueError):
        return False


def _files(target: Target, paths: Sequence[str]) -> str:
    """Name the first of some files."""
    folders = sorted({*map(str, (target.purelib, target.platlib, target.prefix))}, key=len)
    shown = []
    for path in sorted(paths)[:_SHOWN]:
        for folder in reversed(folders):
            if path.startswith(f"{folder}/"):
                shown.append(path[len(folder) + 1 :])
                break
        else:
            shown.append(path)
    more = len(paths) - len(shown)
    return ", ".join(shown) + (
        f" and {more} more {'file' if more == 1 else 'files'}" if more else ""
    )
