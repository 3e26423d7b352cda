"""What the stamps need from the command that writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.envs.base_environment import Below
    from pipshim.envs.cached_environments import Place
    from pipshim.envs.environment_choice import Choice
    from pipshim.model.project import Project
    from pipshim.model.requests import LockRequest


class CommandState(Protocol):
    """Values of one command, as far as its stamp depends on them."""

    @property
    def request(self) -> LockRequest:
        """What was asked."""

    @property
    def project(self) -> Project | None:
        """The project, if there is one."""

    @property
    def script(self) -> Path | None:
        """The script that is served instead of a project."""

    @property
    def directory(self) -> Path:
        """The folder of the lock."""

    @property
    def lock_path(self) -> Path:
        """Where the lock is, or will be."""

    @property
    def choice(self) -> Choice:
        """Which environment is served, and why."""

    @property
    def place(self) -> Place | None:
        """Where the environment is, if it is in the cache."""

    @property
    def below(self) -> Below | None:
        """The environment below a layer."""

    @property
    def started(self) -> int:
        """When the command began to read, in nanoseconds since the epoch."""
