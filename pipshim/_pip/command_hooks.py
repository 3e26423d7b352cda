"""Intercept pip's own commands where they read metadata, resolve and build.

Three things are replaced during a command: what prepares the metadata of a source
(``make_distribution_for_install_requirement``), the resolver (which resolves again once such
metadata is known), and ``wheel_builder.build``. Without a source, the command runs as in pip.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

from packaging.utils import canonicalize_name
from pip._internal.distributions.sdist import SourceDistribution
from pip._internal.exceptions import UnsupportedWheel
from pip._internal.operations import prepare
from pip._internal.resolution.resolvelib.resolver import Resolver

from pipshim._pip import patches
from pipshim._pip.links import prepared

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from contextlib import AbstractContextManager

    from packaging.utils import NormalizedName
    from pip._internal.cli.req_command import RequirementCommand
    from pip._internal.exceptions import PipError
    from pip._internal.req.req_install import InstallRequirement
    from pip._internal.req.req_set import RequirementSet

    from pipshim._pip.hook_handlers import PipBuilds
    from pipshim.base.errors import PipshimError


class RepeatFilter(Protocol):
    """Drops log messages that were shown before, once `again` is set."""

    again: bool


class PipHooks:
    """The hooks of one command of pip's.

    Args:
        make: makes the object that answers them, when the first source is met.
        shown_once: lets a repeated piece of work log no message again.

    Attributes:
        is_on: whether pipshim builds.

    """

    def __init__(
        self,
        make: Callable[[], PipBuilds],
        shown_once: Callable[[], AbstractContextManager[RepeatFilter]],
    ) -> None:
        self._make = make
        self.shown_once = shown_once
        self.is_on = True

    @cached_property
    def staged(self) -> PipBuilds:
        """The object that answers the hooks."""
        return self._make()

    @property
    def has_sources(self) -> bool:
        """Whether any source was met."""
        return "staged" in vars(self)

    def as_pip_error(self, error: PipshimError) -> PipError | None:
        """Return what pip would have raised for an error; None if pip has no such error."""
        if isinstance(error.__cause__, UnsupportedWheel):
            return error.__cause__
        return self.staged.as_pip_error(error) if self.has_sources else None

    def resolver(
        self,
        make: Callable[..., object],
        arguments: dict[str, Any],
        resolved: Callable[[set[NormalizedName]], object],
    ) -> object:
        """Make pip's resolver, and let it resolve in rounds, if it is not the old one.

        `resolved` is called with the names of all packages that are needed, builds included.
        """
        preparer = arguments["preparer"]
        patches.override(
            preparer,
            prepare_linked_requirement=partial(prepared, preparer.prepare_linked_requirement),
        )
        # It is unknown what the wheels in pip's cache were built against.
        made = make(**{**arguments, "wheel_cache": None})
        if not isinstance(made, Resolver):
            self.is_on = False
            return made
        patches.become(made, StagedResolver)
        assert isinstance(made, StagedResolver)
        made.hooks, made.resolved = self, resolved
        return made

    @contextmanager
    def put_in(self, pips: type[RequirementCommand]) -> Iterator[None]:
        """Replace pip's functions in its operations and in the module of a command of pip's."""
        command = sys.modules[pips.__module__]
        original = vars(prepare)["make_distribution_for_install_requirement"]

        def distribution_for(req: InstallRequirement) -> Any:
            made = original(req)
            if self.is_on and isinstance(made, SourceDistribution):
                return self.staged.distribution(req)
            return made

        with patches.replaced(prepare, make_distribution_for_install_requirement=distribution_for):
            original_build = vars(command).get("build")
            if original_build is None:  # download builds nothing
                yield
                return

            def build(requirements: Iterable[InstallRequirement], *args: Any, **kwargs: Any) -> Any:
                found = list(requirements)
                if found and self.is_on:
                    kwargs.pop("wheel_cache", None)
                    return self.staged.build(found, partial(original_build, **kwargs))
                return original_build(found, *args, **kwargs)

            with patches.replaced(command, build=build):
                yield


class StagedResolver(Resolver):
    """pip's resolver, run in rounds if it meets sources; candidates are kept between rounds."""

    hooks: PipHooks
    resolved: Callable[[set[NormalizedName]], object]

    def resolve(
        self, root_reqs: list[InstallRequirement], check_supported_wheels: bool
    ) -> RequirementSet:
        """Resolve as pip does; again while the metadata of sources is not settled."""
        resolve = super().resolve
        with self.hooks.shown_once() as once:
            found = resolve(root_reqs, check_supported_wheels)

            def again() -> None:
                nonlocal found
                once.again = True
                found = resolve(root_reqs, check_supported_wheels)

            if self.hooks.has_sources:
                self.hooks.staged.settle(self, again)
        builds = self.hooks.staged.build_names() if self.hooks.has_sources else set()
        assert self._result is not None
        names = {identifier.partition("[")[0] for identifier in self._result.mapping}
        self.resolved({*map(canonicalize_name, names), *builds})
        return found

    def get_installation_order(self, req_set: RequirementSet) -> list[InstallRequirement]:
        """Return pip's order; what is built in the environment itself comes last."""
        order = super().get_installation_order(req_set)
        return self.hooks.staged.ordered(order) if self.hooks.has_sources else order
