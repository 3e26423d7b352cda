"""The result document: what a command did, as plain data. See docs/reference/output.md."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipshim.base.errors import BuildError, Failures
from pipshim.progress.json_lines import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pipshim.base.errors import PipshimError
    from pipshim.model.change import Change
    from pipshim.progress.event_timeline import BuildSpan, History

_ACTIONS = {"+": "add", "-": "remove", "~": "replace"}


def changes(found: Iterable[Change]) -> list[dict[str, Any]]:
    return [
        {
            "action": _ACTIONS[change.kind],
            "name": change.name,
            "old": change.old,
            "new": change.new,
            "reason": change.reason,
            "source": change.source,
            "mode": change.mode,
        }
        for change in found
    ]


def builds(history: History, reasons: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return what was built or reused.

    Args:
        history: what has happened.
        reasons: by name, why a package was built again.

    """
    return [_build(one, history.now, reasons) for one in history.builds]


def _build(one: BuildSpan, now: float, reasons: Mapping[str, str]) -> dict[str, Any]:
    ended = now if one.ended is None else one.ended
    phases: dict[str, float] = {}
    for phase, start, end in one.lasting(ended):
        phases[phase] = round(phases.get(phase, 0.0) + end - start, 3)
    return {
        "name": one.name,
        "version": one.version,
        "what": one.what,
        "outcome": one.ending,
        "mode": one.mode,
        "chosen_by": one.chosen_by,
        **({"combination": one.combination} if one.combination else {}),
        **({"worker": one.worker} if one.worker else {}),
        "reason": one.why or _reason(one, reasons),
        "started": round(one.started, 3),
        "seconds": round(ended - one.started, 3),
        "phases": phases,
        "cpu": round(one.cpu, 3) if one.cpu is not None else None,
        "memory": one.memory,
        "expected": one.expected,
        **({"saved": round(one.saved, 3)} if one.saved is not None else {}),
        "waits_for": list(one.waits_for),
        "log": str(one.log) if one.log is not None else None,
        "record": one.record,
    }


def _reason(one: BuildSpan, reasons: Mapping[str, str]) -> str | None:
    if one.what == "editable":
        return "editable wheels are not kept"
    return reasons.get(one.name, "no earlier wheel fits") if one.what == "wheel" else None


def errors(error: PipshimError) -> list[dict[str, Any]]:
    """Return what went wrong; several builds may have failed."""
    return [_error(one) for one in (error.errors if isinstance(error, Failures) else (error,))]


def _error(error: PipshimError) -> dict[str, Any]:
    said: dict[str, Any] = {
        "kind": type(error).__name__,
        "message": error.message,
        "hint": error.hint,
    }
    if isinstance(error, BuildError):
        said |= {
            "package": error.package,
            "mode": error.mode,
            "step": error.step,
            "output": list(error.output),
            "log": str(error.log) if error.log is not None else None,
        }
    return said


def document(
    command: str, status: str, history: History, *, exit_status: int, details: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the document.

    Args:
        command: ``lock``, ``sync`` or ``run``.
        status: ``done``, ``planned``, ``failed`` or ``interrupted``.
        history: what has happened.
        exit_status: the command's.
        details: the command's own; with ``reasons``, why packages were built.

    """
    reasons = details.get("reasons", {})
    return {
        "schema": SCHEMA,
        "command": command,
        "status": status,
        "exit_status": exit_status,
        "seconds": round(history.now, 3),
        "changed": False,
        "changes": [],
        **{key: value for key, value in details.items() if key != "reasons"},
        "builds": builds(history, reasons),
    }
