"""``pipshim builds history`` and ``builds log``: what was built, and what it printed."""

from __future__ import annotations

import re
import sys
import time
from optparse import SUPPRESS_HELP, Values
from typing import TYPE_CHECKING, Any

from pipshim.base.cache_folders import LOGS
from pipshim.base.errors import PipshimError, UsageError
from pipshim.base.sizes import size
from pipshim.builds.build_history import BuildHistory
from pipshim.cli.cache_store import existing_cache
from pipshim.cli.command_base import PlainCommand
from pipshim.model import option_table
from pipshim.model.events import label, short
from pipshim.model.option_parsing import name
from pipshim.model.requests import BuildsHistoryOptions
from pipshim.progress.control_codes import clean
from pipshim.progress.formatting import duration, paint, use_color
from pipshim.progress.json_output import SCHEMA, write_document

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pipshim.model.past_build import PastBuild

_NUMBERS = ("took", "CPU", "memory", "steps")
_TITLES = ("package", "mode", "started", *_NUMBERS, "outcome", "worker", "log")
_STYLES = {"built": "green", "failed": "red", "out of memory": "red", "stopped": "yellow"}
_COMMIT = re.compile(r"[0-9a-f]{40}")


class _CacheCommand(PlainCommand):
    """A command that reads pipshim's cache only; no project counts."""

    def add_options(self) -> None:
        """Add the options; ``--project`` is a general one, which may stand anywhere."""
        super().add_options()
        self.cmd_opts.add_option("--project", help=SUPPRESS_HELP)


class BuildsHistoryCommand(_CacheCommand):
    """Show past builds, with their duration and memory.

    These are the builds of wheels by all commands on this machine, the
    newest last: duration, processor time, the most memory that all processes
    of a build used together, and how it ended. pipshim plans builds by this.

    For example:
      pipshim builds history
      pipshim builds history flash-attn --output-format json
    """

    usage = """
      %prog [options] [<package> ...]"""

    declared = option_table.BUILDS_HISTORY

    def run(self, options: Values, args: list[str]) -> int:
        common, names = self.common_options(options), tuple(map(name, args))
        builds = BuildHistory(existing_cache(common.shim_cache)).builds()
        asked = BuildsHistoryOptions(**self.declared.fields(BuildsHistoryOptions, options))
        found = [one for one in builds if not names or one.name in names][-asked.limit :]
        if common.output_format == "json":
            write_document({"schema": SCHEMA, "builds": list(map(_as_json, found))})
            return 0
        if not found:
            of_names = f" of {', '.join(names)}" if names else ""
            sys.stdout.write(f"no builds{of_names} yet\n")
            return 0
        color = use_color(sys.stdout, no_color=common.no_color)
        rows = [_TITLES, *map(_row, found)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        if not any(one.worker for one in found):
            widths[_TITLES.index("worker")] = 0
        styles = ["", *(_STYLES[one.outcome] for one in found)]
        for row, style in zip(rows, styles, strict=True):
            sys.stdout.write(_line(row, widths, style, color=color) + "\n")
        return 0


class BuildsLogCommand(_CacheCommand):
    """Show what the last build of a package printed.

    On a terminal a pager shows it (PAGER).

    For example:
      pipshim builds log flash-attn
    """

    usage = """
      %prog [options] <package>"""

    declared = option_table.BUILDS_LOG

    def run(self, options: Values, args: list[str]) -> int:
        if len(args) != 1:
            problem = "no package is named" if not args else "name one package"
            raise UsageError(f"builds log: {problem}", hint="pipshim builds log NAME")
        package, cache = name(args[0]), existing_cache(self.common_options(options).shim_cache)
        logs = _logs(cache / LOGS, package)
        if not logs:
            raise PipshimError(
                f"there is no log of a build of {package}",
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
        build.worker,
        build.log or "",
    )


def _line(row: Sequence[str], widths: Sequence[int], style: str, *, color: bool) -> str:
    cells = []
    for title, text, width in zip(_TITLES, row, widths, strict=True):
        if not width:
            continue
        padded = f"{text:>{width}}" if title in _NUMBERS else f"{text:{width}}"
        cells.append(paint(padded, style, color=color) if title == "outcome" and style else padded)
    return "  ".join(cells).rstrip()


def _as_json(build: PastBuild) -> dict[str, Any]:
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(build.started))
    return {**build.to_json(), "started": started}
