"""A brief summary, at the end of a command, of what it changed."""

from __future__ import annotations

import sys

from pipshim.base.sizes import size
from pipshim.model.change import FOR_BUILDS
from pipshim.progress.formatting import duration, paint, plural, rough_duration, use_color

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipshim.model.change import Change, Kind
    from pipshim.remote.remote_inventory import Removal
    from pipshim.store.inventory import Item

_STYLES = {"+": "green", "-": "red", "~": "yellow"}
_DONE: dict[Kind, str] = {"+": "{} added", "-": "{} removed", "~": "{} changed"}
_PLANNED: dict[Kind, str] = {"+": "add {}", "-": "remove {}", "~": "change {}"}
_MODES = ("isolated", "matched", "no-isolation")


def summarize(
    changes: Sequence[Change],
    *,
    packages: int,
    seconds: float,
    saved: float = 0.0,
    dry_run: bool = False,
    no_color: bool = False,
) -> str:
    """Summarize a sync: a line for each change and one for all, or one line.

    Args:
        changes: in the order to show them.
        packages: how many distributions are as the lock wants them, now.
        saved: how long the builds of the wheels from the remote took, in seconds.

    """
    if not changes:
        return f"up to date ({plural(packages, 'package')}, {duration(seconds, precise=True)})\n"
    color = use_color(sys.stderr, no_color=no_color)
    lines = [_line(change, color=color) for change in changes]
    kinds = [change.kind for change in changes]
    words = _PLANNED if dry_run else _DONE
    parts = [words[kind].format(kinds.count(kind)) for kind in words if kind in kinds]
    if dry_run:
        lines.append(f"would {', '.join(parts)}{_from_where(changes)}")
    else:
        built = ", ".join([*parts, *_built(changes)])
        took = duration(seconds, precise=True)
        lines.append(f"{built} in {took}{_from_remote(changes, saved)}")
    return "\n".join(lines) + "\n"


def summarize_edits(edits: Sequence[tuple[str, str, str]], *, no_color: bool) -> str:
    """Summarize edits: sign (``+`` or ``-``), requirement and place of each."""
    color = use_color(sys.stderr, no_color=no_color)
    words: dict[str, tuple[Kind, str]] = {"+": ("+", "to"), "-": ("-", "from")}
    lines = []
    for sign, text, place in edits:
        kind, word = words[sign]
        lines.append(f"{paint(kind, _STYLES[kind], color=color)} {text} {word} {place}")
    return "".join(f"{line}\n" for line in lines)


def summarize_lock(  # noqa: PLR0913 what there is to know at the end
    changes: Sequence[Change],
    *,
    packages: int,
    written: bool,
    path: str,
    seconds: float,
    targets: int = 0,
    combinations: int = 0,
    dry_run: bool = False,
    no_color: bool = False,
) -> str:
    """Summarize the changes of a lock; for a new lock, only the number of packages.

    Args:
        changes: between the old lock and the new one.
        packages: how many the new one has.
        written: whether the file has changed (or would, in a dry run).

    """
    took = duration(seconds, precise=True)
    locked = plural(packages, "package")
    cases = [plural(targets, "target")] if targets else []
    cases += [plural(combinations, "combination")] if combinations else []
    if cases:
        locked += f" for {' and '.join(cases)}"
    if not written:
        return f"{path} is up to date ({locked}, {took})\n"
    color = use_color(sys.stderr, no_color=no_color)
    at_run_time = [change for change in changes if change.reason != FOR_BUILDS]
    is_new = len(at_run_time) == packages > 1 and all(change.kind == "+" for change in changes)
    lines = [] if is_new else [_line(change, color=color) for change in changes]
    verb = "would lock" if dry_run else "locked"
    lines.append(f"{verb} {locked} in {path} ({took})")
    return "\n".join(lines) + "\n"


def summarize_builds(
    builds: Sequence[Change], *, seconds: float, saved: float, no_color: bool
) -> str:
    """Summarize ``builds run``: a line for each build, and one for all."""
    color = use_color(sys.stderr, no_color=no_color)
    lines = [_line(build, color=color) for build in builds]
    built, took = ", ".join(_built(builds)) or "no builds", duration(seconds, precise=True)
    lines.append(f"{built} in {took}{_from_remote(builds, saved)}")
    return "\n".join(lines) + "\n"


def summarize_removals(
    items: Sequence[Item] | Sequence[Removal], *, dry_run: bool, verbosity: int
) -> str:
    """Summarize what was removed from the cache, or from a remote, or would be."""
    if verbosity < 0:
        return ""
    shown = items if dry_run or verbosity > 0 else ()
    lines = [f"{one.kind}: {one.path} ({size(one.size)}): {one.why}\n" for one in shown]
    if not items:
        return "nothing to remove\n"
    total = size(sum(one.size for one in items))
    return f"{''.join(lines)}{count_removals(items, dry_run=dry_run)} ({total})\n"


def count_removals(items: Sequence[Item] | Sequence[Removal], *, dry_run: bool) -> str:
    """Return ``removed 2 logs, 1 wheel``."""
    kinds = sorted(one.kind for one in items)
    counted = ", ".join(plural(kinds.count(kind), kind) for kind in dict.fromkeys(kinds))
    return f"{'would remove' if dry_run else 'removed'} {counted}"


def _line(change: Change, *, color: bool) -> str:
    sign = paint(change.kind, _STYLES[change.kind], color=color)
    old, new = change.old, change.new
    versions = f"{old} -> {new}" if old and new and old != new else new or old
    reason = paint(f"({change.reason})", "dim", color=color) if change.reason else ""
    return " ".join(part for part in (sign, change.name, versions, reason) if part)


def _from_where(changes: Sequence[Change]) -> str:
    """Say where the wheels of planned changes would come from that are not on an index."""
    texts = {
        "remote": "from the remote",
        "cached": "built earlier",
        "awaited": "being built elsewhere",
        "built": "to build",
    }
    sources = [change.source for change in changes]
    found = [f"{sources.count(key)} {texts[key]}" for key in texts if key in sources]
    return f": {', '.join(found)}" if found else ""


def _from_remote(changes: Sequence[Change], saved: float) -> str:
    count = sum(change.source == "remote" for change in changes)
    saving = f"{rough_duration(saved)} of building saved"
    return f"; {count} from the remote, {saving}" if count else ""


def _built(changes: Sequence[Change]) -> list[str]:
    built = [change for change in changes if change.source == "built"]
    cached = sum(change.source == "cached" for change in changes)
    modes = [change.mode for change in built]
    by_mode = ", ".join(f"{modes.count(mode)} {mode}" for mode in _MODES if mode in modes)
    found = []
    if built:
        found.append(f"{len(built)} built ({by_mode})" if by_mode else f"{len(built)} built")
    if cached:
        found.append(f"{cached} built earlier")
    return found
