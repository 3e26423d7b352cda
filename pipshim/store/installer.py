"""Install unpacked wheels into environments, and restore their files."""

from __future__ import annotations

from pipshim.base.errors import InstallError
from pipshim.base.write_errors import reason
from pipshim.envs import dist_info
from pipshim.store.linking import Linker
from pipshim.store.placement import Placement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path
    from typing import Any

    from pipshim.envs.layout import Layout
    from pipshim.store.linking import LinkMode
    from pipshim.store.placement import Announce
    from pipshim.store.unpacked_wheel import UnpackedWheel


def install(  # noqa: PLR0913 what an installer is told
    tree: UnpackedWheel,
    env: Layout,
    python: Path | None = None,
    *,
    mode: LinkMode | Linker = "auto",
    requested: bool = False,
    direct_url: Mapping[str, Any] | None = None,
    origin: Mapping[str, Any] | None = None,
    announce: Announce | None = None,
    skip: Collection[str] = (),
) -> list[str]:
    """Install an unpacked wheel into an environment, as pip would.

    RECORD is written first and METADATA placed last: what a killed process leaves can be
    distinguished from a whole distribution, and removed by its RECORD.

    Args:
        env: the environment's paths.
        python: the Python of scripts; without it ``env.python``.
        mode: how files are placed. Wheels for the same environment should share a Linker: it saves
            work, and its ``fell_back_to`` is a message to show once.
        direct_url: the contents of ``direct_url.json`` (PEP 610).
        origin: the contents of ``pipshim.json``: what it was installed from.
        skip: absolute paths that are left to other distributions, but listed in RECORD.
        announce: called once, before the first file is placed, with the names of all by folder.

    Returns:
        The absolute paths of the placed files.

    Raises:
        InstallError: a file exists, or cannot be written. Placed files are removed again.

    """
    linker = mode if isinstance(mode, Linker) else Linker(mode)
    job = Placement(tree, env, linker, announce=announce, skip=skip)
    notes = {dist_info.DIRECT_URL: direct_url, dist_info.ORIGIN: origin}
    return _placed(
        job,
        lambda: job.run(str(python or env.python), notes, requested=requested),
    )


def restore(tree: UnpackedWheel, env: Layout, paths: Collection[str], linker: Linker) -> None:
    """Place some of the files again, where they are missing.

    Args:
        env: an environment that has the distribution.
        paths: absolute, of files of the distribution.

    Raises:
        InstallError: a file cannot be written, and none has been.

    """
    job = Placement(tree, env, linker)
    _placed(job, lambda: job.restore(str(env.python), paths))


def _placed(job: Placement, place: Callable[[], list[str]]) -> list[str]:
    """Place files, and remove them again if that fails."""
    try:
        return place()
    except OSError as error:
        job.undo()
        tree = job.tree
        where = error.filename2 or error.filename or job.env.data
        raise InstallError(
            f"{tree.name} {tree.version} cannot be installed: {where}: {reason(error, where)}"
        ) from error
    except BaseException:
        job.undo()
        raise
