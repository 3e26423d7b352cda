"""Plan the builds of a plan file (`pipshim.model.plan_file`) as on the machine that made it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pipshim.base.errors import LockError, PlanError
from pipshim.base.tasks import in_order
from pipshim.builds.build_planner import BuildPlan, BuildPlanner
from pipshim.builds.build_request import OuterEnvironment
from pipshim.lock.locked_builds import pin_of
from pipshim.model.build_order import longest_first
from pipshim.model.build_settings import Settings
from pipshim.model.build_variables import Patterns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from packaging.pylock import Package

    from pipshim.builds.build_request import BuildRequest, BuiltWheel, Component
    from pipshim.builds.builder import Builder
    from pipshim.model.build_mode import Mode
    from pipshim.model.plan_file import PlanFile, PlannedBuild
    from pipshim.model.solution import Pin, Solution, Source
    from pipshim.store.fetcher import Fetcher


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
        super().__init__(builder.settings, builder.target, builder, fetcher, OuterEnvironment)
        self._path = path
        self._planned = plan.by_id
        self._pins = {one.id: self._pin(one, one.source) for one in plan.builds}
        self._wheels_of = {
            one.id: {
                str(package.name): self._pin(one, package)
                for package in one.environment
                if not isinstance(package, str)
            }
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
        return not self.builder.has(self.request(self._source(one), None))

    def plan(self, source: Source, solution: Solution | None) -> BuildPlan:  # noqa: ARG002
        """Return a build as the plan has it."""
        planned = self._planned[source.url]
        wheels = self._wheels_of[planned.id]
        pins = tuple(
            self._pins[one] if isinstance(one, str) else wheels[one.name]
            for one in planned.environment
        )
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
