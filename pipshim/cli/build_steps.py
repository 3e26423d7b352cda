"""Hold back the build steps that pip reports until they can be printed."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim._pip.prebuilt import report_step
from pipshim.model import events
from pipshim.model.build_mode import Mode

if TYPE_CHECKING:
    from collections.abc import Collection

    from packaging.utils import NormalizedName

    from pipshim.model.events import Event


class BuildSteps:
    """Collects the build steps that pip reports, until they can be printed.

    It observes events from several threads; `report` is called where pip may print.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[NormalizedName, str, bool]] = []
        self._running: dict[tuple[str, str], events.BuildStarted] = {}
        self._phases: dict[tuple[str, str], events.Phase] = {}
        self._with_environment: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, event: Event, /) -> None:
        """Note a step that has ended."""
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
            name = canonicalize_name(event.name)
            if phase == "requirements":
                self._steps.append((name, _CHECK, False))
            if not (isinstance(event, events.BuildFailed) and event.step == "editable"):
                self._steps.append((name, _STEPS[phase], failed))
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
            names: what pip itself would build, without build requirements.
            editable: those of them that are installed as editables.

        """
        with self._lock:
            steps, self._steps = self._steps, []
        for name, message, failed in steps:
            if name not in names or (message == _CHECK and name not in editable):
                continue
            text = message.format(*_EDITABLE if name in editable else _WHEEL)
            report_step(text, failed=failed)


_STEPS = {
    "requirements": "Getting requirements to build {0}",
    "metadata": "Preparing {1}metadata (pyproject.toml)",
}
_CHECK = "Checking if build backend supports build_editable"
_WHEEL, _EDITABLE = ("wheel", ""), ("editable", "editable ")
