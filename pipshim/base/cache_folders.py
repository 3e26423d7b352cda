"""The folders of pipshim's cache, and the lock for its users.

Any number of commands use the cache at once; one that removes from it has to be alone.
"""

from __future__ import annotations

from pipshim.base.errors import PipshimError
from pipshim.base.file_lock import FileLock
from pipshim.base.write_errors import reason

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TREES = "trees-v2"
"""Wheels, unpacked (`pipshim.store.store`)."""

BUILDS = "builds-v1"
"""What builds answered, beside their records (`pipshim.builds.build_cache`)."""

TOOLS = "tools-v1"
"""Versions of compilers and other programs (`pipshim.builds.tools`)."""

LOGS = "logs"
"""The output of builds."""

HISTORY = "build-history-v1.jsonl"
"""What builds took, one a line (`pipshim.builds.build_history`)."""

METADATA = "metadata-v2"
"""METADATA files of wheels (`pipshim.project.metadata_cache`)."""

OUTLINES = "outlines-v1"
"""What sdists show without being built, by their SHA-256 (`pipshim.project.metadata_cache`)."""

INTERPRETERS = "interpreters"
"""What Pythons said of themselves (`pipshim.envs.interpreter`)."""

STAMPS = "fresh"
"""Locks that were up to date (`pipshim.fastpath.up_to_date`, which may not import this)."""

NOTES = "again"
"""Snapshots of environments (`pipshim.fastpath.environment_snapshot`)."""

ENVIRONMENTS = "environments-v1"
"""Environments of scripts, of layers and of isolated runs (`pipshim.envs.cached_environments`)."""

WORK = "work"
"""Build environments, where the folder for temporary files is on another file system."""

LOCK = "in-use"
"""The file that is locked; there is nothing in it."""


class InUse(FileLock):
    """Keeps other commands from clearing the cache.

    A cache that cannot be locked (read-only, or no locks in its file system) is used without.
    """

    def __init__(self, root: Path | str, waiting: Callable[[], object]) -> None:
        """Prepare the lock.

        Args:
            root: pipshim's cache folder, which exists.
            waiting: called before waiting for a command that clears it.

        """
        super().__init__(f"{root}/{LOCK}", waiting, shared=True, mode=0o666)

    def __enter__(self) -> None:
        try:
            super().__enter__()
        except BrokenPipeError:  # of whoever was told of the waiting
            raise
        except OSError:
            return


class Alone(FileLock):
    """Keeps all other commands from using the cache."""

    def __init__(self, root: Path | str) -> None:
        super().__init__(f"{root}/{LOCK}", self._refuse, mode=0o666)
        self._root = root

    def __enter__(self) -> None:
        """Lock it.

        Raises:
            PipshimError: another command uses it, or it cannot be locked.

        """
        try:
            super().__enter__()
        except OSError as error:
            cannot = "written" if error.filename else "locked"
            raise PipshimError(f"{self._path} cannot be {cannot}: {reason(error)}") from error

    def _refuse(self) -> None:
        raise PipshimError(
            f"another pipshim command is using {self._root}",
            hint="try again when it has finished",
        )
