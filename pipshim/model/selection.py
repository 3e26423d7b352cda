"""Select the part of a lock to install: extras, groups, the project and its editables. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from packaging.utils import canonicalize_name
from packaging.version import Version

from pipshim.base.errors import LockError, UnknownNameError
from pipshim.base.light.dataclasses import dataclass
from pipshim.model.combinations import PROJECT, selected
from pipshim.model.targets import target_of_markers

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from packaging.pylock import Package
    from packaging.utils import NormalizedName

    from pipshim.model.project import Project
    from pipshim.model.pylock import Lock, LockedFolder
    from pipshim.model.requests import SelectionOptions
    from pipshim.model.targets import TargetName


@dataclass(frozen=True)
class Selection:
    """The part of a lock to install: packages by name, and projects installed from folders."""

    packages: Mapping[NormalizedName, Package]
    folders: tuple[LockedFolder, ...]


def select(
    lock: Lock,
    options: SelectionOptions,
    environment: Mapping[str, str],
    path: Path,
    project: NormalizedName | None = None,
) -> Selection:
    """Choose by extras and groups.

    Args:
        environment: the target's markers.
        path: of the lock, for errors.
        project: which of the lock's folders is the project; None: each counts as one.

    Raises:
        UnknownNameError: the lock has no such extra or group.
        LockError: two versions of a package are chosen, or the lock or a package is for another
            Python.

    """
    check_environment(lock, environment, path)
    origins = chosen_of(lock, options, path).origins
    values: dict[str, str | AbstractSet[str]] = {**environment, **selected(origins)}
    left_out = set(options.no_install_packages)
    if options.no_install_local:
        left_out.update(one.name for one in lock.folders)
        left_out.update(one.name for one in lock.packages if _is_local(one))
    if options.no_install_project:
        left_out.update([project] if project else (one.name for one in lock.folders))
    packages: dict[NormalizedName, Package] = {}
    for package in lock.packages:
        of = lock.origins.get(package.name)
        if of:
            wanted = bool(of & origins)
        else:  # another tool's lock
            wanted = package.marker is None or package.marker.evaluate(values, context="lock_file")
        if not wanted or package.name in left_out:
            continue
        if package.name in packages:
            raise LockError(path, f"the lock has more than one {package.name} for this environment")
        if not lock.options.get("ignore-requires-python"):
            _check_python(package, environment, path)
        packages[package.name] = package
    folders = tuple(
        one for one in lock.folders if one.origins & origins and one.name not in left_out
    )
    return Selection(packages, folders)


def check_names(
    options: SelectionOptions, *, extras: Collection[str], groups: Collection[str], where: str
) -> None:
    """Check that selected names exist, before a lock is made for them.

    Raises:
        UnknownNameError: there is no such extra or group.

    """
    asked = {
        "extra": (extras, (*options.extras, *options.no_extras)),
        "group": (groups, (*options.groups, *options.only_groups, *options.no_groups)),
    }
    for kind, (known, names) in asked.items():
        normalized = set(map(canonicalize_name, known))
        for name in names:
            if name not in normalized:
                raise UnknownNameError(kind, name, tuple(known), where)


class Chosen(NamedTuple):
    """The selected extras and groups, and whether what the project itself depends on is too."""

    extras: set[NormalizedName]
    groups: set[NormalizedName]
    base: bool

    @property
    def origins(self) -> frozenset[str]:
        """Whose requirements are selected: ``project``, ``extra NAME``, ``group NAME``."""
        names = [f"extra {name}" for name in self.extras] + [f"group {n}" for n in self.groups]
        return frozenset([*names, PROJECT] if self.base else names)


def choose(
    options: SelectionOptions,
    extras: Iterable[str],
    groups: Iterable[str],
    default_groups: Iterable[str],
) -> Chosen:
    """Return the selected ones of some extras and groups, default groups included."""
    has_extras, has_groups = (set(map(canonicalize_name, known)) for known in (extras, groups))
    chosen = has_extras if options.all_extras else has_extras & set(options.extras)
    asked = set(options.only_groups or options.groups)
    if options.all_groups and not options.only_groups:
        asked = has_groups
    elif not (options.only_groups or options.no_default_groups):
        asked |= set(map(canonicalize_name, default_groups))
    left_out = {*options.no_groups, *(["dev"] if options.no_dev else [])}
    return Chosen(
        chosen - set(options.no_extras), (asked & has_groups) - left_out, not options.only_groups
    )


def check_selection(options: SelectionOptions, project: Project) -> None:
    """Check that a selection can be installed, before a lock is made for it.

    Args:
        options: the selection, in terms of a workspace's root.
        project: the root, or a project without a workspace.

    Raises:
        UnknownNameError: there is no such extra or group.
        UsageError: two extras or groups exclude each other.

    """
    extras: tuple[str, ...] = tuple(project.optional_dependencies)
    groups: tuple[str, ...] = tuple(project.dependency_groups)
    in_workspace = project.workspace is not None  # its names were checked as those of members
    if in_workspace or "optional-dependencies" in project.dynamic:
        extras += (*options.extras, *options.no_extras)
    if in_workspace:
        groups += (*options.groups, *options.only_groups, *options.no_groups)
    defaults = project.default_groups
    check_names(options, extras=extras, groups=groups, where=project.file.name)
    if project.conflicts:
        project.conflicts.chosen_by(choose(options, extras, groups, defaults).origins)


def check_environment(lock: Lock, environment: Mapping[str, str], path: Path) -> None:
    """Check that a lock serves an environment.

    Raises:
        LockError: it is for another Python or platform.

    """
    if lock.targets:
        check_target(lock.targets, environment, path)
    values = dict(environment)
    here = (
        f"{values['implementation_name']} {values['python_version']} on "
        f"{values['sys_platform']} {values['platform_machine']}"
    )
    if lock.environment is not None and not lock.environment.evaluate(values):
        raise LockError(
            path,
            f"the lock is for another Python or platform than {here}\n"
            f"  it is for {lock.environment}",
            hint="choose a matching environment with --python, or lock for this one: pipshim lock",
        )
    version = values["python_full_version"]
    if lock.requires_python is not None and not lock.requires_python.contains(
        version, prereleases=True
    ):
        raise LockError(
            path,
            f"the lock requires Python {lock.requires_python}, this environment has {version}",
            hint="choose another Python with --python",
        )


def _check_python(package: Package, environment: Mapping[str, str], path: Path) -> None:
    """Check a package's Requires-Python, as every reader of a lock has to (PEP 751)."""
    full = environment["python_full_version"]
    # A pre-release of a Python counts as the release, as it does to pip.
    if package.requires_python is not None and not package.requires_python.contains(
        Version(full).base_version
    ):
        raise LockError(
            path,
            f"{package.name} {package.version} requires Python {package.requires_python}, this "
            f"environment has {full}",
            hint="choose another Python with --python, or require an older "
            f"{package.name} in pyproject.toml",
        )


def check_target(targets: Sequence[TargetName], environment: Mapping[str, str], path: Path) -> None:
    """Check that an environment is one of the targets of a lock.

    Raises:
        LockError: it is not; it names the targets, and the line that adds this one.

    """
    name = target_of_markers(environment)
    if name in targets:
        return
    here = (
        str(name)
        if name is not None
        else (
            f"{environment['platform_python_implementation']} {environment['python_version']} on "
            f"{environment['sys_platform']} {environment['platform_machine']}, which has no name"
        )
    )
    line = f"target-environments = {json.dumps([str(one) for one in (*targets, name)])}"
    other = "choose an environment of one of them with --python"
    raise LockError(
        path,
        f"the lock is not for this environment ({here})\n"
        f"  it is for {', '.join(map(str, targets))}",
        hint=other
        if name is None
        else f"{other}; or add this one, under [tool.pipshim] in pyproject.toml:\n    {line}",
    )


def chosen_of(lock: Lock, options: SelectionOptions, path: Path) -> Chosen:
    """Return the selected extras and groups of a lock, default groups included.

    Raises:
        UnknownNameError: the lock has no such extra or group.

    """
    check_names(options, extras=lock.extras, groups=lock.groups, where=path.name)
    return choose(options, lock.extras, lock.groups, lock.default_groups)


def _is_local(package: Package) -> bool:
    archive = package.archive
    return package.directory is not None or (archive is not None and archive.path is not None)
