"""``pipshim builds history`` and ``builds log``: what was built, and what it printed."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any

from pipshim.base.cache_folders import LOGS
from pipshim.base.errors import PipshimError
from pipshim.base.sizes import size
from pipshim.builds.build_history import BuildHistory
from pipshim.cli.cache_store import existing_cache
from pipshim.model.events import label, short
from pipshim.progress.control_codes import clean
from pipshim.progress.formatting import duration, paint, use_color
from pipshim.progress.json_lines import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipshim.model.past_build import PastBuild
    from pipshim.model.requests import BuildsHistoryRequest, BuildsLogRequest

_TITLES = ("package", "mode", "started", "took", "CPU", "memory", "steps", "outcome", "log")
_RIGHT = ("took", "CPU", "memory", "steps")
_STYLES = {"built": "green", "failed": "red", "out of memory": "red", "stopped": "yellow"}
_COMMIT = re.compile(r"[0-9a-f]{40}")


def main(request: BuildsHistoryRequest) -> int:
    """Show the builds that the cache remembers.

    Raises:
        PipshimError: there is no cache.

    """
    builds = BuildHistory(existing_cache(request.cache)).builds()
    found = [one for one in builds if not request.names or one.name in request.names]
    found = found[-request.limit :]
    if request.as_json:
        document = {"schema": SCHEMA, "builds": list(map(_as_json, found))}
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0
    if not found:
        names = f" of {', '.join(request.names)}" if request.names else ""
        sys.stdout.write(f"no builds{names} yet\n")
        return 0
    color = use_color(sys.stdout, no_color=request.no_color)
    rows = [_TITLES, *map(_row, found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    for number, row in enumerate(rows):
        style = _STYLES[found[number - 1].outcome] if number else ""
        sys.stdout.write(_line(row, widths, style, color=color) + "\n")
    return 0


def show_log(request: BuildsLogRequest) -> int:
    """Show the newest log of a package.

    Raises:
        PipshimError: there is no cache, or no log of it.

    """
    cache = existing_cache(request.cache)
    logs = _logs(cache / LOGS, request.name)
    if not logs:
        raise PipshimError(
            f"there is no log of a build of {request.name}",
            hint="see what was built: pipshim builds history",
        )
    lines = logs[-1].read_text(encoding="utf-8", errors="replace").splitlines()
    text = "".join(f"{clean(line)}\n" for line in lines)
    if sys.stdout.isatty():
        import pydoc  # noqa: PLC0415 for terminals only

        pydoc.pager(text)
    else:
        sys.stdout.write(text)
    return 0


def _logs(folder: Path, name: str) -> list[Path]:
    """Return the logs of a package's builds, the oldest first."""
    pattern = re.compile(
        rf"{re.escape(name)}-[^-]+-(?:requirements|metadata|wheel|editable)-\d{{8}}-"
    )
    found = [path for path in folder.glob(f"{name}-*.log") if pattern.match(path.name)]
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def _row(build: PastBuild) -> tuple[str, ...]:
    version = short(build.version) if _COMMIT.fullmatch(build.version) else build.version
    return (
        label(build.name, version) + (" (editable)" if build.what == "editable" else ""),
        build.mode,
        time.strftime("%Y-%m-%d %H:%M", time.localtime(build.started)),
        duration(build.seconds),
        duration(build.cpu) if build.cpu is not None else "",
        size(build.peak) if build.peak is not None else "",
        str(build.steps or ""),
        build.outcome,
        build.log or "",
    )


def _line(row: Sequence[str], widths: Sequence[int], style: str, *, color: bool) -> str:
    cells = []
    for title, text, width in zip(_TITLES, row, widths, strict=True):
        padded = f"{text:>{width}}" if title in _RIGHT else f"{text:{width}}"
        cells.append(paint(padded, style, color=color) if title == "outcome" and style else padded)
    return "  ".join(cells).rstrip()


def _as_json(build: PastBuild) -> dict[str, Any]:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(build.started))
    return {**build.to_json(), "started": started}
