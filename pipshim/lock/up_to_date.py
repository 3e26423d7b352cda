"""Decide whether a lock is up to date, and whether to resolve anyway."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.pylock import is_valid_pylock_path
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pipshim.lock import inputs_digest
from pipshim.model.pylock import requires_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from pipshim.lock.services import LockServices
    from pipshim.model.pylock import Lock

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
    typed = context.request.lock.said.typed
    return (
        may_be_kept(context, lock)
        and not typed & _INDEX_OPTIONS
        and out_of_date(context, lock) is None
        and _is_complete(lock, context.project.name if context.project is not None else None)
    )


def may_be_kept(context: LockServices, lock: Lock) -> bool:
    """Return whether a lock depends on nothing but the command line and the digest of its inputs.

    A backend may read any file of its source tree, and a file at a URL may change.
    """
    asked = context.request.lock
    if asked.upgrade or asked.upgrade_packages or asked.given or context.request.build.rebuild:
        return False
    if asked.output == "-" or not is_valid_pylock_path(context.lock_path):
        return False
    constraints = (*asked.constraints, *context.request.build.build_constraints)
    return inputs_digest.requirement_files(constraints) is not None and not _depends_on_files(
        context, lock
    )


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
    return not all(map(_is_static, folders - {context.directory.resolve()}))


def _is_static(folder: Path) -> bool:
    """Return whether pyproject.toml states the dependencies, so that no backend is needed."""
    project = inputs_digest.table(folder / "pyproject.toml", "project")
    return isinstance(project, dict) and not _DEPENDENCIES & set(project.get("dynamic", ()))


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
