"""Installing as one step: what pip has installed is taken back if what comes later fails.

pip builds all before it installs, so a build that fails has changed nothing. An editable that is
built in the environment itself comes after all else is installed there; so if that fails, or the
user interrupts it, pip's own means of uninstalling and of rolling back are used on the others.
"""

from __future__ import annotations

import logging
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pip._internal.metadata import get_environment
from pip._internal.req.req_uninstall import UninstallPathSet

from pipshim._pip import patches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pip._internal.req.req_install import InstallRequirement

logger = logging.getLogger(__name__)


class OneStep:
    """Lets requirements be installed all, or none.

    Args:
        requirements: in pip's order of installing; each is told to ask here.

    """

    def __init__(self, requirements: Sequence[InstallRequirement]) -> None:
        self._last = requirements[-1]
        self._removed: list[UninstallPathSet] = []
        self._installed: list[InstallRequirement] = []
        for req in requirements:
            patches.override(
                req,
                install=partial(self._install, req, req.install),
                uninstall=partial(self._uninstall, req),
            )

    def _uninstall(self, req: InstallRequirement, **options: Any) -> _Kept | None:
        found = type(req).uninstall(req, **options)
        if found is None:
            return None
        self._removed.append(found)
        return _Kept()

    def _install(self, req: InstallRequirement, install: Any, **options: Any) -> None:
        try:
            install(**options)
        except BaseException:
            self._take_back()
            raise
        self._installed.append(req)
        if req is self._last:
            for one in self._removed:
                one.commit()

    def _take_back(self) -> None:
        if self._installed:
            logger.info("Taking back what was installed")
        here = get_environment(sys.path)  # the default one may have been read before
        for req in reversed(self._installed):
            found = here.get_distribution(str(req.name))
            if found is not None:
                new = UninstallPathSet.from_dist(found)
                new.remove(auto_confirm=True)
                new.commit()
        for one in reversed(self._removed):
            one.rollback()


class _Kept:
    """What pip holds instead of files that it has moved away: they are kept until the end."""

    can_rollback = True

    def commit(self) -> None:
        """Leave them for now."""

    def rollback(self) -> None:
        """They are back already."""
