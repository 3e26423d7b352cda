"""Plan builds: what to build or reuse, in which environment and what order.

`lock`, `sync`, `install`, `wheel` and `download` plan all their builds here. They differ in where
the environment of an isolated build comes from: it is resolved (`pipshim.lock.resolved_builds`), or
a lock has it (`pipshim.lock.locked_builds`).
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field, replace
from functools import cache, partial
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from packaging.utils import NormalizedName, canonicalize_name

from pipshim._pip.preparer import build_system
from pipshim.base.errors import BuildCycleError, PipshimError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.paths import file_size
from pipshim.base.shared_results import CycleError, SharedResults
from pipshim.base.tasks import each, in_order
from pipshim.builds.build_request import BuildRequest, BuiltWheel, Component, OuterEnvironment
from pipshim.model import artifacts
from pipshim.model.build_mode import Mode
from pipshim.model.build_order import longest_first, needs, ordered
from pipshim.model.combinations import BASE, Combination
from pipshim.model.events import UNKNOWN
from pipshim.model.solution import Pin, Solution, Source, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from pipshim.builds.builder import Builder
    from pipshim.model.build_settings import Settings
    from pipshim.model.interpreter import TargetPython
    from pipshim.store.fetcher import Fetcher
    from pipshim.store.unpacked_wheel import UnpackedWheel

T = TypeVar("T")

_FETCHES = 8
"""How many sources are fetched at once."""

_SECONDS_PER_MB = {
    ".c": 10.0,
    ".f": 10.0,
    ".f90": 20.0,
    ".cc": 50.0,
    ".cpp": 50.0,
    ".cxx": 50.0,
    ".pyx": 50.0,
    ".rs": 50.0,
    ".cu": 500.0,
}
"""How long a compiler takes for the files of a language, roughly: what counts is the order."""

_AT_LEAST = 1.0
_NOT_COMPILED = frozenset(
    {"test", "tests", "doc", "docs", "example", "examples", "benchmark", "benchmarks", ".git"}
)
_MB = 1_000_000


class BuildPlan(NamedTuple):
    """How a source is built.

    Attributes:
        requirements: the build requirements, declared and extra.
        pins: the environment of an isolated build, as far as it is known.
        complete: whether all of it is known.

    """

    mode: Mode
    chosen_by: str
    requirements: tuple[str, ...]
    pins: tuple[Pin, ...] = ()
    complete: bool = True


@dataclass
class BuildPlanner:
    """Plans the builds of one command, and does each of them once.

    Attributes:
        open_builder: returns what runs the builds.
        outer: returns what builds without isolation see besides their own environment.
        combination: which conflicting extras and groups to build for.

    """

    settings: Settings
    target: TargetPython
    open_builder: Callable[[], Builder]
    fetcher: Fetcher
    outer: Callable[[], OuterEnvironment]
    combination: Combination = BASE
    _wheels: SharedResults[BuiltWheel] = field(
        default_factory=lambda: SharedResults(keep=False), init=False
    )
    _built: dict[tuple[str, BuildRequest], BuiltWheel] = field(default_factory=dict, init=False)

    @property
    def builder(self) -> Builder:
        return self.open_builder()

    def plan(self, source: Source, solution: Solution | None) -> BuildPlan:
        """Choose the mode of a build, and the environment of an isolated one."""
        raise NotImplementedError

    def precedes(self, other: Source, source: Source) -> bool:
        """Return whether `other` is built before `source`, though that does not need it.

        `sync` builds without isolation after all builds with isolation.
        """
        raise NotImplementedError

    def request(
        self, source: Source, solution: Solution | None, plan: BuildPlan | None = None
    ) -> BuildRequest:
        """Describe a build.

        Args:
            solution: the runtime pins; None if there are none yet.
            plan: how it is built, if that is known.

        """
        plan = plan or self.plan(source, solution)
        pins: Iterable[Pin] = plan.pins
        outer = OuterEnvironment()
        if plan.mode is Mode.NO_ISOLATION:
            pins = self._project_pins(source, solution, plan.requirements)
            found = self.outer()
            outer = found if found.distributions else outer
        sees_runtime = bool(self.combination.chosen) and plan.mode is not Mode.ISOLATED
        return BuildRequest(
            name=name_of(source),
            version=str(source.version or UNKNOWN),
            digest=source.digest,
            mode=plan.mode,
            chosen_by=plan.chosen_by,
            open=lambda: (source.directory, build_system(source.directory, str(source))),
            requirements=plan.requirements,
            components=tuple(self.component(pin, solution) for pin in pins),
            outer=outer,
            editable=source.editable,
            commit=source.commit,
            combination=str(self.combination) if sees_runtime else "",
            package=source.package,
        )

    def with_extra(self, name: NormalizedName, declared: Iterable[str]) -> tuple[str, ...]:
        """Add the requirements of settings to the declared ones of a build."""
        extra = self.settings.extra_build_dependencies.get(name, ())
        return (*declared, *(str(one.requirement) for one in extra))

    def component(self, pin: Pin, solution: Solution | None) -> Component:
        """Describe a distribution of a build environment, which is fetched or built when needed."""
        artifact = artifacts.choose(pin.package, self.target)
        source = replace(pin.source, package=pin.package) if pin.source is not None else None

        def tree() -> UnpackedWheel:
            if source is None:
                return self.fetcher.wheel(pin.package, artifact)  # type: ignore[arg-type]
            return self.wheel(source, solution).tree

        return Component(
            pin.package.name,
            str(pin.version),
            artifacts.identity(artifact),
            tree,
            pin.package,
            build=None if source is None else partial(self.request, source, solution),
            pure=artifacts.is_pure_wheel(artifact),
        )

    def wheel(self, source: Source, solution: Solution | None) -> BuiltWheel:
        """Build a wheel once; others who need it wait for that build.

        Raises:
            BuildError: it failed, or builds need each other.

        """
        key = (source.url, self.request(source, solution))

        def build() -> BuiltWheel:
            built = self._built.get(key)
            if built is None or self.builder.store.tree(built.tree.sha256) is None:
                built = self._built[key] = self.builder.wheel(key[1])
            return built

        with within(source):
            return shared(self._wheels, key, build)

    def build(
        self,
        sources: Mapping[NormalizedName, Source],
        solution: Solution | None,
        build: Callable[[NormalizedName], T],
    ) -> dict[NormalizedName, T]:
        """Build several sources at once, each after what it waits for.

        Isolated builds build what they need themselves. Of the builds that can begin, the longest
        one begins first, with what waits for it.

        Args:
            solution: the pins of run time.

        """
        if not sources:
            return {}
        self.builder.look_ahead((one.digest for one in sources.values()), ("wheel",))
        waits = {
            name: self.request(source, solution).waits_for
            for name, source in sources.items()
            if self.mode(source) is Mode.NO_ISOLATION
        }
        free: dict[NormalizedName, tuple[NormalizedName, ...]] = {
            name: () for name in sources if name not in waits
        }
        is_work = cache(lambda name: self.is_work(sources[name], solution))
        waits = {**free, **{name: waits[name] for name in ordered(waits)}}
        if len(waits) > self.builder.at_once:  # otherwise all that can begin does
            work = {name: sources[name] for name in waits if is_work(name)}
            seconds = dict.fromkeys(waits, 0.0) | self._estimates(work, solution)
            waits = {name: waits[name] for name in longest_first(seconds, waits)}
        return in_order(
            build,
            waits,
            at_once=self.builder.at_once,
            is_work=is_work,
            interrupted=self.builder.processes.stop,
        )

    def _estimates(
        self, sources: Mapping[NormalizedName, Source], solution: Solution | None
    ) -> dict[NormalizedName, float]:
        """Estimate how long builds take: as before, or by the files of what is new here.

        What is built for a build's environment counts too, if it was built before.
        """
        seconds = {
            name: self.builder.seconds_of(name, str(source.version or UNKNOWN))
            for name, source in sources.items()
        }
        new = [name for name in sources if seconds[name] is None]
        found = each(
            lambda name: _estimate(sources[name]),
            new,
            at_once=_FETCHES,
            interrupted=self.builder.processes.stop,
        )
        estimates = dict(zip(new, found, strict=True))
        estimates |= {name: one for name, one in seconds.items() if one is not None}
        for name, source in sources.items():
            before = [self.builder.seconds_of(*one) for one in self.builds_before(source, solution)]
            estimates[name] += max((one for one in before if one is not None), default=0.0)
        return estimates

    def builds_before(
        self, source: Source, solution: Solution | None
    ) -> Iterator[tuple[NormalizedName, str]]:
        """Yield name and version of what is built for the environment of an isolated build."""
        if self.mode(source) is Mode.NO_ISOLATION:
            return
        for component in self.request(source, solution).components:
            if component.is_built:
                yield component.name, component.version

    def mode(self, source: Source) -> Mode:
        """Return the chosen mode; whether an isolated build is matched, only `plan` says."""
        return self.settings.choice(name_of(source)).mode

    def is_work(self, source: Source, solution: Solution | None) -> bool:
        """Return whether no earlier wheel can be reused, as far as that is known."""
        return self.origin(source, solution) == "built"

    def origin(
        self, source: Source, solution: Solution | None
    ) -> Literal["cached", "remote", "built"]:
        """Return where a wheel would come from, as far as that is known."""
        return self.builder.origin(self.request(source, solution))

    def _project_pins(
        self, source: Source, solution: Solution | None, requirements: Iterable[str]
    ) -> Iterator[Pin]:
        """Return the project environment of a build without isolation.

        It has what needs no building, and what is built before it.
        """
        pins = solution.pins if solution is not None else {}
        needed = needs(name_of(source), requirements, _dependencies(pins))
        for name, pin in pins.items():
            if name == source.name or pin.editable or pin.present:
                continue
            if pin.source is None or (
                pin.source.url != source.url
                and (name in needed or self.precedes(pin.source, source))
            ):
                yield pin


def _estimate(source: Source) -> float:
    try:
        return estimated_seconds(source.directory)
    except (PipshimError, OSError):
        return 0.0  # its build will say what is wrong


def estimated_seconds(source: Path) -> float:
    """Estimate how long it takes to build a source tree, on one core."""
    seconds = _AT_LEAST
    for folder, folders, files in os.walk(source):
        folders[:] = [name for name in folders if name.lower() not in _NOT_COMPILED]
        for name in files:
            per_mb = _SECONDS_PER_MB.get(os.path.splitext(name)[1].lower())  # noqa: PTH122 many
            if per_mb is not None:
                seconds += per_mb * file_size(f"{folder}/{name}") / _MB
    return seconds


def _dependencies(
    pins: Mapping[NormalizedName, Pin],
) -> dict[NormalizedName, list[NormalizedName]]:
    return {
        name: [canonicalize_name(one["name"]) for one in pin.package.dependencies or ()]
        for name, pin in pins.items()
    }


_waiting: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("waiting", default=())
"""The builds that wait for each other here: where each comes from, and its name."""


def waiting_builds() -> list[str]:
    """Return the builds that the current work is done for, the outermost first."""
    return [name for _, name in _waiting.get()]


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
    """Return a result that other builds may need too."""
    try:
        return results.get(key, compute, path=_waiting.get())
    except CycleError as error:
        raise _cycle(error.path) from error  # type: ignore[arg-type]


def _cycle(steps: Sequence[tuple[str, str]]) -> BuildCycleError:
    names = [name for _, name in steps]
    return BuildCycleError(
        f"{names[0]}: the build requirements form a cycle: " + " -> ".join([*names, names[0]]),
        package=names[0],
        mode=str(Mode.ISOLATED),
        step="build requirements",
        hint="constrain one of them to a version that has a wheel (build-constraint-dependencies)",
    )
