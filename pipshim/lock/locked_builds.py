"""Plan builds from a lock, resolving requirements that it does not pin, or from a plan file."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim._pip.preparer import build_system
from pipshim.base.errors import LockError, PlanError
from pipshim.base.shared_results import SharedResults
from pipshim.base.tasks import in_order
from pipshim.builds.build_planner import BuildPlan, BuildPlanner, shared
from pipshim.builds.build_request import OuterEnvironment
from pipshim.model import artifacts
from pipshim.model.build_mode import Mode
from pipshim.model.build_order import longest_first
from pipshim.model.build_settings import Settings
from pipshim.model.build_variables import Patterns
from pipshim.model.pylock import LockedBuild, key_of
from pipshim.model.requirements import valid
from pipshim.model.solution import Pin, Solution, Source, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from packaging.pylock import Package
    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName

    from pipshim.builds.build_request import BuildRequest, BuiltWheel, Component
    from pipshim.builds.builder import Builder
    from pipshim.lock.services import LockServices
    from pipshim.model.build_record import Record
    from pipshim.model.interpreter import TargetPython
    from pipshim.model.plan_file import PlanFile, PlannedBuild
    from pipshim.model.pylock import Lock, LockedFolder
    from pipshim.model.selection import Selection
    from pipshim.store.fetcher import Fetcher

_UNKNOWN = Version("0")
"""Stands for the version of a folder or checkout, which its build tells."""


def pin_of(package: Package, target: TargetPython, fetcher: Fetcher) -> Pin:
    """Return a locked package as a pin; a source is fetched when it is first opened."""
    artifact = artifacts.choose(package, target)
    source = None
    if not artifacts.is_wheel(artifact):
        source = Source(
            name=package.name,
            version=package.version,
            outline=Path(),
            digest=artifacts.digest_of_source(artifact, fetcher.base),
            editable=package.directory is not None and bool(package.directory.editable),
            url=key_of(package),
            unpack=partial(fetcher.source, package, artifact),
            commit=package.vcs.commit_id if package.vcs is not None else "",
            package=package,
        )
    return Pin(
        package=package,
        version=package.version or _UNKNOWN,
        source=source,
        editable=source is not None and source.editable,
        platform_specific=artifacts.is_platform_specific(artifact),
    )


def unpacked(source: Source) -> Source:
    """Fetch and unpack a source, so that its build system can be read."""
    return replace(source, outline=source.directory, unpack=None)


class LockedBuilds(BuildPlanner):
    """Plans the builds of a lock.

    Args:
        selection: the part of it that builds match.
        outer: as for every planner.

    """

    def __init__(
        self,
        context: LockServices,
        lock: Lock,
        selection: Selection,
        outer: Callable[[], OuterEnvironment],
    ) -> None:
        super().__init__(
            context.settings,
            context.target,
            context.open_builder,
            context.fetcher,
            outer,
            context.combination,
        )
        self._context = context
        self._lock = lock
        self._selection = selection
        self._folders: dict[str, LockedBuild] = {}
        self._deferred: SharedResults[BuildRequest] = SharedResults()

    @cached_property
    def solution(self) -> Solution:
        """The runtime pins."""
        packages = self._selection.packages
        return Solution(pins={name: self._pin(one) for name, one in packages.items()}, origins={})

    def source(self, name: NormalizedName) -> Source:
        """Return the source of a selected package.

        Raises:
            TypeError: it is a wheel.

        """
        source = self.solution.pins[name].source
        if source is None:
            raise TypeError(f"{name} is not a source")
        return source

    def named(self, name: NormalizedName) -> list[Source]:
        """Return the sources of a name: at run time, and for builds."""
        pins = self.solution.pins
        found = [pins[name].source] if name in pins else []
        found += [self._pin(one).source for one in self._lock.build_packages if one.name == name]
        return list({one.url: one for one in found if one is not None}.values())

    def folder(self, folder: LockedFolder, directory: Path) -> Source:
        """Return the source of a project that is installed from its folder."""
        url = directory.as_uri()
        requires = build_system(directory, folder.name).requires
        self._folders[url] = replace(folder.build, requires=requires)
        return Source(folder.name, None, directory, None, editable=True, url=url)

    def start(self) -> None:
        """Make the resolver, if it may be needed, before threads build."""
        builds = (*self._lock.builds.values(), *(one.build for one in self._selection.folders))
        if any(one.deferred for one in builds):
            self._resolved  # noqa: B018 a cached property

    def plan(self, source: Source, solution: Solution | None) -> BuildPlan:  # noqa: ARG002
        """Return the lock's plan for a build."""
        build = self.locked(source)
        members = self._lock.members(build.environment) if build.environment is not None else ()
        requirements = self.with_extra(name_of(source), build.requires)
        pins = tuple(map(self._pin, members))
        return BuildPlan(build.mode, build.chosen_by, requirements, pins, not build.deferred)

    def locked(self, source: Source) -> LockedBuild:
        """Return how a source is built; without a setting, as when it was locked.

        Raises:
            LockError: the lock has no environment for it.

        """
        build = self._lock.builds.get(source.url) or self._folders.get(source.url)
        choice = self.settings.choice(name_of(source))
        requires = build.requires if build is not None else ()
        if choice.chosen_by == "default" and build is not None:
            mode, chosen_by = build.mode, build.chosen_by
        else:
            mode, chosen_by = choice.mode, choice.chosen_by
        if mode is Mode.NO_ISOLATION:
            return LockedBuild(mode, chosen_by, "", requires, None)
        if build is None or (build.environment is None and not build.deferred):
            raise LockError(
                self._context.lock_path,
                f"{source} has to be built, and the lock has no build environment for it",
                hint="recreate the lock: pipshim lock",
            )
        return build

    def request(
        self, source: Source, solution: Solution | None, plan: BuildPlan | None = None
    ) -> BuildRequest:
        """Describe a build, after resolving what the lock leaves open."""
        plan = plan or self.plan(source, solution)
        if plan.complete:
            return super().request(source, solution, plan)
        return shared(self._deferred, source.url, lambda: self._resolve(source))

    def component(self, pin: Pin, solution: Solution | None) -> Component:
        """Describe a distribution of a build environment; its version may be unknown."""
        return replace(super().component(pin, solution), version=str(pin.package.version or ""))

    def mode(self, source: Source) -> Mode:
        """Return the mode of a setting, else the lock's."""
        return self.locked(source).mode

    def is_work(self, source: Source, solution: Solution | None) -> bool:
        """Return whether no earlier wheel can be reused, as far as that is known."""
        return self.locked(source).deferred or super().is_work(source, solution)

    def builds_before(
        self, source: Source, solution: Solution | None
    ) -> Iterator[tuple[NormalizedName, str]]:
        """Yield what is built for the environment of an isolated build, as far as it is locked."""
        if not self.locked(source).deferred:
            yield from super().builds_before(source, solution)

    def precedes(self, other: Source, source: Source) -> bool:
        """Return whether nothing that is built without isolation has to precede `other`."""
        build = self.locked(other)
        if build.mode is Mode.NO_ISOLATION or build.environment is None:
            return build.deferred
        sources = (self._pin(one).source for one in self._lock.members(build.environment))
        return all(one is None or self.precedes(one, source) for one in sources)

    def why_stale(
        self, source: Source, record: Record, metadata: str, signer: str | None
    ) -> str | None:
        """Return why an installed wheel has to be built again; None if it can stay.

        In an environment that the lock leaves open, only what matches the runtime version can have
        changed.
        """
        plan = self.plan(source, self.solution)
        request = super().request(source, self.solution, plan)
        if not plan.complete:
            matched = self._matching(plan.requirements)
            known = {str(one.package.name): self.component(one, None).used for one in matched}
            known |= request.available
            available = {name: known.get(name, used) for name, used in record.against.items()}
            outer = OuterEnvironment(distributions=available)
            request = replace(request, components=(), outer=outer)
        return self.builder.why_stale(request, record, metadata, signer)

    def _pin(self, package: Package) -> Pin:
        return pin_of(package, self.target, self.fetcher)

    def _matching(self, requirements: tuple[str, ...]) -> Iterator[Pin]:
        """Return the runtime pins that a build with these requirements matches."""
        stated: dict[NormalizedName, list[Requirement]] = {}
        for requirement in valid((*requirements, *self.settings.constraints)):
            stated.setdefault(canonicalize_name(requirement.name), []).append(requirement)
        pins = self.solution.pins
        for name in stated.keys() & pins.keys():
            pin = pins[name]
            if (
                pin.package.version is not None
                and pin.platform_specific
                and all(one.specifier.contains(pin.version, True) for one in stated[name])
            ):
                yield pin

    def _resolve(self, source: Source) -> BuildRequest:
        self._context.say(
            f"{source}: resolving its build environment, which the lock does not have"
        )
        return self._resolved.request(unpacked(source), self.solution)

    @cached_property
    def _resolved(self) -> BuildPlanner:
        from pipshim.lock.lock_maker import resolver_of  # noqa: PLC0415 imports pip's resolver

        context = self._context
        # The extras and groups that exclude each other decide which indexes it follows.
        pip = context.pip.for_target(
            context.target, lambda markers: context.routes(markers, context.combination)
        )
        resolver = resolver_of(context, keep=self._lock, pip=pip)
        resolver.rounds.adopt(self.solution)
        return resolver.builds


def settings_of(plan: PlanFile) -> Settings:
    """Return the build settings that a plan was made with."""
    builds = plan.builds
    return Settings(
        extra_build_variables={one.name: one.variables for one in builds},
        build_memory={one.name: one.memory for one in builds if one.memory is not None},
        config_settings_package={one.name: one.config_settings for one in builds},
        constraint_lines=plan.constraints,
        rebuild=plan.rebuild,
        abi=plan.abi,  # type: ignore[arg-type]  # the levels were checked
        record_variables=Patterns(plan.record_variables),
        ignore_variables=Patterns(plan.ignore_variables),
    )


class PlannedBuilds(BuildPlanner):
    """Plans the builds of a plan file: each in the environment that the file states.

    Args:
        plan: the plan; `settings_of` it are those of the builder.
        path: its file, for errors.
        builder: runs builds.
        fetcher: fetches wheels and sources.

    """

    def __init__(
        self, plan: PlanFile, path: Path | str, builder: Builder, fetcher: Fetcher
    ) -> None:
        super().__init__(
            builder.settings, builder.target, lambda: builder, fetcher, OuterEnvironment
        )
        self._path = path
        self._planned = plan.by_id
        self._pins = {one.id: self._pin(one, one.source) for one in plan.builds}
        self._environments = {
            one.id: tuple(
                self._pins[other] if isinstance(other, str) else self._pin(one, other)
                for other in one.environment
            )
            for one in plan.builds
        }

    def run(self, ids: Iterable[str], done: Callable[[PlannedBuild, BuiltWheel], object]) -> None:
        """Build what is named and what it needs, several at once.

        Args:
            ids: of the builds.
            done: is called after each.

        Raises:
            BuildError: a build failed; running ones have finished.

        """
        waits = {one: self._planned[one].needs for one in ids}

        def build(one: str) -> None:
            planned = self._planned[one]
            done(planned, self.wheel(self._source(one), None))

        seconds = {}
        for one in waits:
            planned = self._planned[one]
            seconds[one] = self.builder.seconds_of(planned.name, planned.version or "") or 0.0
        in_order(
            build,
            {one: waits[one] for one in longest_first(seconds, waits)},
            at_once=self.builder.at_once,
            is_work=self.is_due,
            interrupted=self.builder.processes.stop,
        )

    def is_due(self, one: str) -> bool:
        """Return whether a build has to be done: no earlier wheel can be reused."""
        return self.is_work(self._source(one), None)

    def plan(self, source: Source, solution: Solution | None) -> BuildPlan:  # noqa: ARG002
        """Return a build as the plan has it."""
        planned = self._planned[source.url]
        pins = self._environments[planned.id]
        return BuildPlan(planned.mode, planned.chosen_by, planned.requirements, pins)

    def request(
        self, source: Source, solution: Solution | None, plan: BuildPlan | None = None
    ) -> BuildRequest:
        """Describe a build."""
        request = super().request(source, solution, plan)
        return replace(request, combination=self._planned[source.url].combination)

    def component(self, pin: Pin, solution: Solution | None) -> Component:
        """Describe a distribution of a build environment; its version may be unknown."""
        return replace(super().component(pin, solution), version=str(pin.package.version or ""))

    def mode(self, source: Source) -> Mode:
        return self._planned[source.url].mode

    def precedes(self, other: Source, source: Source) -> bool:
        """Return whether a build needs another one."""
        return other.url in self._planned[source.url].needs

    def _project_pins(
        self,
        source: Source,
        solution: Solution | None,
        requirements: Iterable[str],  # noqa: ARG002
    ) -> Iterator[Pin]:
        yield from self.plan(source, solution).pins

    def _source(self, one: str) -> Source:
        source = self._pins[one].source
        assert source is not None  # as the plan was checked
        return source

    def _pin(self, planned: PlannedBuild, package: Package) -> Pin:
        try:
            return pin_of(package, self.target, self.fetcher)
        except LockError as error:
            raise PlanError(
                self._path,
                f"{planned.id} needs a file that does not suit this machine: {error.problem}",
            ) from error
