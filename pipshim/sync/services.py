"""The interfaces that syncing needs its caller to supply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pipshim.lock.services import LockServices

if TYPE_CHECKING:
    from pipshim.envs.environment_choice import EnvironmentChoice
    from pipshim.store.store import Store


class SyncServices(LockServices, Protocol):
    """Values and services of one command, as far as a sync uses them.

    Those of locking are among them: a sync resolves build environments that the lock leaves open.
    """

    @property
    def choice(self) -> EnvironmentChoice: ...

    @property
    def store(self) -> Store: ...
