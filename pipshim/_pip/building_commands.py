"""pip's ``install``, ``wheel`` and ``download``, with hooks for pipshim's builds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

from pip._internal.cli.req_command import RequirementCommand
from pip._internal.commands import download, install, wheel
from pip._internal.exceptions import CommandError
from pip._internal.resolution.resolvelib.resolver import Resolver

from pipshim._pip import patches, temporary_folders
from pipshim._pip.command_hooks import PipHooks, StagedResolver
from pipshim._pip.installed_record import hashed
from pipshim._pip.metadata import prepared
from pipshim._pip.retries import retry_broken_answers
from pipshim._pip.routed_search import follow_routes
from pipshim.base.errors import PipshimError
from pipshim.model.index_routes import IndexRoutes

if TYPE_CHECKING:
    from collections.abc import Callable
    from optparse import Values
    from types import ModuleType

    from packaging.utils import NormalizedName
    from pip._internal.index.package_finder import PackageFinder
    from pip._internal.network.session import PipSession
    from pip._internal.operations.prepare import RequirementPreparer

    from pipshim._pip.hook_handlers import PipBuilds
    from pipshim._pip.session import Pip
    from pipshim.base.masking import Mask


class BuildingCommand(RequirementCommand):
    """A command of pip's whose builds are pipshim's; `mask` learns the credentials of indexes."""

    module: ModuleType
    mask: Mask

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
            options: the parsed options.
            show_error: shows an error, which pip then does not show again; None if errors are
                raised.

        Raises:
            PipshimError: it failed, and errors are raised.

        """
        temporary_folders.note()
        self._seams = PipHooks(staged)
        with self._seams.put_in(self.module):
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

    def routes(self, options: Values) -> IndexRoutes:  # noqa: ARG002 for subclasses
        """Return where the project here has packages looked up."""
        return IndexRoutes()

    def _build_package_finder(
        self, options: Values, session: PipSession, *args: Any, **kwargs: Any
    ) -> PackageFinder:
        finder = super()._build_package_finder(options, session, *args, **kwargs)
        follow_routes(finder._link_collector, self.routes(options), self.mask)  # noqa: SLF001
        return finder

    def get_default_session(self, options: Values) -> PipSession:
        """Make pip's session, with retries for incomplete responses."""
        session = super().get_default_session(options)
        retry_broken_answers(session)
        return session

    def make_resolver(self, **kwargs: Any) -> Any:  # type: ignore[override]
        """Make pip's resolver with rounds, and without pip's wheel cache.

        It is unknown what the wheels in that cache were built against.
        """
        kwargs["wheel_cache"] = None
        preparer = cast("RequirementPreparer", kwargs["preparer"])
        patches.override(
            preparer,
            prepare_linked_requirement=partial(prepared, preparer.prepare_linked_requirement),
        )
        made = super().make_resolver(**kwargs)
        if not isinstance(made, Resolver):
            self.check_legacy(kwargs["options"])
            self._seams.leave_out()
            return made
        self._finder = cast("PackageFinder", kwargs["finder"])
        resolved = partial(self.resolved, kwargs["options"])
        return StagedResolver(made, preparer, self._seams, resolved)

    def check_legacy(self, options: Values) -> None:
        """Check the options for pip's old resolver, which builds by itself."""

    def resolved(self, options: Values, names: set[NormalizedName]) -> None:
        """Receive the names of all packages that are needed, builds included."""

    def adopt(self, pip: Pip) -> None:
        """Let build environments use the same indexes as the command."""
        pip.finder.search_scope = self._finder.search_scope
        pip.finder._candidate_prefs.prefer_binary = self._finder.prefer_binary  # noqa: SLF001
        control = self._finder.release_control
        if control is not None:
            pip.finder.set_release_control(control)


class InstallCommand(BuildingCommand, install.InstallCommand):
    __doc__ = install.InstallCommand.__doc__
    usage = install.InstallCommand.usage
    module = install

    def run_with(self, *args: Any, **kwargs: Any) -> int:
        """Run pip's command, which writes hashes of all files to RECORD."""
        with hashed():
            return super().run_with(*args, **kwargs)


class WheelCommand(BuildingCommand, wheel.WheelCommand):
    __doc__ = wheel.WheelCommand.__doc__
    usage = wheel.WheelCommand.usage
    module = wheel


class DownloadCommand(BuildingCommand, download.DownloadCommand):
    __doc__ = download.DownloadCommand.__doc__
    usage = download.DownloadCommand.usage
    module = download
