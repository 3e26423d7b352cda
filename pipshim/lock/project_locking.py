"""Lock a project, or given requirements; add the builds that another tool's lock lacks."""

from __future__ import annotations

from dataclasses import replace
from difflib import get_close_matches
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim.lock import multi_target
from pipshim.lock.lock_maker import LockMaker, relative_path, resolver_of
from pipshim.lock.lock_resolver import Problem
from pipshim.lock.locked_builds import pin_of, unpacked
from pipshim.model.combinations import PROJECT
from pipshim.model.pylock import LockedFolder
from pipshim.model.selection import Selection
from pipshim.model.selection_preferences import LISTS, typed
from pipshim.model.solution import Solution
from pipshim.project.uv_settings import UV_LOCK, read_versions

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.lock.services import LockServices
    from pipshim.model.build_settings import Settings
    from pipshim.model.pylock import Lock


def make(context: LockServices, *, old: Lock | None) -> Lock:
    """Resolve, and make a lock.

    Args:
        old: the existing lock; its pins are kept where they fit, unless they are upgraded.

    """
    given = context.request.lock
    digest = context.inputs  # first: pip adds to its options what it reads in requirements files
    if given.given:
        context.pip.given(given.requirements)
        context.apply(context.pip.lines)
    upgraded = set(given.upgrade_packages)
    locked = {one.name for one in old.packages} | set(old.build_versions) if old else set()
    for name in sorted(upgraded - locked):
        context.say(f"-P {name}: the lock has no {name} to upgrade", "warning")
    _warn_of_ignored_settings(context)
    preferences = context.preferences
    if preferences.dropped:
        context.say(
            f"the previous lock was made with {typed(preferences.dropped)}, this one is not",
            "warning",
        )
    if old is not None and (left_out := set(old.targets_asked) - set(context.targets)):
        names = " ".join(f"--target-environment {one}" for one in sorted(left_out))
        context.say(f"the previous lock was made with {names}, this one is not", "warning")
    keep = old if old is not None and not given.upgrade else None
    hints = _versions_of_uv(context) if old is None else {}
    making = LockMaker(context, keep, upgraded, digest, hints)
    if context.targets or making.conflicts:
        made = multi_target.lock(making, context.targets)
    else:
        problem = making.problem(context.pip)
        resolution = making.resolver(context.pip, keep).lock(problem, making.pins(keep))
        made = making.lock(resolution, problem, context.target)
    _warn_of_unknown_names(context, made)
    return made


def _versions_of_uv(context: LockServices) -> dict[NormalizedName, tuple[Version, ...]]:
    """Read the versions of the project's uv.lock, for the first lock."""
    project, given = context.project, context.request.lock
    if project is None or project.script is not None or given.given or given.upgrade:
        return {}
    if context.preferences.strategy != "highest":
        return {}
    versions = read_versions(project.directory)
    if versions:
        context.say(f"there is no lock yet: preferring the versions of {UV_LOCK}")
    return versions


def _warn_of_ignored_settings(context: LockServices) -> None:
    """Warn of settings without effect."""
    project = context.project
    if project is None or context.request.lock.given:
        return
    for note in project.notes:
        context.say(note, "warning")
    if not project.ignored_settings:
        return
    context.say(
        f"these settings of [tool.uv] in {project.file.name} are not used: "
        f"{', '.join(project.ignored_settings)}",
        "warning",
    )


def _warn_of_unknown_names(context: LockServices, lock: Lock) -> None:
    """Warn of build settings for packages that the lock does not have.

    pip.conf is for other projects too, so it may name more.
    """
    known = {one.name for one in lock.packages} | set(lock.build_versions)
    known |= {folder.name for folder in lock.folders}
    if context.project is not None and context.project.name is not None:
        known.add(context.project.name)
    said = context.request.lock.preferences
    typed_names = [
        (f"--{name}", set(map(canonicalize_name, said.values.get(name, ()))) - {":all:"})
        for name in LISTS
        if name in said.typed
    ]
    configuration = context.configuration
    of_lock: list[tuple[str, Iterable[NormalizedName]]] = [
        ("exclude-newer-package", configuration.exclude_newer_package),
        ("sources", configuration.sources),
    ]
    for setting, names in (*_names_in(context.settings), *of_lock, *typed_names):
        for name in sorted(set(names) - known):
            nearest = get_close_matches(name, known, n=1)
            meant = f"; did you mean {nearest[0]}?" if nearest else ""
            context.say(f"{setting} names {name}, which the lock does not have{meant}", "warning")


def _names_in(settings: Settings) -> Iterator[tuple[str, Iterable[NormalizedName]]]:
    """Return each setting that names packages, as it is written, and those packages."""
    yield "config-settings-package", settings.config_settings_package
    yield "extra-build-dependencies", settings.extra_build_dependencies
    yield "extra-build-variables", settings.extra_build_variables
    yield "build-memory", settings.build_memory
    yield "abi", settings.abi
    if settings.match_runtime != "auto":
        yield "match-runtime", settings.match_runtime
    if not isinstance(settings.rebuild, str):
        yield "rebuild", settings.rebuild
    for layer in settings.layers:
        if layer.source == "command line":
            yield "--no-build-isolation-package", layer.packages
        elif layer.source.isupper():  # a variable
            yield layer.source, layer.packages
        elif layer.source != "pip.conf":
            yield "no-build-isolation-package", layer.packages


def name_of_given(context: LockServices, text: str) -> str:
    """Return the name of a path or URL, with its extras.

    Raises:
        BuildError: its backend failed.
        ResolveError: it is no distribution, or its requirements cannot be satisfied.

    """
    roots, _ = context.pip.given([text])
    resolution = resolver_of(context, keep=None).lock(Problem(lambda _: roots), {})
    (stated,) = resolution.solution.roots[PROJECT]
    return stated


def completed(context: LockServices, lock: Lock, selection: Selection) -> tuple[Lock, Selection]:
    """Add to another tool's lock how the selected sources are built.

    An editable folder becomes a folder of the selection, as in pipshim's own locks.

    Raises:
        ResolveError: a build environment has no solution.
        NetworkError, HashError: a source cannot be fetched, or is not the locked one.

    """
    pins = {
        name: pin_of(package, context.target, context.fetcher)
        for name, package in selection.packages.items()
    }
    pins = {
        name: pin if pin.source is None else replace(pin, source=unpacked(pin.source))
        for name, pin in pins.items()
    }
    sources = {name: pin.source for name, pin in pins.items() if pin.source is not None}
    if not sources:
        return lock, selection
    solution = Solution(pins=pins, origins=dict.fromkeys(pins, frozenset({PROJECT})))
    resolution = resolver_of(context, keep=None).settled(solution)
    folders = tuple(
        LockedFolder(
            path=relative_path(context, source.directory),
            name=name,
            builds={None: resolution.folders[str(source.directory)]},
            origins=frozenset({PROJECT}),
        )
        for name, source in sources.items()
        if source.editable
    )
    completed_lock = replace(
        lock, builds=resolution.builds, folders=folders, **resolution.of_builds(lock.packages)
    )
    moved = {folder.name for folder in folders}
    packages = {name: one for name, one in selection.packages.items() if name not in moved}
    return completed_lock, Selection(packages, folders)
