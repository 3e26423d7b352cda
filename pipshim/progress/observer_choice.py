"""Choose the observer that suits the output: terminal, plain text or JSON."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from pipshim.progress.formatting import use_color

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pipshim.model.events import Observer


@contextmanager
def make_observer(
    *,
    verbosity: int = 0,
    progress_bar: str = "on",
    no_color: bool = False,
    progress: str = "auto",
    environ: Mapping[str, str] | None = None,
    stream: TextIO | None = None,
) -> Iterator[Observer]:
    """Return the observer that suits the stream, while the work goes on.

    It is live on a terminal, and plain elsewhere, in CI, and wherever pip shows no progress bars.

    Args:
        verbosity: the number of ``-v`` less that of ``-q``.
        progress_bar: pip's ``--progress-bar``; ``off`` and ``raw`` make it plain.
        progress: ``auto``, ``plain`` or ``json``, which shows nothing: a report writes the lines.
        environ: for TERM, CI, GITHUB_ACTIONS, FORCE_COLOR; os.environ if None.
        stream: standard error if None.

    """
    stream = sys.stderr if stream is None else stream
    environ = os.environ if environ is None else environ
    if progress == "json":
        from pipshim.model.events import ignore  # noqa: PLC0415 thirty classes to make

        yield ignore
        return
    live = progress == "auto" and verbosity >= 0 and progress_bar not in ("off", "raw")
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
