"""Making an environment what the lock says: fetch and build everything, then change it in one step.

Nothing in the environment changes before all that is to be in it is there. Then each package's old
files go and its new ones come; if anything fails, all of it is taken back.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache, cached_property, partial
from typing import TYPE_CHECKING, Any

from packaging.direct_url import DirectUrl, DirInfo
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pipshim._pip.pyproject import build_system
from pipshim.base.errors import LockError, UsageError
from pipshim.base.shared_results import CycleError, SharedResults
from pipshim.base.tasks import each, in_order
from pipshim.builds.build_request import Built, Component, Job
from pipshim.builds.environment import BuildEnvironment
from pipshim.envs import installed, shared_files
from pipshim.envs.dist_info import METADATA
from pipshim.envs.install_notes import (
    WHEEL,
    as_present,
    direct_url,
    origin_of,
    own_distributions,
    site_folders,
)
from pipshim.envs.native import used
from pipshim.lock.deferred import DeferredBuilds, matching
from pipshim.model import artifacts, events
from pipshim.model.build_mode import Mode, ModeChoice
from pipshim.model.build_order import needs, ordered
from pipshim.model.build_record import Record
from pipshim.model.build_settings import ALL
from pipshim.model.build_system import required_by
from pipshim.model.lower_bounds import suggested
from pipshim.model.pylock import LockedBuild, key_of
from pipshim.model.sync_plan import Step, Wanted, plan
from pipshim.store import store
from pipshim.store.linking import Linker
from pipshim.sync.transaction import Change, Ready

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from packaging.pylock import Package

    from pipshim.envs.installed import Installed
    from pipshim.model.build_record import Used
    from pipshim.model.interpreter import Target
    from pipshim.model.lower_bounds import Chosen
    from pipshim.model.pylock import Lock, LockedFolder
    from pipshim.model.requests import SelectionOptions
    from pipshim.model.selection import Selection
    from pipshim.model.sync_plan import Removes
    from pipshim.store.fetcher import Artifact
    from pipshim.store.unpacked_wheel import Tree
    from pipshim.sync.services import SyncServices

_DOWNLOADS_AT_ONCE = 4
_FOLDER_FILES = ("pyproject.toml", "setup.py", "setup.cfg")


@dataclass
class Sync:
    """One sync of one environment.

    Attributes:
        context: the command's parts.
        lock: what to install.
        selection: which part of it.
        options: how.
        exact: whether what the lock does not have is removed; None: as suits the environment.

    """

    context: SyncServices
    lock: Lock
    selection: Selection
    options: SelectionOptions
    exact: bool | None
    _present: dict[NormalizedName, Installed] = field(default_factory=dict, init=False)
    _removes: Removes = field(default="none", init=False)
    _protected: set[NormalizedName] = field(default_factory=set, init=False)
    _shared_builds: SharedResults[Built] = field(default_factory=SharedResults, init=False)

    # The plan

    def plan(self, target: Target | None) -> list[Step]:
        """Compare the environment, if there is one yet, with what the lock says."""
        self._present = installed.scan(site_folders(target)) if target is not None else {}
        self._protected = own_distributions(target)
        if self.exact is not False:
            everything = self.exact or self.context.choice.created_by_pipshim
            self._removes = "all" if everything else "own"
        lost = shared_files.damaged(str(target.prefix), self._present) if target is not None else {}
        present = {name: as_present(one, target) for name, one in self._present.items()}
        for name, how in lost.items():
            one = present[canonicalize_name(name)]
            present[one.name] = replace(one, damaged=one.damaged or how)
        return plan(
            {one.name: one for one in self._wanted()},
            present,
            removes=self._removes,
            protected=self._protected,
            reinstall=lambda name: (
                self.options.reinstall or name in self.options.reinstall_packages
            ),
            stale=self._stale,
        )

    def _wanted(self) -> Iterable[Wanted]:
        for name, package in self.selection.packages.items():
            artifact = artifacts.choose(package, self.context.target)
            folder = package.directory is not None
            yield Wanted(
                name,
                str(package.version) if package.version is not None else None,
                artifacts.identity(artifact),
                direct=package.is_direct,
                always="installed from a folder" if folder else None,
            )
        for one in self.selection.folders:
            editable = not self.options.no_editable
            yield Wanted(
                one.name,
                None,
                self._folder_identity(one),
                direct=True,
                always=None if editable else "installed from a folder",
            )

    def _folder_identity(self, folder: LockedFolder) -> str:
        """Tell a folder's content: where it is, and the files that its metadata comes from."""
        directory = self._directory(folder)
        kind = "folder" if self.options.no_editable else "editable"
        digest = hashlib.sha256(str(directory).encode())
        for name in _FOLDER_FILES:
            path = directory / name
            digest.update(path.read_bytes() if path.is_file() else b"\0")
        return f"{kind}:{digest.hexdigest()[:32]}"

    def _directory(self, folder: LockedFolder) -> Path:
        return (self.context.lock_path.parent / folder.path).resolve()

    def _is_built(self, package: Package) -> bool:
        return not artifacts.is_wheel(artifacts.choose(package, self.context.target))

    def check_rebuilt(self) -> None:
        """Check that what is to be rebuilt is among what the lock builds.

        Raises:
            UsageError: a package is not selected, or comes as a wheel.

        """
        members = {one.name for one in self.lock.build_packages}
        packages = self.selection.packages
        known = {*packages, *members, *(folder.name for folder in self.selection.folders)}
        for name in sorted(self.context.settings.rebuilt - members - {ALL}):
            package = packages.get(canonicalize_name(name))
            if name not in known:
                close = get_close_matches(name, known, 1)
                raise UsageError(
                    f"--rebuild {name}: what is installed does not include {name}",
                    hint=f"did you mean --rebuild {close[0]}?" if close else None,
                )
            if package is not None and not self._is_built(package):
                raise UsageError(
                    f"--rebuild {name}: {name} {package.version} is installed from a wheel, so "
                    "there is nothing to build",
                    hint=f"to install it again: --reinstall-package {name}",
                )

    def _stale(self, name: NormalizedName) -> str | None:
        """Say why an installed wheel that was built has to be built again."""
        package = self.selection.packages.get(name)
        present = self._present.get(name)
        settings = self.context.settings
        if settings.is_rebuilt(name) and (package is None or self._is_built(package)):
            return "rebuild: asked for"
        if package is None or present is None:
            return None
        noted = origin_of(present).get("record")
        if noted is None:
            return None
        record = Record.from_json(noted)
        if record is None:
            return "rebuild: its build record is that of an older pipshim"
        job = self._locked_job(package)
        if self._locked_build(package).deferred:
            job = replace(job, components=(), besides=self._available(record, job))
        metadata = installed.read_text(str(present.dist_info / METADATA))
        why = self.context.workshop.why_stale(job, record, metadata)
        return f"rebuild: {why}" if why is not None else None

    def _available(self, record: Record, job: Job) -> Mapping[str, Used]:
        """Return what a build with a deferred environment would use, as far as that is known.

        The lock may have a part of the environment; of the rest, only what matches the run-time
        version can have changed.
        """
        constraints = self.context.settings.build_constraints
        target = self.context.target
        matched = {
            str(package.name): self._component(package).used
            for package in matching(self.selection, target, (*job.requirements, *constraints))
        }
        known = {**matched, **job.available}
        return {name: known.get(name, used) for name, used in record.against.items()}

    # Fetching and building

    def prepare(self, steps: Iterable[Step]) -> dict[NormalizedName, Ready]:
        """Fetch and build what the steps need, the environment untouched.

        What needs no building comes first, then isolated and matched builds, then builds without
        isolation, each after those that it waits for.

        Raises:
            HashError, NetworkError: a file is not the locked one, or cannot be had.
            BuildError: a build failed; what was running has been let finish.

        """
        wanted = [step.name for step in steps if step.action in ("add", "replace")]
        packages = [self.selection.packages[n] for n in wanted if n in self.selection.packages]
        target = self.context.target
        chosen = [(package, artifacts.choose(package, target)) for package in packages]
        wheels = [(package, one) for package, one in chosen if artifacts.is_wheel(one)]
        sources = [package for package, one in chosen if not artifacts.is_wheel(one)]
        folders = [
            one
            for one in self.selection.folders
            if one.name in wanted and not self._builds_in_place(one)
        ]
        if wanted:
            self.context.observer(events.Planned(len(wanted), len(sources) + len(folders)))
        if any(one.deferred for one in self._builds(sources, folders)):
            self._deferred.start()
        ready: dict[NormalizedName, Ready] = {}
        stop = self.context.workshop.processes.stop
        # The largest first: unpacking one takes longest, and the others go on beside it.
        wheels.sort(key=lambda wheel: artifacts.size(wheel[1]), reverse=True)
        with self.context.fetcher.many(self._missing(one for _, one in wheels)):
            fetched = each(
                lambda wheel: self._fetch(*wheel),
                wheels,
                at_once=_DOWNLOADS_AT_ONCE,
                interrupted=stop,
            )
        ready.update(zip((package.name for package, _ in wheels), fetched, strict=True))

        by_name = {one.name: one for one in sources}
        with suggested(self.context.preferences.strategy, self._chosen):
            built = in_order(
                lambda name: self._built(by_name[name]),
                self._order(by_name),
                at_once=self.context.jobs,
                is_work=cache(lambda name: self._is_work(by_name[name])),
                interrupted=stop,
            )
        ready.update((name, self._ready(by_name[name], made)) for name, made in built.items())
        for folder in folders:
            ready[folder.name] = self._from_folder(folder, None)
            self._prepared(folder.name, ready[folder.name].tree, ready[folder.name].source)
        return ready

    def _is_work(self, package: Package) -> bool:
        """Whether a package has to be built, as far as that is known."""
        if self._locked_build(package).deferred:
            return True
        return not self.context.workshop.has(self._job(package))

    def _builds(
        self, sources: Iterable[Package], folders: Iterable[LockedFolder]
    ) -> Iterator[LockedBuild]:
        """Return the builds that may take place: also those of build requirements."""
        yield from map(self._locked_build, sources)
        yield from (folder.build for folder in folders)
        yield from self.lock.builds.values()

    def _missing(self, wheels: Iterable[Artifact]) -> int:
        """Count the wheels that the store seems not to have."""
        hashes = ((getattr(one, "hashes", None) or {}).get("sha256") for one in wheels)
        return sum(not (known and self.context.store.may_have(known)) for known in hashes)

    def _chosen(self) -> Chosen:
        found = self.selection.packages.items()
        versions = {name: one.version for name, one in found if one.version is not None}
        return versions, self.lock.roots

    def _prepared(self, name: NormalizedName, tree: Tree, source: events.Source) -> None:
        self.context.observer(events.Prepared(name, tree.version, source))

    def _order(
        self, sources: Mapping[NormalizedName, Package]
    ) -> dict[NormalizedName, set[NormalizedName]]:
        """Tell what each build waits for; those with an environment of their own come first."""
        free = {name for name, package in sources.items() if self._is_free(package)}
        waits: dict[NormalizedName, set[NormalizedName]] = {}
        for name, package in sources.items():
            if self._locked_build(package).mode is Mode.NO_ISOLATION:
                waits[name] = self._needs(package)
        order = ordered(waits)
        return {
            **{name: set() for name in sources if name not in waits},
            **{name: waits[name] | free for name in order},
        }

    def _is_free(self, package: Package) -> bool:
        """Whether a package needs no build, or one that no build without isolation precedes."""
        if artifacts.is_wheel(artifacts.choose(package, self.context.target)):
            return True
        build = self._locked_build(package)
        if build.mode is Mode.NO_ISOLATION:
            return False
        if build.environment is None:
            return build.deferred
        return all(self._is_free(one) for one in self.lock.members(build.environment))

    def _fetch(self, package: Package, artifact: Artifact) -> Ready:
        tree = self.context.fetcher.wheel(package, artifact)  # type: ignore[arg-type]
        self._prepared(package.name, tree, "index")
        return Ready(
            tree,
            {"identity": artifacts.identity(artifact)},
            "index",
            direct_url=direct_url(package),
        )

    def _built(self, package: Package) -> Built:
        built = self._build(package)
        self._prepared(package.name, built.tree, "cached" if built.cached else "built")
        return built

    def _build(self, package: Package) -> Built:
        """Build a package once, whoever asks first; the others wait for that build.

        Raises:
            LockError: in the lock, builds need each other.

        """

        def build() -> Built:
            return self.context.workshop.wheel(self._job(package))

        try:
            return self._shared_builds.get(key_of(package), build)
        except CycleError as error:
            raise LockError(
                self.context.lock_path,
                f"builds need each other: {error}",
                hint="Run `pipshim lock --upgrade`.",
            ) from error

    def _ready(self, package: Package, built: Built) -> Ready:
        artifact = artifacts.choose(package, self.context.target)
        return Ready(
            built.tree,
            {"identity": artifacts.identity(artifact), "record": built.record.to_json()},
            "cached" if built.cached else "built",
            built.record.mode,
            direct_url(package),
            (self._locked_build(package).chosen_by, built.record.why()),
        )

    def _job(self, package: Package) -> Job:
        """Say how a package is built, after resolving what the lock leaves to this moment."""
        if not self._locked_build(package).deferred:
            return self._locked_job(package)
        return self._deferred.of_package(package)

    @cached_property
    def _deferred(self) -> DeferredBuilds:
        return DeferredBuilds(self.context, self.lock, self.selection)

    def _locked_job(self, package: Package) -> Job:
        """Say how a package is built, as far as the lock says."""
        artifact = artifacts.choose(package, self.context.target)
        build = self._locked_build(package)
        hashes = getattr(artifact, "hashes", None) or {}

        def opened() -> tuple[Path, Any]:
            directory = self.context.fetcher.source(package, artifact)
            return directory, build_system(directory, package.name)

        requirements = self._with_extra(package.name, build.requires)
        besides: dict[str, Used] = {}
        if build.mode is Mode.NO_ISOLATION:
            components = self._staging(package.name, requirements)
            besides = self._besides()
        else:
            components = self._members(build, package.name)
        return Job(
            name=package.name,
            version=str(package.version or "?"),
            sha256=hashes.get("sha256"),
            mode=build.mode,
            chosen_by=build.chosen_by,
            open=opened,
            requirements=requirements,
            components=components,
            **self._behind(besides),
            besides=besides,
            commit=package.vcs.commit_id if package.vcs is not None else "",
        )

    def _locked_build(self, package: Package) -> LockedBuild:
        build = self.lock.builds.get(key_of(package))
        choice = self._choice(package.name, build)
        if choice.mode is Mode.NO_ISOLATION:
            requires = build.requires if build is not None else ()
            return LockedBuild(choice.mode, choice.chosen_by, "", requires, None)
        if build is None or (build.environment is None and not build.deferred):
            raise LockError(
                self.context.lock_path,
                f"{package.name} {package.version} has to be built, and the lock has no build "
                "environment for it",
                hint="make the lock anew: pipshim lock",
            )
        return build

    def _choice(self, name: NormalizedName, build: LockedBuild | None) -> ModeChoice:
        """Choose a mode; what nobody says anything about is built as when it was locked."""
        choice = self.context.settings.choice(name)
        if choice.chosen_by == "default" and build is not None:
            return ModeChoice(build.mode, build.chosen_by)
        return choice

    def _with_extra(self, name: NormalizedName, requires: tuple[str, ...]) -> tuple[str, ...]:
        extra = self.context.settings.extra.get(name, ())
        return (*requires, *(str(one.requirement) for one in extra))

    def _members(self, build: LockedBuild, name: NormalizedName) -> tuple[Component, ...]:
        if build.environment is None and build.deferred:
            return ()
        if build.environment is None:
            raise LockError(
                self.context.lock_path,
                f"the lock has no build environment for {name}",
                hint="make the lock anew: pipshim lock",
            )
        return tuple(self._component(one) for one in self.lock.members(build.environment))

    def _staging(self, name: NormalizedName, requires: Iterable[str]) -> tuple[Component, ...]:
        """Say what the environment will have when a no-isolation build runs in it."""
        packages = self.selection.packages
        needed = needs(name, requires, _dependencies(packages))
        found = []
        for other, package in packages.items():
            if other == name:
                continue
            if other in needed or self._is_free(package):
                found.append(self._component(package))
        return tuple(found)

    def _needs(self, package: Package) -> set[NormalizedName]:
        requires = self._with_extra(package.name, self._locked_build(package).requires)
        return needs(package.name, requires, _dependencies(self.selection.packages))

    def _component(self, package: Package) -> Component:
        artifact = artifacts.choose(package, self.context.target)

        def tree() -> Tree:
            if artifacts.is_wheel(artifact):
                return self.context.fetcher.wheel(package, artifact)  # type: ignore[arg-type]
            return self._build(package).tree

        return Component(
            package.name,
            str(package.version or ""),
            artifacts.identity(artifact),
            tree,
            is_built=not artifacts.is_wheel(artifact),
            pure=artifacts.is_pure_wheel(artifact),
        )

    def _besides(self) -> dict[str, Used]:
        """Tell what else a build without isolation sees: what the sync leaves, what is below."""
        below = self.context.below
        under = below.used(besides=self.selection.packages) if below is not None else {}
        return under | {
            name: used(one)
            for name, one in self._present.items()
            if name not in self.selection.packages
            and (
                self._removes == "none"
                or name in self._protected
                or (self._removes == "own" and one.installer != "pipshim")
            )
        }

    def _behind(self, besides: Mapping[str, Used]) -> dict[str, Any]:
        """Tell where that is."""
        if not besides:
            return {}
        target, below = self.context.target, self.context.below
        return {
            "behind": (*site_folders(target), *(below.folders if below is not None else ())),
            "programs": (target.scripts, *(below.programs if below is not None else ())),
        }

    # Projects in folders

    def _builds_in_place(self, folder: LockedFolder) -> bool:
        """Whether it is built in the environment itself, when that is as it will be.

        An editable without isolation may remember its environment (meson-python does).
        """
        mode = self._choice(folder.name, folder.build).mode
        return mode is Mode.NO_ISOLATION and not self.options.no_editable

    def _from_folder(self, folder: LockedFolder, environment: BuildEnvironment | None) -> Ready:
        directory = self._directory(folder)
        build, choice = folder.build, self._choice(folder.name, folder.build)
        system = build_system(directory, folder.name)
        requirements = self._with_extra(folder.name, system.requires)
        besides: dict[str, Used] = {}
        if choice.mode is Mode.NO_ISOLATION:
            build = replace(build, mode=choice.mode, chosen_by=choice.chosen_by)
            components = self._staging(folder.name, requirements)
            besides = self._besides()
        elif build.deferred:
            staged = self._deferred.of_folder(folder.name, directory)
            build, components = replace(build, mode=staged.mode), staged.components
        else:
            components = self._members(build, folder.name)
        job = Job(
            name=folder.name,
            version="",
            sha256=None,
            mode=build.mode,
            chosen_by=build.chosen_by,
            open=lambda: (directory, system),
            requirements=requirements,
            components=components,
            **self._behind(besides),
            besides=besides,
            environment=environment,
        )
        workshop = self.context.workshop
        editable = not self.options.no_editable
        direct = DirectUrl(
            url=directory.as_uri(), dir_info=DirInfo(editable=True if editable else None)
        )
        origin: dict[str, Any] = {"identity": self._folder_identity(folder)}
        if editable:
            # A wheel of its own that nobody else may use: it points into this folder.
            wheel = workshop.editable(job)
            self._warn_of_unlocked(folder.name, wheel)
            tree = store.Store(self.context.workspace.fresh("store")).add_file(wheel, folder.name)
            return Ready(tree, origin, "editable", str(job.mode), direct.to_dict())
        built = workshop.wheel(job)
        return Ready(built.tree, origin, "built", str(job.mode), direct.to_dict())

    def _warn_of_unlocked(self, name: NormalizedName, wheel: Path) -> None:
        """Warn of what only the editable wheel requires, such as ``editables``.

        The lock has it where the backend was asked for metadata; not where pyproject.toml states
        all dependencies.
        """
        locked = {one.name for one in self.lock.packages}
        locked |= {folder.name for folder in self.lock.folders}
        markers = {**self.context.target.markers, "extra": ""}
        missing = [
            str(one)
            for one in required_by(wheel)
            if (one.marker is None or one.marker.evaluate(markers))
            and canonicalize_name(one.name) not in locked
        ]
        if missing:
            self.context.say(
                f"{name} is installed as an editable, which requires {', '.join(missing)}; the "
                "lock does not have that. Add it to the project's dependencies or to a dependency "
                "group",
                "warning",
            )

    # The change

    def apply(
        self, steps: Iterable[Step], ready: Mapping[NormalizedName, Ready], target: Target
    ) -> None:
        """Change the environment, in one step: all of it, or nothing.

        Raises:
            InstallError: it could not be changed; it is as before.
            BuildError: an editable that builds in place failed; the environment is as before.

        """
        due = {step.name for step in steps if step.action in ("add", "replace")}
        environment = BuildEnvironment(target, leaks=True)

        def built(folder: LockedFolder) -> tuple[NormalizedName, Ready]:
            return folder.name, self._from_folder(folder, environment)

        linker = Linker(self.context.request.common.link_mode or "auto")
        change = Change(
            target,
            self._present,
            self.requested(),
            linker,
            observer=self.context.observer,
            bytecode=bool(self.options.compile),
            tree_of=self._installed_tree,
        )
        change.make(
            steps,
            ready,
            [
                partial(built, folder)
                for folder in self.selection.folders
                if folder.name in due and self._builds_in_place(folder)
            ],
        )
        if linker.told is not None:
            self.context.say(linker.told)

    def _installed_tree(self, one: Installed) -> Tree | None:
        """Answer the tree of an installed distribution: the store's, else that of the lock's."""
        tree = self.context.store.tree(str(origin_of(one).get(WHEEL)))
        if tree is None and one.name in self.selection.packages:
            step = Step("replace", one.name, one.version, one.version, "")
            tree = self.prepare([step])[one.name].tree
        return tree

    def requested(self) -> set[NormalizedName]:
        """Tell what the user asked for by name (REQUESTED)."""
        project = self.context.project
        names: set[NormalizedName] = {folder.name for folder in self.selection.folders}
        if self.lock.requirements or project is None:
            for text in self.lock.requirements:
                try:
                    names.add(canonicalize_name(Requirement(text).name))
                except InvalidRequirement:
                    continue
            return names
        for found in (
            project.dependencies,
            *project.optional_dependencies.values(),
            *project.dependency_groups.values(),
        ):
            names |= {canonicalize_name(one.name) for one in found}
        return names


def _dependencies(
    packages: Mapping[NormalizedName, Package],
) -> dict[NormalizedName, list[NormalizedName]]:
    return {
        name: [canonicalize_name(one["name"]) for one in package.dependencies or ()]
        for name, package in packages.items()
    }
