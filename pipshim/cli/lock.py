"""``pipshim lock``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from packaging.pylock import is_valid_pylock_path

from pipshim.cli.report import reporting
from pipshim.context import Context, opened
from pipshim.errors import LockError
from pipshim.lock.comparing import changes
from pipshim.lock.lockfile import key_of, write
from pipshim.progress.summary import summarize_lock
from pipshim.unchanged.stamping import stamp_check, typed
from pipshim.writing import write_file

if TYPE_CHECKING:
    from pipshim.cli.options import LockRequest
    from pipshim.cli.report import Report
    from pipshim.lock.lockfile import Lock


def main(request: LockRequest) -> int:
    """Lock; 1 if ``--check`` finds the lock out of date.

    Raises:
        PipshimError: it cannot be locked; the lock that is there is as before.

    """
    with reporting(request, "lock") as report:
        with opened(request, report.observer) as context:
            report.details["lock"] = str(context.lock_path)
            if request.lock.output != "-" and not is_valid_pylock_path(context.lock_path):
                said = f"{context.lock_path.name} is no name that a lock is known by"
                context.say(f"{said}: pylock.toml, or pylock.NAME.toml", "warning")
            if request.lock.check:
                report.planned = True
                report.status = _check(context, report)
                return report.status
            old = _usable(context)
            from pipshim.lock.locking import make  # noqa: PLC0415 imports pip's resolver

            lock = make(context, old=old)
            text = write(lock, context.lock_path.parent)
            if request.lock.output == "-":
                sys.stdout.write(text)
                return 0
            path = context.lock_path
            changed = not path.exists() or text.encode() != path.read_bytes()
            if changed and not request.lock.dry_run:
                write_file(context.lock_path, text)
        report.planned = request.lock.dry_run
        found = changes(old, lock)
        report.changes(found)
        count = len({key_of(one) for one in lock.packages})
        report.details |= {"changed": changed, "packages": count}
        report.details |= {"targets": [str(one) for one in lock.targets]} if lock.targets else {}
        report.text = summarize_lock(
            found,
            packages=count,
            targets=len(lock.targets),
            written=changed,
            dry_run=request.lock.dry_run,
            path=context.lock_path.name,
            no_color=request.common.no_color,
            seconds=report.seconds,
        )
    return 0


def _usable(context: Context) -> Lock | None:
    """Read the lock that is there; a damaged one is passed over when all is upgraded."""
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
        stamp_check(context, lock, options=typed("lock"), say="" if quiet else say)
        return 0
    context.say(f"{context.lock_path.name} is out of date: {why}", "error")
    return 1


def out_of_date(context: Context, lock: Lock | None) -> str | None:
    """Say why a lock does not serve the inputs; None if it does."""
    if lock is None:
        return "there is none"
    if not lock.inputs:
        return "it was not made by pipshim"
    if lock.inputs != context.inputs:
        return "what it was made from has changed"
    if lock.targets:
        return None
    if lock.environment is not None and not lock.environment.evaluate(dict(context.target.markers)):
        return f"it is for another Python or platform ({lock.environment})"
    return None
