"""``pipshim lock``: resolve the requirements and write the lock."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from packaging.pylock import is_valid_pylock_path

from pipshim.base.atomic_write import write_file
from pipshim.base.errors import LockError, UsageError
from pipshim.cli.command_report import Report, reporting
from pipshim.cli.context import Context, open_context
from pipshim.cli.project_commands import ProjectCommand
from pipshim.cli.stamp_writer import stamp_lock
from pipshim.lock import lock_inputs
from pipshim.lock.lock_inputs import depends_on_inputs_alone, is_up_to_date, out_of_date
from pipshim.model import option_table, selection_preferences
from pipshim.model.build_settings import combine
from pipshim.model.lock_diff import changes
from pipshim.model.pylock import Lock, key_of, write
from pipshim.model.requests import LockOptions, LockRequest
from pipshim.model.workspace_selection import check_members
from pipshim.progress.formatting import plural
from pipshim.progress.summary import summarize_lock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from optparse import Values

    from pipshim.cli.command_base import PipCommand
    from pipshim.model.change import Change
    from pipshim.model.project import Project


class LockCommand(ProjectCommand):
    """Lock the project, or the given requirements, with all that they need.

    Without requirements, what pyproject.toml requires is locked: its
    dependencies, its extras and its dependency groups. The lock is a
    pylock.toml (PEP 751), which pip installs too.

    For example:
      pipshim lock                          lock the project
      pipshim lock --check                  fail if the lock is out of date
      pipshim lock -P numpy                 a newer numpy; all else as it is
      pipshim lock -r requirements.txt      lock requirements, without a project
      pipshim lock --no-build-isolation-package flash-attn
    """

    usage = """
      %prog [options]
      %prog [options] <requirement specifier> [package-index-options] ...
      %prog [options] -r <requirements file> [package-index-options] ...
      %prog [options] [-e] <local project path> ...
      %prog [options] <archive url/path> ..."""

    declared = option_table.LOCK
    is_pips = True

    def request(self, options: Values, args: list[str]) -> LockRequest:
        if options.output_file == "-" and options.output_format == "json":
            raise UsageError(
                "-o - and --output-format json both write to standard output",
                hint="leave one of them out",
            )
        lock = LockOptions(
            **self.declared.fields(LockOptions, options),
            requirements=tuple(args),
            requirement_files=tuple(options.requirements),
            scripts=tuple(options.requirements_from_scripts),
            editables=tuple(options.editables),
            constraints=tuple(options.constraints),
            groups=tuple(options.dependency_groups),
            output=options.output_file,
            preferences=self.preferences(options),
        )
        if lock.script is not None and lock.given:
            raise UsageError(
                "--script locks only what the script requires",
                hint="leave out the requirements, or --script",
            )
        return LockRequest(**self.common(options), lock=lock)

    def act(self, request: LockRequest, pip: PipCommand) -> int:
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


def inputs_now(project: Project, lock: Lock, *, isolated: bool) -> str:
    """Return the digest that ``pipshim lock --check`` would compare a lock with.

    Args:
        lock: the lock; its preferences count.
        isolated: ignore variables and the user's configuration.

    """
    command = LockCommand("lock", "", isolated)
    command.verbosity = 0
    request = command.request(*command.parse_args([]))
    configuration = project.configuration
    return lock_inputs.digest(
        project,
        combine(request.build, configuration),
        request.lock,
        request.build.build_constraints,
        selection_preferences.combine(
            request.lock.preferences, configuration, lock.options, keeps=True
        ).values,
        {*configuration.target_environments, *lock.targets_asked},
    )


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
    say = f"{context.lock_path.name} is up to date ({plural(_count(lock), 'package')})"
    stamp_lock(context, lock, say, written=written)


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
        stamp_lock(context, lock, say)
        return 0
    what = f"is out of date: {why}; update it" if lock else "does not exist; create it"
    context.say(f"{context.lock_path.name} {what}: pipshim lock", "error")
    return 1
