"""Locking for several targets: each is resolved, they agree on versions, one lock says them all.

The Python that is served, the host, is the only one that can ask the backends of sources. What it
is told counts for all targets; the lock says so. If the host is no target itself, it resolves the
project too, as soon as a backend has to be asked.

The first target is resolved in this process, the others in forks of it, several at once: these have
the index pages and files that the first one has read. They ask backends by way of this process, so
each is asked once. The lock is the same as if all had been done one after the other.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pipshim.base.errors import BuildError, PipshimError, ProjectError, ResolveError
from pipshim.lock import forked_resolvers
from pipshim.lock.forked_resolvers import Forks, Origin
from pipshim.model import events
from pipshim.model.events import masked
from pipshim.model.targets import name_of_python
from pipshim.model.universal_lock import merged, serving
from pipshim.model.version_agreement import agree

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.lock.lock_maker import Making, Problem
    from pipshim.lock.lock_resolver import LockResolver, Resolution
    from pipshim.lock.rounds import Host
    from pipshim.lock.services import LockServices
    from pipshim.model.config_settings import ConfigSettings
    from pipshim.model.interpreter import Target, TargetPython
    from pipshim.model.pylock import Lock
    from pipshim.model.solution import Solution, Source
    from pipshim.model.targets import TargetName

    Offered = Mapping[NormalizedName, tuple[Version, ...]]


def lock(making: Making, targets: Sequence[TargetName]) -> Lock:
    """Lock for several targets.

    Raises:
        ProjectError: requires-python does not admit one of them.
        ResolveError: no versions fit on one of them; it says which.
        BuildError: a backend failed.

    """
    start = time.monotonic()
    context = making.context
    _check(context, targets)
    work = _Work(making, targets)
    context.until_end.callback(work.forks.close)
    found = agree(work.order, work.solve, work.before)
    locks = work.settle(found)
    packages = {name for solution in found.values() for name in solution.pins}
    context.observer(events.ResolveFinished(len(packages), time.monotonic() - start))
    configured = context.configuration.target_environments
    asked = tuple(sorted(one for one in targets if one not in configured))
    return replace(merged(locks), targets_asked=asked)


class _Found(NamedTuple):
    """What a fork found, and has learned on the way.

    Attributes:
        solution: for one target.
        extras: of the project, those that only its backend knows included.
        config_settings: of requirements that have their own.

    """

    solution: Solution
    extras: set[NormalizedName]
    config_settings: Mapping[NormalizedName, ConfigSettings]


class _Afar(NamedTuple):
    """The host, for a fork: asked by way of the process that the fork comes from.

    Attributes:
        origin: that process.
        config_settings: which it may not know yet, of requirements that the fork has read first.

    """

    origin: Origin
    config_settings: Mapping[NormalizedName, ConfigSettings]

    def told(self, source: Source) -> bytes:
        metadata: bytes = self.origin.ask(("told", self.config_settings, source))
        return metadata

    def told_of_editable(self, source: Source) -> bytes | None:
        metadata: bytes | None = self.origin.ask(("told_of_editable", self.config_settings, source))
        return metadata

    def also_required(self, source: Source, requirements: tuple[str, ...]) -> list[str]:
        asked = ("also_required", self.config_settings, source, requirements)
        found: list[str] = self.origin.ask(asked)
        return found


@dataclass
class _Work:
    making: Making
    targets: Sequence[TargetName]
    here: TargetName | None = field(init=False)
    order: list[TargetName] = field(init=False)
    kept: dict[TargetName, Lock | None] = field(init=False)
    forks: Forks[TargetName, Offered, _Found] = field(init=False)
    _afar: _Afar | None = field(default=None, init=False)
    _failed: dict[Source, BuildError] = field(default_factory=dict, init=False)
    _host: LockResolver = field(init=False)
    _host_is_ready: bool = field(init=False)
    _host_error: ResolveError | None = field(default=None, init=False)
    _resolvers: dict[TargetName, LockResolver] = field(default_factory=dict, init=False)
    _problems: dict[TargetName, Problem] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        context = self.making.context
        self.here = name_of_python(context.target)
        # The host goes first: what its backends say is not known before.
        self.order = sorted(self.targets, key=lambda one: one != self.here)
        self.kept = {one: _kept(self.making.keep, one) for one in self.order}
        self._host_is_ready = self.here in self.targets
        if self.here is not None and self._host_is_ready:
            python = _as_named(context.target, self.here)
            self._host = self._resolvers[self.here] = self._new(self.here, python)
        else:
            self._host = self.making.resolver(context.pip, self.making.keep)
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
    def before(self) -> dict[TargetName, Mapping[NormalizedName, Version]]:
        """What an earlier lock has for each target."""
        return {one: kept.versions for one, kept in self.kept.items() if kept is not None}

    def solve(self, asked: Mapping[TargetName, Offered]) -> dict[TargetName, Solution]:
        """Resolve targets, each with versions that are taken where they fit."""
        first, *others = self.order
        # What is alone would only wait in another process.
        forking = forked_resolvers.AVAILABLE and self.making.context.jobs > 1 and len(others) > 1
        here = [one for one in (self.order if not forking else [first]) if one in asked]
        found = {target: self._solve(target, asked[target]) for target in here}
        there = {one: asked[one] for one in self.order if one in asked and one not in here}
        self._failed.clear()
        for target, (solution, extras, config_settings) in self.forks.each(there).items():
            self._problem(target).extras.update(extras)
            self._config_settings.update(config_settings)
            found[target] = solution
        return found

    @property
    def _config_settings(self) -> dict[NormalizedName, ConfigSettings]:
        return self.making.context.pip.lines.config_settings

    def settle(self, found: Mapping[TargetName, Solution]) -> dict[TargetName, Lock]:
        """Settle how everything is built on each target, in environments as equal as can be."""
        locks = {}
        offered: dict[NormalizedName, tuple[Version, ...]] = {}
        for target in self.order:
            resolver, problem = self._resolver(target), self._problem(target)
            resolver.builds.offered = offered
            with _for(target):
                resolution = resolver.settled(found[target], problem.folders)
            offered = _also(offered, resolution)
            locks[target] = self.making.lock(resolution, problem, target.python)
        return locks

    def _before_fork(self) -> None:
        """Have what forks share, and no thread that goes on while this process forks."""
        for target in self.order:
            self._problem(target)
        for pip in (self.making.context.pip, *(one.builds.pip for one in self._resolvers.values())):
            pip.before_fork()

    def _settle_in_fork(self, origin: Origin) -> None:
        context = self.making.context
        self._afar = _Afar(origin, self._config_settings)
        context.observer.to = masked(origin.observe, context.mask)
        context.pip.in_fork(context.workspace.fresh("fork"))

    def _in_fork(self, target: TargetName, offered: Offered) -> _Found:
        solution = self._solve(target, offered)
        return _Found(solution, self._problem(target).extras, self._config_settings)

    def _answer(self, question: tuple[Any, ...]) -> object:
        """Ask the host for a fork; what failed once is not built again for the next one."""
        what, config_settings, *arguments = question
        source = arguments[0]
        self._config_settings.update(config_settings)
        if source in self._failed:
            raise self._failed[source]
        try:
            return getattr(self._asking(), what)(*arguments)
        except BuildError as error:
            self._failed[source] = error
            raise

    def _solve(self, target: TargetName, offered: Offered) -> Solution:
        problem = self._problem(target)
        resolver = self._resolver(target)
        kept = self.kept[target] or self.making.keep
        with _for(target):
            return resolver.solve(
                problem.roots,
                constraints=problem.constraints,
                preferred=self.making.pins(kept),
                offered=offered,
            )

    def _problem(self, target: TargetName) -> Problem:
        if target not in self._problems:
            self._problems[target] = self.making.problem(self._resolver(target).builds.pip)
        return self._problems[target]

    def _resolver(self, target: TargetName) -> LockResolver:
        if target not in self._resolvers:
            self._resolvers[target] = self._new(
                target, target.python, beside=self._host, host=self._asking
            )
        return self._resolvers[target]

    def _new(self, target: TargetName, python: TargetPython, **more: Any) -> LockResolver:
        context = self.making.context
        return self.making.resolver(
            context.pip.elsewhere(python),
            self.kept[target] or self.making.keep,
            label=str(target),
            asked_on=_label(context.target),
            **more,
        )

    def _asking(self) -> Host:
        """Give what asks backends, with what the project resolves to on the host."""
        if self._afar is not None:
            return self._afar
        if self._host_error is not None:
            raise self._host_error
        if not self._host_is_ready:
            context = self.making.context
            problem = self.making.problem(context.pip)
            try:
                self._host.solve(
                    problem.roots,
                    constraints=problem.constraints,
                    preferred=self.making.pins(self.making.keep),
                )
            except PipshimError as error:
                self._host_error = ResolveError(
                    "a backend has to be asked for the metadata of a source, here, on "
                    f"{_label(context.target)}, where the project cannot be resolved:\n"
                    f"{error.message}",
                    hint="lock with a Python that the project supports (--python), or state the "
                    "metadata ([[tool.pipshim.dependency-metadata]])",
                )
                raise self._host_error from error
            self._host_is_ready = True
        return self._host.rounds


@contextmanager
def _for(target: TargetName) -> Iterator[None]:
    """Say of an error which target it is about."""
    try:
        yield
    except ResolveError as error:
        raise ResolveError(f"{target}: {error.message}", hint=error.hint) from error


def _check(context: LockServices, targets: Sequence[TargetName]) -> None:
    project = context.project
    if project is None or project.requires_python is None or context.request.lock.given:
        return
    for target in targets:
        version = target.python.markers["python_full_version"]
        if not project.requires_python.contains(version):
            raise ProjectError(
                project.file,
                f"requires-python {project.requires_python} does not admit the target {target}",
                hint="take it out of the targets, or widen requires-python",
            )


def _kept(lock: Lock | None, target: TargetName) -> Lock | None:
    """Tell the part of an earlier lock that is for a target; None if it has none."""
    if lock is None or target in lock.targets:
        return lock if lock is None else serving(lock, target.python.markers)
    is_for_it = not lock.targets and (
        lock.environment is None or lock.environment.evaluate(dict(target.python.markers))
    )
    return lock if is_for_it else None


def _as_named(target: Target, name: TargetName) -> TargetPython:
    """Take a Python for what its name says; what this machine has besides plays no part."""
    named, here = name.python, set(target.tags)
    return replace(named, tags=tuple(tag for tag in named.tags if tag in here))


def _label(target: Target) -> str:
    system = target.markers["sys_platform"]
    name = name_of_python(target)
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
