"""``cache store push``, ``pull``, and ``prune`` and ``verify`` with ``--remote``."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim.base.cache_folders import BUILDS, TOOLS, InUse
from pipshim.base.errors import PipshimError, UsageError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.masking import Mask
from pipshim.base.sizes import size
from pipshim.base.tasks import each
from pipshim.builds.build_cache import BuildCache, BuildResult
from pipshim.builds.environment import Workspace, workspace
from pipshim.builds.record_maker import machine_key
from pipshim.builds.remote_results import FROM_REMOTE, Pushed, RemoteResults, push
from pipshim.builds.tools import Tools
from pipshim.cli.remote import named_remote, open_remote
from pipshim.envs.environment_choice import EnvironmentSearch
from pipshim.model import events
from pipshim.model.artifacts import digest_of_source
from pipshim.model.build_record import Conditions
from pipshim.model.events import Observer, label, masked
from pipshim.model.pylock import LOCK_NAME, read
from pipshim.model.shared_record import KINDS, SharedRecord, target_of
from pipshim.progress.formatting import plural, rough_duration
from pipshim.progress.observer_choice import make_observer
from pipshim.progress.summary import summarize_removals
from pipshim.project.pyproject import find_if_any, find_project
from pipshim.project.workspaces import load_project
from pipshim.remote import remote_inventory
from pipshim.remote.file_store import FileStore, RemoteError
from pipshim.store.store import Store
from pipshim.store.wheel_packing import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from optparse import Values

    from pipshim.model.interpreter import Target
    from pipshim.model.project import Project
    from pipshim.model.requests import StoreRequest
    from pipshim.remote.remote_cache import RemoteCache

_AT_ONCE = 4
_LIBRARIES = Path(sys.base_prefix) / "lib"


def main(request: StoreRequest, options: Values, root: Callable[[], Path]) -> int:
    """Run an action; return 1 if something was damaged, or the remote failed.

    Args:
        root: returns pipshim's cache folder, which some actions need.

    Raises:
        PipshimError: there is no remote, it cannot be used, or there is nothing to add or take.

    """
    if request.action in ("push", "pull"):
        action = _push if request.action == "push" else _pull
        return action(request, options, root())
    return (_prune if request.action == "prune" else _verify)(request, options)


def _push(request: StoreRequest, options: Values, root: Path) -> int:
    with _opened(request, options, root, pushes=True) as opened:
        results = [*opened.results(set(map(canonicalize_name, request.arguments)))]
        if not results:
            names = " ".join(request.arguments)
            raise PipshimError(
                f"the cache has no builds of {names}" if names else "the cache has no builds",
                hint="list the builds that it has: pipshim cache store list",
            )
        opened.look_ahead(results)
        done = each(opened.push, results, at_once=_AT_ONCE)
    if request.common.verbosity >= 0:
        for line in _told(results, done, verbose=request.common.verbosity > 0):
            sys.stdout.write(f"{line}\n")
    return 1 if opened.remote.is_over else 0


def _pull(request: StoreRequest, options: Values, root: Path) -> int:
    root.mkdir(parents=True, exist_ok=True)
    target = _target(request, root)
    with _opened(request, options, root, libraries=target.base_prefix / "lib") as opened:
        names = set(map(canonicalize_name, request.arguments))
        asked = target.python_name, target.platform
        sources = opened.sources_of(names, target_of(*asked)) if names else opened.locked_sources()
        key = machine_key(os.environ, Tools(root / TOOLS), target)
        opened.remote.look_ahead(sources, KINDS, *asked, key)
        found = [
            one
            for source in sources
            for kind in KINDS
            for one in next(opened.remote.batches(kind, source, *asked, key), [])
        ]
        builds = RemoteResults(opened.remote, opened.cache, opened.store, target)
        taken = each(partial(_take, builds), found, at_once=_AT_ONCE)
    if request.common.verbosity >= 0:
        _tell_taken(found, taken)
    return 1 if opened.remote.is_over else 0


def _prune(request: StoreRequest, options: Values) -> int:
    if request.days is None and request.max_size is None:
        raise UsageError(
            "cache store prune --remote: neither --days nor --max-size is given",
            hint="pipshim cache store prune --remote --days 90 --max-size 200GB --dry-run",
        )
    with remote_files(request, options) as (store, _):
        _check_writable(store)
        found = remote_inventory.removals(
            store, days=request.days, most_bytes=request.max_size, now=time.time()
        )
        _remove(store, found, request)
    _tell_removed(found, request)
    return 0


def _verify(request: StoreRequest, options: Values) -> int:
    names = set(map(canonicalize_name, request.arguments))
    with remote_files(request, options) as (store, folder):
        found = remote_inventory.damaged(
            store, lambda name: not names or name.package in names, folder
        )
        _remove(store, found, request)
    if found or request.common.verbosity < 0:
        _tell_removed(found, request)
    else:
        sys.stdout.write("all files are intact\n")
    return 1 if found else 0


def _tell_removed(found: list[remote_inventory.Removal], request: StoreRequest) -> None:
    verbosity = request.common.verbosity
    text = summarize_removals(found, dry_run=request.dry_run, verbosity=verbosity)
    sys.stdout.write(text)


def _remove(store: FileStore, found: list[remote_inventory.Removal], request: StoreRequest) -> None:
    if request.dry_run or not found:
        return
    _check_writable(store)
    # First the records, so that none of them lacks its wheel meanwhile.
    records = [one.path for one in found if one.kind == "record"]
    others = [one.path for one in found if one.kind != "record"]
    for paths in (records, others):
        each(store.remove, paths, at_once=4 * _AT_ONCE)


def _check_writable(store: FileStore) -> None:
    if not store.is_writable:
        raise RemoteError("a web server can only be read")


def _target(request: StoreRequest, root: Path) -> Target:
    """Return the Python of the project's environment, or the one to make it with."""
    project = _project_of(request)
    search = EnvironmentSearch(
        python=None,
        project=project.directory if project is not None else None,
        environ=os.environ,
        requires_python=project.requires_python if project is not None else None,
        cache_dir=root,
    )
    return search.choose(lock_only=True).target


@contextmanager
def remote_files(
    request: StoreRequest, options: Values
) -> Iterator[tuple[FileStore, Callable[[], Path]]]:
    """Open the files of the remote; give what makes folders for fetched ones, too."""
    mask = Mask()
    address = named_remote(request.remote_url, _project_of(request), pushes=False)
    with workspace() as space:
        folder = partial(space.fresh, "remote")
        remote = open_remote(
            address, options, mask, events.ignore, folder, _LIBRARIES, may_be_missing=False
        )
        try:
            yield remote.connected(), folder
        except RemoteError as error:
            problem = f"the remote {remote.label}: {mask.hide(str(error))}"
            raise PipshimError(problem, hint=error.hint) from error


def _project_of(request: StoreRequest) -> Project | None:
    """Read the project; None if there is none and none was named."""
    named = request.common.project
    directory = find_project(named) if named is not None else find_if_any(Path.cwd())
    return load_project(directory) if directory is not None else None


@dataclass(frozen=True)
class _Opened:
    """The cache and the remote of a command.

    Attributes:
        project: of which the lock counts.
        space: temporary folders.

    """

    remote: RemoteCache
    cache: BuildCache
    store: Store
    project: Project | None
    space: Workspace
    observer: Observer

    def results(self, names: Collection[str]) -> Iterator[BuildResult]:
        """Yield the results in the cache of these packages, or all; wheels that are there."""
        for result in self.cache.results():
            is_named = not names or result.record.name in names
            if is_named and (result.kind != "wheel" or self.store.tree(str(result.result))):
                yield result

    def look_ahead(self, results: Iterable[BuildResult]) -> None:
        records = [one.record for one in results]
        for machine in {(one.python, one.platform) for one in records}:
            sources = [one.source for one in records if (one.python, one.platform) == machine]
            self.remote.look_ahead(sources, KINDS, *machine)

    def push(self, result: BuildResult) -> Pushed:
        """Add a result, and say so of a wheel."""
        tree = self.store.tree(str(result.result)) if result.kind == "wheel" else None
        file = partial(pack, tree, self.space.fresh("wheel")) if tree is not None else None
        pushed = push(self.remote, self.store, result, file)
        if tree is not None and pushed.how == "added":
            text = f"pushed {label(tree.name, tree.version)} ({size(pushed.size)})"
            self.observer(events.Message("info", text))
        return pushed

    def locked_sources(self) -> list[str]:
        """Return the digests of what the project's lock may build."""
        folder = self.project.directory if self.project is not None else Path.cwd()
        path = folder / LOCK_NAME
        if not path.is_file():
            raise UsageError(
                f"cache store pull: no package given, and there is no {path}",
                hint="pipshim cache store pull NAME…, or pipshim lock",
            )
        lock = read(path)
        found = [
            digest_of_source(source, folder)
            for package in (*lock.packages, *lock.build_packages)
            for source in (package.sdist, package.vcs, package.archive)
            if source is not None
        ]
        return [*dict.fromkeys(one for one in found if one is not None)]

    def sources_of(self, names: Collection[str], target: str) -> list[str]:
        """Return the digests of the sources of packages that the remote has results of."""
        try:
            named = remote_inventory.named(self.remote.connected())
        except RemoteError as error:
            self.remote.fail_to_use(error)
            return []
        return [
            *dict.fromkeys(
                entry.name.partition("/")[0]
                for entry, name in named
                if name.package in names and name.target == target
            )
        ]


@contextmanager
def _opened(
    request: StoreRequest,
    options: Values,
    root: Path,
    *,
    pushes: bool = False,
    libraries: Path = _LIBRARIES,
) -> Iterator[_Opened]:
    mask, common, project = Mask(), request.common, _project_of(request)
    address = named_remote(request.remote_url, project, pushes=pushes)
    with ExitStack() as stack:
        observer = masked(events.once(stack.enter_context(make_observer(common))), mask)
        space = stack.enter_context(workspace())
        if root.is_dir():
            stack.enter_context(InUse(root, lambda: observer(events.Waiting(_WAIT))))
        remote = open_remote(
            address,
            options,
            mask,
            observer,
            partial(space.fresh, "remote"),
            libraries,
            may_be_missing=pushes,
        )
        remote.otherwise = ""
        cache = BuildCache(root / BUILDS, address.trust)
        yield _Opened(remote, cache, Store(root), project, space, observer)


_WAIT = "waiting for a command that cleans the cache"


def _take(builds: RemoteResults, shared: SharedRecord) -> bool | None:
    """Take a result, unless it is there (None); return whether that could be done."""
    if builds.has(shared):
        return None
    if not builds.may_be_used(shared):
        return False
    if shared.kind != "wheel":
        builds.take_answer(shared, Conditions())
        return True
    return builds.take_wheel(shared, Conditions()) is not None


def _told(
    results: Iterable[BuildResult], done: Iterable[Pushed], *, verbose: bool
) -> Iterator[str]:
    pairs = [*zip(results, done, strict=True)]
    private: dict[str, set[str]] = {}
    for one, pushed in pairs:
        if pushed.how == "private" and (verbose or pushed.why != FROM_REMOTE):
            private.setdefault(pushed.why, set()).add(label(one.record.name, one.record.version))
    for why, names in private.items():
        yield f"{', '.join(sorted(names))} {'is' if len(names) == 1 else 'are'} not shared: {why}"
    unknown = {
        one.record.name
        for one, pushed in pairs
        if one.kind == "wheel" and one.needs is None and pushed.why not in ("", FROM_REMOTE)
    }
    if again := " ".join(f"--rebuild {name}" for name in sorted(unknown)):
        yield f"when that is fixed: pipshim sync --push {again}"
    count = Counter((one.kind == "wheel", pushed.how) for one, pushed in pairs)
    total = sum(pushed.size for _, pushed in pairs)
    parts = []
    if count[True, "added"] or count[False, "added"]:
        wheels = plural(count[True, "added"], "wheel")
        answers = plural(count[False, "added"], "answer")
        parts.append(f"pushed {wheels} ({size(total)}) and {answers} of build backends")
    if present := count[True, "present"] + count[False, "present"]:
        parts.append(f"{present} {'was' if present == 1 else 'were'} there already")
    yield "; ".join(parts) or "pushed nothing"


def _tell_taken(found: Iterable[SharedRecord], taken: Iterable[bool | None]) -> None:
    pairs = [*zip(found, taken, strict=True)]
    wheels = [one for one, is_taken in pairs if is_taken and one.kind == "wheel"]
    present = sum(is_taken is None for _, is_taken in pairs)
    answers = sum(bool(is_taken) for _, is_taken in pairs) - len(wheels)
    text = f"pulled {plural(len(wheels), 'wheel')}"
    if wheels:
        text += f" ({size(sum(one.wheel.size for one in wheels))})"
    text += f" and {plural(answers, 'answer')} of build backends"
    if wheels:
        seconds = sum(one.seconds for one in wheels)
        text += f"; {rough_duration(seconds)} of building saved"
    if present:
        text += f"; {present} {'was' if present == 1 else 'were'} there already"
    sys.stdout.write(f"{text}\n")
