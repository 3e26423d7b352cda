"""Lock for several targets and combinations: resolve each, agree on versions, and merge.

A case is a target, and a combination of extras and groups that exclude each other. Backends run on
the served Python, the host, only; their metadata counts for all targets, and the lock says so. If
the host is no target, it resolves the project too once a backend is needed. Each combination has
backends asked with its own versions.

The first case is resolved alone, then the others at once: in forks, which have the index pages,
files and versions of the first one, and ask backends through this process. A combination on the
host that needs a backend has a thread of this process instead. The lock is the same as if all cases
had been resolved one after the other.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pipshim.base.errors import BuildError, PipshimError, ProjectError, ResolveError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.shared_results import SharedResults
from pipshim.base.tasks import Sharing, each, sharing
from pipshim.lock import forked_resolvers
from pipshim.lock.forked_resolvers import Forks, ParentProcess
from pipshim.lock.metadata_rounds import BackendNeededError, Rounds
from pipshim.model import events
from pipshim.model.combinations import Case, Combination
from pipshim.model.events import masked
from pipshim.model.index_routes import sources_for
from pipshim.model.targets import target_of_python
from pipshim.model.universal_lock import lock_for, merge_locks
from pipshim.model.version_agreement import agree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim._pip.session import Pip
    from pipshim.lock.lock_maker import LockMaker
    from pipshim.lock.lock_resolver import LockResolver, Problem, Resolution
    from pipshim.lock.services import LockServices
    from pipshim.model.interpreter import Target, TargetPython
    from pipshim.model.package_sources import PackageSource
    from pipshim.model.pylock import Lock
    from pipshim.model.settings import ConfigSettings
    from pipshim.model.solution import Solution, Source
    from pipshim.model.targets import TargetName

    Offered = Mapping[NormalizedName, tuple[Version, ...]]
    _ForkResult = tuple[Solution | None, set[str], Mapping[NormalizedName, ConfigSettings]]
    """The solution of a case (None if it needs a backend), its extras and groups, those that only
    backends know included, and the settings of requirements that have their own."""


def lock(making: LockMaker, targets: Sequence[TargetName]) -> Lock:
    """Lock for several targets and combinations.

    Args:
        targets: empty for the served Python.

    Raises:
        ProjectError: requires-python does not admit one of them.
        ResolveError: no versions fit in one of the cases, which it names.
        BuildError: a backend failed.

    """
    start = time.monotonic()
    context = making.context
    _check(context, targets)
    work = _MultiTargetLock(making, targets)
    context.until_end.callback(work.forks.close)
    found = agree(work.order, work.solve, work.before, work.source_of, _admits)
    locks = work.settle(found)
    packages = {name for solution in found.values() for name in solution.pins}
    context.observer(events.ResolveFinished(len(packages), time.monotonic() - start))
    configured = context.configuration.target_environments
    asked = tuple(sorted(one for one in targets if one not in configured))
    return replace(merge_locks(locks, making.conflicts), targets_asked=asked)


@dataclass
class _MultiTargetLock:
    """The resolutions of all cases, and by combination those of the host, whose backends are asked.

    Attributes:
        order: the cases, those of the host first.
        earlier: the part of an earlier lock for each.
        _hosts: by combination, the resolver that has resolved it on the host, or will.
        _solved: the combinations that it has been resolved for.

    """

    making: LockMaker
    targets: Sequence[TargetName]
    here: TargetName | None = field(init=False)
    order: list[Case] = field(init=False)
    earlier: dict[Case, Lock | None] = field(init=False)
    forks: Forks[Case, Offered, _ForkResult] = field(init=False)
    _origin: ParentProcess | None = field(default=None, init=False)
    _failed: dict[tuple[Combination, Source], BuildError] = field(default_factory=dict, init=False)
    _hosts: dict[Combination, LockResolver] = field(default_factory=dict, init=False)
    _solved: set[Combination] = field(default_factory=set, init=False)
    _rounds: SharedResults[Rounds] = field(
        default_factory=lambda: SharedResults(keep_errors=True), init=False
    )
    _resolvers: dict[Case, LockResolver] = field(init=False)
    _problems: dict[Case, Problem] = field(init=False)
    _sources: dict[Case, dict[NormalizedName, PackageSource]] = field(init=False)

    def __post_init__(self) -> None:
        context = self.making.context
        self.here = target_of_python(context.target)
        cases = [
            Case(target, combination)
            for target in self.targets or (None,)
            for combination in self.making.conflicts.combinations()
        ]
        # The host goes first: what its backends say is not known before.
        self.order = sorted(cases, key=lambda case: not self._is_here(case))
        here = context.target.markers
        self.earlier = {case: _part_for(self.making.keep, case, here) for case in self.order}
        self._resolvers = {case: self._resolver(case) for case in self.order}
        self._problems = {
            case: self.making.problem(resolver.builds.pip, case.combination)
            for case, resolver in self._resolvers.items()
        }
        project = context.project
        self._sources = {
            case: sources_for(
                project.configuration,
                resolver.builds.target.markers,
                project.file,
                case.combination.chosen,
            )
            for case, resolver in self._resolvers.items()
            if project is not None
        }
        self.forks = Forks(
            work=self._in_fork,
            settle=self._settle_in_fork,
            answer=self._answer,
            observer=context.observer,
            explain=context.explain,
            before=self._before_fork,
            at_once=context.jobs,
        )

    @property
    def before(self) -> dict[Case, Mapping[NormalizedName, Version]]:
        """The versions of an earlier lock, by case."""
        return {case: part.versions for case, part in self.earlier.items() if part is not None}

    def source_of(self, case: Case, name: NormalizedName) -> object:
        """Return where a package comes from in a case, other than pip's indexes."""
        source = self._sources[case].get(name) if self._sources else None
        return None if source is None else (source.index, source.path, source.url)

    def solve(self, asked: Mapping[Case, Offered]) -> dict[Case, Solution]:
        """Resolve cases, each with versions to prefer: the first one, then the others at once."""
        first, *others = self.order
        found = self._solve_each([first], asked)
        # What is alone would only wait in another process.
        forking = forked_resolvers.AVAILABLE and self.making.context.jobs > 1 and len(others) > 1
        has_asked = any(one.rounds.has_asked for one in self._resolvers.values())
        if not forking or has_asked:
            found |= self._solve_each([case for case in others if self._is_here(case)], asked)
        if forking:
            left = [case for case in others if case not in found]
            found |= self._solve_in_forks({case: asked[case] for case in left if case in asked})
        left = [case for case in others if case not in found]
        return found | self._solve_each(left, asked)

    def _solve_each(
        self, cases: Sequence[Case], asked: Mapping[Case, Offered]
    ) -> dict[Case, Solution]:
        """Resolve those of some cases that are asked for in threads of this process."""
        context = self.making.context
        cases = [case for case in cases if case in asked]
        at_once = min(context.jobs, len(cases))

        def work(case: Case) -> Solution:
            sharing.set(Sharing(max(1, at_once)))
            return self._solve(case, asked[case])

        found = each(work, cases, at_once=at_once, interrupted=context.builder.processes.stop)
        return dict(zip(cases, found, strict=True))

    def _solve_in_forks(self, asked: Mapping[Case, Offered]) -> dict[Case, Solution]:
        """Resolve cases in forks, except those that need a backend."""
        self._failed.clear()
        found = {}
        for case, (solution, origins, config_settings) in self.forks.each(asked).items():
            self._problems[case].origins.update(origins)
            self._config_settings.update(config_settings)
            if solution is not None:
                found[case] = solution
        return found

    def settle(self, found: Mapping[Case, Solution]) -> dict[Case, Lock]:
        """Decide how everything is built in each case, with equal environments where possible."""
        locks = {}
        offered: dict[NormalizedName, tuple[Version, ...]] = {}
        for case in self.order:
            resolver, problem = self._resolvers[case], self._problems[case]
            resolver.builds.offered = offered
            with _for(case):
                resolution = resolver.settled(found[case], problem.folders)
            offered = _also(offered, resolution)
            python = case.target.python if case.target is not None else resolver.builds.target
            locks[case] = self.making.lock(resolution, problem, python)
        return locks

    @property
    def _config_settings(self) -> dict[NormalizedName, ConfigSettings]:
        return self.making.context.pip.lines.config_settings

    def _is_here(self, case: Case) -> bool:
        """Return whether a case is one of the served Python, which can ask backends."""
        return case.target is None or case.target == self.here

    def _before_fork(self) -> None:
        """End the threads of this process."""
        for pip in (self.making.context.pip, *(one.builds.pip for one in self._resolvers.values())):
            pip.ahead.rest()  # a fork has only the thread that forks

    def _settle_in_fork(self, origin: ParentProcess) -> None:
        context = self.making.context
        self._origin = origin
        context.observer.to = masked(origin.observe, context.mask)
        context.pip.in_fork(context.workspace.fresh("fork"))

    def _in_fork(self, case: Case, offered: Offered) -> _ForkResult:
        if self._is_here(case):
            self._resolvers[case].rounds.may_ask = False
        try:
            solution = self._solve(case, offered)
        except BackendNeededError:
            solution = None
        return solution, self._problems[case].origins, self._config_settings

    def _answer(self, question: tuple[Any, ...]) -> object:
        """Ask the host for a fork; what failed once is not built again."""
        ask, combination, config_settings, *arguments = question
        source = arguments[0]
        self._config_settings.update(config_settings)
        if (combination, source) in self._failed:
            raise self._failed[combination, source]
        try:
            return self._ask(combination, ask, *arguments)
        except BuildError as error:
            self._failed[combination, source] = error
            raise

    def _solve(self, case: Case, offered: Offered) -> Solution:
        problem = self._problems[case]
        resolver = self._resolvers[case]
        preferred = self.making.pins(self.earlier[case] or self.making.keep)
        if not self.targets:  # what other combinations have comes before what an earlier lock had
            for name, versions in offered.items():
                preferred[name] = (*preferred.get(name, ()), *versions)
        if self._is_here(case):
            self._solved.add(case.combination)
        with _for(case):
            return resolver.solve(problem, preferred, offered if self.targets else None)

    def _resolver(self, case: Case) -> LockResolver:
        """Make the resolver of a case; those of the host come first."""
        context, combination = self.making.context, case.combination
        more: dict[str, Any] = {}
        if case.target is None:
            python: TargetPython = context.target
        else:
            python = case.target.python
            if self._is_here(case):  # without what else this machine has
                tags = tuple(tag for tag in python.tags if tag in context.target.tags)
                python = replace(python, tags=tags)
            more["asked_on"] = _label(context.target)
        if self._is_here(case):
            more["beside"] = next(iter(self._hosts.values()), None)
        else:
            more["beside"] = self._host(combination)
            more["ask_host"] = partial(self._ask, combination)
        made = self.making.resolver(
            _pip_for(context, python, combination),
            self.earlier[case] or self.making.keep,
            label=str(case),
            combination=combination,
            **more,
        )
        if self._is_here(case):
            self._hosts[combination] = made
        return made

    def _ask(self, combination: Combination, ask: Callable[..., Any], *arguments: Any) -> Any:
        """Ask the host's backends with the versions of a combination, in forks its process."""
        if self._origin is not None:
            return self._origin.ask((ask, combination, self._config_settings, *arguments))
        rounds = self._rounds.get(combination, lambda: self._solved_on_host(combination))
        return ask(rounds, *arguments)

    def _host(self, combination: Combination) -> LockResolver:
        """Return the host's resolver of a combination."""
        if combination not in self._hosts:
            context, first = self.making.context, next(iter(self._hosts.values()), None)
            pip = context.pip
            if combination != Combination():
                pip = _pip_for(context, context.target, combination)
            self._hosts[combination] = self.making.resolver(
                pip, self.making.keep, beside=first, combination=combination
            )
        return self._hosts[combination]

    def _solved_on_host(self, combination: Combination) -> Rounds:
        """Return the host's rounds after the project was resolved there."""
        resolver = self._host(combination)
        if combination in self._solved:
            return resolver.rounds
        self._solved.add(combination)
        try:
            problem = self.making.problem(resolver.builds.pip, combination)
            resolver.solve(problem, self.making.pins(self.making.keep))
        except PipshimError as error:
            raise ResolveError(
                "a build backend has to give metadata on this machine "
                f"({_label(self.making.context.target)}), for which the project cannot be "
                f"resolved:\n{error.message}",
                hint="lock with a Python that the project supports (--python), or state the "
                "metadata ([[tool.pipshim.dependency-metadata]])",
            ) from error
        return resolver.rounds


def _pip_for(context: LockServices, python: TargetPython, combination: Combination) -> Pip:
    """Return pip's machinery for a Python, with the indexes of a combination."""
    return context.pip.for_target(python, lambda markers: context.routes(markers, combination))


@contextmanager
def _for(case: Case) -> Iterator[None]:
    """Name the case in an error."""
    try:
        yield
    except ResolveError as error:
        raise ResolveError(f"{case}: {error.message}", hint=error.hint) from error


def _admits(solution: Solution, name: NormalizedName, version: Version) -> bool:
    """Return whether the project's requirements admit a version."""
    stated = (Requirement(text) for texts in solution.roots.values() for text in texts)
    return all(
        one.specifier.contains(version, prereleases=True)
        for one in stated
        if canonicalize_name(one.name) == name
    )


def _check(context: LockServices, targets: Sequence[TargetName]) -> None:
    project = context.project
    if project is None or project.requires_python is None or context.request.lock.given:
        return
    for target in targets:
        version = target.python.markers["python_full_version"]
        if not project.requires_python.contains(version):
            raise ProjectError(
                project.file,
                f"requires-python {project.requires_python} excludes the target {target}",
                hint="remove it from the targets, or widen requires-python",
            )


def _part_for(lock: Lock | None, case: Case, here: Mapping[str, str]) -> Lock | None:
    """Return the part of an earlier lock for a case; None if there is none."""
    if lock is None:
        return None
    combination = lock.conflicts.nearest(case.combination)
    if case.target is None:
        return None if lock.targets else lock_for(lock, here, combination)
    markers = case.target.python.markers
    if case.target in lock.targets:
        return lock_for(lock, markers, combination)
    is_for_it = not lock.targets and (
        lock.environment is None or lock.environment.evaluate(dict(markers))
    )
    return lock_for(lock, markers, combination) if is_for_it else None


def _label(target: Target) -> str:
    system = target.markers["sys_platform"]
    name = target_of_python(target)
    return str(name or f"{target.implementation} {target.full_version}, {system}")


def _also(
    offered: Mapping[NormalizedName, tuple[Version, ...]], resolution: Resolution
) -> dict[NormalizedName, tuple[Version, ...]]:
    found = {name: set(versions) for name, versions in offered.items()}
    for members in resolution.environments.values():
        for package in members:
            if package.version is not None:
                found.setdefault(package.name, set()).add(package.version)
    return {name: tuple(sorted(versions)) for name, versions in found.items()}
