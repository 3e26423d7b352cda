"""Let pip write complete hashes to RECORD, and roll an installation back if a late build fails."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from pip._internal.metadata import get_environment
from pip._internal.operations.install import wheel
from pip._internal.req.req_uninstall import UninstallPathSet

from pipshim._pip import patches
from pipshim.envs.dist_info import RECORD, SIGNATURES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from pip._internal.req.req_install import InstallRequirement


def hashed() -> AbstractContextManager[None]:
    """Let pip write hashes that a wheel's RECORD lacks to the installed RECORD for a while."""
    original = vars(wheel)["get_csv_rows_for_installed"]

    def rows(old: Any, installed: Any, changed: Any, generated: Any, lib_dir: str) -> Any:
        found = original(old, installed, changed, generated, lib_dir)
        return [row if row[1] else _hashed(row, lib_dir) for row in found]

    return patches.replaced(wheel, get_csv_rows_for_installed=rows)


def _hashed(row: tuple[str, str, str], lib_dir: str) -> tuple[str, str, str]:
    path = os.path.join(lib_dir, row[0])  # noqa: PTH118 as pip joins them
    without = {RECORD, *SIGNATURES}
    if os.path.basename(path) in without or not os.path.isfile(path):  # noqa: PTH113, PTH119
        return row
    return (row[0], *wheel.rehash(path))


class OneStep:
    """Installs all requirements or none, by pip's own means.

    pip builds everything before it installs. An editable that is built in the environment itself
    comes after all else; if that fails or is interrupted, the others are rolled back.

    Args:
        requirements: in pip's order of installing.
        rolling_back: called before anything is rolled back.

    """

    def __init__(
        self, requirements: Sequence[InstallRequirement], rolling_back: Callable[[], object]
    ) -> None:
        self._rolling_back = rolling_back
        self._last = requirements[-1]
        self._removed: list[UninstallPathSet] = []
        self._installed: list[InstallRequirement] = []
        for req in requirements:
            patches.override(
                req,
                install=partial(self._install, req, req.install),
                uninstall=partial(self._uninstall, req),
            )

    def _uninstall(self, req: InstallRequirement, **options: Any) -> None:
        """Uninstall a distribution, and keep its files."""
        found = type(req).uninstall(req, **options)
        if found is not None:
            self._removed.append(found)

    def _install(self, req: InstallRequirement, install: Any, **options: Any) -> None:
        if "rollback_on_error" in options:  # since pip 26.3
            options["rollback_on_error"] = True
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
            self._rolling_back()
        here = get_environment(sys.path)  # the default one may have been read before
        for req in reversed(self._installed):
            found = here.get_distribution(str(req.name))
            if found is not None:
                new = UninstallPathSet.from_dist(found)
                new.remove(auto_confirm=True)
                new.commit()
        for one in reversed(self._removed):
            one.rollback()
