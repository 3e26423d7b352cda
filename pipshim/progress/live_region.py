"""Lay out the rows of the live region for a given width and height. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from pipshim.base.sizes import size
from pipshim.progress.formatting import MODE_STYLES, elapsed, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipshim.progress.formatting import Parts
    from pipshim.progress.state import Build, Downloads, State, Wait

# Rows of the terminal that stay free: the last line above the region is seen, and the cursor's.
_FREE_ROWS = 3
_MOST_RESOLVES = 4
_PHASE_WIDTH = len("requirements")
_ELAPSED_WIDTH = len("59m 59s")
_LEAST_PACKAGE, _LEAST_OUTPUT = 16, 8
_SHORT_BAR = 6
_BAR_AND_WORD = 2
_BAR_WIDTH = 12


def rows(state: State, *, width: int, height: int, now: float) -> list[Parts]:
    """Lay out what is running, in fewer rows than the terminal has, each narrower than it.

    Args:
        now: the time on the state's clock.

    """
    width = max(width - 1, 10)
    totals = [_fit(words, width) for words in _totals(state, now)]
    builds = list(state.builds.values())
    room = max(height - _FREE_ROWS - len(totals), 1)
    hidden = len(builds) - (room - 1) if len(builds) > room else 0
    shown = builds[: len(builds) - hidden]
    found = _builds(shown, width, now, with_output=state.verbosity > 0)
    if hidden:
        more = f"… and {hidden} more" if shown else plural(hidden, "build")
        found.append([(_crop(more, width), "dim")])
    return [*found, *totals]


def _builds(builds: Sequence[Build], width: int, now: float, *, with_output: bool) -> list[Parts]:
    if not builds:
        return []
    phases = [build.phase or build.event.what for build in builds]
    times = [elapsed(now - build.since) for build in builds]
    texts = [build.progress_words(now) for build in builds]
    gap, columns, used = _columns(builds, phases, times, width, texts)
    found: list[Parts] = []
    for build, phase_name, time in zip(builds, phases, times, strict=True):
        cells = (
            (f"{_crop(build.package, columns[0]):{columns[0]}}", "bold"),
            (f"{build.event.mode:{columns[1]}}", MODE_STYLES.get(build.event.mode, "")),
            (f"{phase_name:{columns[2]}}", ""),
            (f"{time:>{columns[3]}}", "dim"),
        )
        row: Parts = []
        for (text, style), column in zip(cells, columns, strict=True):
            if column:
                row += [(" " * gap, ""), (text, style)] if row else [(text, style)]
        room = width - used
        for text, style in _progress(build, now, room, gap):
            row.append((text, style))
            room -= cell_len(text)
        if with_output and room - gap >= _LEAST_OUTPUT:
            row += [(" " * gap, ""), (_crop(build.last_line, room - gap), "dim")]
        found.append(row)
    return found


def _columns(
    builds: Sequence[Build],
    phases: Sequence[str],
    times: Sequence[str],
    width: int,
    progress: Sequence[Sequence[str]],
) -> tuple[int, tuple[int, int, int, int], int]:
    """Return the gap between the columns of builds, their widths, and the width of all.

    Columns are left out if the rest of the row has no room for how far builds are (`progress`).
    """
    package = min(max(len(one.package) for one in builds), max(width // 2, _LEAST_PACKAGE))
    mode, phase = max(len(one.event.mode) for one in builds), max(len(one) for one in phases)
    took = max(len(one) for one in times)
    narrowest = (min(package, width - took - 1), 0, 0, took)
    # The first layout does not move when a phase changes; the last leave out what they must.
    layouts = (
        (2, (package, mode, _PHASE_WIDTH, _ELAPSED_WIDTH)),
        (2, (package, mode, phase, took)),
        (1, (package, mode, phase, took)),
        (1, (package, mode, 0, took)),
        (1, (package, 0, phase, took)),
        (1, (package, 0, 0, took)),
        (1, narrowest),
    )
    everything = [["━" * _SHORT_BAR, *words] for words in progress if words]
    bars = [row[:-1] if len(row) > _BAR_AND_WORD else row for row in everything]
    counts = [words[:1] for words in progress if words]
    for rest, choices in (
        (everything, layouts[:3]),
        (bars, layouts[:-1]),
        (counts, layouts),
        ([], layouts),
    ):
        for gap, columns in choices:
            widths = [column for column in columns if column]
            used = sum(widths) + gap * (len(widths) - 1)
            more = (sum(gap + cell_len(text) for text in row) for row in rest)
            if used + max(more, default=0) <= width:
                return gap, columns, used
    return 1, narrowest, width


def _progress(build: Build, now: float, room: int, gap: int) -> Parts:
    """Lay out a bar and what it stands for, as much of it as there is room for."""
    words, fraction = build.progress_words(now), build.fraction(now)
    spaces = " " * gap
    texts: list[Parts] = [[(f"{spaces}{word}", "")] for word in words]
    bars: list[Parts] = [[], []]
    if fraction is not None:
        bars = [[(spaces, ""), *_bar(fraction, cells)] for cells in (_BAR_WIDTH, _SHORT_BAR)]
    wide, short = bars
    fewer = texts[:-1] or texts
    choices = [[wide, *texts], [short, *texts], [wide, *fewer], [short, *fewer], fewer]
    for choice in [*choices, [short, *texts[:1]], texts[:1]]:
        parts = [part for cells in choice for part in cells]
        if sum(cell_len(text) for text, _ in parts) <= room:
            return parts
    return []


def _bar(fraction: float, cells: int) -> Parts:
    filled = round(fraction * cells)
    return [("━" * filled, "green"), ("─" * (cells - filled), "dim")]


def _totals(state: State, now: float) -> list[list[str]]:
    """Return the words of the rows about several things at once, the most important first."""
    found = []
    resolves = list(state.resolves.values())
    if len(resolves) > _MOST_RESOLVES:
        first = min(resolve.since for resolve in resolves)
        found.append([f"resolving for {len(resolves)} targets", elapsed(now - first)])
        resolves = []
    for resolve in resolves:
        words = [resolve.what, elapsed(now - resolve.since), f"round {resolve.round}"]
        if resolve.pins:
            words.insert(1, plural(len(resolve.pins), "package"))
        found.append(words)
    if state.planned is not None:
        done, packages = len(state.prepared), state.planned.packages
        found.append([f"{done} of {plural(packages, 'package')} ready"])
    if state.downloads.running:
        found.append(_downloads(state.downloads))
    if state.waiting:
        found.append(_waiting(list(state.waiting.values()), now))
    return found


def _waiting(waits: Sequence[Wait], now: float) -> list[str]:
    text = waits[0].text
    if len(waits) > 1:
        text = f"{len(waits)} builds wait"
    return [text, elapsed(now - min(wait.since for wait in waits))]


def _downloads(downloads: Downloads) -> list[str]:
    words = [plural(len(downloads.running), "download")]
    came, total, speed = sum(downloads.received.values()), downloads.total, downloads.speed
    if total is not None:
        words.append(f"{size(came)} of {size(total)}")
    elif came:
        words.append(size(came))
    if speed:
        words.append(f"{size(speed)}/s")
    return words


def _fit(words: list[str], width: int) -> Parts:
    while len(words) > 1 and cell_len("  ".join(words)) > width:
        words = words[:-1]
    return [(_crop("  ".join(words), width), "dim")]


def _crop(text: str, width: int) -> str:
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip() + "…"
