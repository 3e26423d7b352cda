"""Keep what workers report: a log here for each build, and its entry in the history."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.cache_folders import LOGS
from pipshim.base.light.dataclasses import dataclass
from pipshim.model import events
from pipshim.model.build_progress import ProgressReader
from pipshim.model.past_build import PastBuild

if TYPE_CHECKING:
    from pipshim.builds.build_request import BuildRequest
    from pipshim.builds.builder import Builder
    from pipshim.model.past_build import Outcome


@dataclass
class WorkerHistory:
    """Keeps what a worker reports of one build.

    Attributes:
        builder: has the history, the folder of logs, and the secrets to hide in them.
        build: the build.
        worker: who builds.
        log: the file with what the build prints.

    """

    builder: Builder
    build: BuildRequest
    worker: str
    log: Path
    _is_shared: bool = False
    _began: float | None = field(default=None, init=False)
    _reader: ProgressReader = field(default_factory=lambda: ProgressReader(None), init=False)

    @classmethod
    def begin(
        cls, builder: Builder, build: BuildRequest, worker: str, there: object
    ) -> WorkerHistory:
        """Begin a log, unless the worker has this cache and writes `there`."""
        log = Path(there) if isinstance(there, str) else None
        is_shared = log is not None and log.parent == builder.cache / LOGS and log.is_file()
        if log is None or not is_shared:
            log = builder.new_log(build, "wheel")
        return cls(builder, build, worker, log, is_shared)

    def note(self, event: events.Event) -> None:
        """Take note of what a worker reports; what cannot be written is not kept."""
        if isinstance(event, events.BuildPhase) and event.phase == "wheel":
            self._began = time.monotonic()
        elif isinstance(event, events.BuildOutput):
            self._reader.read(event.line)
            if not self._is_shared:
                with suppress(OSError), self.log.open("a", encoding="utf-8") as file:
                    file.write(self.builder.mask.hide(event.line) + "\n")
        elif isinstance(event, events.BuildFinished):
            self.end("built", event)
        elif isinstance(event, events.BuildFailed):
            self.end("stopped" if event.stopped else "failed", event)

    def end(
        self, outcome: Outcome, event: events.BuildFinished | events.BuildFailed | None = None
    ) -> None:
        """Add a build whose backend was called to the history."""
        if self._began is None:
            return
        took = time.monotonic() - self._began
        self.builder.history.add(
            PastBuild(
                name=self.build.name,
                version=self.build.commit or self.build.version,
                what="wheel",
                mode=str(self.build.mode),
                python=self.builder.target.python_name,
                outcome=outcome,
                started=round(time.time() - took, 3),
                seconds=round(took, 3),
                cpu=event.cpu if event else None,
                peak=event.memory if event else None,
                processes=(event.processes if event else None) or 1,
                steps=self._reader.steps,
                log=str(self.log),
                worker=self.worker,
            )
        )
