"""pip's ``install``, ``wheel`` and ``download``, with the options and the builds of pipshim."""

from __future__ import annotations

import copy
import logging
import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, cast

from packaging.utils import canonicalize_name
from pip._internal.cli.req_command import RequirementCommand
from pip._internal.commands import download, install, wheel
from pip._internal.exceptions import CommandError
from pip._internal.resolution.resolvelib.resolver import Resolver

from pipshim._pip import patches
from pipshim._pip.build_hooks import Seams, StagedResolver
from pipshim._pip.logs import forwarded
from pipshim._pip.metadata import prepared
from pipshim._pip.parser import file_layers, isolates, keep_abbreviations, variable_layers
from pipshim._pip.requirements_file_options import Lines
from pipshim._pip.retries import retry_broken_answers
from pipshim.base.errors import PipshimError, UsageError
from pipshim.cli import option_values
from pipshim.cli.error_boundary import run_beside, run_guarded, show
from pipshim.cli.known_credentials import known_credentials
from pipshim.model import options as option_table
from pipshim.model.build_mode import IsolationLayer
from pipshim.model.build_settings import ALL
from pipshim.model.events import masked
from pipshim.model.requests import LockOptions, LockRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from optparse import Option, Values
    from types import ModuleType

    from packaging.utils import NormalizedName
    from pip._internal.index.package_finder import PackageFinder
    from pip._internal.network.session import PipSession
    from pip._internal.operations.prepare import RequirementPreparer

    from pipshim._pip.pip_builds import Staged
    from pipshim._pip.session import Pip
    from pipshim.base.masking import Mask
    from pipshim.cli.report import Report

logger = logging.getLogger(__name__)


class _Building(RequirementCommand):
    """What the three have in common: the options, and the builds put in pip's place."""

    _module: ModuleType
    _stays = False
    _editables = False

    def __init__(self, name: str, summary: str, isolated: bool = False) -> None:
        super().__init__(name, summary, isolated)
        self._environ: Mapping[str, str] = {} if isolated else os.environ
        self._own: list[Option] = option_table.passed_options()
        group = self.parser.add_option_group("Build Options of pipshim")
        for option in self._own:
            group.add_option(option)
        keep_abbreviations(self.parser, option_table.long_names(self._own))
        # Before pip's general options, which are the last but for this.
        self.parser.option_groups.insert(1, self.parser.option_groups.pop())
        self._layers: tuple[tuple[IsolationLayer, ...], tuple[IsolationLayer, ...]] = ((), ())

    def parse_args(self, args: list[str]) -> tuple[Values, list[str]]:
        """Parse as pip does; note what was typed about isolation, and what variables say."""
        try:
            return self._parsed(args)
        except UsageError as error:
            show(error)
            sys.exit(error.exit_status)

    def _parsed(self, args: list[str]) -> tuple[Values, list[str]]:
        values = self.parser.get_default_values()
        option_table.read_variables(self._own, values, self._environ)
        self._before = copy.deepcopy(values.format_control)
        below = values.no_build_isolation_package
        values.build_isolation = values.no_build_isolation_package = None
        values, rest = self.parser.parse_args(args, values)
        typed = IsolationLayer(
            option_table.COMMAND_LINE,
            None if values.build_isolation is None else not values.build_isolation,
            frozenset(values.no_build_isolation_package or ()),
        )
        self._layers = (
            (typed, *variable_layers(self.parser, self._environ)),
            file_layers(self.parser),
        )
        values.build_isolation = isolates((*self._layers[0], *self._layers[1]))
        values.no_build_isolation_package = [*below, *(values.no_build_isolation_package or ())]
        return values, rest

    def run(self, options: Values, args: list[str]) -> int:
        """Run pip's command; its builds are pipshim's."""
        mask = _Late(
            lambda: known_credentials(options, args, self.parser.config.items(), os.environ)
        )
        as_json = options.progress == "json"
        show_error = partial(
            show,
            no_color=bool(options.no_color),
            hide=mask.hide,
            as_json=as_json,
            # With -v what builds print has been shown already, and pip says nothing twice.
            with_output=as_json or self.verbosity < 1,
        )
        action = partial(self._run_pips, options, args, mask, show_error)
        if as_json:  # pip would tell its errors in text
            return run_guarded(action, hide=mask.hide, as_json=True)
        return run_beside(action, show_error)

    def _run_pips(
        self, options: Values, args: list[str], mask: _Late, show_error: Callable[..., object]
    ) -> int:
        lines = Lines()
        with ExitStack() as stack:
            report: Report | None = None
            if options.timings or options.progress == "json":
                from pipshim.cli.report import reporting  # noqa: PLC0415 seldom asked for

                report = stack.enter_context(
                    reporting(self._request(options, mask.known), self.name)
                )
                report.details |= {"changed": None, "changes": None}
                if report.lines is not None:
                    warn = masked(report.lines, mask.known)
                    stack.enter_context(forwarded(warn, logging.WARNING, stdout=False))

            def staged() -> Staged:
                from pipshim._pip.pip_builds import Staged  # noqa: PLC0415 not needed without a source
                from pipshim.cli.pip_builds import Building  # noqa: PLC0415

                request = self._request(options, mask.known)
                building = Building(
                    replace(request, build=lines.beside(request.build)),
                    stays=self._stays and not _goes_elsewhere(options),
                    adopt=self._adopt,
                    also=report.observer if report is not None else None,
                )
                stack.enter_context(building)
                return Staged(building, editables=self._editables, show=show_error)

            self._seams = Seams(staged)
            stack.enter_context(self._seams.put_in(self._module))
            stack.enter_context(lines.heard())
            try:
                status = super().run(options, args)
            except PipshimError as error:
                pips = self._seams.as_pip_error(error) if options.progress != "json" else None
                if pips is None:
                    raise
                show_error(error)
                raise pips from error
            except CommandError as error:
                if options.progress != "json":
                    raise
                raise PipshimError(str(error)) from error  # whose status is what pip's is
            if report is not None:
                report.status = status
            return status

    def get_default_session(self, options: Values) -> PipSession:
        """Make pip's session, which asks again for answers that break off."""
        session = super().get_default_session(options)
        retry_broken_answers(session)
        return session

    def _request(self, options: Values, mask: Mask) -> LockRequest:
        from pipshim.cli.project_commands import PipCommand  # noqa: PLC0415 not needed without a source

        for_builds = copy.copy(options)
        for_builds.ignore_requires_python = False  # said of what is asked for
        return LockRequest(
            pip=PipCommand(self, for_builds, mask),
            common=option_values.common_of(
                options, python=None, verbosity=self.verbosity, environ=self._environ
            ),
            build=option_values.build_of(options, *self._layers),
            lock=LockOptions(),
        )

    def make_resolver(self, **kwargs: Any) -> Any:  # type: ignore[override]
        """Make pip's resolver, to be asked in rounds, which takes nothing from pip's wheel cache.

        What that has was built against nobody knows what.
        """
        kwargs["wheel_cache"] = None
        preparer = cast("RequirementPreparer", kwargs["preparer"])
        patches.override(
            preparer,
            prepare_linked_requirement=partial(prepared, preparer.prepare_linked_requirement),
        )
        made = super().make_resolver(**kwargs)
        if not isinstance(made, Resolver):
            self._refuse_own(kwargs["options"])
            self._seams.leave_out()
            return made
        self._finder = cast("PackageFinder", kwargs["finder"])
        warn = partial(self._warn_of_unknown_names, kwargs["options"])
        return StagedResolver(made, preparer, self._seams, warn)

    def _warn_of_unknown_names(self, options: Values, known: set[NormalizedName]) -> None:
        """Warn of packages that options name and nothing needs.

        A name that pip's own options have may be meant for other commands too, so it has to be
        like one that is needed.
        """
        build = option_values.build_of(options, *self._layers)
        own: dict[str, Iterable[str]] = {
            "--extra-build-dependency": build.extra_build_dependencies,
            "--config-settings-package": build.config_settings_package,
            "--rebuild": build.rebuild - {ALL},
        }
        for layer in self._layers[0]:
            typed = layer.source == option_table.COMMAND_LINE
            own["--no-build-isolation-package" if typed else layer.source] = layer.packages
        control, before = options.format_control, self._before
        pips = {
            "--no-binary": control.no_binary - before.no_binary,
            "--only-binary": control.only_binary - before.only_binary,
        }
        for setting, names in {**own, **pips}.items():
            for name in sorted({canonicalize_name(one) for one in names} - known):
                nearest = get_close_matches(name, known, n=1)
                if nearest or (setting in own and known):
                    meant = f"; did you mean {nearest[0]}?" if nearest else ""
                    logger.warning(
                        "%s names %s, which nothing here requires%s", setting, name, meant
                    )

    def _refuse_own(self, options: Values) -> None:
        """Refuse to pass over options that only pipshim's builds heed."""
        for option in option_table.build_options():
            if option.action == "append" and getattr(options, option.dest or "", None):
                raise UsageError(
                    f"{option} cannot be used with --use-deprecated=legacy-resolver",
                    hint="leave one of them out",
                )

    def _adopt(self, pip: Pip) -> None:
        """Let build environments come from where the command's own distributions do."""
        pip.finder.search_scope = self._finder.search_scope
        pip.finder._candidate_prefs.prefer_binary = self._finder.prefer_binary  # noqa: SLF001
        control = self._finder.release_control
        if control is not None:
            pip.finder.set_release_control(control)


class InstallCommand(_Building, install.InstallCommand):  # noqa: D101 it has that of pip
    __doc__ = install.InstallCommand.__doc__
    usage = install.InstallCommand.usage
    _module = install
    _stays = True
    _editables = True


class WheelCommand(_Building, wheel.WheelCommand):  # noqa: D101 it has that of pip
    __doc__ = wheel.WheelCommand.__doc__
    usage = wheel.WheelCommand.usage
    _module = wheel


class DownloadCommand(_Building, download.DownloadCommand):  # noqa: D101 it has that of pip
    __doc__ = download.DownloadCommand.__doc__
    usage = download.DownloadCommand.usage
    _module = download


class _Late:
    """The credentials that are known, gathered when somebody asks."""

    def __init__(self, gather: Callable[[], Mask]) -> None:
        self._gather = gather

    @cached_property
    def known(self) -> Mask:
        return self._gather()

    def hide(self, text: str) -> str:
        return self.known.hide(text)


def _goes_elsewhere(options: Values) -> bool:
    return bool(options.target_dir or options.prefix_path or options.root_path)
