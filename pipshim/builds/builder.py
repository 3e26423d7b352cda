"""Run one build: make its environment, call the hooks, reuse and keep wheels.

`pipshim.builds.build_planner` decides what is in the environment; here it is a `BuildRequest`.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import field, replace
from functools import partial
from pathlib import Path
from threading import Semaphore
from typing import TYPE_CHECKING, Any, Literal

from packaging.utils import InvalidWheelFilename
from packaging.version import Version

from pipshim.base.cache_folders import BUILDS, LOGS, TOOLS
from pipshim.base.cores import available_cores
from pipshim.base.errors import BuildError, InstallError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.tasks import each, paused
from pipshim.builds.build_cache import BuildCache, BuildResult
from pipshim.builds.build_history import BuildHistory
from pipshim.builds.build_monitor import BuildMonitor
from pipshim.builds.build_request import BuildRequest, BuiltWheel, Component, WorkerReport
from pipshim.builds.built_wheel_needs import needs_of_built
from pipshim.builds.environment import BuildEnvironment, Workspace, make
from pipshim.builds.environment_pool import EnvironmentPool, PooledEnvironment
from pipshim.builds.hint_snippets import UserInput
from pipshim.builds.hooks import Hooks
from pipshim.builds.job_variables import JobTools
from pipshim.builds.jobserver import Jobserver
from pipshim.builds.machine_shares import MachineShares, Share
from pipshim.builds.processes import Processes
from pipshim.builds.record_maker import RecordMaker
from pipshim.builds.remote_results import RemoteResults
from pipshim.builds.tools import Tools
from pipshim.envs.abi_providers import is_platform_specific
from pipshim.envs.dist_info import METADATA
from pipshim.model import events
from pipshim.model.artifacts import unsuitable_tags
from pipshim.model.build_dependency_check import check
from pipshim.model.build_mode import Mode
from pipshim.model.build_record import OLDER, Record, Used, difference
from pipshim.model.past_build import MemoryNeed
from pipshim.model.requirements import requires_dist
from pipshim.model.shared_record import NO_KEY, Kind, SharedRecord
from pipshim.model.signing_keys import why_untrusted
from pipshim.remote.wheel_needs import UnreadableWheelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from pipshim.base.masking import Mask
    from pipshim.model.build_settings import Settings
    from pipshim.model.events import Observer, What
    from pipshim.model.interpreter import Target
    from pipshim.remote.claims import HeldClaim
    from pipshim.remote.remote_cache import RemoteCache
    from pipshim.store.store import Store
    from pipshim.store.unpacked_wheel import UnpackedWheel

_FETCHES_AT_ONCE = 8
_LOGS_KEPT = 200
_LEAST_WAIT, _LONGEST_WAIT = 600.0, 3 * 3600.0
"""How long another machine's build is waited for, if it takes longer than builds here took."""


@dataclass
class Builder:
    """Runs the builds of one command.

    Attributes:
        cache: pipshim's cache folder, for records and logs.
        environments: temporary folders of build environments.
        mask: knows the secrets to hide in logs.
        user: returns what the user has written and typed, for hints.
        trust: the public keys that may have signed what came from a remote, now or earlier;
            without any, everything is trusted.
        elsewhere: lets another machine build, which puts the wheel into the remote; returns None
            if the build is to be done here.
        at_once: how many builds are begun at once; with other machines, more than here.

    """

    target: Target
    store: Store
    cache: Path
    settings: Settings
    observer: Observer
    workspace: Workspace
    environments: Workspace
    jobs: int
    environ: Mapping[str, str]
    mask: Mask
    user: Callable[[], UserInput] = UserInput
    remote: RemoteCache | None = None
    trust: tuple[str, ...] = ()
    elsewhere: Callable[[BuildRequest], WorkerReport | None] | None = None
    at_once: int = field(init=False)
    processes: Processes = field(init=False)
    _pool: EnvironmentPool = field(init=False)
    _cache: BuildCache = field(init=False)
    _shared: RemoteResults | None = field(default=None, init=False)
    records: RecordMaker = field(init=False)
    _tools: Tools = field(init=False)
    history: BuildHistory = field(init=False)
    _rebuilt: set[tuple[object, ...]] = field(default_factory=set, init=False)
    _built_now: set[str] = field(default_factory=set, init=False)
    _places: Semaphore = field(init=False)
    _shares: MachineShares = field(init=False)
    _job_tools: JobTools = field(init=False)
    _said_older: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self.at_once = self.jobs
        self._places = Semaphore(self.jobs)
        self.processes = Processes(self.jobs)
        self._pool = EnvironmentPool(self.processes)
        self._shares = MachineShares(
            self.jobs, Jobserver(self.workspace.directory, available_cores())
        )
        self._job_tools = JobTools()
        self._cache = BuildCache(self.cache / BUILDS, self.trust)
        if self.remote is not None:
            self._shared = RemoteResults(self.remote, self._cache, self.store, self.target)
        self._tools = Tools(self.cache / TOOLS, lambda: self.processes.stopped)
        self.records = RecordMaker(
            self.target,
            self.store,
            self.settings,
            self.environ,
            self._tools,
            self.workspace.directory,
        )
        self.history = BuildHistory(self.cache)

    def requires(self, build: BuildRequest, kinds: tuple[str, ...] = ("wheel",)) -> list[str]:
        """Ask the backend for additional requirements (``get_requires_for_build_…``)."""
        kept = self._answer(build, "requires")
        if kept is not None:
            return list(kept.result)
        with self._building(build, "requirements") as (hooks, config):
            start = time.monotonic()
            if kinds == ("editable",):
                hooks.check_editable()
            found: list[str] = []
            for kind in kinds:
                found.extend(one for one in hooks.requires(kind, config) if one not in found)
            seconds = time.monotonic() - start
        result = BuildResult("requires", self.records.record(build, hooks), found, seconds)
        self._keep(build, result)
        return found

    def metadata(self, build: BuildRequest) -> tuple[bytes, Mapping[str, Used]]:
        """Ask the backend for METADATA; return what its build used too."""
        with self._building(build, "metadata") as (hooks, config):
            start = time.monotonic()
            text = hooks.metadata(self.workspace.fresh("metadata"), config, editable=build.editable)
            seconds, told = time.monotonic() - start, text.decode("utf-8", "surrogateescape")
            result = BuildResult("metadata", self.records.record(build, hooks), told, seconds)
            self._keep(build, result)
        return text, result.record.against

    def kept_metadata(self, build: BuildRequest) -> tuple[bytes, Mapping[str, Used]] | None:
        """Return METADATA that was given before, here or elsewhere, if its record is valid."""
        kept = self._answer(build, "metadata")
        if kept is None:
            return None
        return str(kept.result).encode("utf-8", "surrogateescape"), kept.record.against

    def editable(self, build: BuildRequest) -> Path:
        """Build an editable wheel (PEP 660), which is not cached."""
        with self._building(build, "editable") as (hooks, config):
            return hooks.editable(self.workspace.fresh("wheel"), config)

    def wheel(self, build: BuildRequest) -> BuiltWheel:
        """Build a wheel, unless an earlier one's record is still valid."""
        if build.digest is None:
            return self._build(build)
        earlier = self._earlier(build) or self._from_remote(build)
        if earlier is not None:
            return self._reused(build, earlier)
        # Builds that this one needs come first: while one is locked, no other is waited for.
        self._trees([one for one in build.components if one.is_built])
        earlier = self._awaited(build)
        if earlier is not None:
            return self._reused(build, earlier)
        return self._built_elsewhere(build) or self._built_here(build)

    def _built_here(self, build: BuildRequest) -> BuiltWheel:
        assert build.digest is not None  # else nothing is kept
        text = f"waiting for another command that builds {build.label}"
        waiting = events.Waiting(text, build.name, build.version)
        with self._place(), self._cache.lock(build.digest, lambda: self.observer(waiting)):
            earlier = self._earlier(build)
            if earlier is not None:
                return self._reused(build, earlier)
            return self._built(build)

    def _built(self, build: BuildRequest) -> BuiltWheel:
        """Build a wheel, and let other commands and machines have it."""
        with self._claimed(build) as claim:
            built = self._build(build, self._why_not(build))
            is_due = self._is_due("wheel", build)
            if is_due:
                self._discard_earlier(build)
            self._built_now.add(built.tree.sha256)
            result = replace(built.result, key=self._selection_key(build, built.record))
            self._cache.store(result)
            if self._shared is not None:
                self._shared.push(result, built.wheel, anew=is_due, claim=claim)
        return built

    def _awaited(self, build: BuildRequest) -> BuiltWheel | None:
        """Return what another machine is building, when it has done that; None if none is."""
        if not self._may_wait(build):
            return None
        assert self._shared is not None
        before = self.seconds_of(build.name, build.version)
        most = _LONGEST_WAIT if before is None else max(_LEAST_WAIT, 3 * before)

        def report(who: str) -> None:
            text = f"waiting for {who}, who builds {build.label}"
            self.observer(events.Waiting(text, build.name, build.version))

        key = self.records.claim_key(build)
        with paused():  # other builds can begin meanwhile
            waited = self._shared.wait(key, lambda: self.processes.stopped, most, report)
        return (self._earlier(build) or self._from_remote(build)) if waited else None

    def _may_wait(self, build: BuildRequest) -> bool:
        """Return whether another machine's build of the same would do."""
        if self._shared is None or self._is_due("wheel", build):
            return False
        return not self._private(build)

    def _claimed(self, build: BuildRequest) -> AbstractContextManager[HeldClaim | None]:
        if self._shared is None or self._private(build):
            return nullcontext()
        return self._shared.claimed(self.records.claim_key(build), lambda: self.processes.stopped)

    def _built_elsewhere(self, build: BuildRequest) -> BuiltWheel | None:
        """Let another machine build, and take the wheel from the remote."""
        told = self.elsewhere(build) if self.elsewhere is not None else None
        if told is None or self.remote is None:
            return None
        if self._is_due("wheel", build):
            self._discard_earlier(build)
        self.remote.look_again()
        built = self._from_remote(build)
        if built is None:
            text = f"{build.label} is built here: the remote has no wheel of the worker that fits"
            self.observer(events.Message("warning", text))
            return None
        if not told.has_built:
            return self._reused(build, built)
        self._built_now.add(built.tree.sha256)
        return replace(built, origin="built", result=replace(built.result, seconds=told.seconds))

    def _place(self) -> AbstractContextManager[object]:
        """Return the place of a build among those here, if other machines build most of them."""
        return self._places if self.elsewhere is not None else nullcontext()

    def _discard_earlier(self, build: BuildRequest) -> None:
        """Discard the wheels that ``--rebuild`` replaces."""
        for result in self._found(build, "wheel", exact=False):
            self._cache.discard("wheel", result.record)
        self._rebuilt.add(_key("wheel", build))

    def seconds_of(self, name: str, version: str) -> float | None:
        """Return how long the last build of a package took; None if there was none."""
        build = self.history.last_success(name, version)
        return build.seconds if build is not None else None

    def origin(self, build: BuildRequest) -> Literal["cached", "remote", "built"]:
        """Return where a wheel would come from."""
        if build.digest is None:
            return "built"
        if self._earlier(build) is not None:
            return "cached"
        return "remote" if self._offer(build) is not None else "built"

    def planned_origins(
        self, builds: Mapping[NormalizedName, BuildRequest]
    ) -> dict[NormalizedName, events.Source]:
        """Return where wheels would come from, by name; what others build now is ``awaited``."""
        found: dict[NormalizedName, events.Source] = {
            name: self.origin(build) for name, build in builds.items()
        }
        keys = {
            name: self.records.claim_key(build)
            for name, build in builds.items()
            if found[name] == "built" and build.digest is not None and self._may_wait(build)
        }
        claimed = self._shared.claimed_keys() if self._shared is not None and keys else ()
        return found | {name: "awaited" for name, key in keys.items() if key in claimed}

    def look_ahead(self, sources: Iterable[str | None], kinds: Sequence[Kind]) -> None:
        """Ask the remote for all results of several sources at once."""
        if self.remote is not None:
            some = [one for one in sources if one is not None]
            target = self.target.python_name, self.target.platform
            self.remote.look_ahead(some, kinds, *target, self.records.machine)

    def _is_due(self, kind: Kind, build: BuildRequest) -> bool:
        """Return whether ``--rebuild`` asks for a build that this command has not done yet."""
        return self.settings.is_rebuilt(build.name) and _key(kind, build) not in self._rebuilt

    def _reused(self, build: BuildRequest, earlier: BuiltWheel) -> BuiltWheel:
        if earlier.tree.sha256 in self._built_now:
            return earlier  # this command has reported its build
        record, is_remote = earlier.record, earlier.origin == "remote"
        version = earlier.tree.version if build.version == events.UNKNOWN else build.version
        self.observer(
            events.BuildCached(
                *replace(build, version=version).about,
                record.why(elsewhere=is_remote),
                record.to_json(),
                build.combination,
                "remote" if is_remote else "cached",
                saved=earlier.result.seconds if is_remote else None,
            )
        )
        if is_remote and self.remote is not None:
            self.remote.count(earlier.result.seconds)
        self._built_now.add(earlier.tree.sha256)
        return earlier

    def _earlier(self, build: BuildRequest) -> BuiltWheel | None:
        if self._is_due("wheel", build):
            return None
        # The wheel that was built against the very same, if there is one, goes first.
        for exact in dict.fromkeys((True, self.settings.is_exact(build.name))):
            for result in self._found(build, "wheel", exact=exact):
                tree = self.store.tree(str(result.result))
                if tree is not None and (
                    exact or self._may_require(build, requires_dist(tree.text(METADATA)))
                ):
                    return BuiltWheel(tree, result, "cached")
        return None

    def _offer(self, build: BuildRequest) -> SharedRecord | None:
        """Return a wheel of the remote that can be used."""
        if self._shared is None or self._is_due("wheel", build):
            return None
        exact = dict.fromkeys((True, self.settings.is_exact(build.name)))
        conditions = [self.records.conditions(build, exact=one) for one in exact]
        return self._shared.find(
            "wheel",
            self.records.record(build),
            self.records.selection_key(build),
            conditions,
            lambda shared: self._may_require(build, shared.wheel.requires),
        )

    def _from_remote(self, build: BuildRequest) -> BuiltWheel | None:
        before = None
        while (shared := self._offer(build)) not in (None, before):
            assert self._shared is not None  # as it has offered that
            taken = self._shared.take_wheel(shared, self.records.conditions(build))
            if taken is not None:
                return taken
            before = shared  # it is damaged: there may be another
        return None

    def why_stale(
        self, build: BuildRequest, record: Record, metadata: str, signer: str | None
    ) -> str | None:
        """Return why a wheel has to be built again; None if it can be kept.

        Args:
            signer: of what came from a remote.

        """
        untrusted = why_untrusted(signer, self.trust)
        if untrusted is not None:
            return untrusted
        changed = partial(difference, record, self.records.record(build))
        why = changed(self.records.conditions(build, exact=True))
        if why is None or self.settings.is_exact(build.name):
            return why
        if self._may_require(build, requires_dist(metadata)):
            return changed(self.records.conditions(build))
        return why

    def _may_require(self, build: BuildRequest, requirements: Iterable[str]) -> bool:
        """Return whether a wheel requires what the backend says now, as far as it was asked.

        What a wheel requires may depend on pure Python distributions of its build environment.
        """
        kept = self._kept(build, "metadata")
        return kept is None or set(requires_dist(str(kept.result))) == set(requirements)

    def _found(self, build: BuildRequest, kind: Kind, *, exact: bool) -> Iterator[BuildResult]:
        conditions = self.records.conditions(build, exact=exact)
        return self._cache.lookup(kind, self.records.record(build), conditions)

    def _kept(self, build: BuildRequest, kind: Kind) -> BuildResult | None:
        """Return a cached answer of a hook. It depends on pure Python distributions too."""
        if build.digest is None or self._is_due(kind, build):
            return None
        return next(self._found(build, kind, exact=True), None)

    def _answer(self, build: BuildRequest, kind: Kind) -> BuildResult | None:
        """Return an answer of a hook from the cache, or from the remote."""
        kept = self._kept(build, kind)
        if kept is not None or self._shared is None:
            return kept
        if build.digest is None or self._is_due(kind, build):
            return None
        conditions = self.records.conditions(build, exact=True)
        shared = self._shared.find(
            kind, self.records.record(build), self.records.selection_key(build), [conditions]
        )
        return self._shared.take_answer(shared, conditions) if shared is not None else None

    def _keep(self, build: BuildRequest, result: BuildResult) -> None:
        if build.digest is not None:
            key = self._selection_key(build, result.record)
            result = replace(result, private=self._private(build), key=key)
            self._cache.store(result)
            self._rebuilt.add(_key(result.kind, build))
            if self._shared is not None:
                self._shared.push(result)

    def _selection_key(self, build: BuildRequest, record: Record) -> str:
        """Return the key of a result; compilers are not asked for it without need.

        A result without one can be pushed later, and is only found after those with one.
        """
        if self._shared is None and not record.compiled:
            return NO_KEY
        return self.records.selection_key(build)

    def _private(self, build: BuildRequest) -> str:
        """Say why no other machine may have the results of a build; empty if nothing does."""
        if self.records.conditions(build).environ.get("PYTHONPATH"):
            return "it was built with PYTHONPATH"
        return "it was built in place" if build.environment is not None else ""

    def _why_not(self, build: BuildRequest) -> str:
        """Return why no earlier wheel is reused; empty if there is none."""
        if self._is_due("wheel", build):
            return "asked for"
        conditions = self.records.conditions(build, exact=self.settings.is_exact(build.name))
        why = self._cache.why_not("wheel", self.records.record(build), conditions)
        if why == OLDER and not self._said_older:
            self._said_older = True
            text = "wheels that an older pipshim built are built again: their records do not say "
            text += "which environment variables and tools they depend on"
            self.observer(events.Message("info", text))
        if why is None and self._shared is not None:
            why = self._shared.why_not(self.records.record(build), conditions)
        return why or ""

    def _build(self, build: BuildRequest, why: str = "") -> BuiltWheel:
        with self._building(build, "wheel", why) as (hooks, config):
            start = time.monotonic()
            environ = self.records.conditions(build).environ
            choice = self.records.compiler_choice(build, environ, build.available)
            with self._tools.asked_ahead(hooks.source, choice):
                wheel = hooks.wheel(self.workspace.fresh("wheel"), config)
            seconds = time.monotonic() - start
            tree = self._taken(wheel, build, hooks)
            record = self.records.record(
                build, hooks, compiled=is_platform_specific(tree.text("WHEEL"))
            )
            if record.version == events.UNKNOWN:  # that of a checkout
                record = replace(record, version=tree.version)
            self.observer(events.BuildRecorded(build.name, build.version, record.to_json()))
        components = self._trees(build.components) if record.compiled else []
        needs, private = None, self._private(build)
        try:
            needs = needs_of_built(tree, record, hooks, components, build.outer)
        except UnreadableWheelError as error:
            private = private or f"{error}{f': {error.hint}' if error.hint else ''}"
        result = BuildResult(
            "wheel", record, tree.sha256, seconds, private, log=hooks.log.name, needs=needs
        )
        return BuiltWheel(tree, result, "built", wheel)

    def _taken(self, wheel: Path, build: BuildRequest, hooks: Hooks) -> UnpackedWheel:
        """Put a built wheel into the store, if it is what it was asked for."""
        tree = None
        try:
            if not wheel.is_file():
                problem = f"the backend named a wheel that does not exist: {wheel.name}"
            elif (tags := unsuitable_tags(wheel.name, self.target)) is not None:
                problem = f"the backend made a wheel for another platform or Python ({tags})"
            else:
                tree = self.store.add(wheel, build.name, built=True)
                problem = f"the backend made version {tree.version}, not {build.version}"
        except InvalidWheelFilename as error:
            problem = "the backend made a wheel that cannot be used: "
            problem += f"{wheel.name} is not a valid wheel: {error}"
        except InstallError as error:
            problem = f"the backend made a wheel that cannot be used: {error}"
        if tree is not None and (
            build.version in ("", "?") or Version(tree.version) == Version(build.version)
        ):
            return tree
        raise BuildError(
            f"{build.label}: {problem}",
            package=build.label,
            mode=str(build.mode),
            step="wheel",
            log=hooks.log,
            hint=f"this is a bug in {build.label} or its backend: use another version",
        )

    @contextmanager
    def _building(
        self, build: BuildRequest, what: What, why: str = ""
    ) -> Iterator[tuple[Hooks, dict[str, Any]]]:
        """Announce a build, make its environment, and report how it ended."""
        log = self.new_log(build, what)
        monitor = BuildMonitor(
            build, what, self.target.python_name, log, self.observer, self.history
        )
        with monitor.watching(why, lambda: self.processes.stopped):
            self._phase(build, "fetch")
            source, system = build.open()
            if self.settings.check and build.mode is Mode.NO_ISOLATION:
                check(build.label, system.requires, build.available, self.target.markers)
            self._phase(build, "environment")
            with self._environment(build) as environment, self._share(build, monitor) as share:
                variables = environment.variables(self.environ, self._variables(build))
                self._job_tools.add_variables(variables, share)
                monitor.begin()
                self._phase(build, "wheel" if what == "editable" else what)
                yield (
                    Hooks(
                        build=build,
                        source=source,
                        system=system,
                        python=environment.target.python,
                        variables=variables,
                        log=log,
                        processes=self.processes,
                        on_output=monitor.output,
                        usage=monitor.usage,
                        hide=self.mask.hide,
                        user=self.user,
                    ),
                    self.settings.config_for(build.name),
                )

    @contextmanager
    def _share(self, build: BuildRequest, monitor: BuildMonitor) -> Iterator[Share]:
        """Give a build its share of the machine; one that needs much memory may have to wait."""
        if not monitor.is_of_wheel:
            yield self._shares.of_hook()
            return
        need = self.memory_need(build)
        with self._shares.of_build(
            need,
            monitor.usage,
            waiting=lambda: self._phase(build, "memory"),
            is_stopped=lambda: self.processes.stopped,
        ) as share:
            if need is not None and share.available is not None and share.jobs is not None:
                self.observer(
                    events.BuildLimited(
                        build.name, build.version, share.jobs, need.peak, share.available
                    )
                )
            yield share

    def memory_need(self, build: BuildRequest) -> MemoryNeed | None:
        """Return how much memory a build needs: configured, or measured earlier."""
        peak = self.settings.build_memory.get(build.name)
        if peak is not None:
            return MemoryNeed(peak, peak // available_cores())
        return self.history.memory_need(build.name)

    @contextmanager
    def _environment(self, build: BuildRequest) -> Iterator[BuildEnvironment]:
        """Lend the environment of a build, which is alone in it unless it builds in place."""
        if build.environment is not None:
            yield build.environment
            return
        key = (build.mode, build.components, build.outer.folders)
        with self._pool.lend(
            key, lambda: self._make(build), lambda pooled: self._check_components(build, pooled)
        ) as pooled:
            yield pooled.environment

    def _make(self, build: BuildRequest) -> tuple[BuildEnvironment, tuple[UnpackedWheel, ...]]:
        trees = self._trees(build.components)
        self.records.note_native(build.components, trees)
        bare = build.mode is Mode.NO_ISOLATION
        folder = self.environments.fresh("environment")
        made = make(folder, self.target, trees, behind=build.outer.folders)
        self._job_tools.wrap_ninja(made.target.scripts, self.environ.get("PATH", os.defpath))
        if bare:
            made = replace(made, leaks=True, scripts=build.outer.programs)
        return made, tuple(trees)

    def _trees(self, components: Sequence[Component]) -> list[UnpackedWheel]:
        """Fetch and build the distributions of an environment."""
        return each(
            lambda component: component.tree(),
            components,
            at_once=_FETCHES_AT_ONCE,
            interrupted=self.processes.stop,
        )

    def _check_components(self, build: BuildRequest, pooled: PooledEnvironment) -> None:
        """Drop from the store what the build has edited through a hard link (it is remade)."""
        for component, tree in zip(build.components, pooled.trees, strict=True):
            if self.store.tree(tree.sha256) is None:
                component.tree()
                self.observer(
                    events.Message(
                        "warning",
                        f"the build of {build.label} changed files of "
                        f"{tree.name} {tree.version} in its environment only",
                    )
                )

    def _variables(self, build: BuildRequest) -> dict[str, str]:
        variables = self.settings.variables_for(build.name)
        if build.mode is Mode.NO_ISOLATION:
            # What it imports from the project environment leaves no bytecode there.
            variables.setdefault("PYTHONPYCACHEPREFIX", str(self.workspace.directory / "pycache"))
        return variables

    def _phase(self, build: BuildRequest, phase: events.Phase) -> None:
        self.observer(events.BuildPhase(build.name, build.version, phase))

    def new_log(self, build: BuildRequest, what: What) -> Path:
        """Make a log file, which only its owner can read: secrets are masked at a hook's end."""
        logs = self.cache / LOGS
        logs.mkdir(parents=True, exist_ok=True)
        with suppress(OSError):  # the newest are kept
            for path in sorted(logs.iterdir(), key=lambda path: path.stat().st_mtime)[:-_LOGS_KEPT]:
                path.unlink()
        stamp = time.strftime("%Y%m%d-%H%M%S")
        version = events.shown_version(build.version, build.commit) or "unknown"
        stem = re.sub(r"[^\w.+-]", "_", f"{build.name}-{version}-{what}-{stamp}-")
        descriptor, name = tempfile.mkstemp(".log", stem, logs)
        os.close(descriptor)
        return Path(name)


def _key(kind: Kind, build: BuildRequest) -> tuple[object, ...]:
    return kind, build.name, build.version, build.mode, build.components
