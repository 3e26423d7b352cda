"""Assemble the parts of one command: project, settings, target, caches, observer."""

from __future__ import annotations

import os
import shlex
import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from pipshim._pip.configuration import apply_preferences
from pipshim._pip.session import Pip
from pipshim.base.cache_folders import WORK, InUse
from pipshim.base.cores import available_cores
from pipshim.base.errors import Failures, LockError, PipshimError, ProjectError, TargetError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.write_errors import name_full
from pipshim.builds.environment import Workspace, workspace
from pipshim.cli.error_boundary import explain
from pipshim.cli.pip_messages import forwarded
from pipshim.envs.cached_environments import CachedEnvironment, lock_beside, place
from pipshim.envs.environment_choice import EnvironmentChoice, EnvironmentSearch
from pipshim.envs.interpreter import base_of
from pipshim.envs.layers import connect
from pipshim.fastpath.up_to_date import cache_folder
from pipshim.lock import lock_inputs
from pipshim.model import events
from pipshim.model.build_settings import BuildLines, Settings, combine
from pipshim.model.combinations import BASE, Combination
from pipshim.model.events import Observer, Relay, masked
from pipshim.model.index_routes import IndexRoutes, routes_of
from pipshim.model.project import PYPROJECT, STDIN, Project
from pipshim.model.pylock import LOCK_NAME, Lock, read
from pipshim.model.requests import CommonOptions, LockOptions, LockRequest, SyncRequest
from pipshim.model.selection_preferences import Preferences
from pipshim.model.selection_preferences import combine as combine_preferences
from pipshim.model.settings import BuildersAddress, Configuration
from pipshim.model.targets import FORM, TargetName, target_of_python
from pipshim.model.workspace_selection import member_to_edit
from pipshim.progress.build_log import BuildLog
from pipshim.progress.observer_choice import make_observer
from pipshim.project.pyproject import find_if_any, find_project, load_script
from pipshim.project.workspaces import load_project
from pipshim.store.fetcher import Fetcher
from pipshim.store.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipshim.base.masking import Mask
    from pipshim.builds.builder import Builder
    from pipshim.cli.command_base import PipCommand
    from pipshim.envs.base_environment import BaseEnvironment
    from pipshim.envs.venv import Environment
    from pipshim.model.interpreter import Target
    from pipshim.remote.remote_cache import RemoteCache


@dataclass
class Context:
    """The parts of one command, each made when it is first used.

    Attributes:
        project: None if requirements are given and there is no project.
        directory: the folder of the lock.
        until_end: closes resources when the command ends.
        started: when the command began, in nanoseconds since the epoch.
        isolated: serve an environment of pipshim's cache instead of the project's.
        bare: there is neither a project nor a lock, nor any environment but the active one.
        below: the environment below this layer, which is in the cache too.
        combination: the conflicting extras and groups in use, once a lock is followed.

    """

    request: LockRequest
    command: PipCommand
    project: Project | None
    directory: Path
    observer: Relay
    workspace: Workspace
    until_end: ExitStack
    started: int
    isolated: bool = False
    bare: bool = False
    below: BaseEnvironment | None = None
    combination: Combination = BASE

    is_of_pip: ClassVar[bool] = False
    """Whether the command is one of pip's, which does nothing for the project."""

    @property
    def mask(self) -> Mask:
        return self.command.mask

    @cached_property
    def settings(self) -> Settings:
        if self.project is None:
            return combine(self.request.build, Configuration())
        return combine(self.request.build, self.configuration, self.project.file.name)

    def apply(self, lines: BuildLines) -> None:
        """Apply the build options of requirements files, or of a lock that was made from them."""
        self.request = replace(self.request, build=lines.beside(self.request.build))
        vars(self).pop("settings", None)
        self.settings = replace(self.settings, config_settings_requirement=lines.config_settings)

    @property
    def configuration(self) -> Configuration:
        return self.project.configuration if self.project is not None else Configuration()

    @property
    def edited(self) -> Project:
        """The project that ``add`` and ``remove`` edit: of a workspace, one of its members.

        Raises:
            UsageError: several are named, or one that does not exist.

        """
        project, request = self.project, self.request
        assert project is not None  # they need one
        packages = request.selection.packages if isinstance(request, SyncRequest) else ()
        return member_to_edit(project, packages)

    @property
    def home(self) -> Path:
        """The folder of the project's ``.venv``."""
        return self.project.directory if self.project is not None else self.directory

    @property
    def script(self) -> Path | None:
        """The script that is served instead of a project."""
        return self.project.script if self.project is not None else None

    @property
    def lock_command(self) -> str:
        if self.script == STDIN:
            return "pipshim lock --script FILE"
        if self.script is not None:
            return f"pipshim lock --script {shlex.quote(os.path.relpath(self.script))}"
        if self.request.common.project is not None:
            return f"pipshim lock --project {shlex.quote(str(self.request.common.project))}"
        return "pipshim lock"

    @property
    def is_given(self) -> bool:
        """Whether requirements were given instead of a project."""
        return self.request.lock.given and self.below is None

    @property
    def is_lock_given(self) -> bool:
        """Whether to follow a lock as it is, because it is named or there is no project."""
        asked = self.request.lock
        return not asked.given and (asked.output is not None or self.project is None)

    @property
    def followed_path(self) -> Path:
        """The path of the lock, or of the requirements file used instead."""
        files = self.request.lock.requirement_files
        return Path(files[0]) if self.is_given and files else self.lock_path

    @property
    def lock_path(self) -> Path:
        output = self.request.lock.output
        if output is not None and output != "-":
            path = Path(output)
            return path.parent.resolve() / path.name  # `..` may follow a symbolic link
        if self.below is not None:
            assert self.place is not None  # every layer has one
            return self.place.lock
        if self.script is not None:
            return self._script_lock(self.script)
        return self.directory / LOCK_NAME

    def _script_lock(self, script: Path) -> Path:
        beside = lock_beside(script)
        if self.request.asks_for_lock or (script != STDIN and beside.exists()):
            return beside
        assert self.place is not None  # every script has one
        return self.place.lock

    @property
    def is_lock_cached(self) -> bool:
        """Whether the lock is only in pipshim's cache."""
        return self.place is not None and self.lock_path == self.place.lock

    @cached_property
    def old_lock(self) -> Lock | None:
        """The existing lock; None if pinned requirements are followed instead.

        Raises:
            LockError: it is damaged, or of a newer version.

        """
        if self.request.lock.pinned or not self.lock_path.exists():
            return None
        try:
            return read(self.lock_path)
        except LockError:
            if self.is_lock_cached:
                return None
            raise

    @cached_property
    def place(self) -> CachedEnvironment | None:
        """The environment's place in pipshim's cache, if it is one of these."""
        common, project = self.request.common, self.project
        if self.below is not None:
            base = base_of(self.below.target, common.shim_cache)
            what = ["layer", str(self.below.target.prefix), *self._layer_key()]
            return place(self._environments_cache, "with", base, what)
        if project is None or (project.script is None and not self.isolated):
            return None
        search = EnvironmentSearch(
            python=common.python,
            project=None,
            environ=os.environ,
            requires_python=project.requires_python,
            cache_dir=common.shim_cache,
        )
        base = search.base_python()
        if project.script is None:
            label, what = project.display_name, ["isolated", str(project.directory)]
            what += [repr(getattr(self.request, "selection", None))]
        elif project.script == STDIN:
            label, what = "stdin", ["script", project.block.decode()]
        else:
            label, what = project.script.stem, ["script", str(project.script.resolve())]
        return place(self._environments_cache, label, base, what)

    @property
    def _environments_cache(self) -> Path:
        """The cache for environments; the default one if caching is off: commands run in it."""
        return self.request.common.shim_cache or Path(cache_folder(os.environ)).parent

    def _layer_key(self) -> list[str]:
        """Distinguishes layers over the same environment."""
        given = self.request.lock
        texts = lock_inputs.requirements_given(given)
        # A relative path means another thing elsewhere.
        relative = given.requirement_files or given.editables or any("/" in one for one in texts)
        return [*texts, str(Path.cwd()) if relative else ""]

    @cached_property
    def _search(self) -> EnvironmentSearch:
        common, project, place = self.request.common, self.project, self.place
        return EnvironmentSearch(
            python=str(place.base.python) if place is not None else common.python,
            project=place.directory if place is not None else None if self.bare else self.home,
            environ={} if place is not None else self._environ,
            requires_python=(
                project.requires_python
                if project is not None and self.below is None and self.request.heeds_requires_python
                else None
            ),
            cache_dir=common.shim_cache,
        )

    @property
    def _environ(self) -> Mapping[str, str]:
        """The variables that name the active environment."""
        return {k: v for k, v in os.environ.items() if not (self.isolated and k == "VIRTUAL_ENV")}

    @cached_property
    def choice(self) -> EnvironmentChoice:
        """The environment to serve, existing or not."""
        lock_only = not self.request.asks_for_environment
        return self._search.choose(lock_only=lock_only)

    def environment(self) -> Environment:
        """Return the environment to serve; it is made if it is missing."""
        if self.place is not None:
            self.place.use()
        wait = "waiting for another command that creates the environment"
        found = self._search.find(lambda: self.wait(wait))
        if self.below is not None:
            connect(found.target, self.below)
        return found

    @property
    def target(self) -> Target:
        return self.choice.target

    @cached_property
    def targets(self) -> tuple[TargetName, ...]:
        """The targets that a lock is made for; empty for the served Python.

        The targets of ``lock --target-environment`` are used by ``sync`` and ``run`` too, until the
        next ``lock``.

        Raises:
            TargetError: the served Python would be an additional target, but it has no name.

        """
        if self.is_lock_cached or (self.request.lock.given and not self.request.asks_for_lock):
            return ()  # what is resolved is for here alone
        configured = self.configuration.target_environments
        asked = self.request.lock.target_environments
        if asked and not configured:
            here = target_of_python(self.target)
            if here is None:
                raise TargetError(
                    "--target-environment locks for this Python too, and "
                    f"{self.target.implementation} {self.target.full_version} has no target name",
                    hint=f"choose a Python that has one: --python. {FORM}",
                )
            asked = (here, *asked)
        elif not asked and self._keeps:
            asked = self.old_lock.targets_asked if self.old_lock is not None else ()
        return tuple(dict.fromkeys((*configured, *asked)))

    @property
    def _keeps(self) -> bool:
        """Whether preferences of the existing lock hold unless others are given."""
        return self.request.lock.check or not self.request.asks_for_lock

    @cached_property
    def preferences(self) -> Preferences:
        """Which versions and files are chosen; pip's options are set to it.

        ``lock`` uses its options; all other commands use what the lock was made with, unless they
        have options of their own.
        """
        lock = self.request.lock
        try:
            # What was resolved in passing remembers nothing that was typed then.
            old = None if self.is_lock_cached else self.old_lock
        except LockError:
            old = None  # whoever needs it will say what is wrong with it
        found = combine_preferences(
            lock.preferences,
            self.configuration,
            old.options if old is not None else {},
            keeps=self._keeps,
        )
        apply_preferences(found.values, self.command.options)
        return found

    @cached_property
    def pip(self) -> Pip:
        assert self.preferences is not None  # sets pip's options
        return Pip(
            self.command.command,
            self.command.options,
            self.target,
            self.mask,
            observer=self.observer,
            cache=self.request.common.shim_cache,
            routes_for=self._routes,
        )

    def _routes(self, markers: Mapping[str, str]) -> IndexRoutes:
        return self.routes(markers, self.combination)

    def routes(self, markers: Mapping[str, str], combination: Combination) -> IndexRoutes:
        if self.project is None:
            return IndexRoutes()
        configuration = self.configuration
        routes = routes_of(
            configuration, self.project.file, markers, os.environ, combination.chosen
        )
        return replace(routes, without_default="index-url" in self.request.lock.preferences.typed)

    @cached_property
    def cache(self) -> Path:
        """Pipshim's cache; without one, a temporary folder."""
        cache = self.request.common.shim_cache
        if cache is None:
            return self.workspace.fresh("cache")
        cache.mkdir(parents=True, exist_ok=True)
        wait = "waiting for a command that cleans the cache"
        self.until_end.enter_context(InUse(cache, lambda: self.wait(wait)))
        return cache

    @cached_property
    def store(self) -> Store:
        return Store(self.cache)

    @cached_property
    def fetcher(self) -> Fetcher:
        return Fetcher(self.pip, self.store, self.lock_path.parent)

    @cached_property
    def builder(self) -> Builder:
        """Runs builds. What it needs is imported only where something is built."""
        from pipshim.builds.builder import Builder  # noqa: PLC0415
        from pipshim.cli.hint_inputs import user_input  # noqa: PLC0415
        from pipshim.cli.remote import AT_ONCE, open_workers, remote_address  # noqa: PLC0415

        builder = Builder(
            target=self.target,
            store=self.store,
            cache=self.cache,
            settings=self.settings,
            observer=self.observer,
            workspace=self.workspace,
            environments=self._environments,
            jobs=self.jobs,
            environ=os.environ,
            mask=self.mask,
            user=lambda: user_input(
                self.project,
                self.request,
                of_pip=self.is_of_pip,
                is_layer=self.below is not None,
            ),
            remote=self.remote,
            trust=self.configuration.remote.trust,
        )
        self.until_end.callback(builder.processes.close)
        common = self.request.common
        if self._builders is not None:
            remote = remote_address(common, self.configuration.remote, self.home)
            table = self.configuration.builders
            workers = open_workers(self._builders, table, remote, self.cache, self.observer)
            self.until_end.callback(workers.close)
            builder.elsewhere = partial(workers.build, builder)
            builder.at_once = common.jobs or AT_ONCE
        return builder

    @property
    def open_builder(self) -> Callable[[], Builder]:
        """Returns the builder.

        With other machines it is made now: mistakes in their addresses are errors even if nothing
        is built.
        """
        common, configured = self.request.common, self.configuration
        named = common.builders, common.remote, configured.builders.use, configured.remote.url
        if any(named):
            self.builder  # noqa: B018 a cached property
        return lambda: self.builder

    @property
    def _builders(self) -> BuildersAddress | None:
        from pipshim.cli.remote import builders_address  # noqa: PLC0415

        return builders_address(self.request.common, self.configuration.builders)

    @cached_property
    def remote(self) -> RemoteCache | None:
        """The results of other machines' builds; None if none are used."""
        from pipshim.cli.remote import open_remote, remote_address  # noqa: PLC0415

        address = remote_address(self.request.common, self.configuration.remote, self.home)
        if address is None:
            return None
        made = open_remote(
            address,
            self.command.options,
            self.mask,
            self.observer,
            partial(self.workspace.fresh, "remote"),
            self.target.base_prefix / "lib",
            may_be_missing=address.pushes or self._builders is not None,
        )
        asked = self.request.sync if isinstance(self.request, SyncRequest) else None
        if asked is not None and (asked.dry_run or asked.check):
            made.otherwise = ""  # nothing is built
        return self.until_end.enter_context(made)

    @property
    def saved_seconds(self) -> float:
        """How long the builds took whose wheels came from the remote."""
        remote: RemoteCache | None = vars(self).get("remote")
        return remote.saved if remote is not None else 0.0

    @property
    def _environments(self) -> Workspace:
        """The folder of build environments, where files of the store can be linked to."""
        if self.workspace.directory.stat().st_dev == self.cache.stat().st_dev:
            return self.workspace
        try:
            return self.until_end.enter_context(workspace(self.cache / WORK))
        except OSError:  # the cache cannot be written
            return self.workspace

    @property
    def jobs(self) -> int:
        return self.request.common.jobs or available_cores()

    @cached_property
    def inputs(self) -> str:
        """The digest of a lock's current inputs."""
        return lock_inputs.digest(
            self.project,
            self.settings,
            self.request.lock,
            self.request.build.build_constraints,
            self.preferences.values,
            self.targets,
            self.below,
        )

    def at(self, project: Project) -> Context:
        """Return the context for another state of the project; pip's knowledge is shared."""
        other = replace(self, project=project)
        for name in ("choice", "old_lock", "cache", "store", "fetcher", "remote", "builder"):
            vars(other)[name] = getattr(self, name)
        markers = self.target.markers
        routes = other._routes  # noqa: SLF001
        same = routes(markers) == self._routes(markers)
        vars(other)["pip"] = self.pip if same else self.pip.for_target(self.pip.target, routes)
        return other

    def over(self, below: BaseEnvironment, given: LockOptions) -> Context:
        """Return the context for a layer over an environment, with these requirements."""
        return replace(
            self,
            request=replace(self.request, lock=replace(given, output=None)),
            command=self.command.giving(given),
            directory=Path.cwd(),
            isolated=False,
            below=below,
        )

    def has_below(self) -> bool:
        """Return whether the environment below satisfies all requirements."""
        given, below = self.request.lock, self.below
        if below is None or not below.present or given.editables:
            return False
        roots, constraints = self.pip.given(given.requirements)
        asked = [root.requirement.plain for root in roots]
        limits = [constraint.plain for constraint in constraints]
        if None in asked or None in limits:
            return False
        return below.has(
            [one for one in asked if one], [one for one in limits if one], self.target.markers
        )

    def wait(self, text: str) -> None:
        self.observer(events.Waiting(text))

    def say(self, text: str, level: events.Level = "info") -> None:
        self.observer(events.Message(level, text))

    def explain(self, error: Exception) -> PipshimError:
        return explain(error)


@contextmanager
def open_context(
    request: LockRequest,
    command: PipCommand,
    also: Observer | None = None,
    script: Project | None = None,
    *,
    optional: bool = False,
    isolated: bool = False,
) -> Iterator[Context]:
    """Make a command's context, and clean up at its end.

    Args:
        script: serve this script instead of a project.

    Raises:
        ProjectError: there is no project where one is needed, or it is invalid.

    """
    started = time.time_ns()
    project = script if script is not None else _project(request, optional=optional)
    directory = Path.cwd() if request.lock.given or project is None else project.directory
    common = request.common
    with (
        _observing(common, command.mask, also) as observer,
        workspace() as space,
        ExitStack() as until_end,
    ):
        made = Context(request, command, project, directory, observer, space, until_end, started)
        made.isolated = isolated
        made.bare = project is None and (common.no_project or not _does_without(request))
        try:
            yield made
        except PipshimError as error:
            _say_where(error, made)
            raise
        except OSError as error:
            cache = request.common.shim_cache
            name_full(error, [space.directory, *([cache] if cache else []), directory])
            raise


@contextmanager
def _observing(common: CommonOptions, mask: Mask, also: Observer | None) -> Iterator[events.Relay]:
    """Show events, and what pip logs, without secrets."""
    with make_observer(common) as shown:
        told = events.once(events.tee(shown, BuildLog(), *([also] if also else [])))
        observer = events.Relay(masked(told, mask))
        with forwarded(observer):
            yield observer


def _say_where(error: PipshimError, context: Context) -> None:
    """Adapt hints to the lock and the settings in use, if these are not the usual ones."""
    for one in error.errors if isinstance(error, Failures) else (error,):
        if isinstance(one, LockError):
            one.locate(context.followed_path)
        if one.hint is not None:
            one.hint = one.hint.replace("pipshim lock", context.lock_command)
            if context.script is not None:
                one.hint = one.hint.replace(PYPROJECT, f"the metadata of {context.script.name}")


def _project(request: LockRequest, *, optional: bool) -> Project | None:
    """Read the requested script or project; None if the command works without one."""
    if request.common.no_project:
        return None
    if request.lock.script is not None:
        script = load_script(request.lock.script)
        if script is None:
            raise ProjectError(
                request.lock.script,
                "has no script metadata (PEP 723)",
                hint="add these lines: # /// script, # dependencies = [], # ///",
            )
        return script
    named = request.common.project
    if named is None and (optional or _does_without(request)):
        found = find_if_any(Path.cwd())
        return load_project(found) if found is not None else None
    try:
        directory = find_project(named or Path.cwd())
    except ProjectError as error:
        if request.project_is_optional and error.hint:
            error.hint += "; --no-project runs without one"
        raise
    return load_project(directory)


def _does_without(request: LockRequest) -> bool:
    """Return whether a request needs no pyproject.toml."""
    if request.lock.given:
        return True
    return not request.asks_for_lock and (
        request.lock.output is not None or Path(LOCK_NAME).is_file()
    )
