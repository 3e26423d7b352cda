"""Cache which pins satisfy which requirements.

In each round, pip's resolver checks the pin of every package against all its requirements, most of
which are as before: a fifth of the time for 800 packages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pip._vendor.resolvelib.resolvers.resolution import Resolution

from pipshim._pip import patches

if TYPE_CHECKING:
    from pip._vendor.resolvelib.resolvers.criterion import Criterion

_is_satisfying = Resolution._is_current_pin_satisfying  # noqa: SLF001 it has no other name


def _is_still_satisfying(self: Resolution[Any, Any, Any], name: Any, criterion: Any) -> bool:
    """Return the earlier answer for the same pin and requirements, which never change."""
    pin = self.state.mapping.get(name)
    known: dict[Any, tuple[Any, Criterion[Any, Any]]] = vars(self).setdefault("_satisfied", {})
    if pin is not None and name in known:
        last_pin, last_criterion = known[name]
        if last_pin is pin and last_criterion is criterion:
            return True
    if not _is_satisfying(self, name, criterion):
        return False
    known[name] = pin, criterion
    return True


def install() -> None:
    """Replace pip's check."""
    patches.replace(Resolution, _is_current_pin_satisfying=_is_still_satisfying)
