"""Builds for pip's own commands: metadata in rounds, wheels in order, with progress.

pip resolves, downloads and installs; where it would build, it asks here
(`pipshim.cli.pip_commands`). Without a source, none of this is made, and no project is read.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import field, replace
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.pylock import Package
from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version
from pyproject_hooks import HookMissing

from pipshim._pip.build_reports import report_step
from pipshim._pip.hook_handlers import PipBuilds, give_downloads
from pipshim._pip.logs import without_extras_of
from pipshim._pip.pip_texts import WHEEL_BUILDER
from pipshim.base.errors import BuildError, Failures, PipshimError
from pipshim.base.light.dataclasses import dataclass
from pipshim.builds.build_request import OuterEnvironment
from pipshim.builds.environment import BuildEnvironment, workspace
from pipshim.cli.context import Context
from pipshim.cli.pip_messages import forwarded
from pipshim.envs import abi_providers, dist_info, installed
from pipshim.envs.interpreter import query
from pipshim.lock.conflict_report import explain
from pipshim.lock.metadata_rounds import Rounds
from pipshim.lock.resolved_builds import planner_of
from pipshim.lock.resolver_runner import ResolverRunner
from pipshim.model import events
from pipshim.model.artifacts import unsuitable_tags
from pipshim.model.build_mode import Mode
from pipshim.model.build_settings import Settings, combine
from pipshim.model.events import Event, Observer, masked
from pipshim.model.settings import Configuration
from pipshim.model.solution import Pin, Solution, Source, name_of
from pipshim.progress.build_log import BuildLog
from pipshim.progress.observer_choice import make_observer
from pipshim.project.workspaces import load_builder
from pipshim.store.wheel_packing import pack

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from typing_extensions import Self

    from pipshim._pip.hook_handlers import Built, PipsBuild
    from pipshim._pip.session import Pip
    from pipshim.cli.command_base import PipCommand
    from pipshim.model.interpreter import Target
    from pipshim.model.project import Project
    from pipshim.model.requests import CommonOptions, LockRequest
    from pipshim.model.settings import ConfigSettings


logger = logging.getLogger(WHEEL_BUILDER)

_NEEDED_AT_LAST = (
    "concurrent.futures.thread",
    "encodings.cp437",  # names in a zip archive
    *(() if sys.platform == "win32" else ("resource",)),  # os.wait4 imports it
    "pipshim.progress.error_text",
    "pipshim.progress.json_output",
    "pipshim.progress.plain",
)


class BuildSteps:
    """Collects the build steps that pip reports, until they can be printed.

    It observes events from several threads; `report` is called where pip may print.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[NormalizedName, str, bool]] = []
        self._running: dict[tuple[str, str], tuple[events.BuildStarted, str]] = {}
        self._with_environment: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, event: Event, /) -> None:
        """Note a step that has ended."""
        with self._lock:
            if isinstance(event, events.BuildStarted):
                self._running[event.name, event.version] = event, ""
            elif isinstance(event, events.BuildPhase | events.BuildFinished | events.BuildFailed):
                started, phase = self._running.pop((event.name, event.version), (None, ""))
                if started is not None:
                    self._go_on(event, started, phase)

    def _go_on(
        self,
        event: events.BuildPhase | events.BuildFinished | events.BuildFailed,
        started: events.BuildStarted,
        phase: str,
    ) -> None:
        name, failed = canonicalize_name(event.name), isinstance(event, events.BuildFailed)
        isolated = started.mode != str(Mode.NO_ISOLATION)
        if phase == "environment" and isolated and (failed or name not in self._with_environment):
            self._with_environment.add(name)
            self._steps.append((name, "environment", failed))
        if isinstance(event, events.BuildPhase):
            self._running[event.name, event.version] = started, event.phase
        elif phase == started.what and phase in ("requirements", "metadata"):
            if phase == "requirements":
                self._steps.append((name, "check", False))
            if not (isinstance(event, events.BuildFailed) and event.step == "editable"):
                self._steps.append((name, phase, failed))

    def report(
        self, names: Collection[NormalizedName], editable: Collection[NormalizedName]
    ) -> None:
        """Print the steps of these packages, each once, and forget all steps.

        Args:
            names: what pip itself would build, without build requirements.
            editable: those of them that are installed as editables.

        """
        with self._lock:
            steps, self._steps = self._steps, []
        for name, step, failed in steps:
            if name in names:
                report_step(step, editable=name in editable, failed=failed)


@dataclass
class Building(PipBuilds):
    """The builds of one command of pip's. It has to be closed.

    Attributes:
        pip_command: pip's part of that.
        stays: whether the environment's distributions stay beside what is resolved.
        adopt: gives pip's machinery for build environments the command's indexes.
        editables: whether editable requirements are built as editables.
        show: shows an error of a build before pip reports it in its own way.

    """

    request: LockRequest
    pip_command: PipCommand
    stays: bool
    adopt: Callable[[Pip], object]
    editables: bool
    show: Callable[[PipshimError], object]
    also: Observer | None = None
    _until_end: ExitStack = field(default_factory=ExitStack, init=False)
    _config: dict[NormalizedName, ConfigSettings] = field(default_factory=dict, init=False)
    _editable: set[NormalizedName] = field(default_factory=set, init=False)
    _steps: BuildSteps = field(default_factory=BuildSteps, init=False)
    _solution: Solution | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        super().__init__(editables=self.editables)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._until_end.close()

    def met(self, source: Source, config_settings: ConfigSettings | None) -> None:
        """Note the config settings that pip has for a source: those of its requirement.

        Those of the project are for all sources; those of the command line, as with pip, for what
        is named there.
        """
        name = name_of(source)
        project = self._project
        for_all = project.configuration.config_settings if project is not None else {}
        own = self._configured.config_settings_package.get(name, {})
        self._config[name] = {**for_all, **(config_settings or {}), **own}
        if source.editable:
            self._editable.add(name)

    def metadata(self, source: Source) -> bytes:
        """Return a source's METADATA, or its stand-in in this round."""
        with self._steps_reported(), self.screen.shown():
            return self.rounds.metadata(source)

    @contextmanager
    def _steps_reported(self) -> Iterator[None]:
        """Let pip report the steps done meanwhile, unless the command is interrupted."""
        try:
            yield
        except PipshimError:
            self._report_steps()
            raise
        self._report_steps()

    def _report_steps(self) -> None:
        self._steps.report(self._config.keys(), self._editable)

    def settle(self, resolver: Any, again: Callable[[], object]) -> None:
        """Resolve in rounds, as `Rounds.settle` does; pip reports each."""
        start = time.monotonic()
        give_downloads(resolver, self.context.fetcher.downloaded)

        def one_round(number: int) -> Solution:
            if self.also is not None:
                self.also(events.ResolveStarted(number + 1))
            with self.screen.hidden():
                self._report_steps()
                if number:
                    self.renew(resolver)
                    again()
                pins = {**self._present(), **self.pins(resolver, self._is_usable)}
                return Solution(pins=dict(sorted(pins.items())), origins={})

        with self._steps_reported(), self.screen.shown():
            self._solution = self.rounds.settle(one_round)
        if self.also is not None:
            count = sum(not pin.present for pin in self._solution.pins.values())
            self.also(events.ResolveFinished(count, time.monotonic() - start))

    def build_names(self) -> set[NormalizedName]:
        """Return the names of the packages that builds need, as far as they are known."""
        builds, names = self.rounds.builds, set(self._config)
        for pin in self._solution.pins.values() if self._solution is not None else ():
            for text in builds.requirements(pin.source) if pin.source is not None else ():
                names.add(canonicalize_name(Requirement(text).name))
        return names | builds.resolved_names

    def _is_last(self, source: Source) -> bool:
        """Return whether a source is built in the environment itself, after everything else.

        An editable without isolation may remember its environment (meson-python does). That does
        not hold for what is installed elsewhere.
        """
        if not self._is_in_place(source) or self._solution is None or not self.stays:
            return False
        pins = self._solution.pins.values()
        return any(not pin.present and pin.source != source for pin in pins)

    def _is_in_place(self, source: Source) -> bool:
        return source.editable and self.rounds.builds.mode(source) is Mode.NO_ISOLATION

    def build(self, requirements: list[Any], pips: PipsBuild) -> Built:
        """Build what pip is about to build, and let pip store and report it."""
        sources = [(req, self.named(req)) for req in requirements]
        last = [req for req, source in sources if self._is_last(source)]
        now = [(req, source) for req, source in sources if req not in last]
        built, cached, error = self._wheels([source for _, source in now])
        done = []
        for req, source in now:
            if source.url in cached:
                self.use(req, cached[source.url])
                done.append(req)
        names = _packages(error) if error is not None else set()
        begun = [req for req, one in now if one.url in built or name_of(one) in names]
        succeeded, failed = self.report(begun, built, pips) if begun else ([], [])
        left = [req.name or "" for req, _ in now if req not in done and req not in begun]
        if left:
            logger.info("Not built, since another build failed: %s", " ".join(left))
        if error is not None:
            if not failed:
                raise error
            self.show(error)
        if not failed:
            for req in last:
                self.put_off(req, partial(self._build_last, req, pips))
            for name in _NEEDED_AT_LAST:  # once pip installs, it lets nothing be imported
                import_module(name)
        return [*done, *succeeded], failed

    @staticmethod
    def rolling_back() -> None:
        """Report that what was installed before a failed build is taken back."""
        logger.info("Rolling back the installation")

    def _build_last(self, req: Any, pips: PipsBuild) -> Built:
        """Build a requirement after all others are installed."""
        for name in ("_installed", "_outer_environment"):
            vars(self).pop(name, None)
        built, _, error = self._wheels([self.named(req)], at_last=True)
        done = self.report([req], built, pips)
        if error is not None:
            self.show(error)
        return done

    def _wheels(
        self, sources: Sequence[Source], *, at_last: bool = False
    ) -> tuple[dict[str, Path], dict[str, Path], PipshimError | None]:
        """Build wheels, each after what it waits for.

        Returns:
            those that were built and those that were cached, by URL, and why others were not.

        Raises:
            PipshimError: something failed that pip finds out before it builds wheels.

        """
        cached: dict[str, Path] = {}
        built: dict[str, Path] = {}
        by_name = {name_of(source): source for source in sources}
        observer, builds = self.context.observer, self.rounds.builds

        def made(name: NormalizedName) -> None:
            source = by_name[name]
            wheel, came_from = self._wheel(source)
            (cached if came_from in ("cached", "remote") else built)[source.url] = wheel
            observer(events.Prepared(name, str(source.version or ""), came_from))

        with self._steps_reported(), self.screen.shown(plain=at_last):
            try:
                observer(events.Planned(len(sources), len(sources)))
                for source in sources:
                    builds.widen(source, self._solution)  # built after what is built with isolation
                if self._solution is not None:
                    self.rounds.ask_ahead(sources, self._solution)
                builds.build(by_name, self._solution, made)
            except PipshimError as error:
                if not _is_of_wheel(error):
                    raise
                return built, cached, error
        return built, cached, None

    def _wheel(self, source: Source) -> tuple[Path, events.Source]:
        """Return a source's wheel, and where it came from."""
        builder, builds = self.context.builder, self.rounds.builds
        if source.editable:
            request = builds.request(source, self._solution)
            if self._is_in_place(source):
                here = BuildEnvironment(self.context.target, leaks=True)
                request = replace(request, components=(), environment=here)
            return builder.editable(request), "editable"
        pin = self._solution.pins.get(name_of(source)) if self._solution is not None else None
        if pin is not None and pin.source == source:
            source = replace(source, package=pin.package)  # which workers fetch
        built = builds.wheel(source, self._solution)
        file = built.wheel or pack(built.tree, self.context.workspace.fresh("wheel"))
        return file, built.origin

    def _is_usable(self, wheel: str) -> bool:
        """Return whether builds here can use a wheel, which may be for another platform."""
        return unsuitable_tags(wheel, self.context.target) is None

    def _present(self) -> dict[NormalizedName, Pin]:
        """Return the installed distributions, if they stay beside what is resolved."""
        return {name: _present(one) for name, one in self._installed.items()} if self.stays else {}

    @cached_property
    def rounds(self) -> Rounds:
        context = self.context
        runner = ResolverRunner(context.pip, explain)
        builds = planner_of(context, runner, lambda: self._outer_environment, editables_only=True)
        rounds = Rounds(builds, trusts_projects=False)
        # pip's resolver asks for the first time before `settle` is called.
        self._until_end.enter_context(without_extras_of(rounds.stand_ins))
        return rounds

    @cached_property
    def context(self) -> PassedContext:
        """The context for the Python that runs the command."""
        request, started = self.request, time.time_ns()
        space = self._until_end.enter_context(workspace())
        parts = ExitStack()
        self._until_end.push(parts)
        also = [self.also] if self.also is not None else []
        shown = events.tee(self.screen, self._steps, BuildLog(), *also)
        context = PassedContext(
            request,
            self.pip_command,
            self._project,
            Path.cwd(),
            events.Relay(masked(shown, self.pip_command.mask)),
            space,
            parts,
            started,
        )
        context.settings = replace(
            self._configured, config_settings={}, config_settings_package=self._config
        )
        self.adopt(context.pip)
        return context

    @cached_property
    def _configured(self) -> Settings:
        project = self._project
        return combine(self.request.build, project.configuration if project else Configuration())

    @cached_property
    def _project(self) -> Project | None:
        return load_builder(self.request.common.project, Path.cwd())

    @cached_property
    def screen(self) -> Screen:
        return Screen(self.request.common)

    @cached_property
    def _installed(self) -> dict[NormalizedName, installed.Installed]:
        return installed.scan(_site_folders())

    @cached_property
    def _outer_environment(self) -> OuterEnvironment:
        return OuterEnvironment(
            tuple(_site_folders()),
            (self.context.target.scripts,),
            {name: abi_providers.used(one) for name, one in self._installed.items()},
        )


class PassedContext(Context):
    """The context of a command of pip's, which serves the Python that it runs on."""

    is_of_pip = True

    @cached_property
    def target(self) -> Target:
        return query(Path(sys.executable), self.request.common.shim_cache)


class Screen:
    """Shows builds while there are any; at all other times the terminal is pip's."""

    def __init__(self, common: CommonOptions) -> None:
        self._common = self._shown_as = common
        self._open: ExitStack | None = None
        self._observer: Observer | None = None
        self._lock = threading.RLock()

    def __call__(self, event: Event, /) -> None:
        with self._lock:
            if self._open is None:
                return
            if self._observer is None:
                self._observer = self._open.enter_context(make_observer(self._shown_as))
            observer = self._observer
        observer(event)

    @contextmanager
    def shown(self, *, plain: bool = False) -> Iterator[None]:
        """Show what happens meanwhile, pip's messages included.

        ``plain`` is for the time that pip draws a bar of its own.
        """
        if self._open is not None:
            yield
            return
        is_plain = plain and self._common.progress == "auto"
        self._shown_as = replace(self._common, progress="plain") if is_plain else self._common
        self._begin()
        try:
            yield
        finally:
            self._end()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Leave the terminal to pip for a while."""
        was_open = self._open is not None
        if was_open:
            self._end()
        try:
            yield
        finally:
            if was_open:
                self._begin()

    def _begin(self) -> None:
        common, stack = self._common, ExitStack()
        # With --progress json, pip's lines and the events do not go to the same stream.
        if common.verbosity == 0 or common.progress != "json":
            least = logging.WARNING if common.verbosity == 0 else logging.NOTSET
            stack.enter_context(forwarded(self, least))
        self._open = stack

    def _end(self) -> None:
        with self._lock:
            stack, self._open, self._observer = self._open, None, None
        if stack is not None:
            stack.close()


def _site_folders() -> list[Path]:
    """Return the folders that this Python imports distributions from, user's and system's too."""
    found = [Path(path) for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def _present(one: installed.Installed) -> Pin:
    try:
        version = Version(one.version)
    except InvalidVersion:
        version = Version("0")
    text = dist_info.read_text(str(one.dist_info / "WHEEL"))
    pure = "Root-Is-Purelib: true" in text or one.dist_info.suffix != dist_info.SUFFIX
    package = Package(name=one.name, version=version)
    return Pin(package, version, None, False, not pure, present=True)


def _is_of_wheel(error: PipshimError) -> bool:
    """Return whether building a wheel failed, not a step before it."""
    if isinstance(error, Failures):
        return any(map(_is_of_wheel, error.errors))
    late = isinstance(error, BuildError) and error.step in ("wheel", "editable")
    return late and not isinstance(error.__cause__, HookMissing)


def _packages(error: PipshimError) -> set[str]:
    """Return the names of the packages that could not be built."""
    if isinstance(error, Failures):
        return set().union(*map(_packages, error.errors))
    return {error.package.partition(" ")[0]} if isinstance(error, BuildError) else set()
