"""The interfaces that locking needs its caller to supply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import ExitStack
    from pathlib import Path

    from pipshim._pip.session import Pip
    from pipshim.base.errors import PipshimError
    from pipshim.base.masking import Mask
    from pipshim.builds.builder import Builder
    from pipshim.builds.environment import Workspace
    from pipshim.envs.base_environment import BaseEnvironment
    from pipshim.model.build_settings import Settings
    from pipshim.model.combinations import Combination
    from pipshim.model.events import Level, Relay
    from pipshim.model.index_routes import IndexRoutes
    from pipshim.model.interpreter import Target
    from pipshim.model.per_requirement_options import BuildLines
    from pipshim.model.project import Project
    from pipshim.model.requests import LockRequest
    from pipshim.model.selection_preferences import Preferences
    from pipshim.model.settings import Configuration
    from pipshim.model.targets import TargetName
    from pipshim.store.fetcher import Fetcher


class LockServices(Protocol):
    """Values and services of one command, as far as locking uses them."""

    @property
    def request(self) -> LockRequest:
        """The command's request."""

    @property
    def mask(self) -> Mask:
        """Hides the credentials that were given."""

    @property
    def project(self) -> Project | None:
        """The project, if there is one."""

    @property
    def configuration(self) -> Configuration:
        """``[tool.pipshim]``."""

    @property
    def target(self) -> Target:
        """The Python to serve."""

    @property
    def targets(self) -> tuple[TargetName, ...]:
        """The named targets; empty for the served Python only."""

    @property
    def combination(self) -> Combination:
        """The conflicting extras and groups in use, once a lock is followed."""

    @property
    def below(self) -> BaseEnvironment | None:
        """The environment below a layer."""

    @property
    def directory(self) -> Path:
        """The folder of the project, or of what is locked."""

    @property
    def lock_path(self) -> Path:
        """The path of the lock, existing or not."""

    @property
    def inputs(self) -> str:
        """The digest of everything the lock is made from."""

    @property
    def settings(self) -> Settings:
        """The build settings."""

    @property
    def preferences(self) -> Preferences:
        """Which versions and files are chosen."""

    @property
    def jobs(self) -> int:
        """How many builds, or targets, run at once."""

    @property
    def observer(self) -> Relay:
        """Receives events."""

    @property
    def workspace(self) -> Workspace:
        """Temporary folders of the command."""

    @property
    def until_end(self) -> ExitStack:
        """Closes resources when the command ends."""

    @property
    def pip(self) -> Pip:
        """The session and finder of pip, for the target."""

    @property
    def fetcher(self) -> Fetcher:
        """Downloads what a lock names."""

    @property
    def builder(self) -> Builder:
        """Runs builds."""

    def routes(self, markers: Mapping[str, str], combination: Combination) -> IndexRoutes:
        """Return the indexes that packages come from on a target."""

    def apply(self, lines: BuildLines) -> None:
        """Apply the build options of requirements files."""

    def say(self, text: str, level: Level = "info") -> None:
        """Show a message."""

    def explain(self, error: Exception) -> PipshimError:
        """Turn any error into one that can be shown."""
