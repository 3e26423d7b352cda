"""``pipshim sync``: make the environment match the lock."""

from __future__ import annotations

import os
import shlex
from contextlib import contextmanager
from dataclasses import field, replace
from typing import TYPE_CHECKING

from pipshim.base.atomic_write import StagedFile
from pipshim.base.errors import LockError, TargetError, UsageError
from pipshim.base.light.dataclasses import dataclass
from pipshim.cli.command_report import Report, reporting
from pipshim.cli.context import Context, open_context
from pipshim.cli.project_commands import FollowingCommand
from pipshim.cli.stamp_writer import stamp, typed, write_snapshot
from pipshim.lock.lock_inputs import out_of_date
from pipshim.model import option_table
from pipshim.model.build_settings import BuildLines
from pipshim.model.change import Change
from pipshim.model.pylock import Lock, write
from pipshim.model.requests import SyncRequest
from pipshim.model.selection import (
    Selection,
    check_environment,
    check_names,
    check_selection,
    check_target,
    chosen_of,
    select,
)
from pipshim.model.selection_preferences import not_heeded
from pipshim.model.selection_preferences import typed as typed_of
from pipshim.model.universal_lock import lock_for
from pipshim.model.workspace_selection import selected
from pipshim.progress.formatting import plural
from pipshim.progress.summary import summarize
from pipshim.sync import journal
from pipshim.sync.synchronizer import Sync

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from optparse import Values

    from packaging.utils import NormalizedName

    from pipshim.cli.command_base import PipCommand
    from pipshim.envs.venv import Environment
    from pipshim.model.events import Source
    from pipshim.model.interpreter import Target
    from pipshim.model.sync_plan import Step
    from pipshim.sync.transaction import Ready


@dataclass(frozen=True)
class Outcome:
    """What a sync did, or would do.

    Attributes:
        installed: how many distributions the lock has for the environment.
        exists: whether the environment is there and whole.
        origins: where wheels that are not on an index would come from, in a dry run.
        requested: in a new environment, what the user asked for by name; else None.

    """

    target: Target
    steps: list[Step]
    ready: Mapping[NormalizedName, Ready]
    lock: Lock
    installed: int
    exists: bool = True
    requested: Collection[NormalizedName] | None = None
    origins: Mapping[NormalizedName, Source] = field(default_factory=dict)

    @property
    def changes(self) -> list[Step]:
        return [step for step in self.steps if step.action != "keep"]


class SyncCommand(FollowingCommand):
    """Make the environment match the lock.

    If the lock is missing or out of date, it is made first. The environment
    is the one that --python names, else the active one, else .venv beside
    pyproject.toml, which is made if it is missing.

    With -r, a lock that is given is followed as it is, whoever made it; a
    requirements file too, if it pins all that it names.

    For example:
      pipshim sync                          lock if out of date, then install
      pipshim sync --locked --check         change nothing; fail if it differs
      pipshim sync --extra gpu --no-group dev
      pipshim sync --frozen --no-editable --compile
      pipshim sync --script tool.py         the environment of a script
      pipshim sync --timings timings.html   where the time went
    """

    usage = """
      %prog [options]
      %prog [options] --script <script.py>
      %prog [options] -r <lock file>
      %prog [options] -r <requirements file> ..."""

    declared = option_table.SYNC

    def request(self, options: Values, args: list[str]) -> SyncRequest:
        if args:
            raise UsageError(
                f"sync takes no arguments: {' '.join(args)}",
                hint=_instead_of_arguments(args),
            )
        if options.script is not None and options.requirements:
            raise UsageError(
                "--script and -r cannot be used together",
                hint="leave one of them out",
            )
        request = SyncRequest(**self.installing(options))
        exact = None if options.exact == options.inexact else bool(options.exact)
        return replace(request, selection=replace(request.selection, exact=exact))

    def act(self, request: SyncRequest, pip: PipCommand) -> int:
        """Sync; return 1 if ``--check`` finds that the environment differs.

        Raises:
            PipshimError: it cannot be synced; the environment is as before.

        """
        asked = request.sync
        with reporting(request, pip.mask, "sync") as report:
            with open_context(request, pip, report.observer) as context:
                outcome = sync(
                    context, request, exact=request.selection.exact, change=not asked.check
                )
                if context.place is not None and outcome.exists:
                    context.say(_where(outcome))
                if not (asked.check or asked.dry_run):
                    write_notes(context, request, outcome, command="sync", options=typed("sync"))
            report.planned = asked.dry_run or asked.check
            report.status = 1 if asked.check and (outcome.changes or not outcome.exists) else 0
            report.text = summary_of(report, context, outcome)
        return report.status


def _instead_of_arguments(args: list[str]) -> str:
    """Return the hint for arguments that ``pipshim sync`` does not take."""
    if all(map(os.path.isfile, args)):
        files = " ".join(f"-r {shlex.quote(arg)}" for arg in args)
        return f"to install what a file locks or pins: pipshim sync {files}"
    return f"to add to the project: pipshim add {shlex.join(args)}"


def summary_of(report: Report, context: Context, outcome: Outcome) -> str:
    """Add a sync to the report, and return what to say of it at the end."""
    return summarize(
        report_sync(report, context, outcome),
        packages=outcome.installed,
        seconds=report.seconds,
        saved=context.saved_seconds,
        dry_run=report.planned,
        no_color=report.request.common.no_color,
    )


def write_notes(
    context: Context,
    request: SyncRequest,
    outcome: Outcome,
    *,
    command: str,
    options: tuple[str, ...] | None,
) -> None:
    """Write stamps and notes for the next command.

    Args:
        options: the options before the command to run; None if that is not known.

    """
    if options is None or request.lock.upgrade or request.lock.upgrade_packages:
        return  # to upgrade again may find something new
    lock, target = outcome.lock, outcome.target
    say = f"up to date ({plural(outcome.installed, 'package')})"
    is_told = command == "sync" and request.common.verbosity >= 0
    said = say if is_told else ""
    if said and context.place is not None:
        said = f"{said}; {_where(outcome)}"
    stamp(context, request, lock, target, command=command, options=options, say=said)
    if outcome.requested is not None:
        write_snapshot(
            context,
            request,
            lock,
            target,
            options=options,
            say=say,
            ready=outcome.ready,
            requested=outcome.requested,
        )


def report_sync(report: Report, context: Context, outcome: Outcome) -> list[Change]:
    given = context.request.lock.given
    found = [_change(step, outcome) for step in outcome.changes]
    report.changes(found)
    report.details |= {
        "changed": bool(found) or not outcome.exists,
        "packages": outcome.installed,
        "lock": None if given else str(context.lock_path),
        "lock_changed": _is_made_anew(context, outcome.lock),
        "environment": str(outcome.target.prefix),
    }
    return found


def sync(
    context: Context, request: SyncRequest, *, exact: bool | None, change: bool = True
) -> Outcome:
    """Lock if needed, then make the environment match the lock.

    A new lock is written after the environment: an error leaves both as before.

    Args:
        exact: whether to remove what the lock does not have.
        change: False for a dry run.

    """
    if (
        request.common.require_virtualenv
        and not context.target.is_venv
        and (context.choice.directory is None)
    ):
        raise TargetError(
            "there is no virtual environment to change, and --require-virtualenv is given"
        )
    if context.script is not None:
        check_names(request.selection, extras=(), groups=(), where=context.script.name)
    change = change and not request.sync.dry_run
    lock = lock_of(context, request)
    part, selection = part_of(context, request, lock)
    if not lock.is_merged:
        lock = part
    if context.below is not None:
        selection = context.below.without(selection)
    job = Sync(context, part, selection, request.selection, exact)
    job.check_rebuilt()
    job.check_reinstalled()
    count = len(selection.packages) + len(selection.folders)
    if not change:
        planned = _planned(context, job, lock, count)
        if not request.sync.dry_run:
            return planned
        return replace(planned, origins=job.origins(planned.steps))
    if context.choice.exists:
        return _changed(context, job, lock, count)
    return _filled(context, job, lock, count)


def _planned(context: Context, job: Sync, lock: Lock, count: int) -> Outcome:
    target = context.target if context.choice.exists else None
    if target is None and context.choice.directory is not None:
        context.say(f"would create the environment {context.choice.directory}")
    open_change = target is not None and journal.is_open(target)
    if open_change:
        context.say("an interrupted change of the environment would be completed")
    exists = target is not None and not open_change
    return Outcome(context.target, job.plan(target), {}, lock, count, exists)


def _changed(context: Context, job: Sync, lock: Lock, count: int) -> Outcome:
    target = context.target
    with _locked(context):
        _recover(context, target)
        steps = job.plan(target)
        ready: Mapping[NormalizedName, Ready] = {}
        if any(step.action != "keep" for step in steps):
            ready = job.prepare(steps)
            with lock_staged(context, lock):
                job.apply(steps, ready, target)
    write_lock(context, lock)
    return Outcome(target, steps, ready, lock, count)


def _filled(context: Context, job: Sync, lock: Lock, count: int) -> Outcome:
    """Prepare everything, then make the environment and fill it."""
    ready = job.prepare(job.plan(None))
    with lock_staged(context, lock), _locked(context) as found:
        # Another command may have made it meanwhile, and filled it.
        _recover(context, found.target)
        steps = job.plan(found.target)
        due = {step.name for step in steps if step.action != "keep"}
        ready = {name: one for name, one in ready.items() if name in due}
        ready |= job.prepare([step for step in steps if step.name not in ready])
        job.apply(steps, ready, found.target)
    requested = job.requested() if found.created_now and len(ready) == count else None
    return Outcome(found.target, steps, ready, lock, count, requested=requested)


@contextmanager
def _locked(context: Context) -> Iterator[Environment]:
    """Keep other commands out of the environment, which is made if it is missing."""
    found = context.environment()
    with found.lock(lambda: context.wait(f"waiting for another command in {found.directory}")):
        yield found


def part_of(context: Context, request: SyncRequest, lock: Lock) -> tuple[Lock, Selection]:
    """Tell which part of a lock serves the environment, and what is selected of it.

    Raises:
        LockError: it does not serve the environment, or lacks what is selected.
        ResolveError: another tool made it, and what a build needs has no solution.

    """
    markers, path = context.target.markers, context.followed_path
    asked = selected(request.selection, None if context.is_lock_given else context.project, lock)
    context.combination = lock.conflicts.chosen_by(chosen_of(lock, asked, path).origins)
    check_environment(lock, markers, path)
    part = lock_for(lock, markers, context.combination)
    if part.config_settings and not context.is_given:
        context.apply(BuildLines(config_settings=part.config_settings))
    own = context.project.name if context.project is not None and not lock.requirements else None
    selection = select(part, asked, markers, path, own)
    if part.inputs:
        return part, selection
    from pipshim.lock.project_locking import completed  # noqa: PLC0415 imports pip's resolver

    return completed(context, part, selection)


def _where(outcome: Outcome) -> str:
    return f"the script's environment is {outcome.target.prefix}"


def _recover(context: Context, target: Target) -> None:
    if journal.recover(target):
        context.say("a change of the environment was interrupted: recreating it")


def lock_of(context: Context, request: SyncRequest) -> Lock:
    """Return the lock, made again if it is out of date.

    Raises:
        LockError: there is none and it may not be made, or it is for another Python.
        ResolveError, BuildError: it cannot be made.

    """
    path = context.lock_path
    asked = request.sync
    if context.is_given:
        return _make(context, None)
    if asked.frozen or context.is_lock_given or (asked.locked and context.is_lock_cached):
        return _existing_lock(context, request)
    project = context.project if context.below is None else None
    if project is not None and project.conflicts:  # whatever the environment is
        check_selection(selected(request.selection, project), project)
    old = context.old_lock
    targets = context.targets
    if targets:
        check_target(targets, context.target.markers, path)
    elif old is not None and not context.is_lock_cached:
        # A lock of another Python is somebody's: it is not made anew in passing.
        check_environment(old, context.target.markers, path)
    if old is not None and old.requirements and not context.is_lock_cached:
        return old  # made of requirements that were given: there is nothing to compare it with
    why = out_of_date(context, old)
    upgrades = request.lock.upgrade or request.lock.upgrade_packages
    if why is None and not upgrades:
        assert old is not None
        return old
    if asked.locked and old is None:
        raise LockError(path, "there is no lock file", hint="create it: pipshim lock")
    if asked.locked and why is not None:
        raise LockError(path, f"the lock is out of date: {why}", hint="update it: pipshim lock")
    if project is not None:
        check_selection(selected(request.selection, project), project)
    return _make(context, old)


def _make(context: Context, old: Lock | None) -> Lock:
    from pipshim.lock.project_locking import make  # noqa: PLC0415 as above

    return make(context, old=old)


def _existing_lock(context: Context, request: SyncRequest) -> Lock:
    """Return the lock as it is, which nobody may make."""
    if context.is_lock_cached:
        assert context.project is not None  # whose lock it is
        raise LockError(
            context.project.file,
            "there is no lock file beside it",
            hint="create it: pipshim lock",
        )
    if context.old_lock is None:
        hint = None if request.lock.output else "create it: pipshim lock"
        raise LockError(context.lock_path, "there is no lock file", hint=hint)
    _check_heeded(context, context.old_lock)
    return context.old_lock


def _check_heeded(context: Context, lock: Lock) -> None:
    """Check that no given option needs a new lock."""
    said = context.request.lock.preferences
    found = not_heeded(said, context.configuration, lock.options)
    if found:
        is_given = context.is_lock_given
        name = context.lock_path.name
        raise UsageError(
            f"{typed_of(found)} has an effect only when a lock is made, and "
            + (f"{name} is used as it is" if is_given else f"--frozen uses {name} as it is"),
            hint="leave it out" if is_given else "leave out --frozen to update the lock",
        )


def write_lock(context: Context, lock: Lock) -> None:
    """Write the lock, if it is new and has changed."""
    with lock_staged(context, lock):
        pass


@contextmanager
def lock_staged(context: Context, lock: Lock) -> Iterator[None]:
    """Put a new lock in place when the block ends; an error leaves the old one.

    Raises:
        FileError: it cannot be written; that is known before the block begins.

    """
    path = context.lock_path
    text = write(lock, path.parent) if _is_made_anew(context, lock) else None
    if text is None or (path.exists() and path.read_text(encoding="utf-8") == text):
        yield
        return
    if context.is_lock_cached:
        path.parent.mkdir(parents=True, exist_ok=True)
    with StagedFile(path, text):
        yield
    if not context.is_lock_cached:
        context.say(f"locked {plural(len(lock.packages), 'package')} in {path.name}")


def _is_made_anew(context: Context, lock: Lock) -> bool:
    """Return whether this lock of the project differs from the one in its file.

    Another tool's lock is never replaced, and a lock of a requirements file is not kept.
    """
    if context.is_given or not lock.inputs:
        return False
    return lock is not context.old_lock


def _change(step: Step, outcome: Outcome) -> Change:
    kind = {"add": "+", "remove": "-", "replace": "~"}[step.action]
    ready = outcome.ready.get(step.name)
    new = ready.tree.version if ready is not None else step.new
    shown = step.reason if step.action == "replace" and new in (step.old, None) else None
    source = ready.source if ready is not None else outcome.origins.get(step.name)
    mode = ready.mode if ready is not None else None
    return Change(kind, step.name, step.old, new, shown, source, mode)  # type: ignore[arg-type]
