"""A distribution that changed, or would change."""

from __future__ import annotations

from pipshim.base.light.named_tuples import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal, TypeAlias

    from pipshim.model.events import Source

    Kind: TypeAlias = Literal["+", "-", "~"]

FOR_BUILDS = "for builds"
"""The reason of a change that affects only the build environments of a lock."""


class Change(NamedTuple):
    """A distribution that changed, or would change.

    Attributes:
        old: the version before; None for ``+``.
        new: the version after; None for ``-``, and where only a build can tell.
        reason: why the same version was reinstalled, or None.
        source: where it came from.
        mode: the mode of its build in this command.

    """

    kind: Kind
    name: str
    old: str | None
    new: str | None
    reason: str | None = None
    source: Source | None = None
    mode: str | None = None
