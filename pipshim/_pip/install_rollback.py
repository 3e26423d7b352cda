"""Roll back what pip has installed if a later build fails.

pip builds everything before it installs. An editable that is built in the environment itself comes
after all else; if that fails or is interrupted, the others are rolled back by pip's own means.
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
    """Installs all requirements or none.

    Args:
        requirements: in pip's order of installing.

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

    def _uninstall(self, req: InstallRequirement, **options: Any) -> _KeptFiles | None:
        found = type(req).uninstall(req, **options)
        if found is None:
            return None
        self._removed.append(found)
        return _KeptFiles()

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
            logger.info("Rolling back the installation")
        here = get_environment(sys.path)  # the default one may have been read before
        for req in reversed(self._installed):
            found = here.get_distribution(str(req.name))
            if found is not None:
                new = UninstallPathSet.from_dist(found)
                new.remove(auto_confirm=True)
                new.commit()
        for one in reversed(self._removed):
            one.rollback()


class _KeptFiles:
    """Takes the place of pip's moved-away files, which are kept until the end."""

    can_rollback = True

    def commit(self) -> None:
        """Keep them for now."""

    def rollback(self) -> None:
        """Do nothing: they are back already."""
