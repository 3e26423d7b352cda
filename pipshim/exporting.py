"""A lock as a requirements file, with hashes: what pip installs with ``--require-hashes``."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.errors import LockError
from pipshim.markers import reduced
from pipshim.selection import asked, origins_of
from pipshim.urls import without_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.markers import Marker
    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.cli.options import SelectionOptions
    from pipshim.lockfile import Lock, LockedFolder

_HASHES = ("sha256", "sha384", "sha512")
"""What pip takes for ``--hash`` (``pip._internal.utils.hashes.STRONG_HASHES``)."""


@dataclass(frozen=True)
class Style:
    """What a requirements file has besides the requirements.

    Attributes:
        hashes: the hashes of every file of each version.
        header: a comment that says where it comes from.
        annotate: a comment under each requirement that says who requires it.

    """

    hashes: bool = True
    header: bool = True
    annotate: bool = True


def write(
    lock: Lock, options: SelectionOptions, style: Style, *, path: Path, directory: Path
) -> str:
    """Say the selected part of a lock in the format of requirements files.

    The project itself is not in it, as its hash would be another one with every change.

    Args:
        lock: what is locked.
        options: which part of it.
        style: what is written besides.
        path: the lock's file, which its relative paths start from.
        directory: where pip will be run, since relative paths of a requirements file start there.

    Raises:
        UnknownNameError: the lock has no such extra or group.
        LockError: hashes are asked for, and something has none.

    """
    extras, groups = asked(lock, options, path)
    selected = _selected(lock, options, path)
    folders = [
        one
        for one in lock.folders
        if lock.requirements  # else it is the project itself
        and not options.only_groups
        and one.name not in options.no_install_packages
    ]
    if style.hashes:
        _refuse_unhashed([package for package, _ in selected], folders, path)
    parents = _parents(package for package, _ in selected)
    lines: list[str] = _header(path, extras, groups, lock.environment) if style.header else []
    lines += [f"-e {_relative(path.parent / one.path, directory)}" for one in folders]
    for package, marker in sorted(selected, key=lambda pair: pair[0].name):
        lines += _entry(package, marker, path.parent, directory, hashes=style.hashes)
        if style.annotate and parents[package.name]:
            lines.append(f"    # via {', '.join(sorted(parents[package.name]))}")
    return "".join(f"{line}\n" for line in lines)


def _selected(
    lock: Lock, options: SelectionOptions, path: Path
) -> list[tuple[Package, Marker | None]]:
    origins = origins_of(lock, options, path)
    extras, groups = asked(lock, options, path)
    selected: list[tuple[Package, Marker | None]] = []
    for package in lock.packages:
        # Entries of a name may be for different parts of the project on different targets.
        table = (package.tool or {}).get("pipshim") or {}
        of = frozenset(table.get("for", lock.origins.get(package.name, ())))
        if package.name in options.no_install_packages or (of and not of & origins):
            continue
        marker = reduced(package.marker, extras=extras, groups=groups)
        if marker is not False:
            selected.append((package, None if marker is True else marker))
    return selected


def _header(
    path: Path,
    extras: Iterable[str],
    groups: Iterable[str],
    environment: Marker | None,
) -> list[str]:
    parts = [
        f"{kind}: {', '.join(sorted(names))}"
        for kind, names in (("extras", extras), ("groups", groups))
        if names
    ]
    about = f" ({'; '.join(parts)})" if parts else ""
    lines = [f"# Made by pipshim export from {path.name}{about}."]
    if environment is not None:
        lines.append(f"# For {environment}")
    return lines


def _entry(
    package: Package, marker: Marker | None, base: Path, directory: Path, *, hashes: bool
) -> Iterator[str]:
    line = _requirement(package, base, directory)
    if marker is not None:
        line += f" ; {marker}"
    found = _hashes(package) if hashes else []
    yield f"{line} \\" if found else line
    for number, one in enumerate(found, 1):
        yield f"    --hash={one}" + (" \\" if number < len(found) else "")


def _requirement(package: Package, base: Path, directory: Path) -> str:
    if package.vcs is not None:
        vcs = package.vcs
        if vcs.url is None:
            where = (base / (vcs.path or "")).resolve().as_uri()
        else:
            where = without_credentials(vcs.url)
        return f"{package.name} @ {vcs.type}+{where}@{vcs.commit_id}{_part(vcs.subdirectory)}"
    if package.directory is not None:
        folder = base / package.directory.path / (package.directory.subdirectory or "")
        editable = "-e " if package.directory.editable else ""
        return f"{editable}{_relative(folder, directory)}"
    if package.archive is not None:
        archive = package.archive
        if archive.url is None:
            return _relative(base / (archive.path or ""), directory)
        return f"{package.name} @ {without_credentials(archive.url)}{_part(archive.subdirectory)}"
    return f"{package.name}=={package.version}"


def _part(subdirectory: str | None) -> str:
    return f"#subdirectory={subdirectory}" if subdirectory else ""


def _relative(path: Path, directory: Path) -> str:
    found = Path(os.path.relpath(path, directory)).as_posix()
    return found if found.startswith(".") else f"./{found}"


def _hashes(package: Package) -> list[str]:
    files = [*(package.wheels or ()), package.sdist, package.archive]
    return sorted(
        {
            f"{name}:{file.hashes[name]}"
            for file in files
            if file is not None
            for name in _HASHES
            if name in file.hashes
        }
    )


def _refuse_unhashed(
    packages: Iterable[Package], folders: Iterable[LockedFolder], path: Path
) -> None:
    """Refuse what pip would refuse with ``--require-hashes``, before it is written.

    Raises:
        LockError: there is such a thing.

    """
    without = [(one.name, f"the folder {one.path}") for one in folders]
    for package in packages:
        if package.vcs is not None:
            without.append((package.name, "a checkout"))
        elif package.directory is not None:
            without.append((package.name, f"the folder {package.directory.path}"))
        elif not _hashes(package):
            without.append((package.name, "locked without a secure hash"))
    if without:
        name, what = without[0]
        raise LockError(
            path,
            f"{name} has no hash to export: it is {what}",
            hint=f"leave it out: --no-install-package {name}; or leave the hashes out: --no-hashes",
        )


def _parents(packages: Iterable[Package]) -> Mapping[NormalizedName, set[str]]:
    found: dict[NormalizedName, set[str]] = defaultdict(set)
    for package in packages:
        for one in package.dependencies or ():
            found[one["name"]].add(package.name)
    return found
