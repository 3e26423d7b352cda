"""Resolve a lock: run the rounds, then decide how each source is built."""

from __future__ import annotations

import time
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pipshim._pip.preparer import build_system
from pipshim.base.errors import PipshimError
from pipshim.base.light.dataclasses import dataclass
from pipshim.builds.build_planner import within
from pipshim.lock.metadata_rounds import RemoteRounds, Rounds
from pipshim.lock.resolved_builds import ResolvedBuilds, is_of_build
from pipshim.model import events
from pipshim.model.build_mode import Mode
from pipshim.model.lower_bound_hint import suggest_lower_bounds
from pipshim.model.pylock import LockedBuild, environment_id, key_of
from pipshim.model.requirements import has_lower_bound

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager

    from packaging.pylock import Package
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim._pip.requirements import ParsedRequirement, Root
    from pipshim.model.requirements import Overrides
    from pipshim.model.solution import Pin, Solution, Source

    Versions = Mapping[NormalizedName, tuple[Version, ...]]


@dataclass(frozen=True)
class Problem:
    """What to resolve for one target.

    Attributes:
        roots: returns the root requirements; it may ask the rounds for the project's own metadata.
        constraints: pip's constraint objects.
        folders: the projects that are installed from their folders, besides editables.
        origins: the extras and groups (``extra cpu``); `roots` adds those that only backends know.
        pinned: the packages that may be chosen; None: any.

    """

    roots: Callable[[Rounds], Sequence[Root]]
    constraints: Sequence[ParsedRequirement] = ()
    folders: Sequence[Source] = ()
    origins: set[str] = field(default_factory=set)
    pinned: Collection[NormalizedName] | None = None


@dataclass(frozen=True)
class Resolution:
    """The contents of a lock.

    Attributes:
        builds: by entry key, how sources are built, those of build environments included.
        folders: by folder, how the projects that are installed from one are built.
        environments: by id, the packages of each build environment.

    """

    solution: Solution
    builds: Mapping[str, LockedBuild]
    folders: Mapping[str, LockedBuild]
    environments: Mapping[str, tuple[Package, ...]]

    @property
    def members(self) -> dict[str, Package]:
        """The packages of all build environments, by entry key."""
        return {key_of(one): one for found in self.environments.values() for one in found}

    def of_builds(self, runtime: Iterable[Package]) -> dict[str, Any]:
        """Return the fields of a lock about builds, given its packages for run time."""
        known = set(map(key_of, runtime))
        return {
            "build_packages": tuple(one for key, one in self.members.items() if key not in known),
            "environments": {
                name: tuple(sorted(map(key_of, found))) for name, found in self.environments.items()
            },
        }


@dataclass
class LockResolver:
    """Resolves a lock.

    Attributes:
        builds: plans how sources are built, and has the resolver.
        strategy: which versions are chosen; build environments always get the highest.
        overrides: what replaces requirements, except those of builds.
        label: the name of the target, in a lock for several.
        asked_on: in a lock for several, the Python that backends run on.
        ask_host: for another machine's target, asks the backends of this one (`RemoteRounds`).
        defers: whether build environments may be resolved later (`Rounds`).

    """

    builds: ResolvedBuilds
    strategy: str = "highest"
    overrides: Overrides | None = None
    label: str = ""
    asked_on: str | None = None
    ask_host: Callable[..., Any] | None = None
    defers: bool = False
    rounds: Rounds = field(init=False)
    _last: Solution | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.ask_host is None:
            self.rounds = Rounds(self.builds, self.defers)
        else:
            self.rounds = RemoteRounds(self.builds, self.defers, ask_host=self.ask_host)

    def lock(self, problem: Problem, preferred: Versions) -> Resolution:
        """Resolve in rounds, and decide how everything is built.

        Args:
            preferred: the pins of an earlier lock, kept where they fit, the best one last.

        Raises:
            ResolveError: no versions fit, or the rounds do not end.
            BuildError: a backend failed.

        """
        start = time.monotonic()
        solution = self.solve(problem, preferred)
        resolution = self.settled(solution, problem.folders)
        self.builds.observer(events.ResolveFinished(len(solution.pins), time.monotonic() - start))
        return resolution

    def solve(
        self, problem: Problem, preferred: Versions, offered: Versions | None = None
    ) -> Solution:
        """Resolve in rounds; the pins of other targets (``offered``) go before the preferred."""
        metadata_of, below = self.rounds.metadata, self.builds.below
        asked: Sequence[Root] = ()

        def one_round(number: int) -> Solution:
            nonlocal asked
            self.builds.observer(events.ResolveStarted(number + 1, self.label))
            asked = problem.roots(self.rounds)
            self._last = self.builds.runner.resolve(
                asked,
                constraints=problem.constraints,
                preferred=preferred,
                offered=offered,
                below=below.versions if below is not None else None,
                metadata_of=metadata_of,
                strategy=self.strategy,
                overrides=self.overrides,
                pinned=lambda name, version: self.builds.observer(
                    events.Pinned(name, version, self.label)
                ),
            )
            return self._last

        start = time.monotonic()
        with self._suggesting():
            solution = self.rounds.settle(one_round)
        if self.label:
            took = time.monotonic() - start
            self.builds.observer(events.TargetResolved(self.label, len(solution.pins), took))
        self._warn_of_lowest(asked, problem.constraints, solution)
        return solution

    def _suggesting(self) -> AbstractContextManager[None]:
        return suggest_lower_bounds(
            self.strategy,
            lambda: self._last,
            lambda bound: self.builds.builder.user().constrain(bound),
        )

    def _warn_of_lowest(
        self, roots: Sequence[Root], constraints: Sequence[ParsedRequirement], solution: Solution
    ) -> None:
        """Warn of direct requirements without a lower bound, which may get very old versions."""
        if self.strategy == "highest":
            return
        found = _without_lower_bound(roots, constraints) & set(solution.pins)
        for name in sorted(found):
            text = (
                f"{name} {solution.pins[name].version} is the lowest that fits; a lower bound "
                f"({name}>=…) states the oldest version that is supported"
            )
            self.builds.observer(events.Message("warning", text))

    # The end of the last round

    def settled(self, solution: Solution, folders: Sequence[Source] = ()) -> Resolution:
        """Decide how every source is built, and collect the build environments.

        Args:
            solution: from `solve`, or pins that were chosen elsewhere.
            folders: the projects that are installed from their folders.

        Raises:
            ResolveError: a build environment has no solution.
            BuildError: a backend failed.

        """
        self.rounds.adopt(solution)
        settled = _Settled(self)
        sources = [pin.source for pin in solution.pins.values() if pin.source is not None]
        self._last = solution
        with self._suggesting():
            self.rounds.ask_ahead([*sources, *folders], solution)
            folders = [*folders, *(one for one in sources if one.editable)]
            for pin in solution.pins.values():
                if not pin.editable:
                    settled.add(pin, solution)
        by_folder = {str(one.outline): settled.build(one, solution) for one in folders}
        return Resolution(solution, settled.builds, by_folder, settled.environments)


class _Settled:
    """How the sources of a lock are built, those of build environments included."""

    def __init__(self, resolver: LockResolver) -> None:
        self._resolver = resolver
        self.builds: dict[str, LockedBuild] = {}
        self.environments: dict[str, tuple[Package, ...]] = {}

    def add(self, pin: Pin, solution: Solution) -> None:
        """Decide how a pin is built, if it is a source."""
        key = key_of(pin.package)
        if pin.source is not None and key not in self.builds:
            self.builds[key] = self.build(pin.source, solution)

    def build(self, source: Source, solution: Solution) -> LockedBuild:
        rounds = self._resolver.rounds
        plan = rounds.build_plan(source, solution)
        system = build_system(source.outline, str(source))
        identifier = None
        if plan.mode is not Mode.NO_ISOLATION:
            packages = tuple(pin.package for pin in plan.pins)
            before = dict(self.builds), dict(self.environments)
            try:
                with within(source):
                    for pin in plan.pins:
                        self.add(pin, solution)
            except PipshimError as error:
                if not (rounds.may_defer(source) and is_of_build(error)):
                    raise
                self.builds, self.environments = before
                self._resolver.builds.warn_deferred(source, error)
                plan = plan._replace(complete=False)
            else:
                if plan.complete or packages:
                    identifier = environment_id(packages)
                    self.environments[identifier] = packages
        return LockedBuild(
            plan.mode,
            plan.chosen_by,
            system.backend,
            system.requires,
            identifier,
            None if rounds.is_static(source) else self._resolver.asked_on,
            deferred=not plan.complete,
        )


def _without_lower_bound(
    roots: Iterable[Root], constraints: Iterable[ParsedRequirement]
) -> set[NormalizedName]:
    """Return the direct requirements without a lower bound, in constraints neither."""
    asked = [root.requirement for root in roots]
    bounded = {
        one.name
        for one in (*asked, *constraints)
        if one.applies and (one.is_direct or has_lower_bound(one.specifier))
    }
    return {one.name for one in asked if one.name is not None and one.applies} - bounded
