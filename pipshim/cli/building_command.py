"""The base of pip's ``install``, ``wheel`` and ``download``, with hooks for pipshim's builds."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pipshim._pip import interrupts
from pipshim._pip.command_hooks import PipHooks
from pipshim._pip.downloads import retry_broken_answers
from pipshim._pip.requirement_commands import CommandError, RequirementCommand
from pipshim._pip.routed_search import follow_routes
from pipshim.base.errors import PipshimError
from pipshim.model.index_routes import IndexRoutes

if TYPE_CHECKING:
    from collections.abc import Callable
    from optparse import Values

    from packaging.utils import NormalizedName

    from pipshim._pip.hook_handlers import PipBuilds
    from pipshim._pip.session import Pip
    from pipshim.base.masking import Mask


class BuildingCommand(RequirementCommand):
    """A command of pip's whose builds are pipshim's.

    Attributes:
        pips: pip's own class of the command.
        mask: learns the credentials of indexes.

    """

    pips: ClassVar[type[RequirementCommand]]
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
        interrupts.track_temporary_folders()
        self._seams = PipHooks(staged)
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

    def routes(self, options: Values) -> IndexRoutes:  # noqa: ARG002 for subclasses
        """Return where the project here has packages looked up."""
        return IndexRoutes()

    def _build_package_finder(
        self, options: Values, session: Any, *args: Any, **kwargs: Any
    ) -> Any:
        self._finder = super()._build_package_finder(options, session, *args, **kwargs)
        follow_routes(self._finder._link_collector, self.routes(options), self.mask)  # noqa: SLF001
        return self._finder

    def get_default_session(self, options: Values) -> Any:
        """Make pip's session, with retries for incomplete responses."""
        session = super().get_default_session(options)
        retry_broken_answers(session)
        return session

    def make_resolver(self, **kwargs: Any) -> Any:  # type: ignore[override]
        """Make pip's resolver with rounds; its old resolver, which builds by itself, without."""
        options = kwargs["options"]
        made = self._seams.resolver(super().make_resolver, kwargs, partial(self.resolved, options))
        if not self._seams.is_on:
            self.check_legacy(options)
        return made

    def check_legacy(self, options: Values) -> None:
        """Check the options for pip's old resolver, which builds by itself."""

    def resolved(self, options: Values, names: set[NormalizedName]) -> None:
        """Receive the names of all packages that are needed, builds included."""

    def adopt(self, pip: Pip) -> None:
        """Let build environments use the same indexes as the command."""
        pip.search_like(self._finder)
