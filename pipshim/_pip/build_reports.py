"""Report pipshim's builds as pip does: steps that have ended, wheels, and errors."""

from __future__ import annotations

import logging
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pip._internal import exceptions
from pip._internal.cli.spinners import open_spinner
from pip._internal.distributions.sdist import SourceDistribution
from pip._internal.exceptions import (
    FailedToPrepareCandidate,
    InstallationError,
    MetadataGenerationFailed,
    PipError,
)
from pip._internal.utils.logging import get_indentation, indent_log, subprocess_logger
from pyproject_hooks import BackendUnavailable, HookMissing

from pipshim._pip import patches, pip_texts
from pipshim._pip.pip_texts import ALREADY_BUILT, BUILDING_EDITABLE, BUILDING_WHEEL, MISC
from pipshim.base.errors import (
    BuildCycleError,
    BuildError,
    BuildRequirementsError,
    Failures,
    ResolveError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pip._internal.cli.spinners import SpinnerInterface

    from pipshim._pip.pip_texts import Text
    from pipshim.base.errors import PipshimError

logger = logging.getLogger(MISC)


class PrebuiltBackend(NamedTuple):
    """Replaces pip's caller of a backend's hooks, after the build; without a wheel, it failed."""

    name: str
    wheel: Path | None

    @contextmanager
    def subprocess_runner(self, _runner: object) -> Iterator[None]:
        """Ignore the runner of hooks."""
        yield

    def build_wheel(self, wheel_directory: str, **_: Any) -> str:
        """Put the wheel into a folder and return its name."""
        return self._give(BUILDING_WHEEL, wheel_directory)

    def build_editable(self, wheel_directory: str, **_: Any) -> str:
        """Do the same with an editable wheel (PEP 660)."""
        return self._give(BUILDING_EDITABLE, wheel_directory)

    def _give(self, step: Text, directory: str) -> str:
        with _step(step.text.format(self.name)):
            if self.wheel is None:
                raise InstallationError  # pip's wheel builder says of what
        target = Path(directory, self.wheel.name)
        try:
            os.link(self.wheel, target)
        except OSError:  # another file system
            shutil.copyfile(self.wheel, target)
        return target.name


_INSTALLING = pip_texts.INSTALLING.text.format(pip_texts.BUILD_DEPENDENCIES.text)
_STEPS = {
    "environment": _INSTALLING,
    "requirements": pip_texts.GETTING_REQUIREMENTS.text,
    "metadata": pip_texts.PREPARING.text,
}
_STEPS_OF_EDITABLE = {
    "environment": _INSTALLING,
    "check": pip_texts.CHECKING_EDITABLE.text,
    "requirements": pip_texts.GETTING_EDITABLE_REQUIREMENTS.text,
    "metadata": pip_texts.PREPARING_EDITABLE.text,
}


def report_step(step: str, *, editable: bool, failed: bool) -> None:
    """Report a step that has ended, indented by two columns at least, if pip has such a step."""
    message = (_STEPS_OF_EDITABLE if editable else _STEPS).get(step)
    if message is None:
        return
    with indent_log(max(2 - get_indentation(), 0)), _step(message) as spinner:
        if failed:
            spinner.finish("error")


@contextmanager
def _step(message: str) -> Iterator[SpinnerInterface]:
    """Report a step of a build as pip does (``pip._internal.utils.subprocess``)."""
    with open_spinner(message) as spinner:
        subprocess_logger.verbose(pip_texts.RUNNING.text, message)
        yield spinner


# Errors


def as_pip_error(error: PipshimError, requirement_of: Callable[[str], Any]) -> PipError | None:
    """Return the error that pip would have raised; None if pip has no such error.

    Args:
        error: what went wrong before pip builds its wheels.
        requirement_of: returns pip's requirement of a package; of others, the name.

    """
    try:
        if isinstance(error, Failures):
            return as_pip_error(error.errors[0], requirement_of)
        if isinstance(error, ResolveError) and error.build_of is not None:
            _check_conflicts(error, requirement_of(error.build_of))
            raise _not_prepared(error.build_of)
        if isinstance(error, BuildError):
            name = error.package.partition(" ")[0]
            _raise_as_pip(error, name, requirement_of(name))
    except PipError as pips:
        return pips
    return None


def _raise_as_pip(error: BuildError, name: str, requirement: Any) -> None:
    """Raise pip's error, unless pip's wheel builder reports it."""
    if isinstance(error, BuildRequirementsError):
        _check_conflicts(error, requirement)
        SourceDistribution(requirement)._raise_missing_reqs(set(error.missing))  # noqa: SLF001
    if isinstance(error.__cause__, HookMissing) and not isinstance(requirement, str):
        patches.override(requirement, supports_pyproject_editable=False)
        requirement.editable_sanity_check()
    if isinstance(error.__cause__, BackendUnavailable):
        _check_available(error.__cause__, error.step)
    if error.step in ("wheel", "editable"):
        return
    if error.step == "metadata":
        raise MetadataGenerationFailed(package_details=name)
    if isinstance(error, BuildCycleError):
        url = requirement if isinstance(requirement, str) else requirement.link.redacted_url
        logger.error(ALREADY_BUILT.text.format(url, requirement))
    step = "requirements" if error.step == "build requirements" else "environment"
    raise _not_prepared(name, step)


def _check_conflicts(error: ResolveError | BuildRequirementsError, requirement: Any) -> None:
    if error.conflicts:
        source = SourceDistribution(requirement)
        source._raise_conflicts(error.required_by, set(error.conflicts))  # noqa: SLF001


def _not_prepared(name: str, step: str = "environment") -> PipError:
    return FailedToPrepareCandidate(
        package_name=name, requirement_chain="", failed_step=_STEPS[step]
    )


def _check_available(cause: BackendUnavailable, step: str) -> None:
    """Raise pip's error for a backend that cannot be imported (since 26.3)."""
    kind = vars(exceptions).get("BackendUnavailableError")
    if kind is None:
        return
    text = cause.traceback or str(cause)
    made: PipError = kind(
        hook_name=step.replace(" ", "_"),
        backend_name=cause.backend_name or "",
        backend_error=text.strip().splitlines()[-1],
    )
    if step != "metadata":
        raise made
    logger.error("%s", made, extra={"rich": True})
