"""Plan builds by resolving their environments, for new locks and for pip's own commands.

Used between the rounds of a lock, to ask backends for metadata, and at its end, for the build
environments that the lock keeps.
"""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipshim._pip.preparer import build_system
from pipshim.base.errors import (
    BuildError,
    BuildRequirementsError,
    Failures,
    PipshimError,
    ResolveError,
)
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.shared_results import SharedResults
from pipshim.builds.build_planner import BuildPlan, BuildPlanner, shared, waiting_builds, within
from pipshim.model import events
from pipshim.model.build_mode import Mode
from pipshim.model.conflict import BUILD, EXTRA
from pipshim.model.pylock import environment_id
from pipshim.model.requirements import applies
from pipshim.model.solution import name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim._pip.requirements import ParsedRequirement, Root
    from pipshim._pip.session import Pip
    from pipshim.builds.build_request import OuterEnvironment
    from pipshim.envs.base_environment import BaseEnvironment
    from pipshim.lock.resolver_runner import ResolverRunner
    from pipshim.lock.services import LockServices
    from pipshim.model.events import Observer
    from pipshim.model.settings import StaticMetadata
    from pipshim.model.solution import Pin, Solution, Source


@dataclass
class ResolvedBuilds(BuildPlanner):
    """Plans builds, and resolves their environments, each once.

    Attributes:
        pip: pip's machinery.
        observer: receives warnings.
        metadata_of: returns the metadata of a source in a build environment; the rounds set it.
        constraints: pip's constraint objects for build environments.
        preferred: the pins of an earlier lock's build environments, kept where they fit.
        offered: the pins of other targets' build environments, taken where they fit.
        ask_host: asks another machine's backend for additional build requirements; None if the
            target is this machine.
        below: the environment below a layer, which builds match.
        editables_only: whether an editable is never built as a wheel; a lock serves both.
        resolved_names: the packages of all build environments that were resolved.

    """

    pip: Pip = field(kw_only=True)
    observer: Observer = field(kw_only=True)
    runner: ResolverRunner = field(kw_only=True)
    metadata_of: Callable[[Source], bytes] = field(init=False)
    constraints: Sequence[ParsedRequirement] = ()
    preferred: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    offered: Mapping[NormalizedName, tuple[Version, ...]] = field(default_factory=dict)
    ask_host: Callable[[Source, tuple[str, ...]], list[str]] | None = None
    below: BaseEnvironment | None = None
    editables_only: bool = False
    resolved_names: set[NormalizedName] = field(default_factory=set, init=False)
    _requires: SharedResults[list[str]] = field(default_factory=SharedResults, init=False)
    _resolved: SharedResults[Solution] = field(default_factory=SharedResults, init=False)
    _widened: set[str] = field(default_factory=set, init=False)
    _warned: set[str] = field(default_factory=set, init=False)
    _failed: dict[str, tuple[Solution | None, BuildPlan]] = field(default_factory=dict, init=False)

    def plan(
        self, source: Source, solution: Solution | None, *, may_defer: bool = False
    ) -> BuildPlan:
        """Choose the mode of a build; resolve its environment if it is isolated.

        Args:
            may_defer: whether the environment may be incomplete, if it cannot be resolved here.

        Raises:
            ResolveError: no versions fit; it says what needs the build.
            BuildError: a backend failed.

        """
        choice = self.settings.choice(name_of(source))
        plan = BuildPlan(choice.mode, choice.chosen_by, self.requirements(source))
        if plan.mode is Mode.NO_ISOLATION:
            return plan
        if not may_defer:
            return self._resolve(source, plan, solution, [])
        failed = self._failed.get(source.url)
        if failed is None or failed[0] is not solution:
            known: list[Pin] = []
            try:
                return self._resolve(source, plan, solution, known)
            except PipshimError as error:
                if not is_of_build(error):
                    raise
                self.warn_deferred(source, error)
            found = self._planned(plan, known, self._is_matched(known, solution))
            failed = self._failed[source.url] = solution, found._replace(complete=False)
        return failed[1]

    def requirements(self, source: Source) -> tuple[str, ...]:
        """Return the requirements of a build, declared and extra."""
        declared = build_system(source.outline, str(source)).requires
        return self.with_extra(name_of(source), declared)

    def precedes(self, other: Source, source: Source) -> bool:
        """Return whether a source is built with isolation, if `widen` includes it.

        A lock avoids builds.
        """
        return source.url in self._widened and self.mode(other) is not Mode.NO_ISOLATION

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

    def _resolve(
        self, source: Source, plan: BuildPlan, solution: Solution | None, known: list[Pin]
    ) -> BuildPlan:
        """Resolve an isolated build's environment: declared requirements, then the backend's.

        ``known`` gets the pins of the declared ones.
        """
        try:
            with within(source):
                return self._resolve_within(source, plan, solution, known)
        except ResolveError as error:
            error.build_of = str(name_of(source))
            waiting = waiting_builds()
            if waiting:
                error.message += f"\n  {source} is needed for the build of {waiting[-1]}"
            elif solution is not None:
                asking = " and ".join(_asking(name_of(source), solution))
                error.message += f"\n  {source} is needed by {asking}" if asking else ""
            raise

    def _resolve_within(
        self, source: Source, plan: BuildPlan, solution: Solution | None, known: list[Pin]
    ) -> BuildPlan:
        requirements = plan.requirements
        strict, found = self._resolve_build(source, requirements, solution)
        known += found.pins.values()
        _check_default_backend(source, found)
        dynamic = self._also_required(source, plan, found, solution)
        missing = [one for one in dynamic if not _satisfied(one, found, self.target.markers)]
        if missing:
            try:
                strict, found = self._resolve_build(source, (*requirements, *missing), solution)
            except ResolveError as error:
                error.conflicts = _conflicts(missing, found)
                raise
        matched = bool(strict)
        if self.settings.match_runtime == "auto":
            self._warn_unmatched(source, found, self._runtime(solution))
            matched = matched or self._is_matched(found.pins.values(), solution)
        return self._planned(plan, found.pins.values(), matched)

    def _planned(self, plan: BuildPlan, pins: Iterable[Pin], matched: bool) -> BuildPlan:
        by_default = matched and plan.chosen_by == "default"
        return plan._replace(
            mode=Mode.MATCHED if matched else Mode.ISOLATED,
            chosen_by="match-runtime" if by_default else plan.chosen_by,
            pins=tuple(pins),
        )

    def _is_matched(self, pins: Iterable[Pin], solution: Solution | None) -> bool:
        runtime = self._runtime(solution)
        return any(runtime.get(pin.package.name) == pin.version for pin in pins)

    def _also_required(
        self, source: Source, plan: BuildPlan, declared: Solution, solution: Solution | None
    ) -> list[str]:
        stated = self.stated_metadata(source)
        if stated is not None and stated.build_requires is not None:
            return list(map(str, stated.build_requires))
        if self.ask_host is not None:
            return self.ask_host(source, plan.requirements)
        return self._dynamic(source, plan.requirements, declared, solution)

    def _runtime(self, solution: Solution | None) -> dict[NormalizedName, Version]:
        """Return the runtime versions that a build should match."""
        below = self.below.platform_specific if self.below is not None else {}
        pins = solution.pins if solution is not None else {}
        return {
            **below,
            **{name: pin.version for name, pin in pins.items() if pin.platform_specific},
        }

    def stated_metadata(self, source: Source) -> StaticMetadata | None:
        """Return the ``dependency-metadata`` of a source."""
        entries = (
            one
            for one in self.settings.dependency_metadata
            if one.is_about(source.name, source.version)
        )
        return next(entries, None)

    def ask_requirements(
        self, source: Source, requirements: tuple[str, ...], solution: Solution | None
    ) -> list[str]:
        """Ask a backend, on this machine, for additional build requirements."""
        _, declared = self._resolve_build(source, requirements, solution)
        return self._dynamic(source, requirements, declared, solution)

    def _strict(
        self, name: NormalizedName, requirements: Iterable[str], solution: Solution | None
    ) -> dict[NormalizedName, Version]:
        """Return what must have the runtime version: names of match-runtime, and marked extras."""
        wanted = self._matched_names(name)
        if solution is None or not wanted:
            return {}
        below = self.below.versions if self.below is not None else {}
        versions = {**below, **solution.versions, **self._runtime(solution)}
        found: dict[NormalizedName, Version] = {}
        for text in requirements:
            requirement = Requirement(text)
            required = canonicalize_name(requirement.name)
            if required not in wanted or not applies(requirement, self.target.markers):
                continue
            if required not in versions:
                raise ResolveError(
                    f"{name} is to be built with the run-time {required}, "
                    f"but the lock has no {required} for run time",
                    hint=f"add {required} to the project's dependencies, or remove it from "
                    "match-runtime",
                )
            version = versions[required]
            if not requirement.specifier.contains(version, prereleases=True):
                raise ResolveError(
                    f"{name} is to be built with the run-time {required} {version}, "
                    f"but its build requires {requirement}",
                    hint=f"choose a version of {required} that both allow, or remove it from "
                    "match-runtime",
                )
            found[required] = version
        return found

    def _matched_names(self, name: NormalizedName) -> set[NormalizedName]:
        extra = self.settings.extra_build_dependencies.get(name, ())
        names = {canonicalize_name(one.requirement.name) for one in extra if one.match_runtime}
        named = self.settings.match_runtime
        return names if named == "auto" else names | named

    def _resolve_build(
        self, source: Source, requirements: tuple[str, ...], solution: Solution | None
    ) -> tuple[Mapping[NormalizedName, Version], Solution]:
        """Resolve an environment; return what must have the runtime version, and the pins."""
        preferred, offered = dict(self.preferred), dict(self.offered)
        strict = self._strict(name_of(source), requirements, solution)
        is_auto = self.settings.match_runtime == "auto"
        matching = {**self._runtime(solution), **strict} if is_auto else strict
        for one, version in matching.items():
            # Where it is not admitted, the pins of an earlier lock come next.
            preferred[one] = (*preferred.get(one, ()), *offered.pop(one, ()), version)
        key = (
            tuple(sorted(set(requirements))),
            tuple(sorted(preferred.items())),
            tuple(sorted(offered.items())),
            tuple(sorted(strict.items())),
        )

        def resolve() -> Solution:
            pins = [f"{one}=={version}" for one, version in strict.items()]
            return self.runner.resolve(
                self._roots(source, requirements),
                constraints=[
                    *self.constraints,
                    *(self.pip.constraint(pin, "match-runtime") for pin in pins),
                ],
                preferred=preferred,
                offered=offered,
                metadata_of=self.metadata_of,
                for_build=True,
            )

        found = shared(self._resolved, key, resolve)
        self.resolved_names |= set(found.pins)
        return strict, found

    def _roots(self, source: Source, requirements: Iterable[str]) -> list[Root]:
        extra = {
            str(one.requirement)
            for one in self.settings.extra_build_dependencies.get(name_of(source), ())
        }
        return [
            self.pip.root(
                one, origins=("build",), comes_from=f"{EXTRA if one in extra else BUILD}{source}"
            )
            for one in requirements
        ]

    def _dynamic(
        self,
        source: Source,
        requirements: tuple[str, ...],
        declared: Solution,
        solution: Solution | None,
    ) -> list[str]:
        """Ask the backend, in an environment of the declared requirements, for additional ones."""
        key = (source.url, environment_id(pin.package for pin in declared.pins.values()))

        def ask() -> list[str]:
            choice = self.settings.choice(name_of(source))
            plan = BuildPlan(choice.mode, choice.chosen_by, requirements)
            is_matched = bool(declared.pins.keys() & self._runtime(solution))
            plan = self._planned(plan, declared.pins.values(), is_matched)
            kinds = ("wheel", "editable") if source.editable else ("wheel",)
            if source.editable and self.editables_only:
                kinds = ("editable",)
            return self.builder.requires(self.request(source, solution, plan), kinds)

        return shared(self._requires, key, ask)

    def widen(self, source: Source, solution: Solution | None) -> bool:
        """Give a source an environment with isolated builds too, from now on.

        `sync` builds without isolation after these. Return whether this makes a difference.
        """
        is_widened = source.url in self._widened
        if solution is None or is_widened or self.mode(source) is not Mode.NO_ISOLATION:
            return False
        self._widened.add(source.url)
        sources = (pin.source for pin in solution.pins.values() if not pin.editable)
        return any(one is not None and self.precedes(one, source) for one in sources)

    def _warn_unmatched(
        self, source: Source, build: Solution, runtime: Mapping[NormalizedName, Version]
    ) -> None:
        for name, pin in build.pins.items():
            version = runtime.get(name)
            if version is not None and version != pin.version:
                text = (
                    f"{source} is built against {name} {pin.version}: its build does not allow "
                    f"{name} {version}, which the lock has for run time"
                )
                self._warn(text)

    def _warn(self, text: str) -> None:
        if text not in self._warned:
            self._warned.add(text)
            self.observer(events.Message("warning", text))


def planner_of(
    context: LockServices,
    runner: ResolverRunner,
    outer: Callable[[], OuterEnvironment],
    **more: Any,
) -> ResolvedBuilds:
    """Make a planner from a command's services."""
    pip = runner.pip
    return ResolvedBuilds(
        context.settings,
        pip.target,
        context.open_builder,
        context.fetcher,
        outer,
        pip=pip,
        observer=context.observer,
        runner=runner,
        constraints=[
            *pip.constraint_files(context.request.build.build_constraints),
            *(
                pip.constraint(str(one), "build-constraint-dependencies")
                for one in context.settings.build_constraint_dependencies
            ),
        ],
        **more,
    )


def _summary(error: PipshimError) -> str:
    first = error.errors[0] if isinstance(error, Failures) else error
    reason = first.message.partition("\n")[0]
    output = first.output if isinstance(first, BuildError) else ()
    last = next((line.strip() for line in reversed(output) if line.strip()), None)
    return f"{reason}: {last}" if last else reason


def is_of_build(error: PipshimError) -> bool:
    """Return whether an error is about building, or resolving for a build."""
    errors = error.errors if isinstance(error, Failures) else (error,)
    return all(isinstance(one, (BuildError, ResolveError)) for one in errors)


def _asking(name: NormalizedName, solution: Solution) -> list[str]:
    """Return what requires a package; nothing if the project does so itself."""
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


def _check_default_backend(source: Source, solution: Solution) -> None:
    """Check that setuptools can be called for a source that declares no backend."""
    conflicts = _conflicts(build_system(source.outline, str(source)).needs, solution)
    if not conflicts:
        return
    (present, needed), *_ = conflicts
    package = str(source) if source.name is not None else name_of(source)
    error = BuildRequirementsError(
        f"{package}: its build environment has {present}, but without build-backend in "
        f"pyproject.toml {needed} is called",
        package=package,
        mode=str(Mode.ISOLATED),
        step="build requirements",
        hint=f"let its [build-system] allow {needed}, or use another version of it",
    )
    error.conflicts = conflicts
    error.required_by = "PEP 517/518 supported requirements"
    raise error


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
    if not applies(requirement, environment):
        return True
    pin = solution.pins.get(canonicalize_name(requirement.name))
    if pin is None or requirement.extras or requirement.url is not None:
        return False
    return requirement.specifier.contains(pin.version, prereleases=True)
