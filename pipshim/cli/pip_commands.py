"""pip's ``install``, ``wheel`` and ``download``, with the options and the builds of pipshim."""

from __future__ import annotations

import copy
import logging
import os
import re
import sys
from contextlib import ExitStack
from dataclasses import replace
from difflib import get_close_matches
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import NormalizedName, canonicalize_name

from pipshim._pip import building_commands as pips
from pipshim._pip import interrupts
from pipshim._pip.command_hooks import PipHooks
from pipshim._pip.downloads import retry_broken_answers
from pipshim._pip.installation import hashed
from pipshim._pip.requirement_commands import CommandError, RequirementCommand
from pipshim._pip.requirements import accepting_build_options
from pipshim._pip.routed_search import follow_routes, learn_indexes
from pipshim.base.errors import PipshimError, ProjectError, UsageError
from pipshim.cli.command_base import DeclaredCommand, PipCommand
from pipshim.cli.error_boundary import run_beside, run_guarded, show
from pipshim.cli.known_credentials import known_credentials
from pipshim.cli.pip_messages import forwarded, shown_once
from pipshim.model.build_mode import ALL
from pipshim.model.build_settings import BuildLines
from pipshim.model.combinations import origin_of_member
from pipshim.model.events import masked
from pipshim.model.index_routes import IndexRoutes, routes_of
from pipshim.model.option_parsing import COMMAND_LINE, long_names
from pipshim.model.option_table import BUILD, BUILDING, keep_abbreviations
from pipshim.model.requests import LockOptions, LockRequest
from pipshim.project.workspaces import load_builder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from optparse import Values

    from pipshim._pip.hook_handlers import PipBuilds
    from pipshim._pip.session import Pip
    from pipshim.base.masking import Mask
    from pipshim.cli.command_report import Report
    from pipshim.model.combinations import Combination
    from pipshim.model.project import Project


logger = logging.getLogger(__name__)


class _Building(DeclaredCommand, RequirementCommand):
    """The options and builds that the three have in common."""

    declared = BUILDING
    pips: ClassVar[type[RequirementCommand]]
    _stays = False
    _editables = False

    def __init__(self, name: str, summary: str, isolated: bool = False) -> None:
        super().__init__(name, summary, isolated)
        self.parser.add_option_group("Build Options of pipshim").add_options(self.own)
        keep_abbreviations(self.parser, long_names(BUILDING.options))
        # Before pip's general options, which are the last but for this.
        self.parser.option_groups.insert(1, self.parser.option_groups.pop())
        self._index_is_typed = False
        self._arguments: list[str] = []

    def parse_args(self, args: list[str]) -> tuple[Values, list[str]]:
        """Parse as pip does; note the isolation settings of command line and variables."""
        try:
            return self._parsed(args)
        except UsageError as error:
            show(error)
            sys.exit(error.exit_status)

    def _parsed(self, args: list[str]) -> tuple[Values, list[str]]:
        values = self.default_values()
        below = values.no_build_isolation_package
        values.build_isolation = values.no_build_isolation_package = None
        index_url, values.index_url = values.index_url, None
        values, rest = self.parser.parse_args(args, values)
        self.note_layers(values)
        self._index_is_typed = values.index_url is not None
        values.index_url = values.index_url or index_url
        values.no_build_isolation_package = [*below, *(values.no_build_isolation_package or ())]
        return values, rest

    def run(self, options: Values, args: list[str]) -> int:
        self._arguments, self._options = args, options
        as_json = options.progress == "json"
        show_error = partial(
            show,
            no_color=bool(options.no_color),
            hide=self._hide,
            as_json=as_json,
            # With -v what builds print has been shown already, and pip says nothing twice.
            with_output=as_json or self.verbosity < 1,
        )
        action = partial(self._run_pips, options, args, show_error)
        if as_json:  # pip would tell its errors in text
            return run_guarded(action, hide=self._hide, as_json=True)
        return run_beside(action, show_error)

    def _run_pips(self, options: Values, args: list[str], show_error: Callable[..., object]) -> int:
        lines = BuildLines()
        as_json = options.progress == "json"
        with ExitStack() as stack:
            report: Report | None = None
            if options.timings or as_json:
                from pipshim.cli.command_report import reporting  # noqa: PLC0415 seldom asked for

                report = stack.enter_context(
                    reporting(self._request(options), self.mask, self.name)
                )
                report.details |= {"changed": None, "changes": None}
                if report.lines is not None:
                    warn = masked(report.lines, self.mask)
                    stack.enter_context(forwarded(warn, logging.WARNING, stdout=False))

            def staged() -> PipBuilds:
                from pipshim.cli.pip_builds import Building  # noqa: PLC0415 not needed without a source

                request = self._request(options)
                for_builds = copy.copy(options)
                for_builds.ignore_requires_python = False  # said of what is asked for
                building = Building(
                    replace(request, build=lines.beside(request.build)),
                    PipCommand(self, for_builds, self.mask),
                    stays=self._stays
                    and not (options.target_dir or options.prefix_path or options.root_path),
                    adopt=self.adopt,
                    editables=self._editables,
                    show=show_error,
                    also=report.observer if report is not None else None,
                )
                return stack.enter_context(building)

            stack.enter_context(accepting_build_options(lines))
            status = self.run_with(staged, options, args, None if as_json else show_error)
            if report is not None:
                report.status = status
            return status

    def run_with(
        self,
        staged: Callable[[], PipBuilds],
        options: Values,
        args: list[str],
        show_error: Callable[[PipshimError], object] | None,
    ) -> int:
        """Run pip's command.

        Args:
            staged: makes what builds.
            show_error: shows an error, which pip then does not show again; None if errors are
                raised.

        Raises:
            PipshimError: it failed, and errors are raised.

        """
        interrupts.track_temporary_folders()
        self._seams = PipHooks(staged, shown_once)
        with self._seams.put_in(self.pips):
            try:
                return super().run(options, args)
            except PipshimError as error:
                pips = self._seams.as_pip_error(error) if show_error is not None else None
                if pips is None or show_error is None:
                    raise
                show_error(error)
                raise pips from error
            except CommandError as error:
                if show_error is not None:
                    raise
                raise PipshimError(str(error)) from error  # whose status is what pip's is

    def _build_package_finder(
        self, options: Values, session: Any, *args: Any, **kwargs: Any
    ) -> Any:
        self._finder = super()._build_package_finder(options, session, *args, **kwargs)
        routes = self._routes(options)
        learn_indexes(session, routes, self.mask)
        follow_routes(self._finder._link_collector, routes)  # noqa: SLF001
        return self._finder

    def get_default_session(self, options: Values) -> Any:
        """Make pip's session, with retries for incomplete responses."""
        session = super().get_default_session(options)
        retry_broken_answers(session)
        return session

    def make_resolver(self, **kwargs: Any) -> Any:  # type: ignore[override]
        """Make pip's resolver with rounds; its old resolver, which builds by itself, without."""
        options = kwargs["options"]
        made = self._seams.resolver(super().make_resolver, kwargs, partial(self._resolved, options))
        if not self._seams.is_on:
            self._check_legacy(options)
        return made

    def adopt(self, pip: Pip) -> None:
        """Let build environments use the same indexes as the command."""
        pip.search_like(self._finder)

    @cached_property
    def mask(self) -> Mask:
        """The credentials, collected when they are first needed."""
        configuration = self.parser.config.items()
        return known_credentials(self._options, self._arguments, configuration, os.environ)

    def _hide(self, text: str) -> str:
        return self.mask.hide(text)

    def _routes(self, options: Values) -> IndexRoutes:
        """Return where the project here has packages looked up, with the extras that are asked for.

        As in pip, an invalid pyproject.toml is ignored where it is not needed.

        Raises:
            ProjectError: it is invalid, and may name indexes.
            UsageError: two extras or groups that are asked for exclude each other.

        """
        try:
            project = load_builder(options.project, Path.cwd())
        except ProjectError as error:
            if _may_name_indexes(error.path):
                raise
            return IndexRoutes()
        if project is None or not project.configuration.index:
            return IndexRoutes()
        if "legacy-resolver" in options.deprecated_features_enabled:
            raise UsageError(
                "--use-deprecated=legacy-resolver cannot be used in a project with "
                "[[tool.pipshim.index]]: its builds would not follow them",
                hint="leave it out, or run the command in another folder",
            )
        markers = {key: str(value) for key, value in default_environment().items()}
        configuration = project.configuration
        chosen = self._combination(options, project).chosen
        routes = routes_of(configuration, project.file, markers, os.environ, chosen)
        return replace(routes, without_default=self._index_is_typed)

    def _combination(self, options: Values, project: Project) -> Combination:
        """Return which of the conflicting extras and groups are asked for."""
        arguments = [*self._arguments, *options.editables]
        groups = options.dependency_groups
        origins = requested_origins(project, arguments, options.requirements, groups)
        try:
            return project.conflicts.chosen_by(origins)
        except UsageError as error:
            raise UsageError(error.message, hint="ask for one of them") from error

    def _request(self, options: Values) -> LockRequest:
        return LockRequest(
            common=self.common_options(options),
            build=self.build_options(options),
            lock=LockOptions(requirements=tuple(self._arguments)),
        )

    def _resolved(self, options: Values, names: set[NormalizedName]) -> None:
        """Warn of packages that options of pipshim name and nothing needs."""
        build = self.build_options(options)
        own: dict[str, Iterable[str]] = {
            "--extra-build-dependency": build.extra_build_dependencies,
            "--config-settings-package": build.config_settings_package,
            "--rebuild": build.rebuild - {ALL},
        }
        for layer in self.layers[0]:
            typed = layer.source == COMMAND_LINE
            own["--no-build-isolation-package" if typed else layer.source] = layer.packages
        for setting, given in own.items():
            for name in sorted({canonicalize_name(one) for one in given} - names):
                nearest = get_close_matches(name, names, n=1)
                if names:
                    meant = f"; did you mean {nearest[0]}?" if nearest else ""
                    logger.warning(
                        "%s names %s, which nothing here requires%s", setting, name, meant
                    )

    def _check_legacy(self, options: Values) -> None:
        """Refuse options that only pipshim's builds use."""
        for option in BUILD:
            if option.is_list and getattr(options, option.destination):
                raise UsageError(
                    f"{option.flags} cannot be used with --use-deprecated=legacy-resolver",
                    hint="leave one of them out",
                )


class InstallCommand(_Building, pips.InstallCommand):  # noqa: D101 it has that of pip
    __doc__ = pips.InstallCommand.__doc__
    usage = pips.InstallCommand.usage
    pips = pips.InstallCommand
    _stays = True
    _editables = True

    def run_with(self, *args: Any, **kwargs: Any) -> int:
        """Run pip's command, which writes hashes of all files to RECORD."""
        with hashed():
            return super().run_with(*args, **kwargs)


class WheelCommand(_Building, pips.WheelCommand):  # noqa: D101 it has that of pip
    __doc__ = pips.WheelCommand.__doc__
    usage = pips.WheelCommand.usage
    pips = pips.WheelCommand


class DownloadCommand(_Building, pips.DownloadCommand):  # noqa: D101 as above
    __doc__ = pips.DownloadCommand.__doc__
    usage = pips.DownloadCommand.usage
    pips = pips.DownloadCommand


def _may_name_indexes(pyproject: Path | str) -> bool:
    try:
        return b"index" in Path(pyproject).read_bytes()
    except OSError:
        return False


_PATH = re.compile(r"(?P<path>[^\[\]]+)(?:\[(?P<extras>[^\[\]]*)\])?")
_EDITABLE = re.compile(r"(?:-e|--editable)[\s=]\s*")


def requested_origins(
    project: Project,
    arguments: Iterable[str],
    files: Iterable[str],
    groups: Iterable[tuple[str, str]],
) -> set[str]:
    """Return the extras and groups of a project, and of its members, that are asked for.

    Args:
        arguments: requirements and paths, as ``.[cpu]``.
        files: requirements files, of which the lines count that are no options.
        groups: the files of dependency groups, and their names.

    """
    members = project.workspace.members if project.workspace is not None else {}
    by_folder = {project.directory.resolve(): project}
    by_folder |= {member.directory.resolve(): member for member in members.values()}
    by_name = {one.name: one for one in by_folder.values()}
    found = set()
    for text in (*arguments, *(line for file in files for line in _lines(file))):
        name, extras = _named(text)
        asked = by_name.get(name) if name is not None else by_folder.get(_folder(text))
        for origin in ("project", *(f"extra {canonicalize_name(one)}" for one in extras)):
            if asked is not None:
                found.add(_of_root(asked, origin, project))
    for file, group in groups:
        asked = by_folder.get(Path(file).resolve().parent)
        if asked is not None:
            found.add(_of_root(asked, f"group {canonicalize_name(group)}", project))
    return found


def _of_root(asked: Project, origin: str, root: Project) -> str:
    return origin if asked is root or asked.name is None else origin_of_member(asked.name, origin)


def _named(text: str) -> tuple[NormalizedName | None, Iterable[str]]:
    """Return the name and the extras of a requirement; no name for a path."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        found = _PATH.fullmatch(text)
        extras = (found["extras"] or "") if found else ""
        return None, [one.strip() for one in extras.split(",") if one.strip()]
    return canonicalize_name(requirement.name), requirement.extras


def _folder(text: str) -> Path:
    found = _PATH.fullmatch(text.removeprefix("file://"))
    return Path(found["path"] if found else text).resolve()


def _lines(file: str) -> Iterator[str]:
    """Return the requirements in a file, as far as it can be read here."""
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return  # pip reads it, and says what is wrong
    for line in lines:
        text = _EDITABLE.sub("", line.partition(" #")[0].strip(), count=1)
        if text and not text.startswith(("-", "#")):
            yield text
