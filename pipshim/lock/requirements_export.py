"""Write a lock as a requirements file, with hashes for ``--require-hashes``."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim.base.errors import LockError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.urls import without_credentials
from pipshim.model.pylock import key_of, table_of
from pipshim.model.requirements import simplified
from pipshim.model.selection import chosen_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.markers import Marker
    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.model.pylock import Lock, LockedFolder
    from pipshim.model.requests import ExportOptions, SelectionOptions

_HASHES = ("sha256", "sha384", "sha512")
"""What pip takes for ``--hash`` (``pip._internal.utils.hashes.STRONG_HASHES``)."""


@dataclass(frozen=True)
class Where:
    """The path of the lock, and the directory in which pip will run."""

    path: Path
    directory: Path

    def relative(self, path: str) -> str:
        """Return a path of the lock in a form that pip does not take for a name."""
        found = Path(os.path.relpath(self.path.parent / path, self.directory)).as_posix()
        return found if found.startswith(".") else f"./{found}"


def write(
    lock: Lock,
    options: SelectionOptions,
    style: ExportOptions,
    where: Where,
    project: NormalizedName | None = None,
) -> str:
    """Write the selected part of a lock in the format of requirements files.

    The project itself is left out, as its hash would change with every edit.

    Args:
        style: what to write besides.
        where: the folders of relative paths.
        project: which of the lock's folders is the project, if it is not the lock's own.

    Raises:
        UnknownNameError: the lock has no such extra or group.
        LockError: hashes are asked for, and something has none.

    """
    path = where.path
    chosen = chosen_of(lock, options, path)
    lock.conflicts.chosen_by(chosen.origins)  # refuses what excludes each other
    extras, groups, wanted = chosen.extras, chosen.groups, chosen.origins
    selected: list[tuple[Package, Marker | None]] = []
    for package in lock.packages:
        # Entries of a name may be for different parts of the project on different targets.
        of = frozenset(table_of(package).get("for", lock.origins.get(package.name, ())))
        if package.name in options.no_install_packages or (of and not of & wanted):
            continue
        marker = reduced(package.marker, extras=extras, groups=groups)
        if marker is not False:
            selected.append((package, None if marker is True else marker))
    folders = [
        one
        for one in lock.folders
        if one.origins & wanted
        and one.name not in options.no_install_packages
        and (lock.requirements or not (one.name == project or one.path == "."))
    ]
    if style.hashes:
        _refuse_unhashed([package for package, _ in selected], folders, path)
    parts = [
        f"{kind}: {', '.join(sorted(names))}"
        for kind, names in (("extras", extras), ("groups", groups))
        if names
    ]
    about = f" ({'; '.join(parts)})" if parts else ""
    lines = _header(lock, where, about) if style.header else []
    lines += [f"-e {where.relative(one.path)}" for one in folders]
    return "".join(f"{line}\n" for line in [*lines, *_entries(selected, style, where)])


def write_build(lock: Lock, name: NormalizedName, style: ExportOptions, where: Where) -> str:
    """Write the locked build environment of a package, or of the project, in the same format.

    Args:
        style: what to write besides.
        where: the folders of relative paths.

    Raises:
        LockError: the lock has no such build, or hashes are asked for, and something has none.

    """
    built = {one.name: lock.builds.get(key_of(one)) for one in lock.packages}
    built |= {one.name: one.build for one in lock.folders}
    build = built.get(name)
    if build is not None and build.deferred:
        raise LockError(
            where.path,
            f"the build environment of {name} is unknown until it is built",
            hint=f"lock where it can be asked: pipshim lock -P {name}; or state build-requires in "
            "[[tool.pipshim.dependency-metadata]]",
        )
    if build is None or build.environment is None:
        why = f"{name} is built without isolation" if build is not None else f"{name} is not built"
        raise LockError(where.path, f"the lock has no build environment for {name}: {why}")
    members = lock.members(build.environment)
    if style.hashes:
        _refuse_unhashed(members, (), where.path)
    lines = _header(lock, where, f" (the build of {name})") if style.header else []
    entries = _entries([(package, None) for package in members], style, where)
    return "".join(f"{line}\n" for line in [*lines, *entries])


def _header(lock: Lock, where: Where, about: str) -> list[str]:
    lines = [f"# Made by pipshim export from {where.path.name}{about}."]
    if lock.environment is not None:
        lines.append(f"# For {lock.environment}")
    return lines


def _entries(
    selected: Sequence[tuple[Package, Marker | None]], style: ExportOptions, where: Where
) -> Iterator[str]:
    parents = _parents(package for package, _ in selected)
    for package, marker in sorted(selected, key=lambda pair: pair[0].name):
        line = _requirement(package, where)
        if marker is not None:
            line += f" ; {marker}"
        hashes = [f"    --hash={one}" for one in (_hashes(package) if style.hashes else ())]
        yield " \\\n".join([line, *hashes])
        if style.annotate and parents[package.name]:
            yield f"    # via {', '.join(sorted(parents[package.name]))}"


def _requirement(package: Package, where: Where) -> str:
    if package.vcs is not None:
        vcs = package.vcs
        if vcs.url is None:
            url = (where.path.parent / (vcs.path or "")).resolve().as_uri()
        else:
            url = without_credentials(vcs.url)
        return f"{package.name} @ {vcs.type}+{url}@{vcs.commit_id}{_part(vcs.subdirectory)}"
    if package.directory is not None:
        folder = Path(package.directory.path, package.directory.subdirectory or "")
        editable = "-e " if package.directory.editable else ""
        return f"{editable}{where.relative(str(folder))}"
    if package.archive is not None:
        archive = package.archive
        if archive.url is None:
            return where.relative(archive.path or "")
        return f"{package.name} @ {without_credentials(archive.url)}{_part(archive.subdirectory)}"
    return f"{package.name}=={package.version}"


def _part(subdirectory: str | None) -> str:
    return f"#subdirectory={subdirectory}" if subdirectory else ""


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
    """Check that everything has hashes, as pip does with ``--require-hashes``."""
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


def reduced(
    marker: Marker | None, *, extras: Collection[str], groups: Collection[str]
) -> Marker | bool:
    """Evaluate the selected extras and groups in a marker; conditions on the environment stay."""
    selected = {"extras": extras, "dependency_groups": groups}

    def decide(left: str, operator: str, right: str) -> bool | None:
        if right not in selected:
            return None
        return (canonicalize_name(left.strip("\"'")) in selected[right]) is (operator == "in")

    return simplified(marker, decide)
