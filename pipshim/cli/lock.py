"""``pipshim lock``: resolve the requirements and write the lock."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from packaging.pylock import is_valid_pylock_path

from pipshim.base.atomic_write import write_file
from pipshim.base.errors import LockError
from pipshim.cli.command_report import Report, reporting
from pipshim.cli.context import Context, open_context
from pipshim.cli.stamp_writer import stamp_lock, typed
from pipshim.lock.lock_inputs import depends_on_inputs_alone, is_up_to_date, out_of_date
from pipshim.model.lock_diff import changes
from pipshim.model.pylock import Lock, key_of, write
from pipshim.model.workspace_selection import check_members
from pipshim.progress.formatting import plural
from pipshim.progress.summary import summarize_lock

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipshim.cli.command_base import PipCommand
    from pipshim.model.change import Change
    from pipshim.model.requests import LockRequest


def main(request: LockRequest, pip: PipCommand) -> int:
    """Lock; return 1 if ``--check`` finds the lock out of date.

    Raises:
        PipshimError: it cannot be locked; an existing lock is unchanged.

    """
    with reporting(request, pip.mask, "lock") as report:
        with open_context(request, pip, report.observer) as context:
            check_members(request.lock.packages, context.project)
            report.details["lock"] = str(context.lock_path)
            if request.lock.output != "-" and not is_valid_pylock_path(context.lock_path):
                said = f"{context.lock_path.name} is not a valid name for a lock"
                context.say(f"{said}: use pylock.toml or pylock.NAME.toml", "warning")
            if request.lock.check:
                report.planned = True
                report.status = _check(context, report)
                return report.status
            old = _usable(context)
            if old is not None and is_up_to_date(context, old):
                _stamp(context, old)
                _tell(context, report, old, [], changed=False)
                return 0
            from pipshim.lock.project_locking import make  # noqa: PLC0415 imports pip's resolver

            lock = make(context, old=old)
            text = write(lock, context.lock_path.parent)
            if request.lock.output == "-":
                sys.stdout.write(text)
                return 0
            path = context.lock_path
            changed = not path.exists() or text.encode() != path.read_bytes()
            if changed and not request.lock.dry_run:
                write_file(context.lock_path, text)
            if not request.lock.dry_run and depends_on_inputs_alone(context, lock):
                _stamp(context, lock, written=changed)
        _tell(context, report, lock, changes(old, lock), changed=changed)
    return 0


def _tell(
    context: Context, report: Report, lock: Lock, found: Sequence[Change], *, changed: bool
) -> None:
    request = context.request
    report.planned = request.lock.dry_run
    report.changes(found)
    count = _count(lock)
    report.details |= {"changed": changed, "packages": count}
    report.details |= {"targets": [str(one) for one in lock.targets]} if lock.targets else {}
    combinations = lock.conflicts.combinations() if lock.conflicts else ()
    report.details |= {"combinations": list(map(str, combinations))} if combinations else {}
    report.text = summarize_lock(
        found,
        packages=count,
        targets=len(lock.targets),
        combinations=len(combinations),
        written=changed,
        dry_run=request.lock.dry_run,
        path=context.lock_path.name,
        no_color=request.common.no_color,
        seconds=report.seconds,
    )


def _count(lock: Lock) -> int:
    return len({key_of(one) for one in lock.packages})


def _stamp(context: Context, lock: Lock, *, written: bool = False) -> None:
    """Write a stamp, by which the same command sees that nothing has changed."""
    quiet = context.request.common.verbosity < 0
    say = f"{context.lock_path.name} is up to date ({plural(_count(lock), 'package')})"
    stamp_lock(context, lock, options=typed("lock"), say="" if quiet else say, written=written)


def _usable(context: Context) -> Lock | None:
    """Read the existing lock; ignore a damaged one with ``--upgrade``."""
    try:
        return context.old_lock
    except LockError:
        if context.request.lock.upgrade:
            return None
        raise


def _check(context: Context, report: Report) -> int:
    lock = context.old_lock
    why = out_of_date(context, lock)
    report.details |= {"changed": why is not None, "reason": why}
    if why is None:
        assert lock is not None
        say = f"{context.lock_path.name} is up to date"
        context.say(say)
        quiet = context.request.common.verbosity < 0
        stamp_lock(context, lock, options=typed("lock"), say="" if quiet else say)
        return 0
    what = f"is out of date: {why}; update it" if lock else "does not exist; create it"
    context.say(f"{context.lock_path.name} {what}: pipshim lock", "error")
    return 1
