"""Locking, in rounds: the resolver sees the metadata that a build in the locked environment gives.

Round 0 resolves with what is known without a build. A source whose metadata needs an environment
that is not known yet stands in with its name and version. Then that environment is made of the
round's pins, the backend tells the metadata in it, and the next round resolves with that. It ends
when no pin that a build saw has changed. What happens to be installed plays no part.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipshim import artifacts
from pipshim._pip.pyproject import build_system
from pipshim._pip.resolver import Resolving, Solution, Source
from pipshim.build.mode import Mode
from pipshim.build.order import needs
from pipshim.build.system import static_metadata, stub_metadata
from pipshim.build.workshop import Component, Job
from pipshim.errors import BuildError, PipshimError, ResolveError
from pipshim.lockfile import LockedBuild, environment_id, key_of
from pipshim.parallel import each, sharing
from pipshim.progress import events

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.pylock import Package
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim._pip.download import Fetcher
    from pipshim._pip.resolver import Pin
    from pipshim._pip.session import Pip, Root
    from pipshim.build.record import Used
    from pipshim.build.settings import Settings
    from pipshim.build.workshop import Workshop
    from pipshim.progress.events import Observer
    from pipshim.store import Tree

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

    """

    pip: Pip
    settings: Settings
    workshop: Workshop
    fetcher: Fetcher
    observer: Observer
    build_constraints: Sequence[object] = ()
    preferred_builds: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    resolving: Resolving = field(init=False)
    _known: dict[str, list[Known]] = field(default_factory=dict, init=False)
    _requires: dict[tuple[str, str], list[str]] = field(default_factory=dict, init=False)
    _resolved: dict[object, Solution] = field(default_factory=dict, init=False)
    _current: Solution | None = field(default=None, init=False)
    _asked: dict[str, Source] = field(default_factory=dict, init=False)
    _told: dict[str, bytes] = field(default_factory=dict, init=False)
    _one_resolver: threading.RLock = field(default_factory=threading.RLock, init=False)
    _warned: set[str] = field(default_factory=set, init=False)

    def __post_init__(self) -> None:
        self.resolving = Resolving(self.pip)

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
            )
            stale = self._stale(solution)
            if not stale:
                break
            failures = self._prepare(stale, solution)
            before: Solution | None = self._current
            self._current = solution
            unchanged = before is not None and before.versions == solution.versions
            if failures and (unchanged or len(failures) == len(stale)):
                raise failures[0]
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
        return [
            one
            for one in sources.values()
            if self._static(one) is None and self._differs(one, solution)
        ]

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
        within = bool(_waiting.get())
        stands_in = source.name is not None and source.version is not None and not within
        if self._current is None:
            if stands_in:
                return self._stand_in(source)
        else:
            known = self._valid(source, self._current)
            if known is not None:
                return known.metadata
        if stands_in and self.settings.choice(_name_of(source)).mode is Mode.NO_ISOLATION:
            return self._stand_in(source)
        return self._ask(source, self._current).metadata

    def _stand_in(self, source: Source) -> bytes:
        assert source.name is not None
        assert source.version is not None
        return stub_metadata(source.name, source.version)

    def _valid(self, source: Source, solution: Solution) -> Known | None:
        """Tell the metadata that still holds in the environment that these pins make."""
        job = self._job(source, solution)
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
        metadata, against = self.workshop.metadata(self._job(source, solution))
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

    # Build environments

    def _job(self, source: Source, solution: Solution | None) -> Job:
        """Say how a source is built with these pins: its mode, and what its environment has."""
        name = _name_of(source)
        system = build_system(source.directory, str(source))
        choice = self.settings.choice(name)
        extra = self.settings.extra.get(name, ())
        mode = choice.mode
        requirements = (*system.requires, *(str(one.requirement) for one in extra))
        if mode is Mode.NO_ISOLATION:
            components = self._staging(source, solution, requirements)
        else:
            mode, pins = self._build_pins(source, requirements, solution)
            components = tuple(self._component(pin, solution) for pin in pins)
        return self._made(source, name, mode, choice.chosen_by, requirements, components)

    def _made(
        self,
        source: Source,
        name: NormalizedName,
        mode: Mode,
        chosen_by: str,
        requirements: tuple[str, ...],
        components: tuple[Component, ...],
    ) -> Job:
        if mode is Mode.MATCHED and chosen_by == "default":
            chosen_by = "match-runtime"
        return Job(
            name=name,
            version=str(source.version or "?"),
            sha256=source.sha256,
            mode=mode,
            chosen_by=chosen_by,
            open=lambda: (source.directory, build_system(source.directory, str(source))),
            requirements=requirements,
            components=components,
        )

    def _build_pins(
        self, source: Source, requirements: tuple[str, ...], solution: Solution | None
    ) -> tuple[Mode, tuple[Pin, ...]]:
        """Resolve an isolated build's environment: what it declares, then what its backend adds."""
        name = _name_of(source)
        with _within(source):
            runtime = _platform_specific(solution)
            strict = self._strict(name, requirements, runtime, solution)
            first = self._resolve_build(source, requirements, runtime, strict)
            dynamic = self._dynamic(source, requirements, first, solution, runtime)
            missing = [one for one in dynamic if not _satisfied(one, first, self._environment())]
            if missing:
                everything = (*requirements, *missing)
                strict = self._strict(name, everything, runtime, solution)
                first = self._resolve_build(source, everything, runtime, strict)
        matched = {one for one, pin in first.pins.items() if runtime.get(one) == pin.version}
        matched &= set(strict) if self.settings.match_runtime != "auto" else matched
        if self.settings.match_runtime == "auto":
            self._warn_unmatched(source, first, runtime)
        mode = Mode.MATCHED if matched or strict else Mode.ISOLATED
        return mode, tuple(first.pins.values())

    def _strict(
        self,
        name: NormalizedName,
        requirements: Iterable[str],
        runtime: Mapping[NormalizedName, Version],
        solution: Solution | None,
    ) -> dict[NormalizedName, Version]:
        """Tell what must have the run-time version: names of match-runtime, and marked extras."""
        if solution is None:
            return {}
        wanted: set[NormalizedName] = set()
        if self.settings.match_runtime != "auto":
            wanted |= self.settings.match_runtime
        wanted |= {
            canonicalize_name(one.requirement.name)
            for one in self.settings.extra.get(name, ())
            if one.match_runtime
        }
        if not wanted:
            return {}
        versions = {**solution.versions, **runtime}
        found: dict[NormalizedName, Version] = {}
        for text in requirements:
            requirement = Requirement(text)
            required = canonicalize_name(requirement.name)
            if required not in wanted or not _applies(requirement, self._environment()):
                continue
            if required not in versions:
                raise ResolveError(
                    f"{name} is to be built with the run-time {required}, "
                    f"but the lock has no {required} for run time",
                    hint=f"add {required} to the project's dependencies, or take it out of "
                    "match-runtime",
                )
            version = versions[required]
            if not requirement.specifier.contains(version, prereleases=True):
                raise ResolveError(
                    f"{name} is to be built with the run-time {required} {version}, "
                    f"but its build requires {requirement}",
                    hint=f"choose a version of {required} that both admit, or take it out of "
                    "match-runtime",
                )
            found[required] = version
        return found

    def _resolve_build(
        self,
        source: Source,
        requirements: tuple[str, ...],
        runtime: Mapping[NormalizedName, Version],
        strict: Mapping[NormalizedName, Version],
    ) -> Solution:
        preferred = dict(self.preferred_builds)
        matching = {**runtime, **strict} if self.settings.match_runtime == "auto" else strict
        for name, version in matching.items():
            # Where it is not admitted, the pins of an earlier lock come next.
            preferred[name] = (*preferred.get(name, ()), version)
        key = (
            tuple(sorted(set(requirements))),
            tuple(sorted(preferred.items())),
            tuple(sorted(strict.items())),
        )
        with self._one_resolver:
            if key not in self._resolved:
                constraints = [
                    *self.build_constraints,
                    *(
                        self.pip.constraint(f"{name}=={version}", "match-runtime")
                        for name, version in strict.items()
                    ),
                ]
                roots = [
                    self.pip.root(one, origins=("build",), comes_from=f"the build of {source}")
                    for one in requirements
                ]
                finder = self.pip.finder
                before = finder.preferred
                try:
                    self._resolved[key] = self.resolving.resolve(
                        roots,
                        constraints=constraints,
                        preferred=preferred,
                        metadata_of=self._metadata,
                    )
                finally:
                    finder.prefer(before)
            return self._resolved[key]

    def _dynamic(
        self,
        source: Source,
        requirements: tuple[str, ...],
        declared: Solution,
        solution: Solution | None,
        runtime: Mapping[NormalizedName, Version],
    ) -> list[str]:
        """Ask the backend, in an environment of the declared requirements, what else it needs."""
        key = (source.url, environment_id(pin.package for pin in declared.pins.values()))
        if key not in self._requires:
            mode = Mode.MATCHED if set(declared.pins) & set(runtime) else Mode.ISOLATED
            components = tuple(self._component(pin, solution) for pin in declared.pins.values())
            chosen_by = self.settings.choice(_name_of(source)).chosen_by
            job = self._made(source, _name_of(source), mode, chosen_by, requirements, components)
            kinds = ("wheel", "editable") if source.editable else ("wheel",)
            self._requires[key] = self.workshop.requires(job, kinds)
        return self._requires[key]

    def _staging(
        self, source: Source, solution: Solution | None, requirements: Iterable[str]
    ) -> tuple[Component, ...]:
        """Say what the project environment will have when a no-isolation build runs in it.

        All that needs no building, and those sources that this one needs, built before it.
        """
        if solution is None:
            return ()
        dependencies = {
            name: [canonicalize_name(one["name"]) for one in pin.package.dependencies or ()]
            for name, pin in solution.pins.items()
        }
        needed = needs(_name_of(source), requirements, dependencies)
        found = []
        for name, pin in solution.pins.items():
            if name == source.name or pin.editable:
                continue
            if pin.source is None or name in needed:
                found.append(self._component(pin, solution))
        return tuple(found)

    def _component(self, pin: Pin, solution: Solution | None) -> Component:
        package, source = pin.package, pin.source
        chosen = artifacts.choose(package, self.workshop.target)

        def tree() -> Tree:
            if source is None:
                return self.fetcher.wheel(package, chosen)  # type: ignore[arg-type]
            job = self._job(source, solution)
            with _within(source):
                return self.workshop.wheel(job).tree

        return Component(package.name, str(pin.version), artifacts.identity(chosen), tree)

    def _warn_unmatched(
        self, source: Source, build: Solution, runtime: Mapping[NormalizedName, Version]
    ) -> None:
        for name, pin in build.pins.items():
            version = runtime.get(name)
            if version is not None and version != pin.version:
                text = (
                    f"{source} is built against {name} {pin.version}: its build does not admit "
                    f"{name} {version}, which the lock has for run time"
                )
                if text not in self._warned:
                    self._warned.add(text)
                    self.observer(events.Message("warning", text))

    # The end of the last round

    def _frozen(self, solution: Solution, folders: Sequence[Source]) -> Resolution:
        """Settle how every source is built, and collect the build environments."""
        builds: dict[str, LockedBuild] = {}
        environments: dict[str, tuple[Package, ...]] = {}

        def settle(source: Source) -> LockedBuild:
            name = _name_of(source)
            system = build_system(source.directory, str(source))
            choice = self.settings.choice(name)
            if choice.mode is Mode.NO_ISOLATION:
                return LockedBuild(
                    choice.mode, choice.chosen_by, system.backend, system.requires, None
                )
            extra = tuple(str(one.requirement) for one in self.settings.extra.get(name, ()))
            mode, pins = self._build_pins(source, (*system.requires, *extra), solution)
            packages = tuple(pin.package for pin in pins)
            identifier = environment_id(packages)
            environments[identifier] = packages
            with _within(source):
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
        """Ask backends for dynamic requirements at once, so that settling only looks them up."""

        def ask(source: Source) -> None:
            if self.settings.choice(_name_of(source)).mode is not Mode.NO_ISOLATION:
                self._job(source, solution)

        self._each(ask, sources)

    def _environment(self) -> Mapping[str, str]:
        return self.workshop.target.markers


_waiting: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("waiting", default=())
"""The builds that wait for each other here: where each comes from, and its name."""


@contextmanager
def _within(source: Source) -> Iterator[None]:
    """Note that a build waits for what follows, and refuse a cycle."""
    entry = (source.url, str(source))
    waiting = _waiting.get()
    if entry in waiting:
        members = [name for _, name in waiting[waiting.index(entry) :]]
        raise BuildError(
            f"{entry[1]}: the build requirements form a cycle: "
            + " -> ".join([*members, entry[1]]),
            package=entry[1],
            mode=str(Mode.ISOLATED),
            step="build requirements",
            hint="constrain one of them to a version that has a wheel "
            "(build-constraint-dependencies)",
        )
    token = _waiting.set((*waiting, entry))
    try:
        yield
    finally:
        _waiting.reset(token)


def _name_of(source: Source) -> NormalizedName:
    return source.name if source.name is not None else canonicalize_name(source.directory.name)


def _platform_specific(solution: Solution | None) -> dict[NormalizedName, Version]:
    if solution is None:
        return {}
    return {name: pin.version for name, pin in solution.pins.items() if pin.platform_specific}


def _applies(requirement: Requirement, environment: Mapping[str, str]) -> bool:
    if requirement.marker is None:
        return True
    return requirement.marker.evaluate({**environment, "extra": ""})


def _satisfied(text: str, solution: Solution, environment: Mapping[str, str]) -> bool:
    requirement = Requirement(text)
    if not _applies(requirement, environment):
        return True
    pin = solution.pins.get(canonicalize_name(requirement.name))
    if pin is None or requirement.extras or requirement.url is not None:
        return False
    return requirement.specifier.contains(pin.version, prereleases=True)


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
