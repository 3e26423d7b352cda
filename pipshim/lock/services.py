"""The interfaces of what callers supply for locking."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from pipshim._pip.session import Pip
    from pipshim.base.errors import PipshimError
    from pipshim.base.masking import Mask
    from pipshim.builds.builder import Builder
    from pipshim.builds.environment import Workspace
    from pipshim.envs.base_environment import BaseEnvironment
    from pipshim.model.build_settings import BuildLines, Settings
    from pipshim.model.combinations import Combination
    from pipshim.model.events import Level, Relay
    from pipshim.model.index_routes import IndexRoutes
    from pipshim.model.interpreter import Target
    from pipshim.model.project import Project
    from pipshim.model.requests import LockRequest
    from pipshim.model.selection_preferences import Preferences
    from pipshim.model.settings import Configuration
    from pipshim.model.targets import TargetName
    from pipshim.store.fetcher import Fetcher


class LockServices(Protocol):
    """Values and services of one command, as far as locking uses them."""

    request: LockRequest
    project: Project | None
    combination: Combination
    below: BaseEnvironment | None
    directory: Path
    observer: Relay
    workspace: Workspace
    until_end: ExitStack

    @property
    def mask(self) -> Mask: ...

    @property
    def configuration(self) -> Configuration: ...

    @property
    def target(self) -> Target: ...

    @property
    def targets(self) -> tuple[TargetName, ...]: ...

    @property
    def lock_path(self) -> Path: ...

    @property
    def inputs(self) -> str: ...

    @property
    def settings(self) -> Settings: ...

    @property
    def preferences(self) -> Preferences: ...

    @property
    def jobs(self) -> int: ...

    @property
    def pip(self) -> Pip: ...

    @property
    def fetcher(self) -> Fetcher: ...

    @property
    def builder(self) -> Builder: ...

    @property
    def open_builder(self) -> Callable[[], Builder]: ...

    def routes(self, markers: Mapping[str, str], combination: Combination) -> IndexRoutes: ...

    def apply(self, lines: BuildLines) -> None: ...

    def say(self, text: str, level: Level = "info") -> None: ...

    def explain(self, error: Exception) -> PipshimError: ...
