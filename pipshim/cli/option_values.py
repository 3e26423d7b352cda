"""From what ``optparse`` stored, pip's options under pip's names, to what was asked."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.pylock import is_valid_pylock_path

from pipshim.base.errors import UsageError
from pipshim.model.options import extras_by_package, settings_by_package
from pipshim.model.requests import (
    BuildOptions,
    CommonOptions,
    ExportOptions,
    LockOptions,
    RunOptions,
    SelectionOptions,
    SyncOptions,
    shim_cache_directory,
)
from pipshim.model.requirements import separated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from optparse import Values

    from pipshim.model.build_mode import IsolationLayer
    from pipshim.model.preferences import Said


def common_of(
    values: Values, *, python: str | None, verbosity: int, environ: Mapping[str, str]
) -> CommonOptions:
    """Collect what every command takes."""
    cache = Path(values.cache_dir) if values.cache_dir else None
    return CommonOptions(
        project=values.project,
        no_project=bool(getattr(values, "no_project", False)),
        python=python,
        verbosity=verbosity,
        debug=values.debug_mode,
        no_color=bool(values.no_color) or "NO_COLOR" in os.environ,
        no_input=bool(values.no_input),
        progress_bar=values.progress_bar,
        progress=values.progress,
        output_format=getattr(values, "output_format", "text"),
        timings=values.timings,
        log=Path(values.log) if values.log else None,
        cache=cache,
        shim_cache=shim_cache_directory(cache, environ),
        jobs=values.jobs,
        link_mode=getattr(values, "link_mode", None),
        offline=bool(getattr(values, "offline", False)),
        require_virtualenv=bool(values.require_venv),
    )


def build_of(
    values: Values, above: Sequence[IsolationLayer], below: Sequence[IsolationLayer]
) -> BuildOptions:
    """Collect how to build from source."""
    return BuildOptions(
        layers_above=tuple(above),
        layers_below=tuple(below),
        extra_build_dependencies=extras_by_package(values.extra_build_dependency),
        config_settings=dict(getattr(values, "config_settings", None) or {}),
        config_settings_package=settings_by_package(values.config_settings_package),
        build_constraints=tuple(values.build_constraints),
        check_build_dependencies=bool(values.check_build_deps),
        rebuild=frozenset(values.rebuild),
    )


def lock_of(values: Values, arguments: Sequence[str], said: Said) -> LockOptions:
    """Collect what to lock."""
    return LockOptions(
        requirements=tuple(arguments),
        requirement_files=tuple(values.requirements),
        scripts=tuple(values.requirements_from_scripts),
        editables=tuple(values.editables),
        constraints=tuple(values.constraints),
        groups=tuple(values.dependency_groups),
        upgrade=bool(values.upgrade),
        upgrade_packages=tuple(values.upgrade_package),
        check=bool(values.check),
        dry_run=bool(values.dry_run),
        target_environments=tuple(dict.fromkeys(values.target_environment)),
        output=values.output_file,
        said=said,
        script=values.script,
    )


def choice_of(values: Values) -> SelectionOptions:
    """Collect which extras and groups are asked for."""
    return SelectionOptions(
        extras=tuple(values.extra),
        all_extras=bool(values.all_extras),
        groups=tuple(values.group),
        no_groups=tuple(values.no_group),
        only_groups=tuple(values.only_group),
        all_groups=bool(values.all_groups),
        no_default_groups=bool(values.no_default_groups),
        no_extras=tuple(values.no_extra),
        no_dev=bool(values.no_dev),
    )


def selection_of(values: Values) -> SelectionOptions:
    """Collect what to install."""
    return replace(
        choice_of(values),
        no_editable=bool(values.no_editable),
        no_install_project=bool(values.no_install_project),
        no_install_local=bool(values.no_install_local),
        no_install_packages=tuple(values.no_install_package),
        exact=None if values.exact == values.inexact else bool(values.exact),
        reinstall=bool(values.reinstall),
        reinstall_packages=tuple(values.reinstall_package),
        compile=None if values.compile is None else bool(values.compile),
    )


def sync_of(values: Values) -> SyncOptions:
    """Collect how sync treats the lock and the environment."""
    return SyncOptions(
        locked=bool(values.locked),
        frozen=bool(values.frozen),
        check=bool(values.check),
        dry_run=bool(values.dry_run),
    )


def given_of(values: Values) -> LockOptions:
    """Collect what sync is given instead of the project's lock: a lock, or requirements files.

    Raises:
        UsageError: several locks, or both kinds; what is given cannot be upgraded.

    """
    constraints = tuple(values.constraints)
    files = tuple(values.requirements)
    upgrade, upgraded = bool(values.upgrade), tuple(values.upgrade_package)
    if files and (upgrade or upgraded):
        raise UsageError(
            "-U and -P are for the project's lock, not for what is given with -r",
            hint="leave them out",
        )
    if (upgrade or upgraded) and (values.locked or values.frozen):
        raise UsageError(
            "an upgrade changes the lock, which --locked and --frozen forbid",
            hint="leave out -U and -P, or these",
        )
    if not files:
        return LockOptions(constraints=constraints, upgrade=upgrade, upgrade_packages=upgraded)
    locks = [one for one in files if is_valid_pylock_path(Path(one))]
    if not locks:
        return LockOptions(requirement_files=files, constraints=constraints, pinned=bool(files))
    if len(files) > 1:
        raise UsageError(
            f"a lock is followed alone, and not with another file: {' '.join(files)}",
            hint=f"-r {locks[0]}",
        )
    if "://" in locks[0]:
        raise UsageError(f"a lock is read from a file, not from a URL: {locks[0]}")
    return LockOptions(constraints=constraints, output=locks[0])


def export_of(values: Values) -> ExportOptions:
    """Collect what to export, and where to."""
    return ExportOptions(
        output=values.output_file,
        hashes=not values.no_hashes,
        header=not values.no_header,
        annotate=not values.no_annotate,
        build=values.build,
    )


def run_of(values: Values, arguments: Sequence[str]) -> RunOptions:
    """Collect what to run.

    Raises:
        UsageError: nothing was named.

    """
    if values.module is None and not arguments:
        raise UsageError(
            "run: no command given", hint="pipshim run COMMAND…, or pipshim run -m MODULE…"
        )
    files = [one for each in values.with_requirements for one in separated(each)]
    return RunOptions(
        no_sync=bool(values.no_sync),
        module=values.module,
        command=tuple(arguments if values.module is None else values.module_arguments),
        env_files=tuple(values.env_file),
        script=bool(values.script),
        isolated=bool(values.isolated),
        over=LockOptions(
            requirements=tuple(one for each in getattr(values, "with") for one in separated(each)),
            requirement_files=tuple(one for one in files if not _is_script(one)),
            scripts=tuple(one for one in files if _is_script(one)),
            editables=tuple(one for each in values.with_editable for one in separated(each)),
        ),
    )


def _is_script(file: str) -> bool:
    return file.endswith((".py", ".pyw"))
