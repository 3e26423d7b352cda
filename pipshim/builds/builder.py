"""Doing one build: its environment made, the backend's hooks called, the wheel and its record kept.

What goes into the environment is decided elsewhere (``pipshim.lock.staged_resolve`` when locking,
``pipshim.sync.synchronizer`` when syncing); here it is a value, a `Job`.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name
from packaging.version import Version

from pipshim.base.cache_folders import BUILDS, LOGS
from pipshim.base.cores import available_cores
from pipshim.base.errors import BuildError, InstallError
from pipshim.base.tasks import each, sharing
from pipshim.base.urls import without_credentials
from pipshim.builds.build_cache import Shelf
from pipshim.builds.build_request import Built, Component, Job
from pipshim.builds.environment import BuildEnvironment, Workspace, make
from pipshim.builds.environment_pool import Pool, Room
from pipshim.builds.hooks import Hooks
from pipshim.builds.native_wheels import is_native_tree
from pipshim.builds.processes import Processes
from pipshim.envs import installed
from pipshim.envs.dist_info import METADATA
from pipshim.model import events
from pipshim.model.artifacts import unsuitable_tags
from pipshim.model.build_mode import Mode
from pipshim.model.build_record import Record, Used, difference
from pipshim.model.build_requirements import check

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from packaging.utils import NormalizedName

    from pipshim.base.masking import Mask
    from pipshim.builds.build_cache import Kind
    from pipshim.model.build_settings import Settings
    from pipshim.model.events import Observer, What
    from pipshim.model.interpreter import Target
    from pipshim.store.store import Store
    from pipshim.store.unpacked_wheel import Tree

_FETCHES_AT_ONCE = 8
_LOGS_KEPT = 200


class Workshop:
    """Where the builds of one command are done.

    Args:
        target: the Python that is built for.
        store: where built wheels go.
        cache: pipshim's cache folder, for records and logs.
        settings: variables and config settings.
        observer: told of every build.
        workspace: for what is thrown away.
        environments: the same for build environments.
        jobs: how many builds run at once.
        environ: the user's environment variables.
        mask: knows what no log may have.
        typed: whether hints say what to type, not what to write in pyproject.toml.

    """

    def __init__(  # noqa: PLR0913 what a command has of each
        self,
        *,
        target: Target,
        store: Store,
        cache: Path,
        settings: Settings,
        observer: Observer,
        workspace: Workspace,
        environments: Workspace,
        jobs: int,
        environ: Mapping[str, str],
        mask: Mask,
        typed: bool = False,
    ) -> None:
        self.target = target
        self.store = store
        self.settings = settings
        self.observer = observer
        self.workspace = workspace
        self._environments = environments
        self.jobs = jobs
        self.processes = Processes(jobs)
        self._environ = dict(environ)
        self._mask = mask
        self._typed = typed
        self._pool = Pool(self.processes)
        self._shelf = Shelf(cache / BUILDS, self.content)
        self._rebuilt: set[tuple[object, ...]] = set()
        self._built_now: set[str] = set()
        self._logs = cache / LOGS
        self._guard = Lock()
        self._running_builds = 0
        self._native: dict[tuple[str, str], bool] = {}

    def content(self, identity: str) -> str:
        """Tell a wheel of the store as what is installed from it; all else as it is."""
        tree = self.store.tree(identity.removeprefix("sha256:"))
        return identity if tree is None else tree.content

    def requires(self, job: Job, kinds: tuple[str, ...] = ("wheel",)) -> list[str]:
        """Ask the backend what else it needs (``get_requires_for_build_…``)."""
        kept = self._kept(job, "requires")
        if kept is not None:
            return list(kept[1])
        with self._building(job, "requirements") as (hooks, config):
            self._phase(job, "requirements")
            found: list[str] = []
            for kind in kinds:
                found.extend(one for one in hooks.requires(kind, config) if one not in found)
        self._keep(job, "requires", self._against(job, hooks), found)
        return found

    def metadata(self, job: Job) -> tuple[bytes, Mapping[str, Used]]:
        """Ask the backend for METADATA; answer also what it used to tell it."""
        with self._building(job, "metadata") as (hooks, config):
            self._phase(job, "metadata")
            text = hooks.metadata(self.workspace.fresh("metadata"), config, editable=job.editable)
            against = self._against(job, hooks)
        self._keep(job, "metadata", against, text.decode("utf-8", "surrogateescape"))
        return text, against

    def kept_metadata(self, job: Job) -> tuple[bytes, Mapping[str, Used]] | None:
        """Tell the METADATA that an earlier command was told, if its record still holds."""
        kept = self._kept(job, "metadata")
        if kept is None:
            return None
        return str(kept[1]).encode("utf-8", "surrogateescape"), kept[0].against

    def editable(self, job: Job) -> Path:
        """Build an editable wheel (PEP 660), which is kept nowhere."""
        with self._building(job, "editable") as (hooks, config):
            self._phase(job, "wheel")
            return hooks.editable(self.workspace.fresh("wheel"), config)

    def wheel(self, job: Job) -> Built:
        """Build a wheel, unless an earlier one's record still holds."""
        if job.sha256 is None:
            return self._build(job)
        earlier = self._earlier(job)
        if earlier is not None:
            return self._reused(job, earlier)
        # Builds that this one needs come first: while one is locked, no other is waited for.
        self._trees([one for one in job.components if one.is_built])
        text = f"waiting for another command that builds {job.label}"
        waiting = events.Waiting(text, job.name, job.version)
        with self._shelf.alone(job.sha256, lambda: self.observer(waiting)):
            earlier = self._earlier(job)
            if earlier is not None:
                return self._reused(job, earlier)
            built = self._build(job)
            if self._is_due("wheel", job):
                for record, _ in list(self._found(job, "wheel", exact=False)):
                    self._shelf.discard("wheel", record)
                self._rebuilt.add(_key("wheel", job))
            self._shelf.keep("wheel", built.record, built.tree.sha256)
            self._built_now.add(built.tree.sha256)
            return built

    def has(self, job: Job) -> bool:
        """Return whether an earlier wheel can be reused."""
        return job.sha256 is not None and self._earlier(job) is not None

    def _is_due(self, kind: Kind, job: Job) -> bool:
        """Return whether ``--rebuild`` asks for a build that this command has not done yet."""
        return self.settings.is_rebuilt(job.name) and _key(kind, job) not in self._rebuilt

    def _reused(self, job: Job, earlier: Built) -> Built:
        if earlier.tree.sha256 in self._built_now:
            return earlier  # this command has reported its build
        record = earlier.record
        self.observer(
            events.BuildCached(
                job.name,
                job.version,
                str(job.mode),
                job.chosen_by,
                record.why(),
                record.to_json(),
            )
        )
        return earlier

    def _earlier(self, job: Job) -> Built | None:
        if self._is_due("wheel", job):
            return None
        # The wheel that was built against the very same, if there is one, goes first.
        for exact in dict.fromkeys((True, self.settings.is_exact(job.name))):
            for record, sha256 in self._found(job, "wheel", exact=exact):
                tree = self.store.tree(str(sha256))
                if tree is None:
                    continue
                metadata = installed.read_text(f"{tree.lib}/{tree.dist_info}/{METADATA}")
                if exact or self._requires_the_same(job, metadata):
                    return Built(tree, record, cached=True, seconds=0.0)
        return None

    def why_stale(self, job: Job, record: Record, metadata: str) -> str | None:
        """Say why a wheel has to be built again; None if it can be kept.

        Args:
            job: the build that would be made now.
            record: of the wheel.
            metadata: its METADATA.

        """
        now, whole = self.record(job, {}), job.mode is not Mode.NO_ISOLATION
        changed = partial(difference, record, now, job.available, whole=whole, content=self.content)
        why = changed(exact=True)
        if why is None or self.settings.is_exact(job.name):
            return why
        return changed() if self._requires_the_same(job, metadata) else why

    def _requires_the_same(self, job: Job, metadata: str) -> bool:
        """Return whether a wheel requires what the backend says now, as far as it was asked.

        What a wheel requires may depend on pure Python distributions of its build environment.
        """
        kept = self._kept(job, "metadata")
        return kept is None or _requires_dist(str(kept[1])) == _requires_dist(metadata)

    def _found(self, job: Job, kind: Kind, *, exact: bool) -> Iterator[tuple[Record, Any]]:
        whole = job.mode is not Mode.NO_ISOLATION
        now = self.record(job, {})
        return self._shelf.find(kind, now, job.available, whole=whole, exact=exact)

    def _kept(self, job: Job, kind: Kind) -> tuple[Record, Any] | None:
        """Find an answer of a hook. It depends on pure Python distributions too."""
        if job.sha256 is None or self._is_due(kind, job):
            return None
        return next(self._found(job, kind, exact=True), None)

    def _keep(self, job: Job, kind: Kind, against: Mapping[str, Used], result: Any) -> None:
        if job.sha256 is not None:
            self._shelf.keep(kind, self.record(job, against), result)
            self._rebuilt.add(_key(kind, job))

    def _build(self, job: Job) -> Built:
        start = time.monotonic()
        with self._building(job, "wheel") as (hooks, config):
            self._phase(job, "wheel")
            wheel = hooks.wheel(self.workspace.fresh("wheel"), config)
            tree = self._taken(wheel, job, hooks)
            record = self.record(job, self._against(job, hooks))
            self.observer(events.BuildRecorded(job.name, job.version, record.to_json()))
        return Built(tree, record, False, time.monotonic() - start, wheel)

    def _taken(self, wheel: Path, job: Job, hooks: Hooks) -> Tree:
        """Put what a build made into the store, if it is what it was asked for."""
        tree = None
        try:
            if not wheel.is_file():
                problem = f"the backend named a wheel that is not there: {wheel.name}"
            elif (tags := unsuitable_tags(wheel.name, self.target)) is not None:
                problem = f"the backend made a wheel for another platform or Python ({tags})"
            else:
                tree = self.store.add_file(wheel, job.name, built=True)
                problem = f"the backend made version {tree.version}, not {job.version}"
        except InvalidWheelFilename as error:
            problem = "the backend made a wheel that cannot be used: "
            problem += f"{wheel.name} is not a valid wheel: {error}"
        except InstallError as error:
            problem = f"the backend made a wheel that cannot be used: {error}"
        if tree is not None and (
            job.version in ("", "?") or Version(tree.version) == Version(job.version)
        ):
            return tree
        raise BuildError(
            f"{hooks.package}: {problem}",
            package=hooks.package,
            mode=hooks.mode,
            step="wheel",
            log=hooks.log,
            hint=f"it is a mistake in {hooks.package} or its backend: use another version",
        )

    @contextmanager
    def _building(self, job: Job, what: What) -> Iterator[tuple[Hooks, dict[str, Any]]]:
        """Announce a build, make its environment, and report how it ended."""
        log = self._log(job, what)
        mode = str(job.mode)
        self.observer(
            events.BuildStarted(
                job.name, job.version, mode, job.chosen_by, what, log, job.waits_for, job.commit
            )
        )
        start = time.monotonic()
        try:
            self._phase(job, "fetch")
            source, system = job.open()
            if self.settings.check and job.mode is Mode.NO_ISOLATION:
                check(job.label, system.requires, job.available, self.target.markers)
            self._phase(job, "environment")
            with self._environment(job) as environment, self._running(what) as jobs:
                yield (
                    Hooks(
                        package=job.label,
                        mode=mode,
                        chosen_by=job.chosen_by,
                        source=source,
                        system=system,
                        python=environment.target.python,
                        variables=environment.variables(
                            self._environ,
                            self._variables(job),
                            jobs,
                        ),
                        log=log,
                        processes=self.processes,
                        on_output=lambda line: self.observer(events.BuildOutput(job.name, line)),
                        hide=self._mask.hide,
                        alone=job.environment is None,
                        typed=self._typed,
                    ),
                    self.settings.config_for(job.name),
                )
        except BaseException as error:
            step = error.step if isinstance(error, BuildError) else what
            stopped = self.processes.stopped or not isinstance(error, Exception)
            self.observer(events.BuildFailed(job.name, job.version, mode, step, stopped))
            raise
        self.observer(
            events.BuildFinished(
                job.name, job.version, mode, job.chosen_by, what, time.monotonic() - start
            )
        )

    @contextmanager
    def _running(self, what: What) -> Iterator[int | None]:
        """Count a running build; yield how many processes it may start, None if it is alone."""
        counts = what in {"wheel", "editable"}
        with self._guard:
            self._running_builds += counts
            at_once = min(self.jobs, max(sharing.get(), self._running_builds))
        try:
            yield max(1, available_cores() // at_once) if at_once > 1 else None
        finally:
            with self._guard:
                self._running_builds -= counts

    @contextmanager
    def _environment(self, job: Job) -> Iterator[BuildEnvironment]:
        """Lend the environment of a build; but for an in-place one, it is alone in it."""
        if job.environment is not None:
            yield job.environment
            return
        key = (job.mode, job.components, job.behind)
        with self._pool.room(
            key, lambda: self._make(job), lambda room: self._check_components(job, room)
        ) as room:
            yield room.environment

    def _make(self, job: Job) -> tuple[BuildEnvironment, tuple[Tree, ...]]:
        trees = self._trees(job.components)
        with self._guard:
            for component, tree in zip(job.components, trees, strict=True):
                self._native[component.name, component.identity] = is_native_tree(tree)
        bare = job.mode is Mode.NO_ISOLATION
        folder = self._environments.fresh("environment")
        made = make(folder, self.target, trees, behind=job.behind, traced=bare)
        if bare:
            scripts = job.programs or ((self.target.scripts,) if job.behind else ())
            made = replace(made, leaks=True, scripts=scripts)
        return made, tuple(trees)

    def _trees(self, components: Sequence[Component]) -> list[Tree]:
        """Fetch and build what an environment has."""
        return each(
            lambda component: component.tree(),
            components,
            at_once=_FETCHES_AT_ONCE,
            interrupted=self.processes.stop,
        )

    def _check_components(self, job: Job, room: Room) -> None:
        """Drop from the store what the build has edited through a hard link (it is remade)."""
        for component, tree in zip(job.components, room.trees, strict=True):
            if self.store.tree(tree.sha256) is None:
                component.tree()
                self.observer(
                    events.Message(
                        "warning",
                        f"the build of {job.label} changed files of "
                        f"{tree.name} {tree.version} in its environment; nothing else sees that",
                    )
                )

    def record(self, job: Job, against: Mapping[str, Used]) -> Record:
        """Say what a wheel of this job is built from, and against what."""
        target = self.target
        return Record(
            name=job.name,
            version=job.version,
            source=job.sha256 or "",
            mode=str(job.mode),
            python=f"{target.implementation} {target.version[0]}.{target.version[1]}",
            platform=f"{target.markers['sys_platform']} {target.markers['platform_machine']}",
            requirements=tuple(sorted(map(without_credentials, job.requirements))),
            constraints=(
                tuple(sorted({*self.settings.build_constraints, *self.settings.constraint_lines}))
                if job.mode is not Mode.NO_ISOLATION
                else ()
            ),
            config_settings=self.settings.config_for(job.name),
            variables=self.settings.variables_for(job.name),
            against=dict(sorted(against.items())),
        )

    def _against(self, job: Job, hooks: Hooks) -> dict[str, Used]:
        """Return the distributions that a build used, and which of them count."""
        native = {
            str(one.name): self._native[one.name, one.identity]
            for one in job.components
            if (one.name, one.identity) in self._native
        }
        return {
            name: replace(one, counts=native.get(name, one.counts))
            for name, one in self._used(job, hooks).items()
        }

    def _used(self, job: Job, hooks: Hooks) -> dict[str, Used]:
        available = job.available
        if job.mode is not Mode.NO_ISOLATION:
            return available
        required = {_name(text) for text in job.requirements}
        used = {name: found for name, found in available.items() if name in required}
        owners: dict[str, Component] = {}
        for component in job.components:
            for path in component.tree().module_files:
                owners[path] = component
        for file in hooks.modules:
            owner = owners.get(_inside_site(file) or "")
            if owner is not None:
                used[owner.name] = owner.used
        for folder in job.behind:
            imported = _imported_from(folder, hooks.modules)
            used.update({name: job.besides[name] for name in imported & job.besides.keys()})
        return used

    def _variables(self, job: Job) -> dict[str, str]:
        variables = self.settings.variables_for(job.name)
        if job.mode is Mode.NO_ISOLATION:
            # What it imports from the project environment leaves no bytecode there.
            variables.setdefault("PYTHONPYCACHEPREFIX", str(self.workspace.directory / "pycache"))
        return variables

    def _phase(self, job: Job, phase: events.Phase) -> None:
        self.observer(events.BuildPhase(job.name, job.version, phase))

    def _log(self, job: Job, what: What) -> Path:
        self._logs.mkdir(parents=True, exist_ok=True)
        self._forget_old_logs()
        stamp = time.strftime("%Y%m%d-%H%M%S")
        stem = re.sub(r"[^\w.+-]", "_", f"{job.name}-{job.version}-{what}-{stamp}-{os.getpid()}")
        path = self._logs / f"{stem}.log"
        count = 1
        while True:
            try:
                path.touch(mode=0o600, exist_ok=False)  # secrets are masked at a hook's end only
            except FileExistsError:
                count += 1
                path = self._logs / f"{stem}-{count}.log"
            else:
                return path

    def _forget_old_logs(self) -> None:
        """Keep the newest logs only."""
        try:
            logs = sorted(self._logs.iterdir(), key=lambda path: path.stat().st_mtime)
            for path in logs[:-_LOGS_KEPT]:
                path.unlink()
        except OSError:
            return


def _requires_dist(metadata: str) -> set[str]:
    headers = metadata.partition("\n\n")[0].splitlines()
    return {line.strip() for line in headers if line.lower().startswith("requires-dist:")}


def _key(kind: Kind, job: Job) -> tuple[object, ...]:
    return kind, job.name, job.version, job.mode, job.components


def _name(requirement: str) -> str:
    try:
        return canonicalize_name(Requirement(requirement).name)
    except InvalidRequirement:
        return requirement


_SITE = re.compile(r"/site-packages/(.+)$")


def _inside_site(file: str) -> str | None:
    match = _SITE.search(file.replace(os.sep, "/"))
    return match[1] if match else None


def _imported_from(folder: Path, files: tuple[str, ...]) -> set[NormalizedName]:
    """Tell the distributions behind a staging environment that a build imported from."""
    prefix = f"{folder}{os.sep}"
    wanted = {file for file in files if file.startswith(prefix)}
    if not wanted:
        return set()
    return {
        name
        for name, one in installed.scan([folder]).items()
        if any(str(path) in wanted for path in installed.files_of(one))
    }
