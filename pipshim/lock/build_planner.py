"""How each source is built with given pins: its mode, and what its environment consists of.

Used between the rounds of a lock, to ask backends for metadata, and at its end, to settle the build
environments that the lock keeps.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipshim._pip.pyproject import build_system
from pipshim.base.errors import BuildError, Failures, PipshimError, ResolveError
from pipshim.base.shared_results import CycleError, SharedResults
from pipshim.builds.build_request import Component, Job
from pipshim.model import artifacts, events
from pipshim.model.build_mode import Mode
from pipshim.model.build_order import needs
from pipshim.model.pylock import environment_id
from pipshim.model.requirement_origins import BUILD, EXTRA
from pipshim.model.solution import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim._pip.resolver import Resolving
    from pipshim._pip.session import Pip
    from pipshim.builds.build_request import Built
    from pipshim.builds.builder import Workshop
    from pipshim.envs.base_environment import Below
    from pipshim.model.build_record import Used
    from pipshim.model.build_settings import Settings
    from pipshim.model.events import Observer
    from pipshim.model.settings import StaticMetadata
    from pipshim.model.solution import Pin, Solution, Source
    from pipshim.store.fetcher import Fetcher
    from pipshim.store.unpacked_wheel import Tree

T = TypeVar("T")


class BuildPins(NamedTuple):
    """What the environment of an isolated build has.

    Attributes:
        mode: isolated or matched.
        pins: its packages, as far as they are known.
        complete: whether they are all known.

    """

    mode: Mode
    pins: tuple[Pin, ...]
    complete: bool = True


@dataclass
class Staging:
    """Says how sources are built, and resolves the environments that this needs, each once.

    Attributes:
        pip: pip's machinery.
        settings: the build settings.
        workshop: where hooks run.
        fetcher: where wheels come from.
        observer: told of warnings.
        resolving: the resolver.
        metadata_of: answers the metadata of a source that a build environment may need; whoever
            resolves in rounds sets it.
        constraints: pip's constraint objects for build environments.
        preferred: the pins of an earlier lock's build environments, kept where they fit.
        behind: folders whose packages a build without isolation sees after all others.
        besides: tells the distributions in these folders.
        programs: folders of programs that come last on PATH then; without any, those of the target.
        made: by URL, what has been built of sources to be installed, and serves other builds.
        offered: the pins of other targets' build environments, taken where they fit.
        elsewhere: asks what a build requires besides what it declares, where the target is not
            here; None where it is.
        below: the environment that what is locked lies over: builds match what it has.
        editables_only: whether an editable is never built as a wheel; a lock serves both.
        resolved_names: the packages of all build environments that were resolved.

    """

    pip: Pip
    settings: Settings
    workshop: Workshop
    fetcher: Fetcher
    observer: Observer
    resolving: Resolving
    metadata_of: Callable[[Source], bytes] = field(init=False)
    constraints: Sequence[object] = ()
    preferred: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    behind: tuple[Path, ...] = ()
    besides: Callable[[], Mapping[str, Used]] = dict
    programs: tuple[Path, ...] = ()
    made: dict[str, Built] = field(default_factory=dict)
    offered: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    elsewhere: Callable[[Source, tuple[str, ...]], list[str]] | None = None
    below: Below | None = None
    editables_only: bool = False
    resolved_names: set[NormalizedName] = field(default_factory=set, init=False)
    _requires: SharedResults[list[str]] = field(default_factory=SharedResults, init=False)
    _resolved: SharedResults[Solution] = field(default_factory=SharedResults, init=False)
    _wheels: SharedResults[Tree] = field(
        default_factory=lambda: SharedResults(keep=False), init=False
    )
    _trees: dict[tuple[str, Job], Tree] = field(default_factory=dict, init=False)
    _widened: set[str] = field(default_factory=set, init=False)
    _warned: set[str] = field(default_factory=set, init=False)
    _failed: dict[tuple[str, tuple[str, ...]], tuple[Solution | None, BuildPins]] = field(
        default_factory=dict, init=False
    )

    def job(self, source: Source, solution: Solution | None) -> Job:
        """Say how a source is built with these pins: its mode, and what its environment has."""
        name = name_of(source)
        choice = self.settings.choice(name)
        mode = choice.mode
        requirements = self.requirements(source)
        if mode is Mode.NO_ISOLATION:
            components = self._staging(source, solution, requirements)
        else:
            mode, pins, _ = self.pins(source, requirements, solution)
            components = tuple(self._component(pin, solution) for pin in pins)
        return self._made(source, name, mode, choice.chosen_by, requirements, components)

    def requirements(self, source: Source) -> tuple[str, ...]:
        """Return the requirements of a build: what it declares, and what the settings add."""
        extra = self.settings.extra.get(name_of(source), ())
        declared = build_system(source.outline, str(source)).requires
        return (*declared, *(str(one.requirement) for one in extra))

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
        besides = self.besides() if mode is Mode.NO_ISOLATION else {}
        return Job(
            name=name,
            version=str(source.version or "?"),
            sha256=source.sha256,
            mode=mode,
            chosen_by=chosen_by,
            open=lambda: (source.directory, build_system(source.directory, str(source))),
            requirements=requirements,
            components=components,
            behind=self.behind if besides else (),
            programs=self.programs if besides else (),
            besides=besides,
            editable=source.editable,
            commit=source.commit,
        )

    def known_pins(
        self, source: Source, requirements: tuple[str, ...], solution: Solution | None
    ) -> BuildPins:
        """Resolve an isolated build's environment, as far as that is possible here.

        For a source with ``dependency-metadata``: neither a hook of it nor what its build requires
        can fail a lock.
        """
        runtime = self._runtime(solution)
        key = (source.url, requirements)
        failed = self._failed.get(key)
        if failed is None or failed[0] is not solution:
            known: list[Pin] = []
            try:
                return self.pins(source, requirements, solution, known)
            except PipshimError as error:
                if not is_of_build(error):
                    raise
                self.warn_deferred(source, error)
            is_matched = any(runtime.get(pin.package.name) == pin.version for pin in known)
            mode = Mode.MATCHED if is_matched else Mode.ISOLATED
            failed = self._failed[key] = solution, BuildPins(mode, tuple(known), complete=False)
        return failed[1]

    def warn_deferred(self, source: Source, error: PipshimError) -> None:
        """Say why a build environment is resolved where the source is built."""
        self._warn(
            f"{source}: its build environment is resolved where it is built, because that failed "
            f"here: {_summary(error)}"
        )

    def warn_of_editable(self, source: Source, error: PipshimError) -> None:
        """Say that the lock may lack what only the editable wheel of a source requires."""
        self._warn(
            f"{source}: what only its editable wheel requires is not known, because its backend "
            f"failed here: {_summary(error)}"
        )

    def pins(
        self,
        source: Source,
        requirements: tuple[str, ...],
        solution: Solution | None,
        known: list[Pin] | None = None,
    ) -> BuildPins:
        """Resolve an isolated build's environment: what it declares, then what its backend adds.

        Args:
            source: what is built.
            requirements: what it declares, and what the settings add.
            solution: the pins of run time.
            known: gets the pins of what it declares.

        Raises:
            ResolveError: no versions fit; it says what needs the build.

        """
        try:
            return self._pins(source, requirements, solution, [] if known is None else known)
        except ResolveError as error:
            error.build_of = str(name_of(source))
            waiting = _waiting.get()
            if waiting:
                error.message += f"\n  {source} is needed for the build of {waiting[-1][1]}"
            elif solution is not None:
                asking = " and ".join(_asking(name_of(source), solution))
                error.message += f"\n  {source} is needed by {asking}" if asking else ""
            raise

    def _pins(
        self,
        source: Source,
        requirements: tuple[str, ...],
        solution: Solution | None,
        known: list[Pin],
    ) -> BuildPins:
        name = name_of(source)
        with within(source):
            runtime = self._runtime(solution)
            strict = self._strict(name, requirements, runtime, solution)
            first = self._resolve_build(source, requirements, runtime, strict)
            known += first.pins.values()
            stated = self.stated_metadata(source)
            if stated is not None and stated.build_requires is not None:
                dynamic = list(map(str, stated.build_requires))
            elif self.elsewhere is not None:
                dynamic = self.elsewhere(source, requirements)
            else:
                dynamic = self._dynamic(source, requirements, first, solution, runtime)
            missing = [one for one in dynamic if not _satisfied(one, first, self._environment())]
            if missing:
                everything = (*requirements, *missing)
                strict = self._strict(name, everything, runtime, solution)
                try:
                    first = self._resolve_build(source, everything, runtime, strict)
                except ResolveError as error:
                    error.conflicts = _conflicts(missing, first)
                    raise
        matched = {one for one, pin in first.pins.items() if runtime.get(one) == pin.version}
        matched &= set(strict) if self.settings.match_runtime != "auto" else matched
        if self.settings.match_runtime == "auto":
            self._warn_unmatched(source, first, runtime)
        mode = Mode.MATCHED if matched or strict else Mode.ISOLATED
        return BuildPins(mode, tuple(first.pins.values()))

    def _runtime(self, solution: Solution | None) -> dict[NormalizedName, Version]:
        """Return the versions of run time that a build is to match."""
        below = self.below.platform_specific if self.below is not None else {}
        return {**below, **_platform_specific(solution)}

    def stated_metadata(self, source: Source) -> StaticMetadata | None:
        """Return what ``dependency-metadata`` says of a source."""
        entries = (one for one in self.settings.static if one.is_about(source.name, source.version))
        return next(entries, None)

    def also_required(
        self, source: Source, requirements: tuple[str, ...], solution: Solution | None
    ) -> list[str]:
        """Ask a backend, here, what its build requires besides, wherever that is to be."""
        runtime = _platform_specific(solution)
        strict = self._strict(name_of(source), requirements, runtime, solution)
        declared = self._resolve_build(source, requirements, runtime, strict)
        return self._dynamic(source, requirements, declared, solution, runtime)

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
        below = self.below.versions if self.below is not None else {}
        versions = {**below, **solution.versions, **runtime}
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
        name, preferred, offered = name_of(source), dict(self.preferred), dict(self.offered)
        matching = {**runtime, **strict} if self.settings.match_runtime == "auto" else strict
        for one, version in matching.items():
            # Where it is not admitted, the pins of an earlier lock come next.
            preferred[one] = (*preferred.get(one, ()), *offered.pop(one, ()), version)
        key = (
            tuple(sorted(set(requirements))),
            tuple(sorted(preferred.items())),
            tuple(sorted(offered.items())),
            tuple(sorted(strict.items())),
        )
        extra = {str(one.requirement) for one in self.settings.extra.get(name, ())}

        def resolve() -> Solution:
            return self.resolving.resolve(
                [
                    self.pip.root(
                        one,
                        origins=("build",),
                        comes_from=f"{EXTRA if one in extra else BUILD}{source}",
                    )
                    for one in requirements
                ],
                constraints=[
                    *self.constraints,
                    *(
                        self.pip.constraint(f"{one}=={version}", "match-runtime")
                        for one, version in strict.items()
                    ),
                ],
                preferred=preferred,
                offered=offered,
                metadata_of=self.metadata_of,
                for_build=True,
            )

        found = shared(self._resolved, key, resolve)
        self.resolved_names |= set(found.pins)
        return found

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

        def ask() -> list[str]:
            mode = Mode.MATCHED if set(declared.pins) & set(runtime) else Mode.ISOLATED
            components = tuple(self._component(pin, solution) for pin in declared.pins.values())
            chosen_by = self.settings.choice(name_of(source)).chosen_by
            job = self._made(source, name_of(source), mode, chosen_by, requirements, components)
            kinds = ("wheel", "editable") if source.editable else ("wheel",)
            if source.editable and self.editables_only:
                kinds = ("editable",)
            return self.workshop.requires(job, kinds)

        return shared(self._requires, key, ask)

    def _staging(
        self, source: Source, solution: Solution | None, requirements: Iterable[str]
    ) -> tuple[Component, ...]:
        """Say what the project environment will have when a no-isolation build runs in it.

        All that needs no building, and those sources that this one needs, built before it; what is
        built with isolation only if need be (see `widen`), since a lock had better not build.
        """
        if solution is None:
            return ()
        dependencies = {
            name: [canonicalize_name(one["name"]) for one in pin.package.dependencies or ()]
            for name, pin in solution.pins.items()
        }
        needed = needs(name_of(source), requirements, dependencies)
        found = []
        for name, pin in solution.pins.items():
            itself = pin.source is not None and pin.source.url == source.url
            if name == source.name or itself or pin.editable or pin.present:
                continue
            free = source.url in self._widened and self._is_isolated(name)
            if pin.source is None or name in needed or free:
                found.append(self._component(pin, solution))
        return tuple(found)

    def widen(self, source: Source, solution: Solution | None) -> bool:
        """Give a source, from now on, an environment with what is built before it with isolation.

        `sync` builds without isolation after all that. Answers whether this makes a difference.
        """
        if solution is None or source.url in self._widened or self._is_isolated(name_of(source)):
            return False
        self._widened.add(source.url)
        return any(
            pin.source is not None and not pin.editable and self._is_isolated(name)
            for name, pin in solution.pins.items()
        )

    def _is_isolated(self, name: NormalizedName) -> bool:
        return self.settings.choice(name).mode is not Mode.NO_ISOLATION

    def _component(self, pin: Pin, solution: Solution | None) -> Component:
        package, source = pin.package, pin.source
        chosen = artifacts.choose(package, self.pip.target)

        def tree() -> Tree:
            if source is None:
                return self.fetcher.wheel(package, chosen)  # type: ignore[arg-type]
            if source.url in self.made:
                return self.made[source.url].tree
            job = self.job(source, solution)
            with within(source):
                return shared(self._wheels, (source.url, job), lambda: self._wheel(source, job))

        identity = artifacts.identity(chosen)
        pure = artifacts.is_pure_wheel(chosen)
        return Component(
            package.name, str(pin.version), identity, tree, source is not None, pure=pure
        )

    def _wheel(self, source: Source, job: Job) -> Tree:
        """Build a wheel for other builds; one that this command has had is reported once."""
        key = (source.url, job)
        built = self._trees.get(key)
        if built is None or self.workshop.store.tree(built.sha256) is None:
            built = self._trees[key] = self.workshop.wheel(job).tree
        return built

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
                self._warn(text)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self.observer(events.Message("warning", text))

    def _environment(self) -> Mapping[str, str]:
        return self.pip.target.markers


_waiting: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("waiting", default=())
"""The builds that wait for each other here: where each comes from, and its name."""


@contextmanager
def within(source: Source) -> Iterator[None]:
    """Note that a build waits for what follows, and refuse a cycle."""
    entry = (source.url, str(source))
    waiting = _waiting.get()
    if entry in waiting:
        raise _cycle(waiting[waiting.index(entry) :])
    token = _waiting.set((*waiting, entry))
    try:
        yield
    finally:
        _waiting.reset(token)


def shared(results: SharedResults[T], key: Hashable, compute: Callable[[], T]) -> T:
    """Return a result that other builds may need too.

    Raises:
        BuildError: builds need each other.

    """
    try:
        return results.get(key, compute, path=_waiting.get())
    except CycleError as error:
        raise _cycle(error.path) from error  # type: ignore[arg-type]


def _cycle(steps: Sequence[tuple[str, str]]) -> BuildError:
    names = [name for _, name in steps]
    return BuildError(
        f"{names[0]}: the build requirements form a cycle: " + " -> ".join([*names, names[0]]),
        package=names[0],
        mode=str(Mode.ISOLATED),
        step="build requirements",
        hint="constrain one of them to a version that has a wheel (build-constraint-dependencies)",
    )


def is_within_a_build() -> bool:
    """Tell whether what happens here is done for some build."""
    return bool(_waiting.get())


def _summary(error: PipshimError) -> str:
    first = error.errors[0] if isinstance(error, Failures) else error
    reason = first.message.partition("\n")[0]
    output = first.output if isinstance(first, BuildError) else ()
    last = next((line.strip() for line in reversed(output) if line.strip()), None)
    return f"{reason}: {last}" if last else reason


def is_of_build(error: PipshimError) -> bool:
    """Whether an error says that something could not be built, or resolved for a build."""
    errors = error.errors if isinstance(error, Failures) else (error,)
    return all(isinstance(one, (BuildError, ResolveError)) for one in errors)


def _asking(name: NormalizedName, solution: Solution) -> list[str]:
    """Tell what requires a package; nothing, where the project does so itself."""
    roots = {
        canonicalize_name(Requirement(text).name)
        for texts in solution.roots.values()
        for text in texts
    }
    if name in roots:
        return []
    return sorted(
        f"{other} {pin.version}"
        for other, pin in solution.pins.items()
        if any(canonicalize_name(one["name"]) == name for one in pin.package.dependencies or ())
    )


def _platform_specific(solution: Solution | None) -> dict[NormalizedName, Version]:
    if solution is None:
        return {}
    return {name: pin.version for name, pin in solution.pins.items() if pin.platform_specific}


def _applies(requirement: Requirement, environment: Mapping[str, str]) -> bool:
    if requirement.marker is None:
        return True
    return requirement.marker.evaluate({**environment, "extra": ""})


def _conflicts(requirements: Iterable[str], solution: Solution) -> tuple[tuple[str, str], ...]:
    """Return the pins that rule out a requirement, each with that requirement."""
    found = (
        (solution.pins.get(canonicalize_name(Requirement(one).name)), one) for one in requirements
    )
    return tuple(
        (f"{pin.package.name}=={pin.version}", text)
        for pin, text in found
        if pin is not None
        and not Requirement(text).specifier.contains(pin.version, prereleases=True)
    )


def _satisfied(text: str, solution: Solution, environment: Mapping[str, str]) -> bool:
    requirement = Requirement(text)
    if not _applies(requirement, environment):
        return True
    pin = solution.pins.get(canonicalize_name(requirement.name))
    if pin is None or requirement.extras or requirement.url is not None:
        return False
    return requirement.specifier.contains(pin.version, prereleases=True)
