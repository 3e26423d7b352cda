"""What pipshim has built, handed to pip where pip would call a backend's hooks.

pip's own wheel builder then stores the wheels and reports them, in its own words.
"""

from __future__ import annotations

import os
import shutil
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from packaging.utils import canonicalize_name
from pip._internal.cli.spinners import open_spinner
from pip._internal.exceptions import InstallationError
from pip._internal.utils.logging import get_indentation, indent_log, subprocess_logger

from pipshim.model import events
from pipshim.model.build_mode import Mode

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from packaging.utils import NormalizedName

    from pipshim.model.events import Event


class Made(NamedTuple):
    """A wheel file, and whether this command or an earlier one built it."""

    wheel: Path
    came_from: events.Source


class PrebuiltBackend:
    """Stands in for pip's caller of a backend's hooks, after the build.

    Args:
        name: the project, as pip writes it.
        wheel: the file that was built; None if the build failed.

    """

    def __init__(self, name: str, wheel: Path | None) -> None:
        self._name = name
        self._wheel = wheel

    @contextmanager
    def subprocess_runner(self, _runner: object) -> Iterator[None]:
        """Ignore what would start the hook's process."""
        yield

    def build_wheel(self, wheel_directory: str, **_: Any) -> str:
        """Put the wheel into a folder and return its name.

        Raises:
            InstallationError: the build failed.

        """
        return self._give("wheel", wheel_directory)

    def build_editable(self, wheel_directory: str, **_: Any) -> str:
        """Do the same with an editable wheel (PEP 660).

        Raises:
            InstallationError: the build failed.

        """
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


class BuildSteps:
    """Collects the steps before a build that pip reports, until they can be printed.

    It observes events from several threads; `report` is called where pip may print.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[NormalizedName, str, bool]] = []
        self._running: dict[tuple[str, str], events.BuildStarted] = {}
        self._phases: dict[tuple[str, str], events.Phase] = {}
        self._with_environment: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, event: Event, /) -> None:
        """Take note of a step that has ended."""
        with self._lock:
            if isinstance(event, events.BuildStarted):
                self._running[event.name, event.version] = event
            elif isinstance(event, events.BuildPhase):
                self._begin(event)
            elif isinstance(event, events.BuildFinished | events.BuildFailed):
                self._end(event)

    def _begin(self, event: events.BuildPhase) -> None:
        key = (event.name, event.version)
        if self._phases.get(key) == "environment":
            self._end_environment(event.name, key, failed=False)
        self._phases[key] = event.phase

    def _end(self, event: events.BuildFinished | events.BuildFailed) -> None:
        key = (event.name, event.version)
        failed = isinstance(event, events.BuildFailed)
        started = self._running.get(key)
        phase = self._phases.pop(key, None)
        if phase == "environment":
            self._end_environment(event.name, key, failed=failed)
        elif started is not None and phase == started.what and phase in _STEPS:
            self._steps.append((canonicalize_name(event.name), _STEPS[phase], failed))
        self._running.pop(key, None)

    def _end_environment(self, name: str, key: tuple[str, str], *, failed: bool) -> None:
        started = self._running.get(key)
        isolated = started is not None and started.mode != str(Mode.NO_ISOLATION)
        if isolated and (failed or name not in self._with_environment):
            self._with_environment.add(name)
            self._steps.append((canonicalize_name(name), "Installing build dependencies", failed))

    def report(
        self, names: Collection[NormalizedName], editable: Collection[NormalizedName]
    ) -> None:
        """Print the steps of these packages, each once, and forget all steps.

        Args:
            names: what pip itself would build; not what only builds need.
            editable: those of them that are installed as editables.

        """
        with self._lock:
            steps, self._steps = self._steps, []
        for name, message, failed in steps:
            if name not in names:
                continue
            text = message.format(*_EDITABLE if name in editable else _WHEEL)
            with suppress(_FailedError), indent_log(max(2 - get_indentation(), 0)), step(text):
                if failed:
                    raise _FailedError


class _FailedError(Exception):
    """Lets pip's spinner end as that of a step that failed."""


_STEPS = {
    "requirements": "Getting requirements to build {0}",
    "metadata": "Preparing {1}metadata (pyproject.toml)",
}
_WHEEL, _EDITABLE = ("wheel", ""), ("editable", "editable ")
