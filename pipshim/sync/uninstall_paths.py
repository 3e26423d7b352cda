"""Find the files to remove when distributions are uninstalled."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from pipshim.base.errors import InstallError
from pipshim.envs.dist_info import RECORD, read_text
from pipshim.envs.installed import paths_of, recorded_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName

    from pipshim.envs.installed import Installed

_ANYWHERE = ("..", "/", '"')
"""How lines of RECORD begin whose first folder does not tell where a file is."""


class UninstallPaths(NamedTuple):
    """The files of removed distributions, as absolute paths, real but for their last parts.

    Attributes:
        files: by distribution. A file of several is the first one's.
        left: those that stay, since other distributions have them too: by path, the hashes in the
            RECORDs of these, by name.

    """

    files: dict[NormalizedName, list[str]]
    left: dict[str, dict[NormalizedName, str]]


def find_uninstall_paths(
    leaving: Mapping[NormalizedName, Installed],
    staying: Iterable[Installed],
    prefix: Path,
    besides: Mapping[NormalizedName, Iterable[str]],
) -> UninstallPaths:
    """Find the files of removed distributions.

    Args:
        leaving: by name.
        staying: all others; a file in the RECORD of one of these stays.
        prefix: the environment's folder: nothing outside it is touched.
        besides: absolute paths of more files, existing or not, for distributions that lost their
            RECORD.

    Raises:
        InstallError: one was installed without a list of its files, or its list is damaged or names
            a file outside the environment.

    """
    found: dict[NormalizedName, dict[str, None]] = {}
    owners: dict[str, NormalizedName] = {}
    tops: set[str] = set()
    left: dict[str, dict[NormalizedName, str]] = {}
    for name, one in leaving.items():
        if not one.removable:
            raise InstallError(
                f"{one.name} {one.version} was installed without a list of its files: "
                f"{one.dist_info}",
                hint=f"remove it by hand, or with: pip uninstall {one.name}",
            )
        site = os.path.realpath(one.dist_info.parent) + os.sep
        found[name] = {}
        for path in paths_of(one, prefix, besides.get(name, ())):
            if owners.setdefault(path, name) == name:
                found[name][path] = None
            if path.startswith(site):
                tops.add(path[len(site) :].partition("/")[0])
    for other in staying if owners else ():
        # Most distributions share no folder, which is cheaper to see than to compare all paths.
        lines = [
            line
            for line in read_text(str(other.dist_info / RECORD)).splitlines()
            if line.startswith(_ANYWHERE) or _top(line) in tops
        ]
        for path, known in recorded_hashes(other.dist_info, "\n".join(lines)) if lines else ():
            if path in owners:
                found[owners[path]].pop(path, None)
                left.setdefault(path, {})[other.name] = known
    return UninstallPaths({name: list(paths) for name, paths in found.items()}, left)


def _top(line: str) -> str:
    return line.partition("/")[0].partition(",")[0]
