"""Let pip's wheel builder store and report wheels that pipshim has built."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pip._internal.cli.spinners import open_spinner
from pip._internal.exceptions import InstallationError
from pip._internal.utils.logging import get_indentation, indent_log, subprocess_logger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pipshim.base.errors import PipshimError
    from pipshim.model import events


class BuiltWheel(NamedTuple):
    """A wheel file, and whether this command or an earlier one built it."""

    wheel: Path
    came_from: events.Source


class WheelBuilds(NamedTuple):
    """The end of some builds.

    Attributes:
        wheels: what was built or found, by the URL of the source.
        error: why some of them failed.
        failed: the names of these.

    """

    wheels: Mapping[str, BuiltWheel]
    error: PipshimError | None = None
    failed: Collection[str] = ()


class PrebuiltBackend:
    """Replaces pip's caller of a backend's hooks, after the build.

    Args:
        name: the project, as pip writes it.
        wheel: the file that was built; None if the build failed.

    """

    def __init__(self, name: str, wheel: Path | None) -> None:
        self._name = name
        self._wheel = wheel

    @contextmanager
    def subprocess_runner(self, _runner: object) -> Iterator[None]:
        """Ignore the runner of hooks."""
        yield

    def build_wheel(self, wheel_directory: str, **_: Any) -> str:
        """Put the wheel into a folder and return its name."""
        return self._give("wheel", wheel_directory)

    def build_editable(self, wheel_directory: str, **_: Any) -> str:
        """Do the same with an editable wheel (PEP 660)."""
        return self._give("editable", wheel_directory)

    def _give(self, kind: str, directory: str) -> str:
        with step(f"Building {kind} for {self._name} (pyproject.toml)"):
            if self._wheel is None:
                raise InstallationError(f"the build of {self._name} failed")
        target = Path(directory, self._wheel.name)
        try:
            os.link(self._wheel, target)
        except OSError:  # another file system
            shutil.copyfile(self._wheel, target)
        return target.name


@contextmanager
def step(message: str) -> Iterator[None]:
    """Report a step of a build as pip does (``pip._internal.utils.subprocess``)."""
    with open_spinner(message):
        subprocess_logger.verbose("Running command %s", message)
        yield


def report_step(message: str, *, failed: bool) -> None:
    """Report a step that has ended, indented by two columns at least."""
    with suppress(_FailedError), indent_log(max(2 - get_indentation(), 0)), step(message):
        if failed:
            raise _FailedError


class _FailedError(Exception):
    """Lets pip's spinner end like that of a failed step."""
