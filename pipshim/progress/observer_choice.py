"""Choose the observer that suits the output: terminal, plain text or JSON."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from pipshim.model.events import ignore
from pipshim.progress.formatting import use_color

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipshim.model.events import Observer
    from pipshim.model.requests import CommonOptions


@contextmanager
def make_observer(
    common: CommonOptions,
    environ: Mapping[str, str] = os.environ,
    stream: TextIO | None = None,
) -> Iterator[Observer]:
    """Return the observer that suits the stream, while the work goes on.

    It is live on a terminal, and plain elsewhere, in CI, and wherever pip shows no progress bars.
    With ``--progress json`` it shows nothing: a report writes the lines.

    Args:
        environ: for TERM, CI, GITHUB_ACTIONS, FORCE_COLOR.
        stream: standard error if None.

    """
    stream = sys.stderr if stream is None else stream
    verbosity, no_color = common.verbosity, common.no_color
    if common.progress == "json":
        yield ignore
        return
    is_auto = common.progress == "auto" and common.progress_bar not in ("off", "raw")
    live = is_auto and verbosity >= 0
    if live and _is_terminal(stream, environ):
        from pipshim.progress.live import Live  # noqa: PLC0415 rich takes its time

        with Live(stream, verbosity=verbosity, no_color=no_color) as shown:
            yield shown
        return
    from pipshim.progress.plain import Plain  # noqa: PLC0415 the other one

    with Plain(
        stream,
        verbosity=verbosity,
        color=use_color(stream, no_color=no_color, environ=environ),
        groups=environ.get("GITHUB_ACTIONS") == "true",
    ) as plain:
        yield plain


def _is_terminal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    if environ.get("TERM", "").lower() in ("", "dumb", "unknown") and os.name != "nt":
        return False
    if environ.get("CI", "").lower() not in ("", "0", "false"):
        return False
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("-", "")
    return stream.isatty() and encoding.startswith("utf")
