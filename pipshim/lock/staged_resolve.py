"""Locking: what the rounds of the resolver led to, and how each source in it is built."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipshim._pip.pyproject import build_system
from pipshim._pip.resolver import Resolving, without_lower_bound
from pipshim.base.errors import PipshimError
from pipshim.lock.build_planner import Staging, is_of_build, within
from pipshim.lock.rounds import Elsewhere, Rounds
from pipshim.model import events
from pipshim.model.build_mode import Mode
from pipshim.model.lower_bounds import suggested
from pipshim.model.pylock import LockedBuild, environment_id, key_of
from pipshim.model.solution import Solution, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from packaging.pylock import Package
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim._pip.session import Pip, Root
    from pipshim._pip.sources import Revision
    from pipshim.builds.builder import Workshop
    from pipshim.envs.base_environment import Below
    from pipshim.lock.rounds import Host
    from pipshim.model.build_settings import Settings
    from pipshim.model.events import Observer
    from pipshim.model.lower_bounds import Chosen
    from pipshim.model.overrides import Overrides
    from pipshim.model.solution import Pin, Source
    from pipshim.store.fetcher import Fetcher


@dataclass(frozen=True)
class Resolution:
    """What a lock is made of.

    Attributes:
        solution: the pins for run time.
        builds: by entry key, how sources are built, those of build environments included.
        folders: by folder, how the projects that are installed from one are built.
        environments: by id, the packages of each build environment.

    """

    solution: Solution
    builds: Mapping[str, LockedBuild]
    folders: Mapping[str, LockedBuild]
    environments: Mapping[str, tuple[Package, ...]]


@dataclass
class Locker:
    """Resolves a lock.

    Attributes:
        pip: pip's machinery.
        settings: the build settings.
        workshop: where hooks run.
        fetcher: where wheels come from.
        observer: told of rounds.
        build_constraints: pip's constraint objects for build environments.
        preferred_builds: the pins of an earlier lock's build environments, kept where they fit.
        commits: the commits of an earlier lock, kept as long as the same revision is asked for.
        strategy: which versions are taken; build environments always get the highest.
        overrides: what replaces requirements, those of builds excepted.
        below: the environment that what is locked lies over.
        label: the name of the target, where a lock is for several.
        asked_on: where a lock is for several, the Python that backends are asked on.
        beside: a locker for another target, which sources are shared with.
        host: of a target that is not here, gives the rounds whose backends are asked.
        defers: whether build environments may be resolved later (`Rounds`).

    """

    pip: Pip
    settings: Settings
    workshop: Workshop
    fetcher: Fetcher
    observer: Observer
    build_constraints: Sequence[object] = ()
    preferred_builds: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    commits: Mapping[Revision, str] = field(default_factory=dict)
    strategy: str = "highest"
    overrides: Overrides | None = None
    below: Below | None = None
    label: str = ""
    asked_on: str | None = None
    beside: Locker | None = None
    host: Callable[[], Host] | None = None
    defers: bool = False
    staging: Staging = field(init=False)
    rounds: Rounds = field(init=False)
    _last: Solution | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.staging = Staging(
            pip=self.pip,
            settings=self.settings,
            workshop=self.workshop,
            fetcher=self.fetcher,
            observer=self.observer,
            resolving=Resolving(
                self.pip,
                self.commits,
                self.beside.staging.resolving if self.beside is not None else None,
                self.label,
            ),
            constraints=self.build_constraints,
            preferred=self.preferred_builds,
        )
        if self.below is not None:
            below = self.staging.below = self.below
            self.staging.behind, self.staging.programs = below.folders, below.programs
            self.staging.besides = lambda: below.used(besides=())
        if self.host is None:
            self.rounds = Rounds(self.staging, self.defers)
        else:
            self.rounds = Elsewhere(self.staging, self.defers, host=self.host)

    def lock(
        self,
        roots: Callable[[Rounds], Sequence[Root]],
        *,
        constraints: Sequence[object],
        preferred: Mapping[NormalizedName, Version],
        folders: Sequence[Source],
    ) -> Resolution:
        """Resolve, in rounds, and settle how everything is built.

        Args:
            roots: answers what is required; it may ask the rounds for the project's own metadata.
            constraints: pip's constraint objects.
            preferred: the pins of an earlier lock, kept where they fit.
            folders: the projects that are installed from their folders.

        Raises:
            ResolveError: no versions fit, or the rounds do not end.
            BuildError: a backend failed.

        """
        start = time.monotonic()
        solution = self.solve(roots, constraints=constraints, preferred=preferred)
        resolution = self.settled(solution, folders)
        self.observer(events.ResolveFinished(len(solution.pins), time.monotonic() - start))
        return resolution

    def solve(
        self,
        roots: Callable[[Rounds], Sequence[Root]],
        *,
        constraints: Sequence[object],
        preferred: Mapping[NormalizedName, Version],
        offered: Mapping[NormalizedName, tuple[Version, ...]] | None = None,
    ) -> Solution:
        """Resolve, in rounds.

        Args:
            roots: as for `lock`, and the next two.
            constraints: pip's constraint objects.
            preferred: the pins of an earlier lock.
            offered: the pins of other targets, taken before these.

        Raises:
            ResolveError, BuildError: as `lock` does.

        """
        metadata_of = self.rounds.metadata
        asked: Sequence[Root] = ()

        def one_round(number: int) -> Solution:
            nonlocal asked
            self.observer(events.ResolveStarted(number, self.label))
            asked = roots(self.rounds)
            self._last = self.staging.resolving.resolve(
                asked,
                constraints=constraints,
                preferred={name: (version,) for name, version in preferred.items()},
                offered=offered,
                below=self.below.versions if self.below is not None else None,
                metadata_of=metadata_of,
                strategy=self.strategy,
                overrides=self.overrides,
                pinned=lambda name, version: self.observer(
                    events.Pinned(name, version, self.label)
                ),
            )
            return self._last

        start = time.monotonic()
        with suggested(self.strategy, self._chosen):
            solution = self.rounds.settle(one_round)
        if self.label:
            took = time.monotonic() - start
            self.observer(events.TargetResolved(self.label, len(solution.pins), took))
        self._warn_of_lowest(asked, constraints, solution)
        return solution

    def _chosen(self) -> Chosen:
        return (self._last.versions, self._last.roots) if self._last is not None else ({}, {})

    def _warn_of_lowest(
        self, roots: Sequence[Root], constraints: Sequence[object], solution: Solution
    ) -> None:
        """Name what may be decades old, since nothing says how old it may be."""
        if self.strategy == "highest":
            return
        found = without_lower_bound(roots, constraints) & set(solution.pins)
        for name in sorted(found):
            text = (
                f"{name} {solution.pins[name].version} is the lowest that fits; a lower bound "
                f"({name}>=…) says from which version on it is supported"
            )
            self.observer(events.Message("warning", text))

    # The end of the last round

    def settled(self, solution: Solution, folders: Sequence[Source] = ()) -> Resolution:
        """Settle how every source is built, and collect the build environments.

        Args:
            solution: what `solve` found, or pins that were chosen elsewhere.
            folders: the projects that are installed from their folders.

        Raises:
            ResolveError: a build environment has no solution.
            BuildError: a backend failed.

        """
        self.rounds.adopt(solution)
        builds: dict[str, LockedBuild] = {}
        environments: dict[str, tuple[Package, ...]] = {}

        def settle(source: Source) -> LockedBuild:
            name = name_of(source)
            system = build_system(source.outline, str(source))
            choice = self.settings.choice(name)
            asked_on = None if self.rounds.is_static(source) else self.asked_on
            if choice.mode is Mode.NO_ISOLATION:
                return LockedBuild(
                    choice.mode, choice.chosen_by, system.backend, system.requires, None, asked_on
                )
            mode, pins, complete = self.rounds.build_pins(source, solution)
            before = dict(builds), dict(environments)
            packages = tuple(pin.package for pin in pins)
            identifier = environment_id(packages) if complete or packages else None
            try:
                with within(source):
                    for pin in pins:
                        collect(pin)
            except PipshimError as error:
                if not (self.rounds.may_defer(source) and is_of_build(error)):
                    raise
                builds.clear()
                builds.update(before[0])
                environments.clear()
                environments.update(before[1])
                self.staging.warn_deferred(source, error)
                complete, identifier = False, None
            if identifier is not None:
                environments[identifier] = packages
            chosen_by = choice.chosen_by
            if mode is Mode.MATCHED and chosen_by == "default":
                chosen_by = "match-runtime"
            return LockedBuild(
                mode,
                chosen_by,
                system.backend,
                system.requires,
                identifier,
                asked_on,
                deferred=not complete,
            )

        def collect(pin: Pin) -> None:
            key = key_of(pin.package)
            if pin.source is not None and key not in builds:
                builds[key] = settle(pin.source)

        sources = [pin.source for pin in solution.pins.values() if pin.source is not None]
        with suggested(self.strategy, lambda: (solution.versions, solution.roots)):
            self.rounds.warm([*sources, *folders], solution)
            folders = [*folders, *(one for one in sources if one.editable)]
            for pin in solution.pins.values():
                if not pin.editable:
                    collect(pin)
        return Resolution(
            solution=solution,
            builds=builds,
            folders={str(source.outline): settle(source) for source in folders},
            environments=environments,
        )
