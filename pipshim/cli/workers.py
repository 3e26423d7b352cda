"""The workers that a command builds on: from its options, variables and pyproject.toml."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

from pipshim.base.cache_folders import WORK
from pipshim.base.errors import UsageError
from pipshim.builds.worker_builds import WorkerBuilds
from pipshim.model import events

if TYPE_CHECKING:
    from pathlib import Path

    from pipshim.cli.remote import RemoteAddress
    from pipshim.model.events import Observer
    from pipshim.model.requests import CommonOptions
    from pipshim.model.settings import BuildersAddress, BuildersTable
    from pipshim.workers.engine import Engine

AT_ONCE = 64
"""How many builds wait for workers at once."""


def builders_address(common: CommonOptions, table: BuildersTable) -> BuildersAddress | None:
    """Return where to build, by options, variables and pyproject.toml; None: here."""
    if common.offline or common.no_remote:
        return None
    return common.builders or table.use


def open_workers(
    address: BuildersAddress,
    table: BuildersTable,
    remote: RemoteAddress | None,
    cache: Path,
    observer: Observer,
) -> WorkerBuilds:
    """Prepare the use of workers; nothing is asked of them yet.

    Args:
        address: where they are.
        table: ``[tool.pipshim.builders]``.
        remote: through which wheels come from them.
        cache: pipshim's cache folder.
        observer: told of what workers do.

    Raises:
        UsageError: there is no remote.

    """
    if remote is None:
        raise UsageError(
            "--builders needs a remote, through which wheels come from workers",
            hint="name one: --remote URL, or url in [tool.pipshim.remote]",
        )

    def connect() -> Engine:
        return _engine(address, table, cache, observer)

    return WorkerBuilds(connect, remote.url, table.setup.get(address.kind, ""), observer)


def _engine(
    address: BuildersAddress, table: BuildersTable, cache: Path, observer: Observer
) -> Engine:
    if address.kind == "dask":
        from pipshim.workers.dask_engine import DaskEngine  # noqa: PLC0415 only where it is used

        return DaskEngine(address.place, lambda text: observer(events.Message("warning", text)))
    from pipshim.workers.slurm_engine import SlurmEngine  # noqa: PLC0415 only where it is used

    return SlurmEngine(address.place or None, cache / WORK / f"slurm-{uuid4().hex}", table.sbatch)
