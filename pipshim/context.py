"""What one command works with, put together once: project, settings, target, caches, observer."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim import environment, inputs
from pipshim._pip import choosing
from pipshim._pip.download import Fetcher
from pipshim._pip.logs import forwarded
from pipshim._pip.session import Pip
from pipshim.build.environment import Workspace, workspace
from pipshim.build.settings import Settings, combine
from pipshim.build.workshop import Workshop
from pipshim.cache import in_use
from pipshim.configuration import Configuration
from pipshim.errors import LockError, ProjectError, UsageError
from pipshim.lockfile import LOCK_NAME, read
from pipshim.preferences import Preferences
from pipshim.preferences import combine as combine_preferences
from pipshim.progress import events, make_observer
from pipshim.project import Project, find_project, load_project
from pipshim.secrets import masked
from pipshim.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipshim.cli.options import LockRequest
    from pipshim.environment import Choice
    from pipshim.lockfile import Lock
    from pipshim.progress.events import Observer
    from pipshim.target import Target


@dataclass
class Context:
    """One command's parts.

    Attributes:
        request: what was asked.
        project: what pyproject.toml says; None where requirements are given and there is none.
        directory: the folder that the lock lies in.
        observer: told of all that happens.
        workspace: for what is thrown away at the end.
        until_end: closes what is held until then.
        started: when the command began to read, in nanoseconds since the epoch.

    """

    request: LockRequest
    project: Project | None
    directory: Path
    observer: Observer
    workspace: Workspace
    until_end: ExitStack
    started: int

    @cached_property
    def settings(self) -> Settings:
        """The build settings in force."""
        return combine(self.request.build, self.configuration)

    @property
    def configuration(self) -> Configuration:
        """``[tool.pipshim]``."""
        return self.project.configuration if self.project is not None else Configuration()

    @property
    def lock_path(self) -> Path:
        """Where the lock is, or will be."""
        output = self.request.lock.output
        if output is not None and output != "-":
            path = Path(output)
            return path.parent.resolve() / path.name  # `..` may follow a symbolic link
        return self.directory / LOCK_NAME

    @cached_property
    def old_lock(self) -> Lock | None:
        """The lock that is there.

        Raises:
            LockError: it is damaged, or of a newer version.

        """
        return read(self.lock_path) if self.lock_path.exists() else None

    @cached_property
    def choice(self) -> Choice:
        """The environment that is served, or will be."""
        return environment.choose(
            python=self.request.common.python,
            project=self.project.directory if self.project is not None else None,
            environ=os.environ,
            requires_python=self.project.requires_python if self.project is not None else None,
            cache_dir=self.request.common.shim_cache,
            lock_only=type(self.request).__name__ == "LockRequest",
        )

    @property
    def target(self) -> Target:
        """The Python that is served."""
        return self.choice.target

    @cached_property
    def preferences(self) -> Preferences:
        """Which versions and files are chosen; pip's options are set to it.

        A lock is made as ``lock`` is told to; whatever else is done goes by what the lock that is
        there was made with, unless another thing is said.
        """
        lock = self.request.lock
        try:
            old = self.old_lock
        except LockError:
            old = None  # whoever needs it will say what is wrong with it
        found = combine_preferences(
            lock.said,
            self.configuration,
            old.options if old is not None else {},
            keeps=lock.check or type(self.request).__name__ != "LockRequest",
        )
        choosing.apply(found.values, self.request.pip.options)
        return found

    @cached_property
    def pip(self) -> Pip:
        """Pip's machinery, for the target."""
        assert self.preferences is not None  # sets pip's options
        command = self.request.pip
        return Pip(
            command.command, command.options, self.target, command.mask, observer=self.observer
        )

    @cached_property
    def cache(self) -> Path:
        """Pipshim's cache; without one, a folder that is thrown away."""
        cache = self.request.common.shim_cache
        if cache is None:
            return self.workspace.fresh("cache")
        cache.mkdir(parents=True, exist_ok=True)
        wait = "waiting for a command that tidies the cache up"
        self.until_end.enter_context(in_use(cache, lambda: self.wait(wait)))
        return cache

    @cached_property
    def store(self) -> Store:
        """The store of unpacked wheels."""
        return Store(self.cache)

    @cached_property
    def fetcher(self) -> Fetcher:
        """Fetches what a lock names."""
        return Fetcher(self.pip, self.store, self.lock_path.parent)

    @cached_property
    def workshop(self) -> Workshop:
        """Where builds are done."""
        workshop = Workshop(
            target=self.target,
            store=self.store,
            cache=self.cache,
            settings=self.settings,
            observer=self.observer,
            workspace=self.workspace,
            jobs=self.jobs,
            environ=os.environ,
            mask=self.request.pip.mask,
        )
        self.until_end.callback(workshop.processes.close)
        return workshop

    @property
    def jobs(self) -> int:
        """How many builds run at once."""
        return self.request.common.jobs or os.cpu_count() or 1

    @cached_property
    def inputs(self) -> str:
        """The digest of what a lock would be made from now."""
        return inputs.digest(
            self.project,
            self.settings,
            self.request.lock,
            self.request.build.build_constraints,
            self.preferences.values,
        )

    def wait(self, text: str) -> None:
        """Tell the user what is waited for."""
        self.observer(events.Waiting(text))

    def say(self, text: str, level: events.Level = "info") -> None:
        """Say something to the user, by the observer."""
        self.observer(events.Message(level, text))


@contextmanager
def opened(request: LockRequest, also: Observer | None = None) -> Iterator[Context]:
    """Put a command's parts together, and clear up at its end.

    Args:
        request: what was asked.
        also: told of all that happens, besides the observer that shows it.

    Raises:
        ProjectError: there is no project where one is needed, or it says what cannot be.

    """
    started = time.time_ns()
    start = request.common.project or Path.cwd()
    project: Project | None
    try:
        project = load_project(find_project(start))
    except ProjectError as error:
        missing = not (error.path == start.absolute() and error.line is None)
        if missing or not request.lock.given or request.common.project is not None:
            raise
        project = None
    if request.lock.given:
        directory = Path.cwd()
    elif project is not None:
        directory = project.directory
        _refuse_what_is_not_there(project)
    else:
        raise UsageError("there is no project")
    common = request.common
    with (
        make_observer(
            verbosity=common.verbosity,
            progress_bar=common.progress_bar,
            no_color=common.no_color,
            progress=common.progress,
            command=request.pip.command.name,
            environ=os.environ,
        ) as shown,
        forwarded(
            observer := masked(shown if also is None else events.tee(shown, also), request.pip.mask)
        ),
        workspace() as space,
        ExitStack() as until_end,
    ):
        yield Context(request, project, directory, observer, space, until_end, started)


def _refuse_what_is_not_there(project: Project) -> None:
    """Say of settings that pipshim reads and cannot honour yet, rather than pass over them."""
    configuration = project.configuration
    for name, value in {
        "target-environments": configuration.target_environments,
    }.items():
        if value:
            raise ProjectError(
                project.directory / "pyproject.toml",
                f"tool.pipshim.{name} is not supported yet",
                hint="take it out; a lock serves the Python and platform that it is made for",
            )
