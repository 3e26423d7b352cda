"""``pipshim builds run``: the builds of a plan on this machine."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from pipshim.base.errors import HashError, NetworkError, NoGpuError, PlanError, UsageError
from pipshim.base.spelling import nearest
from pipshim.builds.environment import NEVER_INHERITED
from pipshim.cli.command_report import reporting
from pipshim.cli.context import Context, open_context
from pipshim.cli.project_commands import ProjectCommand
from pipshim.envs.gpu_drivers import find_gpus
from pipshim.lock.locked_builds import PlannedBuilds, settings_of
from pipshim.model import option_table
from pipshim.model.build_mode import ALL
from pipshim.model.build_variables import LANGUAGES
from pipshim.model.change import Change
from pipshim.model.plan_file import LARGEST, PlanFile, PlannedBuild, read_plan
from pipshim.model.requests import BuildsRunRequest, LockOptions
from pipshim.model.torch_backends import Gpus
from pipshim.progress.summary import summarize_builds
from pipshim.workers.plan_task import set_up_variables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from optparse import Values

    from pipshim.builds.build_request import BuiltWheel
    from pipshim.cli.command_base import PipCommand


_OF_THE_PLAN = (
    "--constraint",
    "--build-constraint",
    "--no-build-isolation",
    "--check-build-dependencies",
    "--config-settings",
    "--group",
)
"""Options of pip's that have no effect on a build that is planned."""


class BuildsRunCommand(ProjectCommand):
    """Run the builds of a plan on this machine.

    Names are those of packages, or ids of builds in the plan; what they need
    is built first. Without names everything is built. Wheels that an earlier
    command has built are reused, so a command that was interrupted goes on
    where it ended. A plan runs the code of the sources that it names: run
    only plans that you trust.

    For example:
      pipshim builds run plan.json
      pipshim builds run plan.json flash-attn natten -j 2
      pipshim builds plan | pipshim builds run -
    """

    usage = """
      %prog [options] <plan> [<name> ...]"""

    declared = option_table.BUILDS_RUN

    def default_values(self) -> Values:
        """Return the values without a command line; how to build, the plan says."""
        values = super().default_values()
        values.no_build_isolation_package, values.resolution = [], None
        return values

    def _change_options(self) -> None:
        super()._change_options()
        for flag in _OF_THE_PLAN:
            if self.parser.has_option(flag):
                self.parser.remove_option(flag)
        self.parser.option_groups = [one for one in self.parser.option_groups if one.option_list]

    def request(self, options: Values, args: list[str]) -> BuildsRunRequest:
        if not args:
            raise UsageError("builds run: no plan given", hint="pipshim builds run plan.json")
        file, *names = args
        return BuildsRunRequest(
            **self.common(options),
            lock=LockOptions(preferences=self.preferences(options)),
            file=file,
            names=tuple(names),
        )

    def act(self, request: BuildsRunRequest, pip: PipCommand) -> int:
        """Run the builds.

        Raises:
            PlanError: the plan is damaged, or for another machine.
            BuildError: a build failed; those that were done are kept.

        """
        with reporting(request, pip.mask, "builds run") as report:
            with open_context(request, pip, report.observer, optional=True) as context:
                plan = _read(request.file)
                ids = _selected(plan, request)
                builds = _planned(context, plan, request.file)
                _check_gpus([plan.by_id[one] for one in ids], builds, context)
                results: dict[str, tuple[PlannedBuild, BuiltWheel]] = {}
                try:
                    builds.run(ids, lambda build, wheel: results.update({build.id: (build, wheel)}))
                except HashError as error:
                    error.hint = "the index has another file now: create the plan again"
                    raise
                except NetworkError as error:
                    if error.hint and "pipshim lock" in error.hint:
                        error.hint = "it may have been withdrawn: create the plan again"
                    raise
                finally:
                    report.details["wheels"] = [_as_json(*one) for one in results.values()]
            found = [_change(*results[one]) for one in ids]
            report.details["changed"] = any(one.source != "cached" for one in found)
            report.text = summarize_builds(
                found,
                seconds=report.seconds,
                saved=context.saved_seconds,
                no_color=request.common.no_color,
            )
        return report.status


def _as_json(build: PlannedBuild, wheel: BuiltWheel) -> dict[str, str | None]:
    about = {"build": build.id, "name": build.name, "version": wheel.tree.version}
    return {**about, "source": wheel.origin, "sha256": wheel.tree.sha256}


def _change(build: PlannedBuild, wheel: BuiltWheel) -> Change:
    version, mode = wheel.tree.version, str(build.mode)
    return Change("+", build.name, None, version, None, wheel.origin, mode)


def _planned(context: Context, plan: PlanFile, file: str) -> PlannedBuilds:
    context.settings = replace(
        settings_of(plan),
        rebuilt=context.request.build.rebuild,
        own_variables=_own_variables(plan, os.environ),
    )
    builder = context.builder
    builder.environ = _environ(plan, os.environ)
    _check_machine(plan, file, context)
    _warn_of_variables(plan, context)
    return PlannedBuilds(plan, file, builder, context.fetcher)


def _read(file: str) -> PlanFile:
    if file == "-":
        return read_plan(sys.stdin.buffer.read(LARGEST + 1), "standard input")
    try:
        with Path(file).open("rb") as stream:
            return read_plan(stream.read(LARGEST + 1), file)
    except OSError as error:
        raise PlanError(
            file,
            f"cannot be read: {error.strerror}",
            hint="create it: pipshim builds plan -o FILE",
        ) from error


def _selected(plan: PlanFile, request: BuildsRunRequest) -> list[str]:
    """Return the ids of the named builds and of those that they need, in order."""
    _ids(plan, request.file, [one for one in request.build.rebuild if one != ALL])
    if not request.names:
        return [one.id for one in plan.builds]
    return [one.id for one in plan.part(_ids(plan, request.file, request.names)).builds]


def _ids(plan: PlanFile, file: str, names: Iterable[str]) -> list[str]:
    named: list[str] = []
    for text in names:
        name = canonicalize_name(text)
        found = [one.id for one in plan.builds if one.id == text or one.name == name]
        if found:
            named += found
            continue
        left_out = next((one for one in plan.left_out if one.name == name), None)
        if left_out is not None:
            raise UsageError(f"{file} does not have {name}: {left_out.reason}")
        known = {one.name for one in plan.builds}
        hint = f"did you mean {nearest(text, known)}?" if known else "it has no builds"
        raise UsageError(f"{file} has no build {text!r}", hint=hint)
    return named


def _check_machine(plan: PlanFile, file: str, context: Context) -> None:
    """Check that what is built here is what the plan's machine would build."""
    target = context.target
    if plan.platform != target.platform:
        raise PlanError(file, f"is for {plan.platform}, and this machine is {target.platform}")
    if (plan.python, plan.python_abi) != (target.python_name, target.abi):
        version = plan.python.rpartition(" ")[2]
        here = f"{target.python_name} ({target.abi})"
        raise PlanError(
            file,
            f"is for {plan.python} ({plan.python_abi}), and {target.python} is {here}",
            hint=f"choose another Python: --python {version}",
        )
    for name, version in plan.tools.items():
        tool = context.builder.records.tool(name)
        if tool is None or tool.version != version:
            has = f"has {tool.version}" if tool is not None else "does not have it"
            raise PlanError(
                file,
                f"is for {name}: {version}; this machine {has}",
                hint="use a machine with the same tools, or plan without --tool",
            )


def _check_gpus(planned: list[PlannedBuild], builds: PlannedBuilds, context: Context) -> None:
    """Check that builds know which GPUs to compile for."""
    environ = context.builder.environ
    due = [
        (build, name)
        for build in planned
        for name in build.reads
        if not (build.variables.get(name) or environ.get(name)) and builds.is_due(build.id)
    ]
    if due and find_gpus() == Gpus(sys.platform):
        build, name = due[0]
        raise NoGpuError(
            f"{build.id} reads {name}, which is not set, and this machine has no GPU to ask",
            hint=f"set it where the plan is made:\n[tool.pipshim.extra-build-variables]\n"
            f'{build.name} = {{ {name} = "8.0;9.0" }}',
        )


def _environ(plan: PlanFile, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of builds: the plan's replace this machine's."""
    own = {name: value for name, value in environ.items() if name not in NEVER_INHERITED}
    return {**own, **plan.variables}


def _own_variables(plan: PlanFile, environ: Mapping[str, str]) -> dict[str, str | None]:
    """Return what counts in records in place of the values that only this machine has.

    Those of a set-up line belong to the machine, as its compilers do.
    """
    set_up = dict.fromkeys(set_up_variables(environ) - plan.variables.keys())
    return {**set_up, **{name: one for name, one in plan.own_variables.items() if one is not None}}


def _warn_of_variables(plan: PlanFile, context: Context) -> None:
    """Warn of compilers' variables that are set here only: they count in build records."""
    rules = context.settings.rules
    here = {one for one in context.builder.environ if rules.is_listed(one, LANGUAGES)}
    known = {*plan.variables, *plan.own_variables, *context.settings.own_variables}
    if only := sorted(here - known):
        verb = "is" if len(only) == 1 else "are"
        context.say(
            f"{', '.join(only)} {verb} set here, and not where the plan was made: compiled wheels "
            "are reused only where the values are the same",
            "warning",
        )
