"""The timings page: where a command spent its time, as self-contained HTML.

The page has everything as it is written; its script only sorts, filters and zooms.
"""

from __future__ import annotations

import time
from collections import Counter
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from pipshim.base.cores import available_cores
from pipshim.base.sizes import size
from pipshim.progress.formatting import duration, plural
from pipshim.progress.machine_use import MachineUse
from pipshim.progress.timing_analysis import (
    KINDS,
    Bar,
    Part,
    bars,
    concurrency,
    covered,
    critical,
    mean,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipshim.progress.event_timeline import History

_TEMPLATE = Path(__file__).with_name("timings.html")
_MODES = ("isolated", "matched", "no-isolation")
_REUSED = {"cached": "built earlier", "remote": "from the remote"}
_PHASES = ("fetch", "environment", "requirements", "metadata", "wheel")
_LABEL_PIXELS = (140, 300)
_MANY = 40
_TICKS = 8
_SLOW = 0.01
# Beyond this share of the width, a bar's time is written in it, not behind it.
_INSIDE = 0.85
_LONG = 200


class Timings:
    """Measures while a command runs, and makes the page at its end."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._began = time.strftime("%Y-%m-%d %H:%M")
        self._use = MachineUse(lambda: history.now)

    def page(self, command: str, *, failed: bool = False) -> str:
        """Stop measuring, and return the page."""
        self._use.stop()
        return render(
            self._history,
            self._use.cpu,
            self._use.memory,
            memory_total=self._use.memory_total,
            command=command,
            began=self._began,
            cores=available_cores(),
            failed=failed,
        )


def render(
    history: History,
    cpu: Sequence[tuple[float, float]],
    memory: Sequence[tuple[float, float]] = (),
    *,
    command: str,
    began: str,
    cores: int,
    memory_total: int = 0,
    failed: bool = False,
) -> str:
    """Return the page.

    Args:
        cpu: at each time, the share of all processors in use since the one before.
        memory: at each time, the share of the memory in use.
        command: ``lock``, ``sync`` or ``run``.

    """
    whole = max(history.now, 0.001)
    made = bars(history)
    longest = max((len(f"{bar.name} {bar.version}") for bar in made), default=0)
    parts = {
        "title": f"pipshim {command}: {duration(whole, precise=True)}",
        "row": str(22 if len(made) <= _MANY else 16),
        "label": str(min(max(longest * 7 + 38, _LABEL_PIXELS[0]), _LABEL_PIXELS[1])),
        "summary": _summary(history, made, cpu, began, cores, failed=failed),
        "chart_title": f"{plural(len(made), 'package')} over time",
        "legend": _legend(made),
        "chart": _chart(history, made, _use_graphs(cpu, memory, memory_total, whole), whole),
        "critical": _critical(critical(made), whole),
        "table": _table(made, whole, history.preparing),
    }
    text = _TEMPLATE.read_text(encoding="utf-8")
    for name, value in parts.items():
        text = text.replace("{{" + name + "}}", value)
    return text


def _summary(
    history: History,
    made: Sequence[Bar],
    cpu: Sequence[tuple[float, float]],
    began: str,
    cores: int,
    *,
    failed: bool,
) -> str:
    built = [bar for bar in made if bar.ending in ("built", "running")]
    modes = Counter(bar.mode for bar in built)
    words = []
    if built:
        by_mode = ", ".join(f"{modes[mode]} {mode}" for mode in _MODES if modes[mode])
        words.append(f"{len(built)} built ({by_mode})")
    for ending, said in (*_REUSED.items(), ("failed", "failed")):
        if count := sum(bar.ending == ending for bar in made):
            words.append(f"{count} {said}")
    if history.downloads:
        came = sum(one.size or 0 for one in history.downloads.values())
        words.append(f"{plural(len(history.downloads), 'download')} ({size(came)})")
    steps = concurrency(made, of="builds")
    facts = [began]
    if built:
        most = max(count for _, count in steps)
        at_once = f"{mean(steps, history.now):.1f} builds at once, at most {most}"
        facts.append(f"{at_once}, on {plural(cores, 'core')}")
    if cpu:
        facts.append(f"CPU use {100 * _mean(cpu):.0f} %")
    said = '<p class="failed-text">It failed.</p>' if failed else ""
    lines = (escape(", ".join(words)) or "nothing was built or fetched", escape(" · ".join(facts)))
    return f'{said}<p>{lines[0]}</p><p class="soft">{lines[1]}</p>'


def _mean(cpu: Sequence[tuple[float, float]]) -> float:
    before, area = 0.0, 0.0
    for at, share in cpu:
        area += share * (at - before)
        before = at
    return area / before if before else 0.0


def _legend(made: Sequence[Bar]) -> str:
    seen = {bar.mode for bar in made}
    items = [
        f'<li class="{mode}"><i></i>{said}</li>'
        for mode, said in (*((mode, mode) for mode in _MODES), ("index", "from the index"))
        if mode in seen
    ]
    if any(bar.ending == "failed" for bar in made):
        items.append('<li class="failed"><i></i>failed</li>')
    items.append('<li class="gap"></li>')
    if phases := [one for one in _PHASES if any(bar.seconds_of(one) for bar in made)]:
        items += (f'<li class="command"><i class="{phase}"></i>{phase}</li>' for phase in phases)
    if any(bar.is_critical for bar in made):
        items.append("<li>◆ on the critical path</li>")
    return "".join(items)


# The chart


def _chart(
    history: History,
    made: Sequence[Bar],
    use: str,
    whole: float,
) -> str:
    ticks = _ticks(whole)
    axis = "".join(
        f'<span class="{"last" if at > whole * 0.97 else ""}" style="left:{_share(at, whole)}">'
        f"{_tick(at, ticks)}</span>"
        for at in ticks
    )
    grid = "".join(f'<i style="left:{_share(at, whole)}"></i>' for at in ticks)
    ids = {id(bar): number for number, bar in enumerate(made)}
    return "\n".join(
        [
            f'<div class="grid">{grid}</div>',
            f'<div class="line axis"><div class="name"></div><div class="track">{axis}</div></div>',
            use,
            _count_graph(made, whole),
            _command(history, whole),
            *(_row(bar, ids, whole, history.preparing) for bar in made),
        ]
    )


_SHADES = {
    "resolve": "requirements",
    "fetch and build": "environment",
    "install": "metadata",
    "clear up": "fetch",
}


def _command(history: History, whole: float) -> str:
    spans: list[tuple[str, float, float]] = []
    if history.resolving is not None:
        start, end = history.resolving
        spans.append(("resolve", start, whole if end is None else end))
    first, last = history.installing or (whole, whole)
    if history.preparing is not None:
        spans.append(("fetch and build", history.preparing, first))
    if history.installing is not None:
        spans += [("install", first, last), ("clear up", last, whole)]
    track = "".join(
        _bar(_SHADES[name], start, end, whole, f"{name}: {duration(end - start)}")
        + _word(name, start, end, whole)
        for name, start, end in spans
    )
    return (
        '<div class="line command"><div class="name soft">all</div>'
        f'<div class="track">{track}</div></div>'
    )


def _word(text: str, start: float, end: float, whole: float) -> str:
    if (end - start) / whole < 0.012 * len(text):
        return ""
    return f'<span class="took" style="left:{_share(start, whole)}">{text}</span>'


def _row(bar: Bar, ids: dict[int, int], whole: float, queued: float | None) -> str:
    waits = str(ids[id(bar.blocker)]) if bar.blocker is not None else ""
    label = f"{bar.name} {bar.version}"
    waited = list(bar.waited)
    if bar.blocker is not None and queued is not None and queued < bar.start:
        waited.append((queued, bar.start))
    title = f"waited for {bar.blocker.name} {bar.blocker.version}" if bar.blocker else "waited"
    track = "".join(_bar("wait", start, end, whole, title) for start, end in waited)
    track += "".join(
        _bar("wait", start, end, whole, "waited for memory") for start, end in bar.for_memory
    )
    track += "".join(
        _bar(part.phase, part.start, part.end, whole, f"{label}\n{_of(part)}") for part in bar.parts
    )
    took = _REUSED.get(bar.ending) or duration(bar.seconds)
    is_inside = bar.end / whole > _INSIDE
    if bar.ending in _REUSED or bar.seconds >= (whole / 10 if is_inside else _SLOW * whole):
        inside = " inside" if is_inside else ""
        track += f'<span class="took{inside}" style="left:{_share(bar.end, whole)}">{took}</span>'
    kind = "failed" if bar.ending == "failed" else bar.mode
    return (
        f'<div class="line package {kind}{" critical" if bar.is_critical else ""}" '
        f'data-id="{ids[id(bar)]}" data-waits="{waits}" {_data(bar, whole)}>'
        f'<div class="name" title="{escape(_about(bar))}"><b>{escape(bar.name)}</b> '
        f'<span class="soft">{escape(bar.version)}</span></div>'
        f'<div class="track">{track}</div></div>'
    )


def _data(bar: Bar, whole: float) -> str:
    slow = "1" if bar.seconds >= _SLOW * whole else "0"
    return f'data-name="{escape(bar.name.lower())}" data-slow="{slow}"'


def _of(part: Part) -> str:
    return f"{part.phase}: {duration(part.end - part.start)}, from {duration(part.start)}"


def _about(bar: Bar) -> str:
    lines = [f"{bar.name} {bar.version}", f"{bar.mode} {bar.chosen_by}".strip(), bar.ending]
    lines += map(_of, bar.parts)
    if bar.blocker is not None:
        lines.append(f"after {bar.blocker.name} {bar.blocker.version}")
    return "\n".join(line for line in lines if line)


def _bar(kind: str, start: float, end: float, whole: float, title: str) -> str:
    left, width = _share(start, whole), _share(end - start, whole)
    kind = kind if kind == "wait" else f"bar {kind}"
    return f'<i class="{kind}" style="left:{left};width:{width}" title="{escape(title)}"></i>'


def _share(seconds: float, whole: float) -> str:
    return f"{100 * max(seconds, 0.0) / whole:.3f}%"


def _ticks(whole: float) -> list[float]:
    """Choose round times, at most eight or so."""
    steps = [base * 10**power for power in (-2, -1, 0) for base in (1, 2, 5)]
    steps += [10, 15, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200, 86400]
    step = next((one for one in steps if whole / one <= _TICKS), steps[-1])
    return [number * step for number in range(int(whole / step) + 1)]


def _tick(at: float, ticks: Sequence[float]) -> str:
    if len(ticks) > 1 and ticks[1] < 1:
        return f"{at:.2f} s" if ticks[1] < 0.1 else f"{at:.1f} s"  # noqa: PLR2004 tenths
    return duration(at) if at >= 10 else f"{at:.0f} s"  # noqa: PLR2004 whole seconds


def _use_graphs(
    cpu: Sequence[tuple[float, float]],
    memory: Sequence[tuple[float, float]],
    memory_total: int,
    whole: float,
) -> str:
    """Draw how much of the machine was in use."""
    rows = []
    if cpu:
        label = "CPU use<br><span>0 to 100 % of the machine</span>"
        rows.append(_graph(label, _area(cpu, whole), "CPU use over time"))
    if memory:
        label = f"memory<br><span>0 to {size(memory_total)}</span>"
        rows.append(_graph(label, _area(memory, whole), "memory in use over time"))
    return "\n".join(rows)


def _area(shares: Sequence[tuple[float, float]], whole: float) -> str:
    points = " ".join(f"{1000 * at / whole:.1f},{100 - 100 * share:.1f}" for at, share in shares)
    last = 1000 * shares[-1][0] / whole
    return f'<polygon class="area" points="0.0,100 {points} {last:.1f},100"/>'


def _count_graph(made: Sequence[Bar], whole: float) -> str:
    builds, downloads = (concurrency(made, of=kind) for kind in KINDS)
    top = max(count for _, count in (*builds, *downloads))
    if not top:
        return ""
    drawn = _steps(downloads, whole, top, "steps few") + _steps(builds, whole, top, "steps")
    label = f"at once<br><span>builds; downloads dashed; 0 to {top}</span>"
    return _graph(label, drawn, "builds and downloads at once over time")


def _graph(label: str, drawn: str, title: str) -> str:
    return (
        f'<div class="line graph"><div class="name soft">{label}</div><div class="track">'
        f'<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{title}">'
        f"{drawn}</svg></div></div>"
    )


def _steps(steps: Sequence[tuple[float, int]], whole: float, top: int, kind: str) -> str:
    if not any(count for _, count in steps):
        return ""
    path, before = [], 0
    for at, count in (*steps, (whole, 0)):
        x = 1000 * at / whole
        path += [f"{x:.1f},{_height(before, top)}", f"{x:.1f},{_height(count, top)}"]
        before = count
    return f'<polyline class="{kind}" points="{" ".join(path)}"/>'


def _height(count: int, top: int) -> str:
    return f"{97 - 92 * count / top:.1f}"


# The critical path, and the table


_BECAUSE = {
    "needs": "needs",
    "turn": "had its turn after",
    "memory": "had the memory after",
}


def _critical(path: Sequence[Bar], whole: float) -> str:
    if not path:
        return ""
    items = []
    for bar in path:
        because = ""
        if bar.blocker is not None:
            words = _BECAUSE[bar.because or "turn"]
            because = f' <span class="soft">{words} {escape(bar.blocker.name)}</span>'
        items.append(
            f"<li>{escape(bar.name)} {escape(bar.version)}: {duration(bar.seconds)}{because}</li>"
        )
    note = f"{duration(covered(path), precise=True)} of {duration(whole, precise=True)}"
    return (
        f"<section><h2>Critical path</h2>"
        f'<p class="soft">{note}: nothing ends sooner unless one of these does.</p>'
        f'<ol class="path">{"".join(items)}</ol></section>'
    )


_COLUMNS = (
    ("package", True),
    ("version", True),
    ("mode", True),
    ("chosen by", True),
    ("outcome", True),
    ("start", False),
    ("total", False),
    ("download, fetch", False),
    *((phase, False) for phase in _PHASES[1:]),
    ("expected", False),
    ("CPU", False),
    ("memory", False),
    ("waited for", True),
    ("after", True),
)


_TEXT, _SORTED = ' class="text"', ' aria-sort="descending"'


def _table(made: Sequence[Bar], whole: float, queued: float | None) -> str:
    heads = "".join(
        f"<th{_TEXT if is_text else _SORTED if name == 'total' else ''}>{name}</th>"
        for name, is_text in _COLUMNS
    )
    ordered = sorted(made, key=lambda bar: -bar.seconds)
    lines = (_table_line(bar, whole, queued) for bar in ordered)
    return f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{chr(10).join(lines)}\n</tbody>"


def _table_line(bar: Bar, whole: float, queued: float | None) -> str:
    kind = "failed" if bar.ending == "failed" else bar.mode
    after = ""
    if bar.blocker is not None:
        more = len(set(bar.waits_for) - {bar.blocker.name}) if bar.because == "needs" else 0
        after = bar.blocker.name + (f" and {more} more" if more else "")
        after += {"turn": " (its turn)", "memory": " (its memory)"}.get(bar.because, "")
    texts = (bar.mode, bar.chosen_by, bar.ending)
    numbers = (
        bar.seconds,
        bar.seconds_of("download", "fetch"),
        *(bar.seconds_of(phase) for phase in _PHASES[1:]),
    )
    cells = [
        f'<td class="text"><i class="dot {kind}"></i>{escape(bar.name)}</td>',
        f'<td class="text">{escape(bar.version)}</td>',
        *(f'<td class="text">{escape(text)}</td>' for text in texts),
        _number(bar.start, always=True),
        *map(_number, numbers),
        _number(bar.expected or 0.0),
        _number(bar.cpu or 0.0),
        f'<td data-value="{bar.memory or 0}">{size(bar.memory) if bar.memory else ""}</td>',
        f'<td class="text">{escape(_waited_for(bar, queued))}</td>',
        f'<td class="wide" title="{escape(bar.why[:_LONG])}">{escape(after)}</td>',
    ]
    return f"<tr {_data(bar, whole)}>{''.join(cells)}</tr>"


def _waited_for(bar: Bar, queued: float | None) -> str:
    """Say for how long a build waited for cores (the turn of another build) and for memory."""
    words = []
    if bar.because == "turn" and queued is not None and bar.start > queued:
        words.append(f"cores {duration(bar.start - queued)}")
    if bar.for_memory:
        words.append(f"memory {duration(sum(end - start for start, end in bar.for_memory))}")
    return ", ".join(words)


def _number(seconds: float, *, always: bool = False) -> str:
    shown = f"{seconds:.2f}" if always or seconds >= 0.005 else ""  # noqa: PLR2004 what shows
    return f'<td data-value="{seconds:.4f}">{shown}</td>'
