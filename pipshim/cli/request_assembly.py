"""Turn parsed options, including pip's, into the parts of a request."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.pylock import is_valid_pylock_path

from pipshim.base.errors import UsageError
from pipshim.model.option_table import RUN
from pipshim.model.requests import LockOptions, RunOptions
from pipshim.model.requirements import separated

if TYPE_CHECKING:
    from collections.abc import Sequence
    from optparse import Values

    from pipshim.model.option_parsing import CommandOptions


def given_of(options: CommandOptions, values: Values) -> LockOptions:
    """Return what sync follows instead of the project's lock: a lock, or requirements files.

    Raises:
        UsageError: several locks, or both kinds; or ``--upgrade`` with them.

    """
    project = LockOptions(
        **options.fields(LockOptions, values), constraints=tuple(values.constraints)
    )
    files = tuple(values.requirements)
    upgrades = project.upgrade or project.upgrade_packages
    if files and upgrades:
        raise UsageError(
            "-U and -P are for the project's lock, not for what is given with -r",
            hint="leave them out",
        )
    if upgrades and (values.locked or values.frozen):
        raise UsageError(
            "an upgrade changes the lock, which --locked and --frozen forbid",
            hint="leave out -U and -P, or these",
        )
    if not files:
        return project
    locks = [one for one in files if is_valid_pylock_path(Path(one))]
    if not locks:
        return replace(project, requirement_files=files, pinned=True)
    if len(files) > 1:
        raise UsageError(
            f"a lock cannot be combined with other files: {' '.join(files)}",
            hint=f"-r {locks[0]}",
        )
    if "://" in locks[0]:
        raise UsageError(f"a lock is read from a file, not from a URL: {locks[0]}")
    return replace(project, output=locks[0])


def run_of(values: Values, arguments: Sequence[str]) -> RunOptions:
    if values.module is None and not arguments:
        raise UsageError(
            "run: no command given", hint="pipshim run COMMAND…, or pipshim run -m MODULE…"
        )
    module, *words = values.module or (None, *arguments)
    files = _all_separated(values.with_requirements)
    scripts = tuple(one for one in files if one.endswith((".py", ".pyw")))
    return RunOptions(
        **RUN.fields(RunOptions, values),
        module=module,
        command=tuple(words),
        over=LockOptions(
            requirements=_all_separated(getattr(values, "with")),
            requirement_files=tuple(one for one in files if one not in scripts),
            scripts=scripts,
            editables=_all_separated(values.with_editable),
        ),
    )


def _all_separated(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(part for value in values for part in separated(value))
