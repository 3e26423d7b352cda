"""The inputs of a lock: their digest, and whether a lock is up to date with them.

Nothing is read for it but the files that the inputs name. Index URLs do not count: a project may be
locked through mirrors, and URLs may have credentials.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.pylock import is_valid_pylock_path
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipshim.base import toml_files
from pipshim.model.pylock import requires_of
from pipshim.project.static_metadata import editable_may_require_more

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.envs.base_environment import BaseEnvironment
    from pipshim.lock.services import LockServices
    from pipshim.model.build_settings import Settings
    from pipshim.model.project import Project
    from pipshim.model.pylock import Lock
    from pipshim.model.requests import LockOptions
    from pipshim.model.targets import TargetName

_INDEX_OPTIONS = frozenset({"index-url", "extra-index-url", "no-index", "find-links"})
_DEPENDENCIES = frozenset({"dependencies", "optional-dependencies"})


def out_of_date(context: LockServices, lock: Lock | None) -> str | None:
    """Return why a lock does not serve the inputs; None if it does."""
    if lock is None:
        return "there is no lock file"
    if not lock.inputs:
        return "it was not made by pipshim"
    if lock.inputs != context.inputs:
        return "its inputs have changed"
    if lock.targets:
        return None
    if lock.environment is not None and not lock.environment.evaluate(dict(context.target.markers)):
        return f"it is for another Python or platform ({lock.environment})"
    return None


def is_up_to_date(context: LockServices, lock: Lock) -> bool:
    """Return whether ``pipshim lock`` need not resolve, as nothing would change.

    The index URLs of variables and pip.conf do not count, as for ``lock --check``; those of the
    command line do.
    """
    typed = context.request.lock.preferences.typed
    return (
        depends_on_inputs_alone(context, lock)
        and not typed & _INDEX_OPTIONS
        and out_of_date(context, lock) is None
        and _is_complete(lock, context.project.name if context.project is not None else None)
    )


def depends_on_inputs_alone(context: LockServices, lock: Lock) -> bool:
    """Return whether a lock depends on nothing but the command line and the digest of its inputs.

    A backend may read any file of its source tree, and a file at a URL may change.
    """
    asked = context.request.lock
    if asked.upgrade or asked.upgrade_packages or asked.given or context.request.build.rebuild:
        return False
    if asked.output == "-" or not is_valid_pylock_path(context.lock_path):
        return False
    constraints = (*asked.constraints, *context.request.build.build_constraints)
    return requirement_files(constraints) is not None and not _depends_on_files(context, lock)


def _depends_on_files(context: LockServices, lock: Lock) -> bool:
    """Return whether the metadata of a local source tree or archive counts."""
    if context.project is not None and (
        context.project.dynamic & _DEPENDENCIES or context.project.dynamic_members
    ):
        return True
    for package in lock.packages:
        archive = package.archive
        is_local = archive is not None and (archive.url or "file:").startswith("file:")
        if package.directory is not None or is_local:
            return True
    base = context.lock_path.parent
    folders = {(base / folder.path).resolve() for folder in lock.folders}
    projects = [
        table(one / "pyproject.toml", "project") for one in folders - {context.directory.resolve()}
    ]
    return any(
        not isinstance(one, dict) or _DEPENDENCIES & set(one.get("dynamic", ())) for one in projects
    )


def _is_complete(lock: Lock, project: NormalizedName | None) -> bool:
    """Return whether a lock has everything required; someone may have edited it by hand."""
    versions: dict[NormalizedName, set[Version | None]] = {}
    for package in lock.packages:
        versions.setdefault(package.name, set()).add(package.version)
    for folder in lock.folders:
        versions.setdefault(folder.name, set()).add(None)
    try:
        requirements = [Requirement(text) for text in dict.fromkeys(_requirements(lock))]
    except InvalidRequirement:
        return False
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if name != project and not any(
            version is None or requirement.specifier.contains(version, prereleases=True)
            for version in versions.get(name, ())
        ):
            return False
    known = lock.by_key
    return all(key in known for members in lock.environments.values() for key in members)


def _requirements(lock: Lock) -> Iterator[str]:
    for texts in lock.roots.values():
        yield from texts
    for package in lock.packages:
        yield from requires_of(package)
    for folder in lock.folders:
        yield from folder.requires


_DYNAMIC_FILES = ("setup.py", "setup.cfg", "pyproject.toml")
_INCLUDE = re.compile(r"\s*(?:-r|--requirement|-c|--constraint)(?:\s+|=|(?<=-[rc]))(?P<path>\S+)")
_EDITABLE = re.compile(r"\s*(?:-e|--editable)(?:\s+|=|(?<=-e))")


def digest(
    project: Project | None,
    settings: Settings,
    given: LockOptions,
    build_constraints: Iterable[str],
    selection: Mapping[str, Any],
    targets: Iterable[TargetName] = (),
    below: BaseEnvironment | None = None,
) -> str:
    """Digest the inputs.

    Args:
        project: what is locked, unless requirements are given.
        given: the requirements and constraints of the command line.
        build_constraints: files.
        selection: which versions and files are chosen (`pipshim.model.selection_preferences`).
        targets: the targets of the lock.
        below: the environment below the layer that is locked.

    Returns:
        ``sha256:`` and a hex digest.

    """
    data: dict[str, Any] = {
        "build": settings.as_data(),
        "build-constraint-files": [_content(path) for path in build_constraints],
        "constraint-files": [_files(path) for path in given.constraints],
        "selection": {key: selection[key] for key in sorted(selection)},
        "targets": sorted(map(str, targets)),
    }
    if below is not None:
        data["below"] = {name: str(one.version) for name, one in sorted(below.present.items())}
        data["below-direct"] = sorted(below.pinned())
    if project is not None:
        data["constraints"] = _texts(project.configuration.constraint_dependencies)
        data["overrides"] = _texts(project.configuration.override_dependencies)
    if given.given:
        data["given"] = requirements_given(given)
        data["files"] = [_files(path) for path in given.requirement_files]
        data["folders"] = _folders((*given.requirements, *given.editables))
        data["scripts"] = [_content(path) for path in given.scripts]
        data["groups"] = [table(Path(path), "dependency-groups") for path, _ in given.groups]
    elif project is not None:
        data |= _of_project(project)
    text = json.dumps(data, sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _of_project(project: Project) -> dict[str, Any]:
    """Return the inputs in a project's own lists and tables."""
    configuration = project.configuration
    extras, groups = project.optional_dependencies, project.dependency_groups
    about = {
        "name": project.name,
        "requires-python": str(project.requires_python or ""),
        "dependencies": _texts(project.dependencies),
        "extras": {name: _texts(found) for name, found in sorted(extras.items())},
        "groups": {name: _texts(found) for name, found in sorted(groups.items())},
        "default-groups": list(project.default_groups),
        "package": configuration.package,
        "build-system": (
            table(project.directory / "pyproject.toml", "build-system")
            if project.has_build_system
            else None
        ),
        "folders": _folders(
            one.url for found in project.lists.values() for one in found if one.url is not None
        ),
    }
    data: dict[str, Any] = {"project": about}
    if editable_requires_more(project):
        data["editable"] = True
    if project.conflicts:
        data["conflicts"] = [sorted(members) for members in project.conflicts.sets]
        data["included-by"] = sorted(project.conflicts.included_by.items())
    if configuration.sources:
        data["sources"] = _sources(project)
    if configuration.index:
        data["index"] = [vars(index) for index in configuration.index]
    if configuration.exclude_newer_package:
        data["exclude-newer-package"] = dict(configuration.exclude_newer_package)
    if {"dependencies", "optional-dependencies"} & project.dynamic:
        data["dynamic"] = _folder(project.directory)
    for member in project.dynamic_members:
        data[f"dynamic {member.name}"] = _folder(member.directory)
    return data


def requirements_given(given: LockOptions) -> list[str]:
    """Return requirements as they were typed; the lock keeps them."""
    return [
        *given.requirements,
        *(f"-r {path}" for path in given.requirement_files),
        *(f"-e {path}" for path in given.editables),
        *(f"--requirements-from-script {path}" for path in given.scripts),
        *(f"--group {path}:{group}" for path, group in given.groups),
    ]


def editable_requires_more(project: Project) -> bool:
    """Return whether the project is installed, and its editable wheel may require more."""
    return project.is_package and editable_may_require_more(project.directory)


def _sources(project: Project) -> dict[str, Any]:
    return {
        name: [
            [
                entry.path,
                entry.url,
                entry.editable,
                _folder(entry.place(project.directory)) if entry.path is not None else None,
                entry.index,
                str(entry.marker),
                *([entry.origin] if entry.origin is not None else []),
            ]
            for entry in entries
        ]
        for name, entries in sorted(project.configuration.sources.items())
    }


def _texts(requirements: Iterable[Requirement]) -> list[str]:
    return sorted(str(one) for one in requirements)


def _content(path: str) -> str:
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError:
        return path  # a URL, or pip will say what is wrong with it


def requirement_files(paths: Iterable[str]) -> list[str] | None:
    """Return requirements files and all that they include; None if that is uncertain.

    A file at a URL, or one that uses variables, can change unnoticed.
    """
    found: dict[str, None] = {}
    waiting = list(paths)
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found[path] = None
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return None
        if "${" in text:
            return None
        waiting += _included(path, text)
    return list(found)


def _included(path: str, text: str) -> list[str]:
    """Return the paths and URLs that the text of a requirements file includes."""
    paths = [match["path"] for match in map(_INCLUDE.match, text.splitlines()) if match]
    return [one if "://" in one else str(Path(path).parent / one) for one in paths]


def _files(path: str, above: frozenset[str] = frozenset()) -> list[Any]:
    """Digest a requirements file, the files that it includes and the folders that it names."""
    found: list[Any] = [_content(path)]
    if path in above or not Path(path).is_file():
        return found
    text = Path(path).read_text(encoding="utf-8", errors="replace")
    inner = [one if "://" in one else _files(one, above | {path}) for one in _included(path, text)]
    return [*found, *inner, *_folders(text.splitlines())]


def _folders(requirements: Iterable[str]) -> list[list[str | None]]:
    """Digest the local source trees among requirements."""
    found = []
    for text in requirements:
        bare = _EDITABLE.sub("", text.partition(" #")[0]).partition(";")[0].strip()
        bare = bare.rpartition(" @ ")[2].strip()
        if bare.startswith("file:"):
            directory = Path(url2pathname(urlsplit(bare).path))
        else:
            directory = Path(bare.partition("[")[0].strip() or "-")
        if any((directory / name).is_file() for name in _DYNAMIC_FILES):
            found.append(_folder(directory))
    return found


def _folder(directory: Path) -> list[str | None]:
    """Digest the metadata of a source tree; its location does not count."""
    files = [directory / name for name in _DYNAMIC_FILES]
    return [_content(str(file)) if file.is_file() else None for file in files]


def table(path: Path, name: str) -> Any:
    """Read one table of a TOML file; None without it."""
    try:
        return toml_files.read(path).get(name)
    except (OSError, ValueError):
        return None  # whoever needs it will say what is wrong with it
