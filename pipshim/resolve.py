"""Locking, in rounds: the resolver sees the metadata that a build in the locked environment gives.

Round 0 resolves with what is known without a build. A source whose metadata needs an environment
that is not known yet stands in with its name and version. Then that environment is made of the
round's pins, the backend tells the metadata in it, and the next round resolves with that. It ends
when no pin that a build saw has changed. What happens to be installed plays no part.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipshim._pip.pyproject import build_system
from pipshim._pip.resolver import Resolving, Solution
from pipshim.build.mode import Mode
from pipshim.build.system import static_metadata, stub_metadata
from pipshim.errors import BuildError, PipshimError, ResolveError, together
from pipshim.lockfile import LockedBuild, environment_id, key_of
from pipshim.parallel import each, sharing
from pipshim.progress import events
from pipshim.staging import Staging, is_within_a_build, name_of, within

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from packaging.pylock import Package
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim._pip.download import Fetcher
    from pipshim._pip.resolver import Pin
    from pipshim._pip.session import Pip, Root
    from pipshim._pip.sources import Revision, Source
    from pipshim.build.record import Used
    from pipshim.build.settings import Settings
    from pipshim.build.workshop import Workshop
    from pipshim.progress.events import Observer

MAX_ROUNDS = 10
"""Rounds after which versions that keep changing are an error."""


@dataclass(frozen=True)
class Known:
    """Metadata that a backend told, and what it used to tell it."""

    against: Mapping[str, Used]
    metadata: bytes


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

    """

    pip: Pip
    settings: Settings
    workshop: Workshop
    fetcher: Fetcher
    observer: Observer
    build_constraints: Sequence[object] = ()
    preferred_builds: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    commits: Mapping[Revision, str] = field(default_factory=dict)
    resolving: Resolving = field(init=False)
    staging: Staging = field(init=False)
    _known: dict[str, list[Known]] = field(default_factory=dict, init=False)
    _current: Solution | None = field(default=None, init=False)
    _asked: dict[str, Source] = field(default_factory=dict, init=False)
    _told: dict[str, bytes] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.resolving = Resolving(self.pip, self.commits)
        self.staging = Staging(
            pip=self.pip,
            settings=self.settings,
            workshop=self.workshop,
            fetcher=self.fetcher,
            observer=self.observer,
            resolving=self.resolving,
            metadata_of=self._metadata,
            constraints=self.build_constraints,
            preferred=self.preferred_builds,
        )

    def lock(
        self,
        roots: Callable[[Callable[[Source], bytes]], Sequence[Root]],
        *,
        constraints: Sequence[object],
        preferred: Mapping[NormalizedName, Version],
        folders: Sequence[Source],
    ) -> Resolution:
        """Resolve, in rounds.

        Args:
            roots: answers what is required; it may ask for the project's own metadata.
            constraints: pip's constraint objects.
            preferred: the pins of an earlier lock, kept where they fit.
            folders: the projects that are installed from their folders.

        Raises:
            ResolveError: no versions fit, or the rounds do not end.
            BuildError: a backend failed.

        """
        start = time.monotonic()
        self._current = None
        rounds = 0
        while True:
            self.observer(events.ResolveStarted(rounds))
            self._asked.clear()
            self._told.clear()
            solution = self.resolving.resolve(
                roots(self._metadata),
                constraints=constraints,
                preferred={name: (version,) for name, version in preferred.items()},
                metadata_of=self._metadata,
                pinned=lambda name, version: self.observer(events.Pinned(name, version)),
            )
            stale = self._stale(solution)
            if not stale:
                break
            failures = self._prepare(stale, solution)
            before: Solution | None = self._current
            self._current = solution
            unchanged = before is not None and before.versions == solution.versions
            if failures and (unchanged or len(failures) == len(stale)):
                raise together(failures)
            rounds += 1
            if rounds == MAX_ROUNDS:
                raise _oscillation(before, solution, stale)
        self._current = solution
        resolution = self._frozen(solution, folders)
        self.observer(events.ResolveFinished(len(solution.pins), time.monotonic() - start))
        return resolution

    def _stale(self, solution: Solution) -> list[Source]:
        """Tell the sources whose metadata is not what a build with these pins would tell."""
        sources = {pin.source.url: pin.source for pin in solution.pins.values() if pin.source}
        # The project's own metadata, if it was asked for, is no pin's.
        sources.update({url: one for url, one in self._asked.items() if one.editable})
        asked = [one for one in sources.values() if self._static(one) is None]
        self._warm(asked, solution)
        return [one for one in asked if self._differs(one, solution)]

    def _differs(self, source: Source, solution: Solution) -> bool:
        known = self._valid(source, solution)
        return known is None or known.metadata != self._told.get(source.url)

    # Metadata

    def _static(self, source: Source) -> bytes | None:
        return static_metadata(source.directory, source.name, source.version, self.settings.static)

    def _metadata(self, source: Source) -> bytes:
        """Answer the resolver: what is known, a stand-in, or the backend's word."""
        self._asked[source.url] = source
        told = self._static(source) or self._answer(source)
        self._told[source.url] = told
        return told

    def _answer(self, source: Source) -> bytes:
        within = is_within_a_build()
        stands_in = source.name is not None and source.version is not None and not within
        if self._current is None:
            if stands_in:
                return self._stand_in(source)
        else:
            known = self._valid(source, self._current)
            if known is not None:
                return known.metadata
        if stands_in and self.settings.choice(name_of(source)).mode is Mode.NO_ISOLATION:
            return self._stand_in(source)
        return self._ask(source, self._current).metadata

    def _stand_in(self, source: Source) -> bytes:
        assert source.name is not None
        assert source.version is not None
        return stub_metadata(source.name, source.version)

    def _valid(self, source: Source, solution: Solution) -> Known | None:
        """Tell the metadata that still holds in the environment that these pins make."""
        job = self.staging.job(source, solution)
        available = job.available
        for known in self._known.get(source.url, ()):
            if all(available.get(name) == used for name, used in known.against.items()):
                return known
        kept = self.workshop.kept_metadata(job)
        if kept is None:
            return None
        known = Known(kept[1], kept[0])
        self._known.setdefault(source.url, []).append(known)
        return known

    def _ask(self, source: Source, solution: Solution | None) -> Known:
        try:
            metadata, against = self.workshop.metadata(self.staging.job(source, solution))
        except BuildError:
            if not self.staging.widen(source, solution):
                raise
            text = f"{source}: asking again, with what is built before it in its environment"
            self.observer(events.Message("info", text))
            metadata, against = self.workshop.metadata(self.staging.job(source, solution))
        known = Known(against, metadata)
        self._known.setdefault(source.url, []).append(known)
        return known

    def _prepare(self, sources: Sequence[Source], solution: Solution) -> list[PipshimError]:
        """Ask the backends of several sources at once; answer what failed."""
        failures: list[PipshimError] = []

        def ask(source: Source) -> None:
            try:
                if self._valid(source, solution) is None:
                    self._ask(source, solution)
            except PipshimError as error:
                failures.append(error)

        self._each(ask, sources)
        return failures

    def _each(self, work: Callable[[Source], None], sources: Sequence[Source]) -> None:
        jobs = self.workshop.jobs
        token = sharing.set(max(1, min(jobs, len(sources))))
        try:
            each(work, sources, at_once=jobs, interrupted=self.workshop.processes.stop)
        finally:
            sharing.reset(token)

    # The end of the last round

    def _frozen(self, solution: Solution, folders: Sequence[Source]) -> Resolution:
        """Settle how every source is built, and collect the build environments."""
        builds: dict[str, LockedBuild] = {}
        environments: dict[str, tuple[Package, ...]] = {}

        def settle(source: Source) -> LockedBuild:
            name = name_of(source)
            system = build_system(source.directory, str(source))
            choice = self.settings.choice(name)
            if choice.mode is Mode.NO_ISOLATION:
                return LockedBuild(
                    choice.mode, choice.chosen_by, system.backend, system.requires, None
                )
            extra = tuple(str(one.requirement) for one in self.settings.extra.get(name, ()))
            mode, pins = self.staging.pins(source, (*system.requires, *extra), solution)
            packages = tuple(pin.package for pin in pins)
            identifier = environment_id(packages)
            environments[identifier] = packages
            with within(source):
                for pin in pins:
                    collect(pin)
            chosen_by = choice.chosen_by
            if mode is Mode.MATCHED and chosen_by == "default":
                chosen_by = "match-runtime"
            return LockedBuild(mode, chosen_by, system.backend, system.requires, identifier)

        def collect(pin: Pin) -> None:
            key = key_of(pin.package)
            if pin.source is not None and key not in builds:
                builds[key] = settle(pin.source)

        sources = [pin.source for pin in solution.pins.values() if pin.source is not None]
        self._warm([*sources, *folders], solution)
        folders = [*folders, *(one for one in sources if one.editable)]
        for pin in solution.pins.values():
            if not pin.editable:
                collect(pin)
        return Resolution(
            solution=solution,
            builds=builds,
            folders={str(source.directory): settle(source) for source in folders},
            environments=environments,
        )

    def _warm(self, sources: Sequence[Source], solution: Solution) -> None:
        """Ask backends for dynamic requirements at once; what comes next only looks them up."""

        def ask(source: Source) -> None:
            if self.settings.choice(name_of(source)).mode is not Mode.NO_ISOLATION:
                self.staging.job(source, solution)

        self._each(ask, sources)


def _oscillation(
    previous: Solution | None, solution: Solution, stale: Sequence[Source]
) -> ResolveError:
    changing = []
    before = previous.versions if previous is not None else {}
    for name in sorted({*before, *solution.versions}):
        old, new = before.get(name), solution.versions.get(name)
        if old != new:
            changing.append(f"  {name}: {old or 'absent'} and {new or 'absent'} in turn")
    names = ", ".join(str(one) for one in stale)
    return ResolveError(
        "\n".join(
            [
                f"the lock does not settle: after {MAX_ROUNDS} rounds the metadata of {names}",
                "  still changes with the versions that it leads to",
                *changing,
            ]
        ),
        hint="pin one of these versions (constraint-dependencies), or state the metadata "
        "([[tool.pipshim.dependency-metadata]])",
    )
