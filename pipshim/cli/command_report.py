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
from pipshim.model.events import tee
from pipshim.progress.event_timeline import History
from pipshim.progress.result import changes, document, errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pipshim.base.masking import Mask
    from pipshim.model.change import Change
    from pipshim.model.events import Observer
    from pipshim.model.requests import LockRequest
    from pipshim.progress.json_lines import JsonLines
    from pipshim.progress.timings import Timings


@dataclass
class Report:
    """What is reported at the end.

    Attributes:
        history: what has happened, from the command's observer.
        planned: nothing was changed (``--dry-run`` or ``--check``).
        status: the exit status on success.
        text: the summary.
        details: more for the result document.
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
        """How long the command has taken."""
        return self.history.now

    def changes(self, found: Sequence[Change]) -> None:
        """Note what was changed, or would be."""
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
        from pipshim.progress.json_lines import JsonLines  # noqa: PLC0415 seldom asked for

        report.lines = JsonLines(sys.stderr, command=command)
    page = request.common.timings
    timings: Timings | None = None
    try:
        if page is not None:
            timings = _timings(page, report.history)
        yield report
    except BaseException as error:
        _end(report, *_ending(error))
        if timings is not None and page is not None:
            _write(timings, page, report, failed=True)
        raise
    _end(report, "planned" if report.planned else "done", report.status, {})
    if timings is not None and page is not None:
        _write(timings, page, report, failed=False)


def _ending(error: BaseException) -> tuple[str, int, Mapping[str, Any]]:
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
        hide = report.mask.hide_in
        made = hide(
            document(
                report.command,
                status,
                report.history,
                exit_status=exit_status,
                details={**report.details, **details},
            )
        )
        _write_documents(made, common.output_format, report.lines)
    if common.progress != "json" and common.verbosity >= 0 and status in ("done", "planned"):
        sys.stderr.write(report.text)


def _write_documents(made: Mapping[str, Any], output_format: str, lines: JsonLines | None) -> None:
    # The line of an error, or an interrupt, is written where errors are.
    if lines is not None and made["status"] in ("done", "planned"):
        lines.result(made)
    if output_format == "json":
        from pipshim.progress.json_lines import write_document  # noqa: PLC0415 seldom asked for

        write_document(made)


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


def _write(timings: Timings, page: Path, report: Report, *, failed: bool) -> None:
    text = timings.page(report.command, failed=failed)
    write_file(page, report.mask.hide(text))
    common = report.request.common
    if common.verbosity >= 0 and common.progress != "json":
        sys.stderr.write(f"timings: {page}\n")
