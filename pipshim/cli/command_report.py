"""Write a command's final output: summary, result document, timings page."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import field
from typing import TYPE_CHECKING, Any

from pipshim.base.atomic_write import write_file
from pipshim.base.errors import FileError
from pipshim.base.interruption import Terminated
from pipshim.base.light.dataclasses import dataclass
from pipshim.cli.error_boundary import INTERRUPTED, explain
from pipshim.model.events import Observer, tee
from pipshim.progress.event_timeline import History
from pipshim.progress.json_output import JsonLines, changes, document, errors, write_document

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipshim.base.masking import Mask
    from pipshim.model.change import Change
    from pipshim.model.requests import LockRequest
    from pipshim.progress.timings import Timings

_SUCCESS = ("done", "planned")


@dataclass
class Report:
    """What is reported at the end.

    Attributes:
        history: what has happened, from the command's observer.
        planned: nothing was changed (``--dry-run`` or ``--check``).
        status: the exit status on success.
        lines: writes events as JSON, if requested; it has reported that the command begins.

    """

    request: LockRequest
    mask: Mask
    command: str
    history: History = field(default_factory=History)
    planned: bool = False
    status: int = 0
    text: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    lines: JsonLines | None = None

    @property
    def observer(self) -> Observer | None:
        """The observer of events; None if nothing needs them."""
        common = self.request.common
        if self.lines is not None:
            return tee(self.lines, self.history)
        return self.history if common.timings or common.output_format == "json" else None

    @property
    def seconds(self) -> float:
        return self.history.now

    def changes(self, found: Sequence[Change]) -> None:
        self.details["changed"] = self.details.get("changed", False) or bool(found)
        self.details["changes"] = changes(found)
        self.details["reasons"] = {one.name: one.reason for one in found if one.reason}


@contextmanager
def reporting(request: LockRequest, mask: Mask, command: str) -> Iterator[Report]:
    """Report at the end what was done, also after an error.

    Raises:
        FileError: the timings page cannot be written.

    """
    report = Report(request, mask, command)
    if request.common.progress == "json":
        report.lines = JsonLines(sys.stderr, command=command)
    page = request.common.timings
    timings: Timings | None = None
    try:
        if page is not None:
            timings = _timings(page, report.history)
        yield report
        ended = "planned" if report.planned else "done", report.status, dict[str, Any]()
    except BaseException as error:
        ended = _ending(error)
        raise
    finally:
        _end(report, *ended)
        if timings is not None and page is not None:
            text = timings.page(command, failed=ended[0] not in _SUCCESS)
            write_file(page, mask.hide(text))
            if request.common.verbosity >= 0 and request.common.progress != "json":
                sys.stderr.write(f"timings: {page}\n")


def _ending(error: BaseException) -> tuple[str, int, dict[str, Any]]:
    if isinstance(error, Terminated):
        return "interrupted", error.exit_status, {}
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", INTERRUPTED, {}
    if not isinstance(error, Exception):
        return "failed", 1, {}
    explained = explain(error)
    # What was changed until then has been taken back.
    details = {"errors": errors(explained), "changed": False, "changes": []}
    return "failed", explained.exit_status, details


def _end(report: Report, status: str, exit_status: int, details: Mapping[str, Any]) -> None:
    common = report.request.common
    if report.observer is not None:
        details = {**report.details, **details}
        made = document(
            report.command, status, report.history, exit_status=exit_status, details=details
        )
        made = report.mask.hide_in(made)
        # The line of an error, or an interrupt, is written where errors are.
        if report.lines is not None and status in _SUCCESS:
            report.lines.result(made)
        if common.output_format == "json":
            write_document(made)
    if common.progress != "json" and common.verbosity >= 0 and status in _SUCCESS:
        sys.stderr.write(report.text)


def _timings(page: Path, history: History) -> Timings:
    """Begin to measure; fail at once if the page could not be written later."""
    if page.is_dir():
        raise FileError(page, "it is a folder; --timings takes a file")
    if not page.absolute().parent.is_dir():
        raise FileError(
            page, "its folder does not exist", hint=f"create it: mkdir {page.absolute().parent}"
        )
    from pipshim.progress.timings import Timings  # noqa: PLC0415 only where it is asked for

    return Timings(history)
