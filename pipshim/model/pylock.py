"""The lock: PEP 751's pylock.toml, with pipshim's additions in tool tables.

``[packages.tool.pipshim.build]`` says how a package is built. ``[tool.pipshim]`` lists the packages
of every build environment; each points to an entry with artifacts and hashes in ``[[packages]]`` or
in ``[[tool.pipshim.packages]]``.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from packaging.markers import Marker
from packaging.pylock import (
    Package,
    PackageArchive,
    PackageSdist,
    PackageWheel,
    Pylock,
    PylockUnsupportedVersionError,
    PylockValidationError,
)
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from pipshim import __version__
from pipshim.base import toml_files
from pipshim.base.errors import LockError
from pipshim.base.light.dataclasses import dataclass
from pipshim.base.urls import without_credentials
from pipshim.model.build_mode import Mode
from pipshim.model.combinations import PROJECT, Conflicts, any_of, membership
from pipshim.model.selection_preferences import checked
from pipshim.model.targets import TargetName

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.specifiers import SpecifierSet

    from pipshim.model.interpreter import TargetPython
    from pipshim.model.settings import ConfigSettings

LOCK_NAME = "pylock.toml"

FORMAT = 1
"""The version of the tool table."""


@dataclass(frozen=True)
class LockedBuild:
    """How a package is built.

    Attributes:
        chosen_by: the setting that chose it.
        backend: the build backend (PEP 517).
        requires: the declared build requirements.
        environment: the id of its locked environment; None without isolation.
        metadata_from: in a lock for several targets, the Python whose metadata counts for all.
        deferred: its build environment is resolved where it is built, because its backend could not
            run where it was locked; `environment` has the known part.
        config_settings: of its backend, if requirements were locked instead of a project.

    """

    mode: Mode
    chosen_by: str
    backend: str
    requires: tuple[str, ...]
    environment: str | None
    metadata_from: str | None = None
    deferred: bool = False
    config_settings: ConfigSettings = field(default_factory=dict, hash=False)

    def to_dict(self) -> dict[str, Any]:
        more = {
            "environment": self.environment,
            "metadata-from": self.metadata_from,
            "deferred": self.deferred,
            "config-settings": dict(sorted(self.config_settings.items())),
        }
        return {
            "mode": str(self.mode),
            "chosen-by": self.chosen_by,
            "backend": self.backend,
            "requires": [without_credentials(one) for one in self.requires],
            **_without_empty(more),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LockedBuild:
        return cls(
            mode=Mode(data["mode"]),
            chosen_by=str(data["chosen-by"]),
            backend=str(data["backend"]),
            requires=tuple(map(str, data["requires"])),
            environment=data.get("environment"),
            metadata_from=data.get("metadata-from"),
            deferred=bool(data.get("deferred", False)),
            config_settings=data.get("config-settings", {}),
        )


def _without_empty(said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if value}


def builds_as_dict(builds: Mapping[Any, LockedBuild]) -> dict[str, Any]:
    """Write how something is built in several cases: once, if all are alike."""
    if len(set(builds.values())) > 1:
        return {"builds": {case: one.to_dict() for case, one in sorted(builds.items())}}
    alike = next(iter(builds.values()), None)
    return {"build": alike.to_dict()} if alike is not None else {}


def builds_from_dict(data: Mapping[str, Any]) -> dict[str | None, LockedBuild]:
    """Read the output of `builds_as_dict`; the key None is valid in every case."""
    if "build" in data:
        return {None: LockedBuild.from_dict(data["build"])}
    return {case: LockedBuild.from_dict(one) for case, one in data.get("builds", {}).items()}


@dataclass(frozen=True)
class LockedFolder:
    """A project that is installed from its folder: the project itself, or an editable.

    Attributes:
        path: the folder, relative to the lock's.
        origins: what requires it.
        requires: what it requires; for the project itself, see the lock's `roots`.
        builds: how it is built, by case; the key None is valid in every case.
        cases: those that it is for; None for all.

    """

    path: str
    name: NormalizedName
    builds: Mapping[str | None, LockedBuild] = field(hash=False)
    origins: frozenset[str]
    requires: tuple[str, ...] = ()
    cases: tuple[str, ...] | None = None

    @property
    def build(self) -> LockedBuild:
        """How it is built in the one case of a lock, or in the first one."""
        return next(iter(self.builds.values()))

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "path": self.path,
            "for": sorted(self.origins),
            **_without_empty({"cases": [*(self.cases or ())], "requires": [*self.requires]}),
            **builds_as_dict(self.builds),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LockedFolder:
        builds = builds_from_dict(data)
        if not builds:
            raise KeyError("build")
        return cls(
            path=data["path"],
            name=canonicalize_name(data["name"]),
            builds=builds,
            origins=frozenset(data["for"]),
            requires=tuple(map(str, data.get("requires", ()))),
            cases=tuple(map(str, data["cases"])) if "cases" in data else None,
        )


@dataclass(frozen=True)
class Lock:
    """A lock, read or about to be written.

    Attributes:
        packages: the entries for run time, with markers.
        origins: what requires each, by name: ``project``, ``extra NAME``, ``group NAME``.
        builds: by key (`key_of`), how packages without a wheel for the target are built.
        build_packages: the entries that only build environments have.
        environments: by id, the keys of a build environment's packages.
        folders: what is installed from a folder, the project itself included.
        inputs: the digest of what the lock was made from.
        requirements: those given to ``pipshim lock`` instead of a project.
        roots: by origin, the requirements that it was resolved from, of this platform.
        by_hash: whether these restrict the files by hash: entries have no others.
        environment: the marker of the target; of several, a marker for any of them.
        targets: those of a lock for several (`pipshim.model.universal_lock`), whose entries carry
            their markers and tool tables.
        conflicts: the extras and groups that exclude each other; in a lock with some, entries carry
            their markers and tool tables too.
        targets_asked: the targets named on the command line.
        options: the preferences it was made with (`pipshim.model.selection_preferences`).
        default_groups: those that are installed by default.

    """

    packages: tuple[Package, ...]
    origins: Mapping[NormalizedName, frozenset[str]]
    builds: Mapping[str, LockedBuild] = field(default_factory=dict)
    build_packages: tuple[Package, ...] = ()
    environments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    folders: tuple[LockedFolder, ...] = ()
    inputs: str = ""
    requirements: tuple[str, ...] = ()
    roots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_hash: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    strategy: str = "highest"
    environment: Marker | None = None
    targets: tuple[TargetName, ...] = ()
    targets_asked: tuple[TargetName, ...] = ()
    conflicts: Conflicts = field(default_factory=Conflicts)
    requires_python: SpecifierSet | None = None
    extras: tuple[NormalizedName, ...] = ()
    groups: tuple[str, ...] = ()
    default_groups: tuple[str, ...] = ()

    @property
    def is_merged(self) -> bool:
        """Whether it is for several targets or combinations."""
        return bool(self.targets or self.conflicts)

    @property
    def versions(self) -> dict[NormalizedName, Version]:
        """The runtime pins."""
        return {one.name: one.version for one in self.packages if one.version is not None}

    @property
    def build_versions(self) -> dict[NormalizedName, tuple[Version, ...]]:
        """Every pin of each distribution in build environments, oldest first."""
        found: dict[NormalizedName, set[Version]] = {}
        known = self.by_key
        for members in self.environments.values():
            for package in map(known.__getitem__, members):
                if package.version is not None:
                    found.setdefault(package.name, set()).add(package.version)
        return {name: tuple(sorted(versions)) for name, versions in found.items()}

    @property
    def config_settings(self) -> dict[NormalizedName, ConfigSettings]:
        """The recorded config settings, by package."""
        names = {key: package.name for key, package in self.by_key.items()}
        found = {
            names[key]: one.config_settings for key, one in self.builds.items() if key in names
        }
        found |= {folder.name: folder.build.config_settings for folder in self.folders}
        return {name: settings for name, settings in found.items() if settings}

    @property
    def by_key(self) -> dict[str, Package]:
        return {key_of(one): one for one in (*self.build_packages, *self.packages)}

    def members(self, environment: str) -> tuple[Package, ...]:
        """Return the packages of a locked build environment.

        Raises:
            LockError: the lock does not have it whole.

        """
        known = self.by_key
        try:
            return tuple(known[key] for key in self.environments[environment])
        except KeyError as error:
            raise LockError(
                None,
                f"the lock's build environment {environment} has no entry for {error}",
                hint="recreate the lock: pipshim lock",
            ) from error


def key_of(package: Package) -> str:
    """Name an entry: by version if it is from an index, else by place and content."""
    if package.vcs is not None:
        return f"{package.name} @ {package.vcs.url}@{package.vcs.commit_id}"
    if package.directory is not None:
        return f"{package.name} @ {package.directory.path}"
    if package.archive is not None:
        return f"{package.name} @ {package.archive.url or package.archive.path}"
    return f"{package.name}=={package.version}"


def table_of(package: Package) -> dict[str, Any]:
    """Return the tool table of a package; empty if another tool locked it."""
    return (package.tool or {}).get("pipshim") or {}


def requires_of(package: Package) -> tuple[str, ...]:
    """Return the requirements of a package, as its metadata writes them."""
    return tuple(table_of(package).get("requires", ()))


def environment_id(packages: Iterable[Package]) -> str:
    """Name a build environment after its packages."""
    text = "\n".join(sorted(key_of(one) for one in packages))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def marker_of(origins: frozenset[str]) -> Marker | None:
    """Return the PEP 751 marker for the selections that include a package."""
    if PROJECT in origins or not origins:
        return None
    return Marker(" or ".join(map(membership, sorted(origins))))


def target_marker(target: TargetPython) -> Marker:
    """Return the marker for the environments that a lock for this target serves."""
    keys = ("implementation_name", "platform_machine", "python_version", "sys_platform")
    return Marker(" and ".join(f'{key} == "{target.markers[key]}"' for key in keys))


def write(lock: Lock, directory: Path) -> str:
    """Write a lock as TOML, sorted, so that equal locks are equal bytes.

    Args:
        directory: its folder; paths in the lock become relative to it.

    """
    import tomli_w  # noqa: PLC0415 only where a lock is written

    packages = []
    for package in sorted(lock.packages, key=_order):
        origins = lock.origins.get(package.name, frozenset())
        entry = _entry(lock, package, directory, {"for": sorted(origins)})
        packages.append(entry if lock.is_merged else replace(entry, marker=marker_of(origins)))
    environments = [one.marker for one in lock.targets]
    if not environments and lock.environment is not None:
        environments.append(lock.environment)
    pylock = Pylock(
        lock_version=Version("1.0"),
        environments=environments or None,
        requires_python=lock.requires_python,
        extras=list(lock.extras) or None,
        dependency_groups=list(lock.groups) or None,
        default_groups=list(lock.default_groups) or None,
        created_by="pipshim",
        packages=packages,
        tool={"pipshim": _table(lock, directory)},
    )
    return "# Made by pipshim. Do not edit: change pyproject.toml and run pipshim lock.\n" + (
        tomli_w.dumps(dict(pylock.to_dict()))
    )


def _table(lock: Lock, directory: Path) -> dict[str, Any]:
    """Return pipshim's table, without empty values."""
    entries = [
        _entry(lock, package, directory, {}) for package in sorted(lock.build_packages, key=_order)
    ]
    folders = sorted(lock.folders, key=lambda one: one.path)
    said: dict[str, Any] = {
        "targets": [str(one) for one in lock.targets],
        "targets-asked": [str(one) for one in lock.targets_asked],
        "conflicts": [list(members) for members in lock.conflicts.sets],
        "included-by": {
            member: list(by) for member, by in sorted(lock.conflicts.included_by.items())
        },
        "requirements": [without_credentials(one) for one in lock.requirements],
        "roots": {origin: list(found) for origin, found in sorted(lock.roots.items())},
        "by-hash": lock.by_hash,
        "strategy": lock.strategy if lock.strategy != "highest" else None,
        "options": dict(sorted(lock.options.items())),
        "folders": [one.to_dict() for one in folders],
        "build-environments": {
            name: list(members) for name, members in sorted(lock.environments.items())
        },
        "packages": as_dicts(entries) if entries else [],
    }
    return {"version": FORMAT, "inputs": lock.inputs, **_without_empty(said)}


def _entry(lock: Lock, package: Package, directory: Path, said: Mapping[str, Any]) -> Package:
    """Return a package with its tool table; a lock for several cases has it already."""
    placed = _placed(package, directory)
    if lock.is_merged:
        return placed
    build = lock.builds.get(key_of(package))
    return replace(
        placed,
        tool=tool_table(
            {
                **said,
                "requires": list(requires_of(package)),
                "build": build.to_dict() if build is not None else None,
            }
        ),
    )


def tool_table(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a package's tool table, without empty values."""
    table = _without_empty(said)
    return {"pipshim": table} if table else None


def read(path: Path) -> Lock:
    """Read a lock of any tool.

    Raises:
        LockError: damaged, or of a newer version.

    """
    try:
        data = toml_files.read(path)
    except OSError as error:
        raise LockError(path, f"cannot be read: {error.strerror}") from error
    except toml_files.TomlError as error:
        raise _damaged(path, error.problem, error.line) from error
    table = ""
    try:
        _decode_file_names(data)
        pylock = Pylock.from_dict(data)
        table = "[tool.pipshim] "
        ours = (data.get("tool") or {}).get("pipshim", {})
        version = ours.get("version", FORMAT)
        if not isinstance(version, int):
            raise _damaged(path, f"{table}version is {version!r}, not a number")
        if version > FORMAT:
            raise _too_new(path, f"the lock was made by a newer pipshim than this ({__version__})")
        return _lock(pylock, ours)
    except PylockUnsupportedVersionError as error:
        version = data.get("lock-version")
        problem = f"lock-version is {version}, which is newer than this pipshim reads"
        raise _too_new(path, problem) from error
    except PylockValidationError as error:
        raise _damaged(path, f"{table}{error}") from error
    except RecursionError as error:
        raise _damaged(path, "a marker is nested too deeply") from error
    except KeyError as error:
        raise _damaged(path, f"{table}lacks {error}") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise _damaged(path, f"{table}is not as pipshim writes it") from error


def _decode_file_names(data: Mapping[str, Any]) -> None:
    """Decode file names that another tool has copied from URLs.

    No valid name of a wheel or sdist contains a percent sign.
    """
    packages = data.get("packages")
    for package in packages if isinstance(packages, list) else ():
        if not isinstance(package, dict):
            continue
        wheels = package.get("wheels")
        for file in (*(wheels if isinstance(wheels, list) else ()), package.get("sdist")):
            if isinstance(file, dict) and isinstance(name := file.get("name"), str):
                file["name"] = unquote(name)


def _lock(pylock: Pylock, ours: Mapping[str, Any]) -> Lock:
    extra = ours.get("packages", [])
    wrapped = {"lock-version": "1.0", "created-by": "pipshim", "packages": extra}
    build_packages = Pylock.from_dict(wrapped).packages if extra else ()
    origins: dict[NormalizedName, frozenset[str]] = {}
    for package in pylock.packages:
        of = table_of(package).get("for", ())
        origins[package.name] = origins.get(package.name, frozenset()) | set(of)
    builds: dict[str, LockedBuild] = {}
    for package in (*pylock.packages, *build_packages):
        for build in builds_from_dict(table_of(package)).values():
            builds.setdefault(key_of(package), build)
    return Lock(
        packages=tuple(pylock.packages),
        origins=origins,
        builds=builds,
        build_packages=tuple(build_packages),
        environments={
            name: tuple(members) for name, members in ours.get("build-environments", {}).items()
        },
        folders=tuple(LockedFolder.from_dict(one) for one in ours.get("folders", [])),
        inputs=str(ours.get("inputs", "")),
        requirements=tuple(ours.get("requirements", ())),
        roots={origin: tuple(found) for origin, found in ours.get("roots", {}).items()},
        by_hash=bool(ours.get("by-hash", False)),
        environment=any_of(map(str, pylock.environments or ())),
        targets=tuple(map(TargetName.parse, ours.get("targets", ()))),
        targets_asked=tuple(map(TargetName.parse, ours.get("targets-asked", ()))),
        conflicts=Conflicts(
            tuple(tuple(map(str, members)) for members in ours.get("conflicts", ())),
            {member: tuple(by) for member, by in ours.get("included-by", {}).items()},
        ),
        options=checked(ours.get("options", {})),
        strategy=str(ours.get("strategy", "highest")),
        requires_python=pylock.requires_python,
        extras=tuple(pylock.extras or ()),
        groups=tuple(pylock.dependency_groups or ()),
        default_groups=tuple(pylock.default_groups or ()),
    )


def _too_new(path: Path, problem: str) -> LockError:
    hint = "upgrade pipshim, or recreate the lock: pipshim lock --upgrade"
    return LockError(path, problem, hint=hint)


def _damaged(path: Path, why: str, line: int | None = None) -> LockError:
    return LockError(
        path,
        f"the lock is damaged: {why}",
        line=line,
        hint="recreate it: pipshim lock --upgrade",
    )


def _order(package: Package) -> tuple[str, str, str]:
    return package.name, key_of(package), str(package.marker or "")


def as_dicts(packages: list[Package]) -> list[dict[str, Any]]:
    """Return the entries of packages as plain data."""
    pylock = Pylock(lock_version=Version("1.0"), created_by="pipshim", packages=packages)
    return [dict(one) for one in pylock.to_dict()["packages"]]


def _placed(package: Package, directory: Path) -> Package:
    """Make local files and folders relative to the lock where possible."""
    changes: dict[str, Any] = {}
    if package.directory is not None:
        path = Path(os.path.relpath(package.directory.path, directory)).as_posix()
        changes["directory"] = replace(package.directory, path=path)
    if package.archive is not None:
        changes["archive"] = _near(package.archive, directory)
    if package.sdist is not None:
        changes["sdist"] = _near(package.sdist, directory)
    if package.wheels:
        changes["wheels"] = [_near(wheel, directory) for wheel in package.wheels]
    return replace(package, **changes) if changes else package


def _near(
    artifact: PackageWheel | PackageSdist | PackageArchive, directory: Path
) -> PackageWheel | PackageSdist | PackageArchive:
    if artifact.url is None or not artifact.url.startswith("file:"):
        return artifact
    path = Path(url2pathname(urlsplit(artifact.url).path))
    for file, folder in ((path, directory), (path.resolve(), directory.resolve())):
        if file.is_relative_to(folder):
            return replace(artifact, path=file.relative_to(folder).as_posix(), url=None)
    return artifact
