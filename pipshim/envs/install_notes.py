"""The notes that pipshim writes beside installed distributions."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipshim.base.light import jsons
from pipshim.envs import dist_info
from pipshim.model.sync_plan import Present

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.envs.installed import Installed
    from pipshim.model.interpreter import Target


WHEEL = "wheel"
"""The key in ``pipshim.json`` of the hash (SHA-256) of the wheel that was installed."""


def site_folders(target: Target) -> list[Path]:
    """Return the folders that distributions are installed in."""
    return list(dict.fromkeys([target.purelib, target.platlib]))


def origin_of(one: Installed) -> Mapping[str, Any]:
    """Read pipshim's note on a distribution."""
    data = jsons.read(one.dist_info / dist_info.ORIGIN)
    return data if isinstance(data, dict) else {}


def as_present(one: Installed, target: Target | None) -> Present:
    """Describe an installed distribution for the plan."""
    origin = origin_of(one)
    identity, prefix = origin.get("identity"), origin.get("prefix")
    damaged = one.damaged
    if damaged is None and prefix and target and prefix != os.path.realpath(target.prefix):
        damaged = "the environment was moved"
    return Present(
        name=one.name,
        version=str(one.version),
        installer=one.installer or "",
        identity=str(identity) if identity is not None else None,
        direct=one.direct_url is not None,
        damaged=damaged,
    )


def direct_url(package: Package) -> dict[str, Any] | None:
    """Return PEP 610's data for a direct reference."""
    from packaging.direct_url import ArchiveInfo, DirectUrl, DirInfo, VcsInfo  # noqa: PLC0415 few are direct

    if package.vcs is not None:
        info = VcsInfo(
            vcs=package.vcs.type,
            commit_id=package.vcs.commit_id,
            requested_revision=package.vcs.requested_revision,
        )
        return dict(
            DirectUrl(
                url=package.vcs.url or "", vcs_info=info, subdirectory=package.vcs.subdirectory
            ).to_dict()
        )
    if package.archive is not None:
        return dict(
            DirectUrl(
                url=package.archive.url or Path(package.archive.path or "").resolve().as_uri(),
                archive_info=ArchiveInfo(hashes=package.archive.hashes),
                subdirectory=package.archive.subdirectory,
            ).to_dict()
        )
    if package.directory is not None:
        path = Path(package.directory.path).resolve()
        return dict(DirectUrl(url=path.as_uri(), dir_info=DirInfo()).to_dict())
    return None


def own_distributions(target: Target | None) -> set[NormalizedName]:
    """Return what must stay in the environment that pipshim itself runs in."""
    if target is None or Path(sys.prefix) != target.prefix:
        return set()
    # Few serve the environment that they run in, and these take as long as all the rest.
    from importlib.metadata import PackageNotFoundError, requires  # noqa: PLC0415

    from packaging.requirements import Requirement  # noqa: PLC0415
    from packaging.utils import canonicalize_name  # noqa: PLC0415

    found: set[NormalizedName] = set()
    waiting = ["pipshim", "pip"]  # pip too where pipshim runs from a checkout
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found:
            continue
        found.add(name)
        try:
            waiting += [Requirement(text).name for text in requires(name) or ()]
        except PackageNotFoundError:
            continue
    return found
