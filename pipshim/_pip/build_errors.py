"""Translate errors of pipshim's builds into pip's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pip._internal import exceptions
from pip._internal.exceptions import (
    FailedToPrepareCandidate,
    InstallationError,
    MetadataGenerationFailed,
)
from pyproject_hooks import BackendUnavailable, HookMissing

from pipshim._pip.pip_texts import MISC
from pipshim.base.errors import (
    BuildCycleError,
    BuildError,
    BuildRequirementsError,
    Failures,
    ResolveError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pip._internal.exceptions import PipError

    from pipshim.base.errors import PipshimError

logger = logging.getLogger(MISC)

_STEPS = {"build requirements": "getting requirements to build wheel"}


def as_pip_error(error: PipshimError, named: Callable[[str], str]) -> PipError | None:
    """Return the error that pip would have raised; None if pip has no such error.

    Args:
        error: what went wrong before pip builds its wheels.
        named: returns a package's requirement as pip writes it.

    """
    if isinstance(error, Failures):
        return as_pip_error(error.errors[0], named)
    if isinstance(error, ResolveError) and error.build_of is not None:
        if error.conflicts:
            return _conflict(named(error.build_of), error.conflicts)
        return _not_prepared(error.build_of, "installing build dependencies")
    if not isinstance(error, BuildError):
        return None
    name = error.package.partition(" ")[0]
    if isinstance(error, BuildRequirementsError):
        if error.conflicts:
            return _conflict(named(name), error.conflicts, error.required_by)
        missing = ", ".join(map(repr, sorted(error.missing)))
        return InstallationError(
            f"Some build dependencies for {named(name)} are missing: {missing}."
        )
    if isinstance(error.__cause__, HookMissing):
        return InstallationError(
            f"Project {named(name)} uses a build backend that is missing the "
            f"{error.__cause__.hook_name!r} hook, so it cannot be installed in editable mode. "
            "Consider using a build backend that supports PEP 660."
        )
    if isinstance(error.__cause__, BackendUnavailable):
        unavailable = _unavailable(error.__cause__, error.step)
        if unavailable is not None and error.step == "metadata":
            logger.error("%s", unavailable, extra={"rich": True})
        elif unavailable is not None:
            return unavailable
    if error.step in ("wheel", "editable"):
        return None  # pip's wheel builder reports it
    return _not_made(error, name, named)


def _not_made(error: BuildError, name: str, named: Callable[[str], str]) -> PipError:
    if error.step == "metadata":
        return MetadataGenerationFailed(package_details=name)
    if isinstance(error, BuildCycleError):
        requirement = named(name)
        link = requirement.partition(" from ")[2] or requirement
        logger.error("%s is already being built: %s", link, requirement)
    return _not_prepared(name, _STEPS.get(error.step, "installing build dependencies"))


def _conflict(
    requirement: str,
    conflicts: tuple[tuple[str, str], ...],
    required_by: str = "the backend dependencies",
) -> InstallationError:
    described = ", ".join(
        f"{present} is incompatible with {wanted}" for present, wanted in sorted(conflicts)
    )
    return InstallationError(
        f"Some build dependencies for {requirement} conflict with {required_by}: {described}."
    )


def _not_prepared(name: str, step: str) -> InstallationError:
    return FailedToPrepareCandidate(package_name=name, requirement_chain="", failed_step=step)


def _unavailable(cause: BackendUnavailable, step: str) -> PipError | None:
    """Return pip's error for a backend that cannot be imported (since 26.3)."""
    kind = vars(exceptions).get("BackendUnavailableError")
    if kind is None:
        return None
    text = cause.traceback or str(cause)
    made: PipError = kind(
        hook_name=step.replace(" ", "_"),
        backend_name=cause.backend_name or "",
        backend_error=text.strip().splitlines()[-1],
    )
    return made
